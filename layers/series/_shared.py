"""What the series layers share: heads and their masks, and rows of unlike length."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.heads import join_heads, split_heads
from attention_zoo.layers.core.inputs import (
    broadcast_mask,
    cast_integers,
    check_not_empty,
)
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.recording import record, recording
from attention_zoo.layers.core.validation import (
    check_attention_shapes,
    check_mask,
    check_optional_integers,
    check_positive_integer,
    check_rank,
    check_rate,
)
from attention_zoo.layers.core.weight_options import hand_on


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


class SeriesLayer(AttentionLayer):
    """Base of the series layers that take one tensor, without constructor arguments.

    A subclass overrides `compute_output_shape` where its output has another shape, and
    `compute_scores_shape`, which may return a tuple of shapes.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`, or `(B, ..., D)` of `rank` axes.
        mask: Boolean tensor of shape `(B, T)` or `(B, ...)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
    """

    family: str | None = "series"
    call_options: tuple[str, ...] = ("return_attention_scores",)
    rank = 3

    def _check_inputs(self, shape):
        """Raises `ValueError` for inputs that the layer cannot take."""
        check_rank(type(self).__name__, self.rank, inputs=shape)

    def _mask_inputs(self, inputs, mask):
        """Returns the inputs with zeros at padding, and their boolean mask or None."""
        self._check_inputs(inputs.shape)
        return mask_series(self, inputs, mask)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def compute_scores_shape(self, input_shape):
        """Returns the shape of the weights, or a tuple of the shapes of several."""
        raise NotImplementedError

    def compute_output_spec(
        self, inputs, mask=None, return_attention_scores=False, training=None
    ):
        self._check_inputs(inputs.shape)
        shapes = self.compute_output_shape(inputs.shape)
        if return_attention_scores:
            shapes = shapes, self.compute_scores_shape(inputs.shape)
        return keras.tree.map_shape_structure(
            lambda shape: keras.KerasTensor(shape, dtype=self.compute_dtype), shapes
        )


def mask_series(layer, inputs, mask):
    """Returns inputs `(B, ..., D)` as floats with zeros at padding, and their mask.

    Args:
        layer: The layer, for messages and its compute dtype.
        inputs: Tensor `(B, ..., D)`.
        mask: Tensor that broadcasts to `(B, ...)`, or None.
    """
    owner = type(layer).__name__
    check_not_empty(owner, inputs=inputs.shape)
    mask = check_mask(owner, "mask", mask, tuple(inputs.shape[:-1]))
    mask = broadcast_mask(mask, inputs)
    return zero_padding(cast_integers(inputs, layer.compute_dtype), mask), mask


class SeriesAttention(QueryValueAttention):
    """Base of the series layers with heads: projections, masks, one-input use.

    A subclass computes in `_attend_heads`. The projections are called `query`, `key`,
    `value` and `attention_output`, as in `MultiHeadAttention`. Called on one tensor,
    the layer takes its padding as `mask` or `query_mask`.

    Args:
        num_heads: Integer. Number of heads. Defaults to `4`.
        key_dim: Integer. Width of each head. Defaults to `None`: the query's width
            divided by `num_heads`, rounded up.
        use_bias: Boolean. Whether the projections have biases. Defaults to `True`.
        kernel_initializer: Initializer of the projections.
            Defaults to `"glorot_uniform"`.
    """

    family: str | None = "series"
    call_options: tuple[str, ...] = ("return_attention_scores",)
    needs_value = False
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
        check_optional_integers(owner, key_dim=key_dim)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def _set_dropout(self, dropout, seed):
        """Keeps the arguments of a subclass with dropout, for `_drop`."""
        check_rate(type(self).__name__, dropout=dropout)
        self.dropout = dropout
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None

    def _drop(self, weights, training):
        """Returns the weights after dropout."""
        if not training or not self.dropout:
            return weights
        return keras.random.dropout(weights, self.dropout, seed=self.seed_generator)

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
        hand_on(self._weight_options, dense)
        dense.build(input_shape)
        return dense

    def call(
        self,
        query,
        value=None,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
        mask=None,
    ):
        return self._run(
            (query, value, key),
            (mask if query_mask is None else query_mask, value_mask, key_mask),
            (attention_mask, use_causal_mask),
            return_attention_scores,
            training,
        )

    def _run(self, tensors, masks, limits, return_attention_scores, training, **more):
        """Returns what `call` returns; `more` is handed on to `_attend_heads`."""
        query, value, key = tensors
        if value is None:
            value = query
            masks = (masks[0], masks[0] if masks[1] is None else masks[1], masks[2])
        check_not_empty(type(self).__name__, query=query.shape, value=value.shape)
        *tensors, mask = self._apply_masks(query, value, key, *masks, *limits)
        need_weights = return_attention_scores or recording()
        output, weights = self._attend(*tensors, mask, training, need_weights, **more)
        if weights is not None:
            record(self, weights)
        return (output, weights) if return_attention_scores else output

    def _attend(self, query, value, key, mask, training, need_weights, **more):
        mask.query_mask = broadcast_mask(mask.query_mask, query)
        mask.key_mask = broadcast_mask(mask.key_mask, key)
        rows, length = ops.shape(query)[1], ops.shape(key)[1]
        output, weights = self._attend_heads(
            split_heads(self._query_dense, query),
            split_heads(self._key_dense, key),
            split_heads(self._value_dense, value),
            mask,
            training,
            need_weights,
            **more,
        )
        output = join_heads(self._output_dense, output)
        output = zero_padding(output, mask.seen(rows, length))
        if weights is not None:
            weights = ops.cast(weights, self.compute_dtype)
        return output, weights

    def _attend_heads(self, query, key, value, mask, training, need_weights):
        """Returns heads `(B, H, Tq, K)`, and the weights or None.

        Args:
            query: Tensor `(B, H, Tq, K)`.
            key: Tensor `(B, H, Tv, K)`.
            value: Tensor `(B, H, Tv, K)`.
            mask: An `AttentionMask` with heads.
            training: Boolean or None.
            need_weights: Boolean. Without it None may take the weights' place.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must override `_attend_heads`."
        )

    def compute_output_shape(self, query_shape, value_shape=None, key_shape=None):
        return tuple(query_shape)

    def compute_output_spec(self, query, value=None, *args, **kwargs):
        value = query if value is None else value
        return super().compute_output_spec(query, value, *args, **kwargs)

    def get_config(self):
        config = {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
        return {**super().get_config(), **config}
