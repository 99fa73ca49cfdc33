"""Softmax whose weights may sum to less than 1: a sink takes the rest."""

import keras
from keras import ops

from attention_zoo.layers.core.entmax import LOWEST
from attention_zoo.layers.core.normalizers import Normalizer
from attention_zoo.layers.core.validation import check_positive_integer


def sink_softmax(scores, sink, mask=None):
    """Returns `exp(s_j) / (exp(sink) + sum_i exp(s_i))` over the visible positions."""
    hidden = scores if mask is None else ops.where(mask, scores, LOWEST)
    top = ops.maximum(ops.max(hidden, axis=-1, keepdims=True), sink)
    top = ops.stop_gradient(top)
    powers = ops.exp(hidden - top)
    if mask is not None:
        powers = ops.where(mask, powers, ops.zeros_like(powers))
    total = ops.sum(powers, axis=-1, keepdims=True) + ops.exp(sink - top)
    return powers / total


@keras.saving.register_keras_serializable("attention_zoo")
class SoftmaxOne(Normalizer):
    """`exp(s_j) / (1 + sum_i exp(s_i))`: a row of low scores sees next to nothing.

    Example:

    ```python
    layer = layers.Attention(normalizer=layers.SoftmaxOne())
    _, weights = layer(np.zeros((1, 1, 2)), np.ones((1, 3, 2)), None,
                       return_attention_scores=True)
    np.testing.assert_allclose(weights, np.full((1, 1, 3), 0.25))
    ```

    References:
        - Miller 2023, https://www.evanmiller.org/attention-is-off-by-one.html
    """

    selects = False

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        return sink_softmax(scores, ops.zeros_like(scores[..., :1]), mask)


@keras.saving.register_keras_serializable("attention_zoo")
class SinkSoftmax(Normalizer):
    """`exp(s_j) / (exp(sink) + sum_i exp(s_i))`, with a learned `sink` for each head.

    A head that has nothing to say puts its weight on the sink, and on no position. The
    weight `sink` starts at 0.

    Args:
        num_heads: Integer. Number of heads, each with a sink of its own (scores are
            then `(B, num_heads, Tq, Tv)`). Defaults to `None`: one sink, shared.

    Example:

    ```python
    normalizer = layers.SinkSoftmax(num_heads=2)
    layer = layers.MultiHeadAttention(2, 4, normalizer=normalizer)
    x = np.ones((1, 3, 5))
    _, weights = layer(x, x, return_attention_scores=True)
    assert (np.sum(weights, axis=-1) < 1).all()
    ```

    References:
        - OpenAI 2025, https://arxiv.org/abs/2508.10925
        - Xiao et al. 2023, https://arxiv.org/abs/2309.17453
    """

    selects = False

    def __init__(self, num_heads=None, **kwargs):
        super().__init__(**kwargs)
        if num_heads is not None:
            check_positive_integer("SinkSoftmax", num_heads=num_heads)
        self.num_heads = num_heads

    def build(self, scores_shape):
        heads = self.num_heads
        if heads is not None and (len(scores_shape) != 4 or scores_shape[1] != heads):
            raise ValueError(
                "`SinkSoftmax` with `num_heads` expects scores (B, num_heads, Tq, Tv). "
                f"Received: num_heads={heads}, scores.shape={tuple(scores_shape)}"
            )
        shape = () if heads is None else (heads, 1, 1)
        self.sink = self.add_weight(name="sink", shape=shape, initializer="zeros")
        self.built = True

    def normalize_weights(self):
        return (self.sink,)

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        sink = ops.cast(weights[0], scores.dtype)
        return sink_softmax(scores, sink + ops.zeros_like(scores[..., :1]), mask)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}
