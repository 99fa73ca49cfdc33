"""Fourier transforms at a few frequencies, each row with a period of its own.

A few frequencies of a long series cost less as a product with their waves than by FFT,
and the product takes any length, on any backend. A complex tensor is a pair, real and
imaginary part.
"""

import math

import numpy as np
from keras import ops

MODE_SELECTIONS = ("low", "random")
PLACES = 1024  # steps into which a band of frequencies is cut to draw from it


def draw_places(num_modes, mode_select, seed):
    """Returns where in its band each mode lies, `(M,)` below `PLACES`; None for low."""
    if mode_select == "low":
        return None
    return np.random.default_rng(seed).integers(0, PLACES, num_modes).astype("int32")


def choose_modes(length, num_modes, places=None):
    """Returns the frequencies of the modes, and which slots hold one.

    A real series of length L has `L // 2 + 1` of them. The modes are the lowest ones,
    or with `places` one from each of M bands of like width. With fewer frequencies than
    slots all are there, and slots stay empty.

    Args:
        length: Integer tensor `(B, 1)`.
        num_modes: Number of slots M.
        places: Integer array `(M,)` or None.

    Returns:
        Integer tensor and boolean tensor `(B, M)`.
    """
    count = length // 2 + 1
    slot = ops.expand_dims(ops.arange(num_modes, dtype="int32"), 0)
    if places is None:
        return slot + ops.zeros_like(count), slot < count
    low, high = slot * count // num_modes, (slot + 1) * count // num_modes
    places = ops.expand_dims(ops.convert_to_tensor(places), 0)
    return low + places * (high - low) // PLACES, low < high


def waves(modes, used, length, steps):
    """Returns cosine and sine of each mode at each step, `(B, 1, M, T)`, orthonormal.

    The product of mode and step must fit into 32 bits: series of 65,535 steps do.

    Args:
        modes: Integer tensor `(B, M)`.
        used: Boolean tensor `(B, M)`, False for slots whose waves are 0.
        length: Integer tensor `(B, 1)`.
        steps: Integer tensor `(B, T)` or `(1, T)`, from 0 on.
    """
    period = ops.expand_dims(ops.maximum(length, 1), -1)  # (B, 1, 1)
    turn = ops.expand_dims(modes, -1) * ops.expand_dims(steps, 1) % period
    period = ops.cast(period, "float32")
    angle = ops.cast(turn, "float32") * (2 * math.pi) / period  # (B, M, T)
    size = ops.cast(ops.expand_dims(used, -1), "float32") * ops.rsqrt(period)
    return ops.expand_dims(ops.cos(angle) * size, 1), ops.expand_dims(
        ops.sin(angle) * size, 1
    )


def to_modes(x, cosine, sine):
    """Returns the Fourier transform of `x` `(B, H, T, K)` at the modes' waves, a pair
    of `(B, H, M, K)`; steps that do not count must be 0 in `x`."""
    return ops.matmul(cosine, x), -ops.matmul(sine, x)


def from_modes(x, modes, length, cosine, sine):
    """Returns the series `(B, H, T, K)` whose spectrum is `x` at the modes, else 0.

    The inverse transform of a real series: each mode stands for itself and its mirror
    image, except 0 and half the length, which are their own.
    """
    own = ops.logical_or(ops.equal(modes, 0), ops.equal(2 * modes, length))
    twice = ops.expand_dims(ops.where(own, 1.0, 2.0), (1, 3))  # (B, 1, M, 1)
    twice = ops.cast(twice, x[0].dtype)
    cosine, sine = ops.swapaxes(cosine, 2, 3), ops.swapaxes(sine, 2, 3)
    return ops.matmul(cosine, x[0] * twice) - ops.matmul(sine, x[1] * twice)


def mix_modes(x, kernel):
    """Returns each mode of `x` times its own matrix: pairs of `(B, H, M, K)` and
    `(H, M, K, K)` to a pair of `(B, H, M, K)`."""

    def product(part, matrices):
        return ops.einsum("bhmk,hmkv->bhmv", part, matrices)

    real = product(x[0], kernel[0]) - product(x[1], kernel[1])
    return real, product(x[0], kernel[1]) + product(x[1], kernel[0])


def modulus(real, imag):
    """Returns the length of complex numbers, with a gradient of 0 at 0."""
    return ops.sqrt(ops.maximum(ops.square(real) + ops.square(imag), 1e-12))
