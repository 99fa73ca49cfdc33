"""Positions for multi-head attention: rotary, ALiBi, and T5's relative bias.

All count positions from 0 in the query and in the key, and know a block of rows by the
position at which it begins.
"""

import math

import keras
import numpy as np
from keras import ops

from attention_zoo.layers.core.validation import (
    check_arguments,
    check_choice,
    check_number,
    check_positive_integer,
)


def rotate(x, start=0, base=10000.0, speeds=None):
    """Returns `x` `(..., T, D)`, each pair of features rotated by its position.

    Features `2i` and `2i + 1` at position `t` rotate by the angle `t speeds_i`, where
    not given `t / base^(2i / D)`, so that the product of a query and a key depends on
    their distance alone.
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    width = x.shape[-1]
    if speeds is None:
        speeds = base ** (-np.arange(0, width, 2) / width)  # (D / 2,)
    time = ops.cast(ops.arange(ops.shape(x)[-2], dtype="int32") + start, "float32")
    angles = ops.outer(time, speeds.astype("float32"))  # (T, D / 2)
    cos, sin = ops.repeat(ops.cos(angles), 2, axis=-1), ops.sin(angles)
    sin = ops.reshape(ops.stack([-sin, sin], axis=-1), ops.shape(cos))  # (T, D)
    # Turned round in pairs: a slice of every other feature takes four times as long.
    pairs = ops.reshape(x, (*ops.shape(x)[:-1], width // 2, 2))
    other = ops.reshape(ops.flip(pairs, axis=-1), ops.shape(x))
    return x * ops.cast(cos, dtype) + other * ops.cast(sin, dtype)


def rotary_speeds(width, base, scaling, factor, original_length):
    """Returns the angle of each pair of features at position 1, `(width / 2,)`.

    Args:
        width: Integer. Number of features that rotate.
        base: Float.
        scaling: None, `"linear"`, `"ntk"` or `"yarn"`.
        factor: Float. How many times longer sequences are.
        original_length: Integer. Length that a model was trained at.
    """
    if scaling == "ntk" and width > 2:
        base = base * factor ** (width / (width - 2))
    speeds = base ** (-np.arange(0, width, 2) / width)
    if scaling == "linear":
        return speeds / factor
    if scaling == "yarn":  # pairs of 32 turns and more stay, of 1 and fewer slow down
        turns = original_length * speeds / (2 * np.pi)
        stays = np.clip((turns - 1) / (32 - 1), 0, 1)
        return speeds * (stays + (1 - stays) / factor)
    return speeds


def alibi_slopes(num_heads):
    """Returns ALiBi's slope of each head, `(H,)`: `2^(-8 h / H)` for a power of two.

    Other numbers take every other slope of the next power of two, as the authors do.
    """
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = 2.0 ** (-8 * np.arange(1, power + 1) / power)
    finer = 2.0 ** (-8 * np.arange(1, 2 * power + 1, 2) / (2 * power))
    return np.concatenate([slopes, finer])[:num_heads]


def relative_buckets(num_buckets, max_distance, bidirectional):
    """Returns T5's bucket of each distance `-max_distance` to `max_distance`.

    Half of the buckets of a direction hold one distance each, the others grow
    logarithmically up to `max_distance`. The distance is the key's position minus the
    query's; with `bidirectional=False` keys to come fall into bucket 0.
    """
    distance = np.arange(-max_distance, max_distance + 1)
    after = np.zeros_like(distance)
    back = np.maximum(-distance, 0)
    if bidirectional:
        num_buckets //= 2
        after, back = num_buckets * (distance > 0), np.abs(distance)
    exact = num_buckets // 2
    growth = np.log(np.maximum(back, 1) / exact) / np.log(max_distance / exact)
    # The tiny number keeps exact powers on their side of the edge.
    far = exact + np.floor(growth * (num_buckets - exact) + 1e-9).astype(int)
    return after + np.where(back < exact, back, np.minimum(far, num_buckets - 1))


def shift_rows(values, rows):
    """Returns `(..., rows, Tv)`, whose row `i` is `values` from `rows - 1 - i` on.

    `values` `(..., rows + Tv - 1)` holds what depends on `j - i` alone, from
    `1 - rows` on. Made of reshapes, so that its gradient needs no scatter.
    """
    front, steps = ops.shape(values)[:-1], ops.shape(values)[-1]
    values = ops.concatenate([values, ops.zeros_like(values[..., :1])], axis=-1)
    values = ops.repeat(ops.expand_dims(values, -2), rows, axis=-2)
    # Rows of steps + 1 read as rows of steps: each begins one place earlier.
    values = ops.reshape(values, (*front, rows * (steps + 1)))[..., : rows * steps]
    return ops.reshape(values, (*front, rows, steps))[..., rows - 1 :]


class Position(keras.layers.Layer):
    """Base of the positions: a subclass overrides `rotate`, or `bias`."""

    biased = False  # whether there is a `bias`

    def __init__(self, **kwargs):
        check_arguments(type(self), kwargs)
        super().__init__(**kwargs)

    def build(self, heads_shape):
        self.built = True

    def rotate(self, x, start=0):
        """Returns heads `(B, H, T, D)` rotated by their positions, from `start` on."""
        return x

    def bias_weights(self):
        """Returns the variables that `bias` needs."""
        return ()

    def bias(self, start, rows, length, *weights):
        """Returns what is added to the scores of `rows` queries, `(H, rows, Tv)`."""
        raise NotImplementedError(f"`{type(self).__name__}` has no bias.")


@keras.saving.register_keras_serializable("attention_zoo")
class RotaryPosition(Position):
    """Rotary positions: queries and keys are rotated by angles that grow with position.

    Neighbouring features are a pair, as in the paper. Code that pairs the first half
    with the second, as LLaMA's, has the same features in another order.

    Args:
        base: Number above 1; the slowest pair turns once in about `2 pi base`
            positions. Defaults to `10000.0`.
        fraction: Number above 0 and at most 1. Share of the features that rotate, the
            first ones; an even number of them is taken. Defaults to `1.0`.
        scaling: How a model is taken to sequences `factor` times as long as those it
            was trained at. `"linear"` divides positions by `factor`; `"ntk"` raises
            the base, so that the slowest pair alone turns `factor` times as slowly;
            `"yarn"` slows down the pairs that turn less than once, in part those of up
            to 32 turns, and multiplies queries and keys by `0.1 log(factor) + 1`.
            Defaults to `None`: unchanged.
        factor: Number of at least 1. Defaults to `1.0`.
        original_length: Integer. Length that a model was trained at, for `"yarn"`.
            Defaults to `2048`.

    References:
        - Su et al. 2021, https://arxiv.org/abs/2104.09864
        - Linear: Chen et al. 2023, https://arxiv.org/abs/2306.15595
        - YaRN, and NTK: Peng et al. 2023, https://arxiv.org/abs/2309.00071
    """

    def __init__(
        self,
        base=10000.0,
        fraction=1.0,
        scaling=None,
        factor=1.0,
        original_length=2048,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = "RotaryPosition"
        check_number(owner, above=1, base=base)
        check_number(owner, above=0, maximum=1, fraction=fraction)
        check_number(owner, minimum=1, factor=factor)
        check_choice(owner, (None, "linear", "ntk", "yarn"), scaling=scaling)
        check_positive_integer(owner, original_length=original_length)
        self.base = base
        self.fraction = fraction
        self.scaling = scaling
        self.factor = factor
        self.original_length = original_length

    def build(self, heads_shape):
        width = heads_shape[-1]
        if width % 2:
            raise ValueError(
                "`RotaryPosition` rotates pairs of features and expects an even "
                f"`key_dim`. Received: key_dim={width}"
            )
        super().build(heads_shape)

    def rotate(self, x, start=0):
        width = max(2, 2 * int(self.fraction * x.shape[-1] / 2))
        speeds = rotary_speeds(
            width, self.base, self.scaling, self.factor, self.original_length
        )
        turned = rotate(x[..., :width], start, speeds=speeds)
        if width < x.shape[-1]:
            turned = ops.concatenate([turned, x[..., width:]], axis=-1)
        if self.scaling == "yarn":
            turned = turned * (0.1 * math.log(self.factor) + 1)
        return turned

    def get_config(self):
        config = {
            "base": self.base,
            "fraction": self.fraction,
            "scaling": self.scaling,
            "factor": self.factor,
            "original_length": self.original_length,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("attention_zoo")
class AlibiBias(Position):
    """ALiBi: scores fall with distance, `-slope_h |i - j|`, at a fixed slope per head.

    The paper is about causal attention; keys to come are treated as those before.

    Reference: Press et al. 2021, https://arxiv.org/abs/2108.12409
    """

    biased = True

    def build(self, heads_shape):
        self._slopes = alibi_slopes(heads_shape[1]).astype("float32")
        super().build(heads_shape)

    def bias(self, start, rows, length, *weights):
        i = ops.expand_dims(ops.arange(rows, dtype="int32") + start, -1)
        j = ops.expand_dims(ops.arange(length, dtype="int32"), 0)
        distance = ops.cast(ops.abs(i - j), "float32")  # (rows, Tv)
        slopes = ops.convert_to_tensor(self._slopes[:, None, None])
        return -slopes * distance


@keras.saving.register_keras_serializable("attention_zoo")
class RelativeBias(Position):
    """T5's bias: a learned number per head and bucket of the distance `j - i`.

    The weight `embeddings` has shape `(num_buckets, H)` and starts at 0.

    Args:
        num_buckets: Number of buckets. Defaults to `32`.
        max_distance: Distance from which on all share a bucket. Defaults to `128`.
        bidirectional: Whether keys to come have buckets of their own; False for causal
            attention. Defaults to `True`.

    Reference: Raffel et al. 2019, https://arxiv.org/abs/1910.10683
    """

    biased = True

    def __init__(self, num_buckets=32, max_distance=128, bidirectional=True, **kwargs):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(
            owner, num_buckets=num_buckets, max_distance=max_distance
        )
        least = 4 if bidirectional else 2
        if num_buckets % least or max_distance <= num_buckets // least:
            raise ValueError(
                f"`{owner}` expects `num_buckets` divisible by {least}, and "
                f"`max_distance` above `num_buckets` / {least}. Received: "
                f"num_buckets={num_buckets}, max_distance={max_distance}, "
                f"bidirectional={bidirectional}"
            )
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional

    def build(self, heads_shape):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_buckets, heads_shape[1]),
            initializer="zeros",
        )
        self._buckets = relative_buckets(
            self.num_buckets, self.max_distance, self.bidirectional
        ).astype("int32")
        super().build(heads_shape)

    def bias_weights(self):
        return (self.embeddings,)

    def bias(self, start, rows, length, *weights):
        far = self.max_distance
        # j - i for each diagonal of the block, (rows + Tv - 1,)
        distance = ops.arange(rows + length - 1, dtype="int32") - (rows - 1) - start
        place = ops.minimum(ops.maximum(distance, -far), far) + far
        buckets = ops.take(ops.convert_to_tensor(self._buckets), place)
        values = ops.take(weights[0], buckets, axis=0)  # (rows + Tv - 1, H)
        return shift_rows(ops.transpose(values), rows)

    def get_config(self):
        config = {
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
        }
        return {**super().get_config(), **config}


POSITIONS = {
    "rotary": RotaryPosition,
    "alibi": AlibiBias,
    "relative_bias": RelativeBias,
}


def get_position(identifier, owner="MultiHeadAttention", dtype=None):
    """Returns a `Position` from its name, its config or itself; None stays None.

    Raises:
        ValueError: for a name outside the set.
    """
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if identifier is None or isinstance(identifier, Position):
        return identifier
    check_choice(owner, POSITIONS, position=identifier)
    return POSITIONS[identifier](name=identifier, dtype=dtype)
