"""Attention: any score, any normalizer, any mask, whole or in blocks."""

import keras

from attention_zoo.layers.core.masks import zero_padding as empty_padding  # noqa: F401
from attention_zoo.layers.core.parts import (  # noqa: F401
    build_part,
    serialize_part,
)
from attention_zoo.layers.core.query_value import mask_inputs
from attention_zoo.layers.sequence.scored import ScoredAttention


def empty_masked(*args):
    return (*mask_inputs(*args), None)


@keras.saving.register_keras_serializable("attention_zoo")
class Attention(ScoredAttention):
    """Attention with any score, any normalizer, any mask, in linear memory if asked.

    1. Scores `s(q_i, k_j)`, shape `(B, Tq, Tv)`.
    2. Weights: the normalizer over the keys that a query may see, shape `(B, Tq, Tv)`.
    3. Output: the weighted sum of the values, shape `(B, Tq, Dv)`.

    A position whose mask is False gets a weight of exactly 0, whatever it holds; a
    query that is masked or has nothing to see gets zero weights and a zero output.

    Args:
        score: Name of the score, or a `Score` layer: `"dot"`, `"scaled_dot"`,
            `"cosine"`, `"general"`, `"concat"`, `"additive"`, `"location"`.
            Defaults to `"scaled_dot"`.
        normalizer: Name of the normalizer, or a `Normalizer` layer: `"softmax"`,
            `"sigmoid"`, `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`,
            `"gumbel_softmax"`, `"top_k"`. Defaults to `"softmax"`.
        units: Hidden width of `"concat"` and `"additive"`. Defaults to `None`: as wide
            as the key.
        dropout: Share of the weights that is dropped in training. Defaults to `0.0`.
        window: Integer or pair `(left, right)`: query `i` sees keys `i - left` to
            `i + right`. Defaults to `None`: all.
        block_size: Number of queries evaluated at a time, recomputed in the backward
            pass, so that memory grows linearly; or `"auto"`. Defaults to `None`: all
            at once. The result is the same.
        seed: Python integer for dropout. Defaults to `None`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`.
        return_attention_scores: Whether the weights are returned too.
        training: Boolean.
        use_causal_mask: Whether query `i` sees keys up to `i` only.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, dropout included.

    Raises:
        ValueError: for an argument outside its set, and for shapes or masks that do
            not fit.

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
        self._set_parts(
            score=score,
            normalizer=normalizer,
            units=units,
            dropout=dropout,
            window=window,
            block_size=block_size,
            seed=seed,
        )

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
