"""Attention: any score, any normalizer, any mask, whole or in blocks."""

import keras

from attention_zoo.layers.core.parts import serialize_part
from attention_zoo.layers.sequence.scored import ScoredAttention


@keras.saving.register_keras_serializable("attention_zoo")
class Attention(ScoredAttention):
    """Attention with any score, normalizer and mask, optionally in blocks of queries.

    1. Scores `s(q_i, k_j)`, shape `(B, Tq, Tv)`.
    2. Weights: the normalizer over the keys that a query may see, shape `(B, Tq, Tv)`.
    3. Output: the weighted sum of the values, shape `(B, Tq, Dv)`.

    A position whose mask is False gets a weight of exactly 0, whatever its content; a
    query that is masked or sees no key gets zero weights and a zero output.

    Args:
        score: String or `Score` layer. `"dot"`, `"scaled_dot"`, `"cosine"`,
            `"general"`, `"concat"`, `"additive"` or `"location"`.
            Defaults to `"scaled_dot"`.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`. Defaults to `"softmax"`.
        units: Integer. Width of the hidden layer of the scores `"concat"` and
            `"additive"`. Defaults to `None`: as wide as the key.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        window: Integer or pair of integers `(left, right)`. Query `i` sees keys
            `i - left` to `i + right`. Defaults to `None`: all keys.
        block_size: Integer or `"auto"`. Number of queries evaluated at a time and
            recomputed in the backward pass, so that memory grows linearly with the
            length. The result is the same. Defaults to `None`: all at once.
        seed: Integer. Seed of dropout and of a random normalizer. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    query, value = np.ones((2, 3, 5), "float32"), np.ones((2, 7, 5), "float32")
    output, weights = layers.Attention(score="additive")(
        query, value, return_attention_scores=True
    )
    assert output.shape == (2, 3, 5) and weights.shape == (2, 3, 7)
    ```

    References:
        - Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473
        - Luong et al. 2015, https://arxiv.org/abs/1508.04025
        - Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self,
        score="scaled_dot",
        normalizer="softmax",
        units=None,
        dropout=0.0,
        window=None,
        block_size=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._set_parts(score, normalizer, units, dropout, window, block_size, seed)

    def get_config(self):
        config = {
            "score": serialize_part(self.score),
            "normalizer": serialize_part(self.normalizer),
            "units": self.units,
            "dropout": self.dropout,
            "window": self.window,
            "block_size": self.block_size,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
