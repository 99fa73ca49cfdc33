"""Multi-head attention: any score, normalizer, position and mask."""

import keras
from keras import ops

from attention_zoo.layers.core.blockwise import check_block_size
from attention_zoo.layers.core.heads import join_heads, split_heads
from attention_zoo.layers.core.masks import check_window, zero_padding
from attention_zoo.layers.core.parts import build_part, serialize_part
from attention_zoo.layers.core.positions import get_position
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.validation import (
    check_attention_shapes,
    check_optional_integers,
    check_positive_integer,
    check_rate,
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
class MultiHeadAttention(StepByStep, ScoredParts, QueryValueAttention):
    """Multi-head attention with any score, normalizer, position and mask.

    `H` is the number of heads, `G` of key and value heads, `K` the `key_dim`, `V` the
    `value_dim`.

    1. Projections: queries `(B, H, Tq, K)`, keys `(B, G, Tv, K)`, values
       `(B, G, Tv, V)`; each key and value head serves `H / G` query heads.
    2. Weights: the normalizer over the scores a query may see, `(B, H, Tq, Tv)`.
    3. The weighted sums of the values of all heads, projected, `(B, Tq, output_shape)`.

    With default arguments it takes the weights of `keras.layers.MultiHeadAttention` as
    they are, with `num_kv_heads` those of `keras.layers.GroupQueryAttention`, and gives
    their output. It differs where a query is masked or has nothing to see: the output
    is then 0 here, and Keras's is its bias or a mean over the padding.

    Args:
        num_heads: Integer. Number of heads `H`.
        key_dim: Integer. Width of each head's queries and keys.
        value_dim: Integer. Width of each head's values. Defaults to `None`: `key_dim`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        use_bias: Boolean. Whether the projections have biases. Defaults to `True`.
        output_shape: Integer. Width of the output. Defaults to `None`: the query's.
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
        kernel_initializer: Initializer of the projections.
            Defaults to `"glorot_uniform"`.
        seed: Integer. Seed of dropout and of a random normalizer. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)` or `(B, H, Tq, Tv)`.
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
        - Talking heads: Shazeer et al. 2020, https://arxiv.org/abs/2003.02436
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        score="scaled_dot",
        normalizer="softmax",
        num_kv_heads=None,
        position=None,
        window=None,
        block_size=None,
        talking_heads=False,
        kernel_initializer="glorot_uniform",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, num_heads=num_heads, key_dim=key_dim)
        check_optional_integers(
            owner,
            value_dim=value_dim,
            output_shape=output_shape,
            num_kv_heads=num_kv_heads,
        )
        if num_heads % (num_kv_heads or 1):
            raise ValueError(
                f"`{owner}` expects `num_heads` divisible by `num_kv_heads`. Received: "
                f"num_heads={num_heads}, num_kv_heads={num_kv_heads}"
            )
        check_rate(owner, dropout=dropout)
        check_block_size(owner, block_size)
        self._window = check_window(owner, window)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.dropout = dropout
        self.use_bias = use_bias
        # Not `output_shape`: `summary()` takes an attribute of this name for a shape.
        self._output_width = output_shape
        self.score = deserialize_parts(score)
        self.normalizer = deserialize_parts(normalizer)
        self.num_kv_heads = num_kv_heads
        self.position = deserialize_parts(position)
        self.window = window
        self.block_size = block_size
        self.talking_heads = talking_heads
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = seed
        shared = num_heads, talking_heads, owner, self.dtype_policy
        self._score = heads_score(self.score, *shared)
        self._normalizer = heads_normalizer(self.normalizer, *shared, seed)
        self._position = get_position(self.position, owner, self.dtype_policy)
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        shapes = tuple(query_shape), tuple(value_shape), tuple(key_shape)
        check_attention_shapes(type(self).__name__, *shapes)
        heads, width = self.num_heads, self.value_dim or self.key_dim
        few = self.num_kv_heads or heads
        project = "btd,dhk->bthk"
        self._query_dense = self._dense("query", project, (heads, self.key_dim))
        self._key_dense = self._dense("key", project, (few, self.key_dim))
        self._value_dense = self._dense("value", project, (few, width))
        output = (self._output_width or shapes[0][-1],)
        self._output_dense = self._dense("attention_output", "bhtv,hvo->bto", output)
        self._query_dense.build(shapes[0])
        self._key_dense.build(shapes[2])
        self._value_dense.build(shapes[1])
        batch, rows, length = shapes[0][0], shapes[0][1], shapes[1][1]
        self._output_dense.build((batch, heads, rows, width))
        query_shape = (batch, heads, rows, self.key_dim)
        build_part(self._score, query_shape, (batch, heads, length, self.key_dim))
        build_part(self._normalizer, (batch, heads, rows, length))
        if self._position is not None:
            build_part(self._position, query_shape)
        self.built = True

    def _dense(self, name, equation, shape):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return keras.layers.EinsumDense(
            equation,
            output_shape=(None, *shape),
            bias_axes=equation[-len(shape) :] if self.use_bias else None,
            kernel_initializer=keras.initializers.get(initializer),
            name=name,
            dtype=self.dtype_policy,
        )

    def _heads(self, dense, x, start=None):
        """Projects `(B, T, D)` to `(B, H, T, K)`, rotated by position."""
        x = split_heads(dense, x)
        if start is None or self._position is None:
            return x
        return self._position.rotate(x, start)

    def _attend_heads(self, query, key, value, mask, training, need_weights):
        """Returns the output `(B, Tq, output_shape)` of heads, and the weights or None.

        Args:
            query: Tensor `(B, H, Tq, K)`.
            key: Tensor `(B, G, Tv, K)`.
            value: Tensor `(B, G, Tv, V)`.
            mask: An `AttentionMask` with heads.
            training: Boolean.
            need_weights: Whether the weights are wanted.
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
        )

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        return (*query_shape[:-1], self._output_width or query_shape[-1])

    def get_config(self):
        config = {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "output_shape": self._output_width,
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
        return {**super().get_config(), **config}
