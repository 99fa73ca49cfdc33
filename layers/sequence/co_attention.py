"""Co-attention: two sequences attend to each other, as in BiDAF."""

import keras
from keras import ops

from attention_zoo.layers.core.entmax import LOWEST
from attention_zoo.layers.core.inputs import max_or_zeros
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.validation import check_attention_shapes


@keras.saving.register_keras_serializable("attention_zoo")
class CoAttention(QueryValueAttention):
    """A context and a question read each other: the attention flow of BiDAF.

    With `h_t` the context, which is `query`, and `u_j` the question, which is `value`:

    1. Scores `s_tj = w_h . h_t + w_u . u_j + w . (h_t * u_j)`, shape `(B, T, J)`.
    2. Context to question: `a_t = softmax_j(s_tj)`, `u~_t = sum_j a_tj u_j`.
    3. Question to context: `b = softmax_t(max_j s_tj)`, `h~ = sum_t b_t h_t`.
    4. Output: `[h_t; u~_t; h_t * u~_t; h_t * h~]`, shape `(B, T, 4 D)`.

    Weights: `query_kernel` w_h, `key_kernel` w_u and `product_kernel` w, each `(D,)`,
    the three parts of the paper's.

    Args:
        kernel_initializer: Initializer of the kernels. Defaults to
            `"random_normal"`.

    Call arguments:
        query: Tensor of shape `(B, T, D)`. The context.
        value: Tensor of shape `(B, J, D)`. The question.
        key: Tensor of shape `(B, J, D)`, scored in place of `value`. Defaults to
            `value`.
        query_mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, J)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, J)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, T, J)`.
        return_attention_scores: Boolean. Whether the weights `a` are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of shape `(B, T, 4 D)`, zeros at padding, and with
        `return_attention_scores=True` the weights `a` of shape `(B, T, J)`.

    Raises:
        ValueError: If shapes or masks are incompatible, or for a causal mask: step 3
            looks at the whole context.

    Example:

    ```python
    context = np.random.normal(size=(2, 7, 5)).astype("float32")
    question = np.random.normal(size=(2, 3, 5)).astype("float32")
    output, weights = layers.CoAttention()(
        context, question, return_attention_scores=True
    )
    assert output.shape == (2, 7, 20)
    np.testing.assert_array_equal(output[..., :5], context)
    assert weights.shape == (2, 7, 3)
    ```

    References:
        - Seo et al. 2017, https://arxiv.org/abs/1611.01603
    """

    family = "matching"
    call_options = ("attention_mask", "return_attention_scores")

    def __init__(self, kernel_initializer="random_normal", **kwargs):
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        shapes = tuple(query_shape), tuple(value_shape), tuple(key_shape)
        check_attention_shapes(type(self).__name__, *shapes)
        if len({shape[-1] for shape in shapes}) > 1:
            raise ValueError(
                f"`{type(self).__name__}` expects `query`, `value` and `key` of one "
                f"width. Received: query.shape={shapes[0]}, value.shape={shapes[1]}, "
                f"key.shape={shapes[2]}"
            )
        initializer = keras.initializers.serialize(self.kernel_initializer)
        self.query_kernel, self.key_kernel, self.product_kernel = (
            self.add_weight(
                name=f"{name}_kernel",
                shape=(shapes[0][-1],),
                initializer=keras.initializers.get(initializer),
            )
            for name in ("query", "key", "product")
        )
        self.built = True

    def _attend(self, query, value, key, mask, training, need_weights):
        scores = widen(self._calculate_scores(query, key))
        visible = mask.rows(ops.shape(query)[1], ops.shape(key)[1])
        weights = ops.cast(masked_softmax(scores, visible), query.dtype)
        attended = ops.matmul(weights, value)  # (B, T, D)
        best, seen = scores, None
        if visible is not None:
            best = ops.where(visible, scores, LOWEST)
            shown = ops.logical_and(visible, ops.ones_like(scores, dtype="bool"))
            seen = ops.any(shown, axis=-1)
        shares = masked_softmax(max_or_zeros(best, axis=-1), seen)  # (B, T)
        shares = ops.expand_dims(ops.cast(shares, query.dtype), 1)
        summary = ops.matmul(shares, query)  # (B, 1, D)
        parts = [query, attended, query * attended, query * summary]
        output = ops.concatenate(parts, axis=-1)
        return zero_padding(output, mask.query_mask), weights

    def _calculate_scores(self, query, key):
        """Returns the scores `(B, T, J)`."""

        def kernel(weight):
            return ops.cast(weight, query.dtype)

        of_query = ops.sum(query * kernel(self.query_kernel), -1, keepdims=True)
        of_key = ops.expand_dims(ops.sum(key * kernel(self.key_kernel), axis=-1), 1)
        product = query * kernel(self.product_kernel)
        return of_query + of_key + ops.matmul(product, ops.swapaxes(key, 1, 2))

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        width = query_shape[-1]
        return (*query_shape[:-1], None if width is None else 4 * width)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "kernel_initializer": initializer}
