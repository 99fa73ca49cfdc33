"""Loss and metric of sequences of ids; padding, which is 0, counts nothing."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("attention_zoo")
class TokenCrossEntropy(keras.losses.Loss):
    """Cross-entropy of ids and logits, a mean over all tokens that are no padding.

    Args:
        label_smoothing: Float in `[0, 1)`, the share of the target that is spread over
            the whole vocabulary. Defaults to `0.0`.
    """

    def __init__(self, label_smoothing=0.0, **kwargs):
        super().__init__(reduction="mean_with_sample_weight", **kwargs)
        self.label_smoothing = label_smoothing

    def __call__(self, y_true, y_pred, sample_weight=None):
        return super().__call__(y_true, y_pred, ops.not_equal(y_true, 0))

    def call(self, y_true, y_pred):
        """Returns the loss of each token, `(B, T)`."""
        loss = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        if not self.label_smoothing:
            return loss
        # The mean of -log p over the vocabulary is loss + logit of y - mean of logits.
        ids = ops.expand_dims(ops.cast(y_true, "int32"), -1)
        own = ops.take_along_axis(y_pred, ids, axis=-1)
        spread = ops.squeeze(own, -1) - ops.mean(y_pred, axis=-1)
        return loss + self.label_smoothing * spread

    def get_config(self):
        return {"name": self.name, "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("attention_zoo")
class TokenAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """The share of tokens, padding apart, whose logit is the largest."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(y_true, y_pred, ops.not_equal(y_true, 0))
