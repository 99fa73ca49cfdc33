"""What the attentions of linear cost share: how they are called."""

import keras

from attention_zoo.layers.core.recording import record, recording
from attention_zoo.layers.core.validation import check_attention_shapes
from attention_zoo.layers.sequence.attention import empty_masked


class LinearCostAttention(keras.layers.Layer):
    """Base of the attentions whose time and memory grow as `Tq + Tv`.

    A subclass overrides `_attend`. It never builds a `Tq x Tv` array unless asked for
    the weights, and so takes no `attention_mask`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dq)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: None.
        return_attention_scores: Whether the weights are returned too.
        training: Boolean.
        use_causal_mask: Whether query `i` sees keys up to `i` only.
    """

    causal = False  # whether the mechanism has a causal form

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        owner = type(self).__name__
        shapes = [tuple(s) for s in (query_shape, value_shape, key_shape)]
        check_attention_shapes(owner, *shapes)
        if shapes[0][-1] != shapes[2][-1]:
            raise ValueError(
                f"`{owner}` expects `query` and `key` of one width. Received: "
                f"query.shape={shapes[0]}, key.shape={shapes[2]}"
            )
        self.built = True

    def _attend(self, query, value, key, query_mask, key_mask, causal, need_weights):
        """Returns the output `(B, Tq, Dv)`, and the weights where they are wanted.

        Args:
            query, value, key: Tensors with zeros at padding.
            query_mask: Boolean tensor `(B, Tq)` or None.
            key_mask: Boolean tensor `(B, Tv)` or None.
            causal: Boolean.
            need_weights: Boolean.
        """
        raise NotImplementedError(f"`{type(self).__name__}` must override `_attend`.")

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        owner = type(self).__name__
        if attention_mask is not None:
            raise ValueError(
                f"`{owner}` takes no `attention_mask`, whose Tq x Tv entries it is "
                "there to avoid. Expected padding masks only. Received: "
                f"attention_mask.shape={tuple(attention_mask.shape)}"
            )
        if use_causal_mask and not self.causal:
            raise ValueError(
                f"`{owner}` mixes all positions before it weighs them and has no "
                "causal form. Expected use_causal_mask=False. Received: "
                "use_causal_mask=True"
            )
        query, value, key, query_mask, key_mask, _ = empty_masked(
            owner, query, value, key, query_mask, value_mask, key_mask
        )
        output, weights = self._attend(
            query,
            value,
            key,
            query_mask,
            key_mask,
            use_causal_mask,
            return_attention_scores or recording(),
        )
        output = keras.ops.cast(output, self.compute_dtype)
        if weights is not None:
            weights = keras.ops.cast(weights, self.compute_dtype)
            record(self, weights)
        return (output, weights) if return_attention_scores else output

    def compute_mask(self, inputs, previous_mask=None):
        if isinstance(previous_mask, (list, tuple)):
            return previous_mask[0]
        return previous_mask

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        return (*query_shape[:-1], value_shape[-1])

    def compute_scores_shape(self, query_shape, value_shape):
        return (*query_shape[:-1], value_shape[-2])

    def compute_output_spec(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        key = value if key is None else key
        check_attention_shapes(type(self).__name__, query.shape, value.shape, key.shape)
        shape = self.compute_output_shape(query.shape, value.shape, key.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        scores_shape = self.compute_scores_shape(query.shape, value.shape)
        return output, keras.KerasTensor(scores_shape, dtype=self.compute_dtype)
