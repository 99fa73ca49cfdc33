"""Global context."""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._shared import (
    flatten_positions,
    per_map,
    reduced_channels,
    softmax,
)


def attention_pool(flat, logits):
    """Returns the mean of `flat` `(B, N, C)` weighed by softmax of `logits` `(B, N)`.

    Returns:
        Context `(B, C)` and weights `(B, N)`.
    """
    weights = softmax(logits)
    context = ops.matmul(ops.expand_dims(weights, 1), flat)  # (B, 1, C)
    return ops.squeeze(context, 1), weights


@keras.saving.register_keras_serializable("attention_zoo")
class GlobalContext(VisionLayer):
    """One context vector for the whole map, attended to, transformed and added.

    1. Weights: softmax over all positions of `Wk x`, shape `(B, H, W)`.
    2. Context: the weighted mean of the positions, shape `(B, C)`.
    3. Transform: `W2 relu(LayerNorm(W1 context + b1)) + b2`, shape `(B, C)`.
    4. Output: the inputs plus the transform at every position, the inputs' shape.

    `logits/kernel` is Wk `(C, 1)`, without bias, which the softmax would cancel;
    `reduce` holds W1 and b1, `norm` the layer normalisation, `expand` W2 and b2.

    Cost at 64 channels on a 32 x 32 map: 652 parameters, 263,168 FLOPs.

    Args:
        ratio: Integer. How many times narrower the hidden layer is, rounded up to whole
            channels. Defaults to `16`.
        activation: String or function. Activation of the hidden layer. Defaults to
            `"relu"`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the weights
        of shape `(B, H, W)`, `(B, T)` or `(B, D, H, W)`.

    Raises:
        ValueError: If the inputs have another rank, or if they have fewer channels than
            `ratio`.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    output, weights = layers.GlobalContext(ratio=2)(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert weights.shape == (2, 7, 5)
    ```

    References:
        - Cao et al. 2019, https://arxiv.org/abs/1904.11492
    """

    family = "channel"

    def __init__(self, ratio=16, activation="relu", data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        check_positive_integer(type(self).__name__, ratio=ratio)
        self.ratio = ratio
        self.activation = keras.activations.get(activation)

    def build_maps(self, shape):
        batch, channels = shape[0], shape[-1]
        hidden = reduced_channels(type(self).__name__, channels, self.ratio)
        policy = self.dtype_policy
        self._logits = keras.layers.Dense(
            1, use_bias=False, dtype=policy, name="logits"
        )
        self._reduce = keras.layers.Dense(hidden, dtype=policy, name="reduce")
        self._norm = keras.layers.LayerNormalization(dtype=policy, name="norm")
        self._expand = keras.layers.Dense(channels, dtype=policy, name="expand")
        self._logits.build(shape)
        self._reduce.build((batch, channels))
        self._norm.build((batch, hidden))
        self._expand.build((batch, hidden))

    def attend_maps(self, x):
        logits = flatten_positions(self._logits(x))[..., 0]  # (B, N)
        context, weights = attention_pool(flatten_positions(x), logits)
        context = self.activation(self._norm(self._reduce(context)))
        output = x + per_map(self._expand(context), x)
        return output, ops.reshape(weights, ops.shape(x)[:-1])

    def reduce_weights(self, weights, sizes):
        return weights

    def scores_shape(self, shape):
        return shape[:-1]

    def get_config(self):
        config = {
            "ratio": self.ratio,
            "activation": keras.activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}
