import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import BACKEND, Case, built_layer, to_numpy
from support.series_formulas import join, project, rows

from attention_zoo.layers import FourierAttention
from attention_zoo.layers.series._fourier import choose_modes, draw_places


def modes_of(size, num_modes, seed=None):
    """Returns the frequency of each slot, None where it is empty."""
    count = size // 2 + 1
    if seed is None:
        return [m if m < count else None for m in range(num_modes)]
    places = np.random.default_rng(seed).integers(0, 1024, num_modes)
    cuts = [m * count // num_modes for m in range(num_modes + 1)]
    return [
        low + int(place) * (high - low) // 1024 if low < high else None
        for low, high, place in zip(cuts, cuts[1:], places, strict=False)
    ]


def select(spectrum, modes):
    """Returns the modes `(H, M, K)` of a spectrum `(H, F, K)`, 0 in empty slots."""
    zero = np.zeros_like(spectrum[:, 0])
    return np.stack([zero if m is None else spectrum[:, m] for m in modes], axis=1)


def invert(selected, modes, size):
    """Returns `(H, T, K)`: all other modes are 0, as in the paper's padding."""
    spectrum = np.zeros((len(selected), size // 2 + 1, selected.shape[-1]), complex)
    for slot, m in enumerate(modes):
        if m is not None:
            spectrum[:, m] = selected[:, slot]
    return np.fft.irfft(spectrum, n=size, axis=1, norm="ortho")


def kernel(weights):
    return weights["kernel_real"] + 1j * weights["kernel_imag"]


def fourier(num_modes, seed=None):
    """Zhou et al. 2022, equations 6 and 7 with softmax, and the mixing of modes."""

    def formula(weights, inputs, masks):
        output = np.zeros(inputs["query"].shape)
        between = np.zeros((2, 3, num_modes, num_modes))
        for b, queries, keys, q, k, v in rows(inputs, masks):
            own_q = modes_of(len(queries), num_modes, seed)
            own_k = modes_of(len(keys), num_modes, seed)
            q, k, v = (
                select(np.fft.rfft(project(x, weights, n), axis=1, norm="ortho"), own)
                for x, n, own in (
                    (q, "query", own_q),
                    (k, "key", own_k),
                    (v, "value", own_k),
                )
            )
            there_q, there_k = (
                np.array([m is not None for m in own]) for own in (own_q, own_k)
            )
            scores = np.abs(q @ np.swapaxes(k, 1, 2))
            between[b] = formulas.softmax(scores, there_q[:, None] & there_k)
            mixed = np.einsum("hmk,hmkv->hmv", between[b] @ v, kernel(weights))
            output[b, queries] = join(invert(mixed, own_q, len(queries)), weights)
        return output, between

    return formula


CONFIG = {"num_heads": 3, "key_dim": 2}
CASES = [
    Case(
        name="fourier_attention",
        cls=FourierAttention,
        config={**CONFIG, "num_modes": 5, "seed": 3},
        inputs={"query": (2, 19, 7)},
        formula=fourier(5, seed=3),
        masks=("query_mask",),
        scores=(2, 3, 5, 5),
    ),
    Case(
        name="fourier_attention-low",
        cls=FourierAttention,
        config={**CONFIG, "num_modes": 5, "mode_select": "low", "use_bias": False},
        inputs={"query": (2, 11, 5), "value": (2, 17, 7), "key": (2, 17, 13)},
        formula=fourier(5),
        masks=("query_mask", "value_mask", "key_mask"),
        scores=(2, 3, 5, 5),
    ),
    Case(
        name="fourier_attention-more_modes_than_there_are",
        cls=FourierAttention,
        config={**CONFIG, "num_modes": 11, "seed": 5},
        inputs={"query": (2, 13, 5), "value": (2, 7, 5)},
        formula=fourier(11, seed=5),
        masks=("value_mask",),
        scores=(2, 3, 11, 11),
    ),
]


@pytest.mark.skipif(BACKEND == "jax", reason="the same code, and slow to compile")
@pytest.mark.parametrize("num_modes", [1, 5, 64])
@pytest.mark.parametrize("seed", [None, 0, 7])
def test_modes_are_different_and_in_order(num_modes, seed):
    places = draw_places(num_modes, "low" if seed is None else "random", seed)
    sizes = [1, 2, 6, 7, 9, 10, 96, 65535]
    lengths = keras.ops.convert_to_tensor(np.array(sizes, "int32")[:, None])
    found = to_numpy(choose_modes(lengths, num_modes, places))
    for size, modes, used in zip(sizes, *found, strict=True):
        used = used.astype(bool)
        expected = modes_of(size, num_modes, seed)
        assert list(used) == [m is not None for m in expected]
        assert list(modes[used]) == [m for m in expected if m is not None]
        assert used.sum() == min(num_modes, size // 2 + 1)
        assert (np.diff(modes[used]) > 0).all()


def test_seeds_choose_modes():
    x = CASES[0].draw()["query"]
    first = built_layer(CASES[0])
    outputs = [to_numpy(first(x))]
    for seed in (3, 4):
        layer = CASES[0].make(seed=seed)
        layer(x)
        layer.set_weights(first.get_weights())
        outputs.append(to_numpy(layer(x)))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0] - outputs[2]).max() > 0.1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_heads": 0}, "Received: num_heads=0"),
        ({"num_modes": 0}, "Received: num_modes=0"),
        ({"mode_select": "lo"}, "did you mean 'low'"),
        ({"seed": None}, "Received: seed=None"),
        ({"seed": -1}, "Received: seed=-1"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        FourierAttention(**config)


def test_errors_of_shapes():
    x = np.zeros((2, 7, 5), "float32")
    with pytest.raises(ValueError, match="of rank 3"):
        FourierAttention()(x[0])
    with pytest.raises(ValueError, match="of one length"):
        FourierAttention()(x, x, x[:, :3])
