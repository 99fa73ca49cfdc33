"""Nystrom attention: softmax attention through a few landmark positions."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.scores import dot_scores
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.efficient.base import LinearCostAttention


def segment_means(x, mask, count):
    """Returns the means of `count` segments of like length, and which are not empty.

    Segments divide the visible positions of a row, wherever its padding is.

    Args:
        x: Tensor `(B, T, D)` with zeros at padding.
        mask: Boolean tensor `(B, T)` or None.
        count: Number of segments `M`.

    Returns:
        Tensor `(B, M, D)`, and boolean tensor `(B, M)`.
    """
    if mask is None:
        mask = ops.ones(ops.shape(x)[:2], dtype="bool")
    present = ops.cast(mask, "int32")
    rank = ops.cumsum(present, axis=1) - 1
    length = ops.maximum(ops.sum(present, axis=1, keepdims=True), 1)
    segment = ops.where(mask, rank * count // length, -1)  # -1 belongs to none
    member = ops.expand_dims(segment, 1) == ops.reshape(ops.arange(count), (1, -1, 1))
    member = ops.cast(member, x.dtype)  # (B, M, T)
    size = ops.sum(member, axis=-1, keepdims=True)
    means = ops.matmul(member, x) / ops.maximum(size, 1)
    return means, ops.squeeze(size, -1) > 0


def pseudo_inverse(a, iterations):
    """Returns the Moore-Penrose inverse of `a` `(B, M, M)`, by Razavi's iteration."""
    # `initial` is for a batch of 0, which `ops.max` refuses without one.
    rows = ops.max(ops.sum(ops.abs(a), axis=-1), axis=-1, initial=0.0)
    columns = ops.max(ops.sum(ops.abs(a), axis=-2), axis=-1, initial=0.0)
    scale = ops.reshape(ops.maximum(rows * columns, 1e-9), (-1, 1, 1))
    z = ops.swapaxes(a, -1, -2) / scale
    eye = ops.eye(a.shape[-1], dtype=a.dtype)
    for _ in range(iterations):
        az = ops.matmul(a, z)
        inner = 15 * eye - ops.matmul(az, 7 * eye - az)
        z = ops.matmul(z, 13 * eye - ops.matmul(az, inner)) / 4
    return z


def scaled_dot(query, key):
    """Returns `q . k / sqrt(D)`, `(B, Tq, D)` and `(B, Tv, D)` to `(B, Tq, Tv)`."""
    return dot_scores(query, key) / query.shape[-1] ** 0.5


@keras.saving.register_keras_serializable("attention_zoo")
class NystromAttention(LinearCostAttention):
    """Softmax attention approximated through `M` landmarks, at a cost of T x M.

    1. Landmarks `Q~`, `K~`: means of `M` segments, shape `(B, M, D)`.
    2. `W = softmax(Q K~') pinv(softmax(Q~ K~')) softmax(Q~ K')`, never multiplied out.
    3. Output: `W V`, shape `(B, Tq, Dv)`.

    With as many landmarks as positions it is softmax attention. The approximate weights
    sum to about 1 and may be below 0. A landmark holds a whole segment, so that no
    causal form and no window exists. The paper has a skip convolution beside it.

    Args:
        num_landmarks: Integer. Number of landmarks `M`. Defaults to `32`.
        iterations: Integer. Steps towards the inverse. Defaults to `6`, as in the
            paper.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        query: Tensor of shape `(B, Tq, D)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, D)`, as wide as `query`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: None. No other is taken.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.
        use_causal_mask: False. There is no causal form.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, which are then multiplied out.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    x = np.random.normal(size=(2, 7, 5)).astype("float32")
    output = layers.NystromAttention(num_landmarks=7, iterations=12)(x, x)
    np.testing.assert_allclose(output, layers.Attention()(x, x), atol=1e-2)
    ```

    References:
        - Xiong et al. 2021, https://arxiv.org/abs/2102.03902
    """

    weight_arguments = ()

    def __init__(self, num_landmarks=32, iterations=6, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer(
            type(self).__name__, num_landmarks=num_landmarks, iterations=iterations
        )
        self.num_landmarks = num_landmarks
        self.iterations = iterations

    def _attend(self, query, value, key, mask, training, need_weights):
        dtype = query.dtype
        query, key = widen(query), widen(key)  # the inverse needs float32
        first, middle, last = self._factors(query, key, mask)
        last = ops.matmul(pseudo_inverse(middle, self.iterations), last)
        weights = None
        if need_weights:
            weights = ops.cast(ops.matmul(first, last), dtype)
        gathered = ops.matmul(last, ops.cast(value, last.dtype))  # (B, M, Dv)
        return ops.cast(ops.matmul(first, gathered), dtype), weights

    def _factors(self, query, key, mask):
        """Returns the softmax matrices `(B, Tq, M)`, `(B, M, M)`, `(B, M, Tv)`."""
        few_queries, some_queries = segment_means(
            query, mask.query_mask, self.num_landmarks
        )
        few_keys, some_keys = segment_means(key, mask.key_mask, self.num_landmarks)
        keys = ops.expand_dims(some_keys, 1)
        queries = ops.expand_dims(some_queries, 2)
        to_landmarks, from_landmarks = keys, queries
        if mask.query_mask is not None:
            seen = ops.expand_dims(mask.query_mask, 2)
            to_landmarks = ops.logical_and(keys, seen)
        if mask.key_mask is not None:
            seen = ops.expand_dims(mask.key_mask, 1)
            from_landmarks = ops.logical_and(queries, seen)
        return (
            masked_softmax(scaled_dot(query, few_keys), to_landmarks),
            masked_softmax(
                scaled_dot(few_queries, few_keys), ops.logical_and(keys, queries)
            ),
            masked_softmax(scaled_dot(few_queries, key), from_landmarks),
        )

    def get_config(self):
        config = {"num_landmarks": self.num_landmarks, "iterations": self.iterations}
        return {**super().get_config(), **config}
