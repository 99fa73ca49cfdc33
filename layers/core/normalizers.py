"""Normalizers: how a row of scores becomes a row of weights.

All take scores `(..., Tq, Tv)` and a boolean mask that broadcasts to them, give a
hidden position exactly 0, and a row with nothing to see zeros throughout. They work in
float32 or wider and return the dtype they were given.
"""

import keras
from keras import ops

from attention_zoo.layers.core.entmax import LOWEST, entmax, entmax15, hide, sparsemax
from attention_zoo.layers.core.inputs import max_or_zeros
from attention_zoo.layers.core.loops import minimum
from attention_zoo.layers.core.validation import (
    check_arguments,
    check_choice,
    check_number,
    check_positive_integer,
)


def masked_softmax(scores, mask=None):
    """Returns `exp(s) / sum(exp(s))` over the visible positions."""
    softmax = _quiet_softmax if scores.shape[-1] == 1 else ops.softmax
    if mask is None:
        return softmax(scores)
    weights = softmax(ops.where(mask, scores, LOWEST))
    return ops.where(mask, weights, ops.zeros_like(weights))


def widen(x):
    """Returns `x` in at least float32, in which long sums neither overflow nor lose
    digits."""
    low = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return ops.cast(x, "float32") if low else x


def _quiet_softmax(scores):
    """Returns `ops.softmax`, which would warn of an axis of one position.

    A function traced at one position and exported is right for any number of them.
    """
    powers = ops.exp(scores - ops.stop_gradient(max_or_zeros(scores, -1, True)))
    return powers / ops.sum(powers, axis=-1, keepdims=True)


def masked_sigmoid(scores, mask=None):
    """Returns `1 / (1 + exp(-s))` at the visible positions: rows do not sum to 1."""
    weights = ops.sigmoid(scores)
    return (
        weights if mask is None else ops.where(mask, weights, ops.zeros_like(weights))
    )


def top_k_softmax(scores, k, mask=None):
    """Softmax over the `k` largest visible scores of a row; ties at the edge stay."""
    hidden = scores
    if mask is not None:
        hidden = ops.where(mask, scores, LOWEST)
    kept = minimum(k, ops.shape(scores)[-1])
    edge = ops.stop_gradient(ops.top_k(hidden, kept)[0][..., -1:])
    chosen = hidden >= edge
    return masked_softmax(
        scores, chosen if mask is None else ops.logical_and(mask, chosen)
    )


def hardmax(scores, mask=None):
    """One-hot of the largest visible score; the gradient is softmax's.

    The straight-through estimator, Bengio et al. 2013, https://arxiv.org/abs/1308.3432.
    """
    soft = masked_softmax(scores, mask)
    chosen = ops.argmax(soft, axis=-1)
    hard = ops.cast(ops.one_hot(chosen, ops.shape(soft)[-1]), soft.dtype)
    hard = hide(hard, mask)
    return soft + ops.stop_gradient(hard - soft)


class Normalizer(keras.layers.Layer):
    """Base of the normalizers, called as `normalizer(scores, mask=..., training=...)`.

    A subclass overrides `normalize`, a pure function of its arguments, and lists in
    `normalize_weights` the variables that `normalize` needs; `random` says that
    `normalize` draws from `seed` in training.

    Call arguments:
        scores: Tensor of shape `(..., Tq, Tv)`.
        mask: Boolean tensor that broadcasts to `scores`, True where visible.
        training: Boolean.

    Returns:
        Weights of the shape and dtype of `scores`.
    """

    random = False

    def __init__(self, **kwargs):
        check_arguments(type(self), kwargs)
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, scores_shape):
        self.built = True

    def normalize_weights(self):
        return ()

    def draw_seed(self):
        return None

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        raise NotImplementedError(f"`{type(self).__name__}` must override `normalize`.")

    def apply(self, scores, mask, weights=(), training=False, seed=None):
        """`normalize` in at least float32; NaN scores are shown, not sorted away."""
        wide = widen(scores)
        result = self.normalize(wide, mask, weights, training=training, seed=seed)
        if self.selects:
            bad = ops.isnan(wide)
            bad = bad if mask is None else ops.logical_and(bad, mask)
            bad = ops.any(bad, axis=-1, keepdims=True)
            result = ops.where(bad, float("nan"), result)
        return ops.cast(result, scores.dtype)

    selects = True  # comparisons would turn a NaN score into a weight of 0

    def call(self, scores, mask=None, training=None):
        weights = [ops.convert_to_tensor(w) for w in self.normalize_weights()]
        return self.apply(scores, mask, weights, bool(training), self.draw_seed())

    def compute_output_shape(self, scores_shape):
        return scores_shape


@keras.saving.register_keras_serializable("attention_zoo")
class Softmax(Normalizer):
    """`exp(s_j) / sum_i exp(s_i)`: all visible positions get some weight."""

    selects = False

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        return masked_softmax(scores, mask)


@keras.saving.register_keras_serializable("attention_zoo")
class Sigmoid(Normalizer):
    """`1 / (1 + exp(-s_j))`: positions do not compete.

    Ramapuram et al. 2024, https://arxiv.org/abs/2409.04431 (here without their bias).
    """

    selects = False

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        return masked_sigmoid(scores, mask)


