"""What the series layers share: heads and their masks, and rows of unlike length."""

import keras
from keras import ops

from attention_zoo.layers.core.heads import join_heads, split_heads
from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import (
    check_attention_shapes,
    check_positive_integer,
)
from attention_zoo.layers.sequence.attention import empty_masked, empty_padding


def visible_first(mask):
    """Returns the positions of a row's visible steps, in order, and their number.

    Args:
        mask: Boolean tensor `(B, T)`.

    Returns:
        Integer tensor `(B, T)`, the padding's positions last, and integer tensor
        `(B, 1)`.
    """
    size = ops.shape(mask)[1]
    steps = ops.expand_dims(ops.arange(size, dtype="int32"), 0)
    order = ops.argsort(ops.where(mask, steps, steps + size), axis=-1)
    return order, ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)


def step_ranks(mask):
    """Returns how many visible steps are before each one, `(B, T)`; 0 at least."""
    return ops.maximum(ops.cumsum(ops.cast(mask, "int32"), axis=1) - 1, 0)


def take_steps(x, index):
    """Returns the steps `index` `(B, N)` or `(1, N)` of heads `(B, H, T, K)`."""
    if index.shape[0] == 1:
        return ops.take(x, index[0], axis=2)
    return ops.take_along_axis(x, ops.expand_dims(index, (1, 3)), axis=2)


def keep_steps(x, length):
    """Returns heads `(B, H, T, K)` with zeros from step `length` `(B, 1)` on."""
    if length is None:
        return x
    inside = ops.expand_dims(ops.arange(ops.shape(x)[2], dtype="int32"), 0) < length
    return ops.where(ops.expand_dims(inside, (1, 3)), x, ops.zeros_like(x))


class SeriesAttention(keras.layers.Layer):
    """Base of the series layers with heads: projections, masks, one-input use.

    A subclass computes in `_attend(query, key, value, mask)`, on heads
    `(B, H, T, K)`, and returns heads of the query's length and the weights, or None in
    their place. The projections are called `query`, `key`, `value` and
    `attention_output`, as in `MultiHeadAttention`.

    Args:
        num_heads: Number of heads. Defaults to `4`.
        key_dim: Width of each head. Defaults to `None`: the query's width divided by
            `num_heads`, rounded up.
        use_bias: Whether the projections have biases. Defaults to `True`.
        kernel_initializer: Initializer of the projections.
            Defaults to `"glorot_uniform"`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`. Defaults to `query`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        return_attention_scores: Whether the weights are returned too.
        training: Boolean.
    """

    family = "series"
    weights_are: str | None = "positions"
    unbiased: tuple[str, ...] = ()  # projections whose bias would change nothing

    def __init__(
        self,
        num_heads=4,
        key_dim=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, num_heads=num_heads)
        if key_dim is not None:
            check_positive_integer(owner, key_dim=key_dim)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True

    def build(self, query_shape, value_shape=None, key_shape=None):
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        shapes = tuple(query_shape), tuple(value_shape), tuple(key_shape)
        check_attention_shapes(type(self).__name__, *shapes)
        width = self._head_width(shapes[0])
        self._query_dense = self._projection("query", shapes[0], width)
        self._key_dense = self._projection("key", shapes[2], width)
        self._value_dense = self._projection("value", shapes[1], width)
        self._output_dense = self._output_projection(shapes[0], width)
        self.built = True

    def _head_width(self, query_shape):
        return self.key_dim or -(-query_shape[-1] // self.num_heads)

    def _projection(self, name, shape, width):
        """Returns the dense layer from `(B, T, D)` to heads `(B, T, H, K)`."""
        return self._dense(name, "btd,dhk->bthk", (self.num_heads, width), shape)

    def _output_projection(self, shape, width):
        """Returns the dense layer from heads `(B, H, T, K)` to `(B, T, D)`."""
        heads = (shape[0], self.num_heads, shape[1], width)
        return self._dense("attention_output", "bhtk,hko->bto", shape[-1:], heads)

    def _dense(self, name, equation, output_shape, input_shape):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        biased = self.use_bias and name not in self.unbiased
        dense = keras.layers.EinsumDense(
            equation,
            output_shape=(None, *output_shape),
            bias_axes=equation[-len(output_shape) :] if biased else None,
            kernel_initializer=keras.initializers.get(initializer),
            name=name,
            dtype=self.dtype_policy,
        )
        dense.build(input_shape)
        return dense

    def _heads(
        self,
        query,
        value=None,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
    ):
        """Returns query, key and value as heads, and the `AttentionMask`.

        What padding holds is emptied before it is projected.
        """
        if query_mask is None:  # Keras fills it in only beside another tensor
            query_mask = getattr(query, "_keras_mask", None)
        if value is None:
            value = query
            value_mask = query_mask if value_mask is None else value_mask
        query, value, key, *masks = empty_masked(
            type(self).__name__,
            query,
            value,
            key,
            query_mask,
            value_mask,
            key_mask,
            attention_mask,
        )
        heads = (
            split_heads(dense, x)
            for dense, x in (
                (self._query_dense, query),
                (self._key_dense, key),
                (self._value_dense, value),
            )
        )
        return *heads, AttentionMask(*masks, heads=True)

    def _attend(self, query, key, value, mask):
        """Returns heads `(B, H, Tq, K)`, and the weights or None.

        Args:
            query: Tensor `(B, H, Tq, K)`.
            key: Tensor `(B, H, Tv, K)`.
            value: Tensor `(B, H, Tv, K)`.
            mask: An `AttentionMask` with heads.
        """
        raise NotImplementedError(f"`{type(self).__name__}` must override `_attend`.")

    def _join(self, output, weights, mask, length, return_attention_scores):
        """Projects the heads, zeros where nothing is seen, and records the weights."""
        output = join_heads(self._output_dense, output)
        output = empty_padding(output, mask.seen(ops.shape(output)[1], length))
        if weights is not None:
            weights = ops.cast(weights, self.compute_dtype)
            record(self, weights)
        return (output, weights) if return_attention_scores else output

    def call(
        self,
        query,
        value=None,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        query, key, value, mask = self._heads(
            query, value, key, query_mask, value_mask, key_mask
        )
        output, weights = self._attend(query, key, value, mask)
        length = ops.shape(key)[2]
        return self._join(output, weights, mask, length, return_attention_scores)

    def compute_mask(self, inputs, previous_mask=None):
        if isinstance(previous_mask, (list, tuple)):
            return previous_mask[0]
        return previous_mask

    def compute_output_shape(self, query_shape, value_shape=None, key_shape=None):
        return tuple(query_shape)

    def _scores_shape(self, query_shape, value_shape):
        return (query_shape[0], self.num_heads, query_shape[1], value_shape[1])

    def compute_output_spec(
        self,
        query,
        value=None,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        value = query if value is None else value
        key = value if key is None else key
        check_attention_shapes(type(self).__name__, query.shape, value.shape, key.shape)
        output = keras.KerasTensor(query.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        scores_shape = self._scores_shape(query.shape, value.shape)
        return output, keras.KerasTensor(scores_shape, dtype=self.compute_dtype)

    def get_config(self):
        config = {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
        return {**super().get_config(), **config}
