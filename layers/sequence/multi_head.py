"""Multi-head attention: any score, normalizer, position and mask."""

import keras
from keras import ops

from attention_zoo.layers.core.blockwise import check_block_size
from attention_zoo.layers.core.heads import join_heads, split_heads
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.parts import build_part, serialize_part
from attention_zoo.layers.core.positions import get_position
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.validation import check_attention_shapes, check_rate
from attention_zoo.layers.core.weight_options import fresh, hand_on
from attention_zoo.layers.sequence.axes import OverAxes, check_axes
from attention_zoo.layers.sequence.head_arguments import (
    check_flash,
    check_heads,
    check_output_shape,
    find_window,
    further_config,
)
from attention_zoo.layers.sequence.kv_cache import StepByStep
from attention_zoo.layers.sequence.per_head import (
    deserialize_parts,
    heads_normalizer,
    heads_score,
    serialize_parts,
)
from attention_zoo.layers.sequence.scored import ScoredParts


@keras.saving.register_keras_serializable("attention_zoo")
class MultiHeadAttention(StepByStep, OverAxes, ScoredParts, QueryValueAttention):
    """Multi-head attention with any score, normalizer, position and mask.

    `H` is the number of heads, `G` of key and value heads, `K` the `key_dim`, `V` the
    `value_dim`.

    1. Projections: queries `(B, H, Tq, K)`, keys `(B, G, Tv, K)`, values
       `(B, G, Tv, V)`; each key and value head serves `H / G` query heads.
    2. Weights: the normalizer over the scores a query may see, `(B, H, Tq, Tv)`.
    3. The weighted sums of the values of all heads, projected, `(B, Tq, output_shape)`.

    It takes the arguments, weights and positional order of
    `keras.layers.MultiHeadAttention` and gives its output. It differs where a query is
    masked or has nothing to see: the output is then 0 here, and Keras's is its bias or
    a mean over the padding. Inputs of more axes are attended to over `attention_axes`.

    Args:
        num_heads: Integer. Number of heads `H`.
        key_dim: Integer. Width of each head's queries and keys.
        value_dim: Integer. Width of each head's values. Defaults to `None`: `key_dim`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        use_bias: Boolean. Whether the projections have biases. Defaults to `True`.
        output_shape: Integer or tuple of integers. Last axes of the output.
            Defaults to `None`: the query's width.
        attention_axes: Integer or tuple of integers. Axes that are attended over; the
            others are as the batch. Defaults to `None`: all but batch and features.
        sliding_window: Integer. Query `i` sees the keys less than `sliding_window`
            from `i`: `window=sliding_window - 1`. Defaults to `None`: all keys.
        flash_attention: Boolean. Whether a flash kernel must be used (an error where
            there is none) or must not. Defaults to `None`: wherever there is one.
        kernel_initializer: Initializer of the projections.
            Defaults to `"glorot_uniform"`.
        bias_initializer: Initializer of their biases. Defaults to `"zeros"`.
        kernel_regularizer: Regularizer of the kernels. Defaults to `None`.
        bias_regularizer: Regularizer of the biases. Defaults to `None`.
        activity_regularizer: Regularizer of what each projection gives. Defaults to
            `None`.
        kernel_constraint: Constraint on the kernels. Defaults to `None`.
        bias_constraint: Constraint on the biases. Defaults to `None`.
        use_gate: Boolean. Whether the heads' sums are multiplied by the sigmoid of a
            further projection of the query, `(B, H, Tq, V)`. Defaults to `False`.
        seed: Integer. Seed of dropout and of a random normalizer. Defaults to `None`.
        score: String or `Score` layer, shared by the heads: `"dot"`, `"scaled_dot"`,
            `"cosine"`, `"general"`, `"concat"`, `"additive"` or `"location"`; or a
            list of one for each head, which then has weights of its own.
            Defaults to `"scaled_dot"`.
        normalizer: String or `Normalizer` layer: `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`; or a list of one for each head. Defaults to `"softmax"`.
        num_kv_heads: Integer. Number of key and value heads `G`, a divisor of
            `num_heads`; 1 is multi-query attention. Defaults to `None`: `num_heads`.
        position: `"rotary"`, `"alibi"`, `"relative_bias"`, or a `Position` layer.
            Defaults to `None`.
        window: Integer or pair of integers `(left, right)`. Query `i` sees keys
            `i - left` to `i + right`. Defaults to `None`: all keys.
        block_size: Integer or `"auto"`. Number of queries evaluated at a time and
            recomputed in the backward pass, so that memory grows linearly with the
            length. The result is the same. Defaults to `None`: all at once.
        talking_heads: Boolean. Whether learned `(H, H)` kernels mix the heads' scores,
            before positions are added, and their weights; both start as the identity
            (the paper's start at random). Defaults to `False`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)` or `(B, H, Tq, Tv)`, for
            inputs of more axes `(B, ..., H, Tq..., Tv...)` or the last of these.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.

    Returns:
        Output of shape `(B, Tq, output_shape)`, and with `return_attention_scores=True`
        the weights of shape `(B, H, Tq, Tv)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    x = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.MultiHeadAttention(num_heads=3, key_dim=2, position="rotary")
    output, weights = layer(x, x, return_attention_scores=True, use_causal_mask=True)
    assert output.shape == (2, 7, 5) and weights.shape == (2, 3, 7, 7)
    ```

    References:
        - Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
        - Grouped queries: Ainslie et al. 2023, https://arxiv.org/abs/2305.13245
        - Gate: Qiu et al. 2025, https://arxiv.org/abs/2505.06708
        - Talking heads: Shazeer et al. 2020, https://arxiv.org/abs/2003.02436
    """

    ranks: tuple[int, ...] = (1, 2, 3)

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        attention_axes=None,
        sliding_window=None,
        flash_attention=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        use_gate=False,
        seed=None,
        score="scaled_dot",
        normalizer="softmax",
        num_kv_heads=None,
        position=None,
        window=None,
        block_size=None,
        talking_heads=False,
        **kwargs,
    ):
        super().__init__(
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
        owner = type(self).__name__
        check_heads(owner, num_heads, key_dim, value_dim, num_kv_heads)
        check_rate(owner, dropout=dropout)
        check_block_size(owner, block_size)
        check_flash(owner, flash_attention, dropout)
        self._axes = check_axes(owner, attention_axes)
        self._window = find_window(owner, window, sliding_window)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.dropout = dropout
        self.use_bias = use_bias
        # Not `output_shape`: `summary()` takes an attribute of this name for a shape.
        self._given_output_shape = output_shape
        self._output_shape = check_output_shape(owner, output_shape)
        self.attention_axes = attention_axes
        self.sliding_window = sliding_window
        self.flash_attention = flash_attention
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        # Keras's own `activity_regularizer` is of the output of the layer.
        self._activity = keras.regularizers.get(activity_regularizer)
        self.use_gate = use_gate
        self.seed = seed
        self.score = deserialize_parts(score)
        self.normalizer = deserialize_parts(normalizer)
        self.num_kv_heads = num_kv_heads
        self.position = deserialize_parts(position)
        self.window = window
        self.block_size = block_size
        self.talking_heads = talking_heads
        shared = num_heads, talking_heads, owner, self.dtype_policy
        self._score = heads_score(self.score, *shared)
        self._normalizer = heads_normalizer(self.normalizer, *shared, seed)
        self._position = get_position(self.position, owner, self.dtype_policy)
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        shapes = tuple(query_shape), tuple(value_shape), tuple(key_shape)
        axes = self._folding(*shapes)
        if axes is not None:
            shapes = tuple(axes.fold_shape(shape) for shape in shapes)
        check_attention_shapes(type(self).__name__, *shapes)
        heads, width = self.num_heads, self.value_dim or self.key_dim
        few = self.num_kv_heads or heads
        self._query_dense = self._dense("query", shapes[0], (heads, self.key_dim))
        self._key_dense = self._dense("key", shapes[2], (few, self.key_dim))
        if self.use_gate:
            shape = (heads, width)
            self._gate_dense = self._dense("gate", shapes[0], shape, "sigmoid")
        self._value_dense = self._dense("value", shapes[1], (few, width))
        batch, rows, length = shapes[0][0], shapes[0][1], shapes[1][1]
        output = self._output_shape or (shapes[0][-1],)
        summed = (batch, heads, rows, width)
        self._output_dense = self._dense("attention_output", summed, output)
        query_shape = (batch, heads, rows, self.key_dim)
        build_part(self._score, query_shape, (batch, heads, length, self.key_dim))
        build_part(self._normalizer, (batch, heads, rows, length))
        if self._position is not None:
            build_part(self._position, query_shape)
        self.built = True

    def _dense(self, name, shape, output, activation=None):
        """Returns the built projection of a name, from `shape` to the axes `output`."""
        free, bound = ("bt", "d") if len(shape) == 3 else ("bt", "hv")
        source = "btd" if len(shape) == 3 else "bhtv"
        axes = "klmnopq"[: len(output)]
        initializers = (self.kernel_initializer, self.bias_initializer)
        kernel, bias = (fresh(initializer) for initializer in initializers)
        dense = keras.layers.EinsumDense(
            f"{source},{bound}{axes}->{free}{axes}",
            output_shape=(None, *output),
            activation=activation,
            bias_axes=axes if self.use_bias else None,
            kernel_initializer=kernel,
            bias_initializer=bias,
            activity_regularizer=self._activity,
            name=name,
            dtype=self.dtype_policy,
        )
        hand_on(self._weight_options, dense)
        dense.build(shape)
        return dense

    def _heads(self, dense, x, start=None):
        """Projects `(B, T, D)` to `(B, H, T, K)`, rotated by position."""
        x = split_heads(dense, x)
        if start is None or self._position is None:
            return x
        return self._position.rotate(x, start)

    def _gate(self, query):
        """Returns the gate `(B, H, Tq, V)` of the query `(B, Tq, Dq)`, or None."""
        return split_heads(self._gate_dense, query) if self.use_gate else None

    def _attend_heads(self, query, key, value, mask, training, need_weights, gate=None):
        """Returns the output `(B, Tq, output_shape)` of heads, and the weights or None.

        Args:
            query: Tensor `(B, H, Tq, K)`.
            key: Tensor `(B, G, Tv, K)`.
            value: Tensor `(B, G, Tv, V)`.
            mask: An `AttentionMask` with heads.
            training: Boolean.
            need_weights: Whether the weights are wanted.
            gate: Tensor `(B, H, Tq, V)`. Defaults to `None`.
        """
        group = self.num_heads // key.shape[1]
        if group > 1:
            key, value = (
                ops.repeat(key, group, axis=1),
                ops.repeat(value, group, axis=1),
            )
        bias, bias_weights = None, ()
        if self._position is not None and self._position.biased:
            bias, bias_weights = self._position.bias, self._position.bias_weights()
        output, weights = super()._attend(
            query,
            value,
            key,
            mask,
            bool(training),
            need_weights,
            bias=bias,
            bias_weights=bias_weights,
        )
        if gate is not None:
            output = output * ops.cast(gate, output.dtype)
        seen = mask.seen(ops.shape(query)[2], ops.shape(key)[2])
        return zero_padding(join_heads(self._output_dense, output), seen), weights

    def _attend(self, query, value, key, mask, training, need_weights):
        return self._attend_heads(
            self._heads(self._query_dense, query, 0),
            self._heads(self._key_dense, key, 0),
            self._heads(self._value_dense, value),
            mask,
            training,
            need_weights,
            self._gate(query),
        )

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        self._folding(query_shape, value_shape, key_shape)
        return (*query_shape[:-1], *(self._output_shape or query_shape[-1:]))

    def get_config(self):
        config = {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "output_shape": self._given_output_shape,
            "score": serialize_parts(self.score),
            "normalizer": serialize_parts(self.normalizer),
            "num_kv_heads": self.num_kv_heads,
            "position": serialize_part(self.position),
            "window": self.window,
            "block_size": self.block_size,
            "talking_heads": self.talking_heads,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "seed": self.seed,
        }
        return {**super().get_config(), **config, **further_config(self)}