@keras.saving.register_keras_serializable("attention_zoo")
class Sparsemax(Normalizer):
    """`argmin_p |p - s|^2` over the simplex: exact zeros.

    Martins and Astudillo 2016, https://arxiv.org/abs/1602.02068.
    """

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        return sparsemax(scores, mask)


@keras.saving.register_keras_serializable("attention_zoo")
class Entmax15(Normalizer):
    """1.5-entmax: exact zeros, softer than sparsemax.

    Peters et al. 2019, https://arxiv.org/abs/1905.05702.
    """

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        return entmax15(scores, mask)


@keras.saving.register_keras_serializable("attention_zoo")
class Entmax(Normalizer):
    """alpha-entmax, alpha = 1 + sigmoid(`alpha_logit`) learned from a start at 1.5.

    Correia et al. 2019, https://arxiv.org/abs/1909.00015.

    Args:
        num_heads: Number of heads, each with an alpha of its own (scores are then
            `(B, num_heads, Tq, Tv)`). Defaults to `None`: one alpha, shared.
    """

    def __init__(self, num_heads=None, **kwargs):
        super().__init__(**kwargs)
        if num_heads is not None:
            check_positive_integer("Entmax", num_heads=num_heads)
        self.num_heads = num_heads

    def build(self, scores_shape):
        heads = self.num_heads
        if heads is not None and (len(scores_shape) != 4 or scores_shape[1] != heads):
            raise ValueError(
                "`Entmax` with `num_heads` expects scores (B, num_heads, Tq, Tv). "
                f"Received: num_heads={heads}, scores.shape={tuple(scores_shape)}"
            )
        shape = () if heads is None else (heads, 1, 1)
        self.alpha_logit = self.add_weight(
            name="alpha_logit", shape=shape, initializer="zeros"
        )
        self.built = True

    def normalize_weights(self):
        return (self.alpha_logit,)

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        alpha = 1 + ops.sigmoid(ops.cast(weights[0], scores.dtype))
        return entmax(scores, alpha, mask)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}


@keras.saving.register_keras_serializable("attention_zoo")
class Hardmax(Normalizer):
    """One-hot of the largest score, trained straight through softmax's gradient.

    Bengio et al. 2013, https://arxiv.org/abs/1308.3432.
    """

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        return hardmax(scores, mask)


@keras.saving.register_keras_serializable("attention_zoo")
class GumbelSoftmax(Normalizer):
    """A sample `softmax((s + Gumbel noise) / temperature)` in training, else argmax.

    Jang et al. 2016, https://arxiv.org/abs/1611.01144.

    Args:
        temperature: Positive number; the lower, the nearer a sample is to one-hot.
            Defaults to `1.0`.
        hard: Whether a training sample is made one-hot, with the soft sample's
            gradient. Defaults to `False`.
        seed: Python integer or None.
    """

    random = True

    def __init__(self, temperature=1.0, hard=False, seed=None, **kwargs):
        super().__init__(**kwargs)
        check_number("GumbelSoftmax", above=0, temperature=temperature)
        self.temperature = temperature
        self.hard = hard
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def draw_seed(self):
        return self.seed_generator

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        if not training:
            return hardmax(scores, mask)
        uniform = keras.random.uniform(
            ops.shape(scores), minval=1e-7, dtype=scores.dtype, seed=seed
        )
        noisy = (scores - ops.log(-ops.log(uniform))) / self.temperature
        return hardmax(noisy, mask) if self.hard else masked_softmax(noisy, mask)

    def get_config(self):
        config = {"temperature": self.temperature, "hard": self.hard, "seed": self.seed}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("attention_zoo")
class TopK(Normalizer):
    """Softmax over the `k` largest scores of a row.

    Gupta et al. 2021, https://arxiv.org/abs/2106.06899.

    Args:
        k: Number of positions that get weight; ties at the edge all do.
            Defaults to `8`.
    """

    def __init__(self, k=8, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer("TopK", k=k)
        self.k = k

    def normalize(self, scores, mask, weights=(), training=False, seed=None):
        return top_k_softmax(scores, self.k, mask)

    def get_config(self):
        return {**super().get_config(), "k": self.k}


NORMALIZERS = {
    "softmax": Softmax,
    "sigmoid": Sigmoid,
    "sparsemax": Sparsemax,
    "entmax15": Entmax15,
    "entmax": Entmax,
    "hardmax": Hardmax,
    "gumbel_softmax": GumbelSoftmax,
    "top_k": TopK,
}


def get_normalizer(identifier, owner="Attention", dtype=None, seed=None):
    """Returns a `Normalizer` from its name, its config or itself.

    Raises:
        ValueError: for a name outside the set.
    """
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, Normalizer):
        return identifier
    check_choice(owner, NORMALIZERS, normalizer=identifier)
    cls = NORMALIZERS[identifier]
    config = {"seed": seed} if cls.random else {}
    return cls(name=identifier, dtype=dtype, **config)
