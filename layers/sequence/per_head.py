"""What heads do differently or together: a score or normalizer each, talking heads."""

import itertools

import keras
from keras import ops

from attention_zoo.layers.core.blockwise import GivenSeed, shift_seed
from attention_zoo.layers.core.entmax import hide
from attention_zoo.layers.core.normalizers import Normalizer, get_normalizer
from attention_zoo.layers.core.parts import build_part, serialize_part
from attention_zoo.layers.core.scores import Score, get_score


class PerHeadScore(Score):
    """A score of its own for each head: `(B, H, Tq, D)`, `(B, H, Tv, D)` to scores.

    What the heads project has different widths and is laid side by side.
    """

    def __init__(self, scores, **kwargs):
        super().__init__(**kwargs)
        self.scores = list(scores)
        self.pairwise_width = sum(score.pairwise_width for score in scores)

    def build(self, query_shape, key_shape):
        shapes = (query_shape[0], *query_shape[2:]), (key_shape[0], *key_shape[2:])
        for head, score in enumerate(self.scores):
            with keras.name_scope(f"head_{head}"):
                build_part(score, *shapes)
        # The projected widths, from one row of zeros.
        query, key = (
            ops.zeros((1, 1, s[-1]), dtype=self.compute_dtype) for s in shapes
        )
        self._query_widths = [s.project_query(query).shape[-1] for s in self.scores]
        self._key_widths = [s.project_key(key).shape[-1] for s in self.scores]
        self.built = True

    def project_query(self, query):
        heads = [s.project_query(query[:, h]) for h, s in enumerate(self.scores)]
        return ops.concatenate(heads, axis=-1)

    def project_key(self, key):
        heads = [s.project_key(key[:, h]) for h, s in enumerate(self.scores)]
        return ops.concatenate(heads, axis=-1)

    def compare_weights(self):
        return tuple(w for score in self.scores for w in score.compare_weights())

    def compare(self, query, key, *weights):
        weights, heads = iter(weights), []
        queries = _pieces(query, self._query_widths)
        keys = _pieces(key, self._key_widths)
        for score, q, k in zip(self.scores, queries, keys, strict=True):
            own = itertools.islice(weights, len(score.compare_weights()))
            heads.append(score.compare(q, k, *own))
        return ops.stack(heads, axis=1)


def _pieces(x, widths):
    """Cuts the last axis of `x` into pieces of `widths`."""
    ends = itertools.accumulate(widths)
    return [x[..., e - w : e] for e, w in zip(ends, widths, strict=True)]


class PerHeadNormalizer(Normalizer):
    """A normalizer of its own for each head of scores `(B, H, Tq, Tv)`."""

    def __init__(self, normalizers, **kwargs):
        super().__init__(**kwargs)
        self.normalizers = list(normalizers)

    def build(self, scores_shape):
        for head, normalizer in enumerate(self.normalizers):
            with keras.name_scope(f"head_{head}"):
                build_part(normalizer, (scores_shape[0], *scores_shape[2:]))
        self.built = True

    def normalize_weights(self):
        return tuple(w for n in self.normalizers for w in n.normalize_weights())

    def draw_seed(self):
        seeds = (n.draw_seed() for n in self.normalizers)
        return next((seed for seed in seeds if seed is not None), None)

    def apply(self, scores, mask, weights=(), training=False, seed=None):
        weights, heads = iter(weights), []
        drawn = None if seed is None else seed.next()
        for head, normalizer in enumerate(self.normalizers):
            own = tuple(itertools.islice(weights, len(normalizer.normalize_weights())))
            own_seed = None
            if drawn is not None:
                own_seed = GivenSeed(shift_seed(drawn, head, prime=104_729))
            seen = mask
            if mask is not None:
                seen = mask[:, head if mask.shape[1] != 1 else 0]
            heads.append(
                normalizer.apply(scores[:, head], seen, own, training, own_seed)
            )
        return ops.stack(heads, axis=1)


def mix_heads(x, kernel):
    """Returns `sum_h x[b, h] kernel[h, g]`: `(B, H, Tq, Tv)` to the same shape."""
    shape = ops.shape(x)
    flat = ops.reshape(x, (shape[0], shape[1], shape[2] * shape[3]))
    mixed = ops.matmul(ops.transpose(ops.cast(kernel, x.dtype)), flat)
    return ops.reshape(mixed, shape)


