"""Attention by a score and a normalizer: the parts and what they compute."""

import keras

from attention_zoo.layers.core.blockwise import attend, check_block_size
from attention_zoo.layers.core.masks import check_window
from attention_zoo.layers.core.normalizers import get_normalizer
from attention_zoo.layers.core.parts import build_part
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.scores import get_score
from attention_zoo.layers.core.validation import check_attention_shapes, check_rate


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
        """Checks the arguments, and makes the score and the normalizer."""
        owner = type(self).__name__
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

    def _attend(self, query, value, key, mask, training, need_weights):
        return attend(
            query,
            key,
            value,
            self._score,
            self._normalizer,
            mask,
            dropout=self.dropout,
            seed_generator=self.seed_generator,
            training=training,
            block_size=self.block_size,
            need_weights=need_weights,
        )

    def _drop(self, weights, training):
        """Returns the weights with dropout applied in training."""
        if not training or not self.dropout:
            return weights
        return keras.random.dropout(weights, self.dropout, seed=self.seed_generator)


class ScoredAttention(ScoredParts, QueryValueAttention):
    """Base of the attentions `layer(query, value)` by a score and a normalizer."""

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        query_shape, key_shape = tuple(query_shape), tuple(key_shape)
        check_attention_shapes(
            type(self).__name__, query_shape, tuple(value_shape), key_shape
        )
        build_part(self._score, query_shape, key_shape)
        build_part(self._normalizer, (*query_shape[:-1], key_shape[-2]))
        self.built = True
