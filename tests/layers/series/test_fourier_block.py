import numpy as np
import pytest
from support.check_layer import Case, built_layer, shake, to_numpy
from support.series_formulas import join, project

from attention_zoo.layers import FourierBlock


def fourier_block(weights, inputs, masks):
    """Zhou et al. 2022, equations 3 to 5, the 5 lowest modes of each row."""
    x = inputs["inputs"]
    mask = masks.get("mask", np.ones(x.shape[:2], bool))
    output = np.zeros(x.shape)
    for b in np.flatnonzero(mask.any(axis=1)):
        spectrum = np.fft.rfft(project(x[b, mask[b]], weights, "query"), axis=1)
        mixed = np.zeros_like(spectrum)
        for m in range(min(5, spectrum.shape[1])):
            kernel = weights["kernel_real"][:, m] + 1j * weights["kernel_imag"][:, m]
            mixed[:, m] = np.einsum("hk,hkv->hv", spectrum[:, m], kernel)
        heads = np.fft.irfft(mixed, n=mask[b].sum(), axis=1)
        output[b, mask[b]] = join(heads, weights)
    return output


CASES = [
    Case(
        name="fourier_block",
        cls=FourierBlock,
        config={"num_heads": 3, "key_dim": 2, "num_modes": 5, "mode_select": "low"},
        inputs={"inputs": (2, 11, 7)},
        formula=fourier_block,
        masks=("mask",),
    ),
    Case(
        name="fourier_block-even",
        cls=FourierBlock,
        config={
            "num_heads": 3,
            "num_modes": 5,
            "mode_select": "low",
            "use_bias": False,
        },
        inputs={"inputs": (2, 8, 7)},
        formula=fourier_block,
    ),
]


@pytest.mark.parametrize("mode_select", ["low", "random"])
def test_enough_modes_pass_any_series_on(mode_select):
    """With every mode there and matrices of 1, the series comes back."""
    x = np.random.default_rng(0).normal(size=(2, 10, 3)).astype("float32")
    layer = FourierBlock(1, num_modes=7, mode_select=mode_select, use_bias=False)
    layer(x)
    shake(layer)
    eye = np.eye(3)
    ones = np.broadcast_to(eye, (1, 7, 3, 3))
    values = {
        "query/kernel": eye[:, None],
        "attention_output/kernel": eye[None],
        "kernel_real": ones,
        "kernel_imag": 0 * ones,
    }
    for w in layer.weights:
        w.assign(values[w.path.split(f"{layer.name}/", 1)[-1]])
    np.testing.assert_allclose(to_numpy(layer(x)), x, atol=1e-5)
    mask = np.arange(10) >= np.array([[0], [3]])
    got = to_numpy(layer(x, mask=mask))
    np.testing.assert_allclose(got[mask], x[mask], atol=1e-5)


def test_a_constant_series_stays_constant():
    x = np.random.default_rng(0).normal(size=(2, 1, 7)).astype("float32")
    output = to_numpy(built_layer(CASES[0])(np.repeat(x, 11, axis=1)))
    expected = np.repeat(output[:, :1], 11, axis=1)
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="Received: num_modes=0"):
        FourierBlock(num_modes=0)
    with pytest.raises(ValueError, match="rank 3. Received"):
        FourierBlock()(np.zeros((2, 3), "float32"))
    with pytest.raises(ValueError, match="expects `mask` of shape"):
        FourierBlock()(np.zeros((2, 3, 5), "float32"), mask=np.ones((2, 2), bool))