class TalkingScore(Score):
    """A score whose heads are mixed by `kernel` `(H, H)`, which starts as the identity.

    Shazeer et al. 2020, https://arxiv.org/abs/2003.02436.
    """

    def __init__(self, score, **kwargs):
        super().__init__(**kwargs)
        self.inner = score
        self.pairwise_width = 2 * score.pairwise_width

    def build(self, query_shape, key_shape):
        heads = query_shape[1]
        build_part(self.inner, query_shape, key_shape)
        self.kernel = self.add_weight(
            name="kernel", shape=(heads, heads), initializer="identity"
        )
        self.built = True

    def project_query(self, query):
        return self.inner.project_query(query)

    def project_key(self, key):
        return self.inner.project_key(key)

    def compare_weights(self):
        return (self.kernel, *self.inner.compare_weights())

    def compare(self, query, key, *weights):
        return mix_heads(self.inner.compare(query, key, *weights[1:]), weights[0])


class TalkingNormalizer(Normalizer):
    """A normalizer whose heads' weights are mixed by `kernel` `(H, H)` afterwards.

    Shazeer et al. 2020, https://arxiv.org/abs/2003.02436. `kernel` starts as the
    identity; what a head's mask hides stays hidden from it.
    """

    def __init__(self, normalizer, **kwargs):
        super().__init__(**kwargs)
        self.inner = normalizer

    def build(self, scores_shape):
        heads = scores_shape[1]
        build_part(self.inner, scores_shape)
        self.kernel = self.add_weight(
            name="kernel", shape=(heads, heads), initializer="identity"
        )
        self.built = True

    def normalize_weights(self):
        return (self.kernel, *self.inner.normalize_weights())

    def draw_seed(self):
        return self.inner.draw_seed()

    def apply(self, scores, mask, weights=(), training=False, seed=None):
        result = self.inner.apply(scores, mask, weights[1:], training, seed)
        return hide(mix_heads(result, weights[0]), mask)


def deserialize_parts(part):
    """Returns `part`, or each of a list, as an object where it is a config."""
    if isinstance(part, (list, tuple)):
        return [deserialize_parts(p) for p in part]
    return (
        keras.saving.deserialize_keras_object(part) if isinstance(part, dict) else part
    )


def serialize_parts(part):
    """Returns `part`, or each of a list, as its name or config."""
    if isinstance(part, (list, tuple)):
        return [serialize_part(p) for p in part]
    return serialize_part(part)


def heads_score(score, num_heads, talking_heads, owner, dtype=None):
    """Returns the `Score` of all heads from one identifier, or a list with one each.

    Raises:
        ValueError: for a list of another length, and a name outside the set.
    """
    if isinstance(score, (list, tuple)):
        check_one_per_head(owner, num_heads, score=score)
        parts = [get_score(s, None, owner, dtype) for s in score]
        result = PerHeadScore(parts, name="score", dtype=dtype)
    else:
        result = get_score(score, None, owner, dtype)
    if talking_heads:
        result = TalkingScore(result, name="talking_scores", dtype=dtype)
    return result


def heads_normalizer(normalizer, num_heads, talking_heads, owner, dtype, seed):
    """Returns the `Normalizer` of all heads from one identifier, or a list of them.

    Raises:
        ValueError: for a list of another length, and a name outside the set.
    """
    if isinstance(normalizer, (list, tuple)):
        check_one_per_head(owner, num_heads, normalizer=normalizer)
        parts = [get_normalizer(n, owner, dtype, seed) for n in normalizer]
        result = PerHeadNormalizer(parts, name="normalizer", dtype=dtype)
    else:
        result = get_normalizer(normalizer, owner, dtype, seed)
    if talking_heads:
        result = TalkingNormalizer(result, name="talking_weights", dtype=dtype)
    return result


def check_one_per_head(owner, num_heads, **lists):
    """Raises `ValueError` unless every list has an entry for each head."""
    for name, items in lists.items():
        if len(items) != num_heads:
            raise ValueError(
                f"`{owner}` expects one `{name}` for all heads, or a list of one for "
                f"each. Received: num_heads={num_heads}, {name}={list(items)}"
            )
