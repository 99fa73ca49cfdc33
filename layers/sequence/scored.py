"""Attention by a score and a normalizer: the parts and what they compute."""

import keras

from attention_zoo.layers.core.blockwise import (
    PreparedKeys,
    attend,
    check_block_size,
)
from attention_zoo.layers.core.masks import AttentionMask, check_window
from attention_zoo.layers.core.normalizers import get_normalizer
from attention_zoo.layers.core.parts import build_part
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.scores import SCORES, get_score
from attention_zoo.layers.core.validation import check_attention_shapes, check_rate


def name_of_score(score):
    """Returns the name of a score where Keras made a function of it, else the score.

    A legacy `.h5` file gives names such as `"dot"` back as the functions of that name.
    """
    name = getattr(score, "__name__", None)
    return name if callable(score) and name in SCORES else score


class ScoredParts:
    """What a layer does with a score and a normalizer.

    A layer lists its constructor arguments and hands them to `_set_parts`, and saves
    the same in `get_config`. The attributes below are what holds for a layer that does
    not take an argument of that name.
    """

    units: int | None = None
    dropout = 0.0
    window: int | tuple[int, int] | None = None
    block_size: int | str | None = None
    flash_attention: bool | None = None
    seed: int | None = None
    seed_generator: keras.random.SeedGenerator | None = None

    def _set_parts(
        self,
        score,
        normalizer="softmax",
        units=None,
        dropout=0.0,
        window=None,
        block_size=None,
        seed=None,
    ):
        """Checks the arguments, keeps them, and makes the score and the normalizer."""
        owner, score = type(self).__name__, name_of_score(score)
        check_rate(owner, dropout=dropout)
        check_block_size(owner, block_size)
        self._window = check_window(owner, window)
        self._score = get_score(score, units, owner, self.dtype_policy)
        self._normalizer = get_normalizer(normalizer, owner, self.dtype_policy, seed)
        self.score = self._score if isinstance(score, dict) else score
        self.normalizer = (
            self._normalizer if isinstance(normalizer, dict) else normalizer
        )
        self.units = units
        self.dropout = dropout
        self.window = window
        self.block_size = block_size
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        query_shape, key_shape = tuple(query_shape), tuple(key_shape)
        check_attention_shapes(
            type(self).__name__, query_shape, tuple(value_shape), key_shape
        )
        build_part(self._score, query_shape, key_shape)
        build_part(self._normalizer, (*query_shape[:-1], key_shape[-2]))
        self.built = True

    def _attend(
        self,
        query,
        value,
        key,
        mask,
        training,
        need_weights,
        score=None,
        normalizer=None,
        bias=None,
        bias_weights=(),
    ):
        """Returns the output, and the weights or None where they are not needed.

        Args:
            query: Tensor `(..., Tq, Dq)`.
            value: Tensor `(..., Tv, Dv)`.
            key: Tensor `(..., Tv, Dk)`.
            mask: An `AttentionMask`.
            training: Boolean.
            need_weights: Boolean.
            score: A built `Score`. Defaults to the layer's own.
            normalizer: A built `Normalizer`. Defaults to the layer's own.
            bias: Function that `attend` takes. Defaults to `None`.
            bias_weights: Tensors that `bias` needs.
        """
        return attend(
            query,
            key,
            value,
            self._score if score is None else score,
            self._normalizer if normalizer is None else normalizer,
            mask,
            dropout=self.dropout,
            seed_generator=self.seed_generator,
            training=training,
            block_size=self.block_size,
            need_weights=need_weights,
            bias=bias,
            bias_weights=bias_weights,
            flash=self.flash_attention,
        )


class ScoredAttention(ScoredParts, QueryValueAttention):
    """Base of the attentions that are no more than a score and a normalizer."""

    def prepare(self, key):
        return self._score.project_key(key)

    def attend_prepared(self, query, keys, value, key_mask=None, training=None):
        return self._attend(
            query,
            value,
            keys,
            AttentionMask(key_mask=key_mask),
            bool(training),
            need_weights=True,
            score=PreparedKeys(self._score),
        )
