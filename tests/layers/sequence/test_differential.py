import keras
import numpy as np
import pytest
from keras import ops
from support import formulas
from support.check_layer import Case, built_layer, named_weights, to_numpy

from attention_zoo.layers import DifferentialAttention
from attention_zoo.layers.sequence.differential import head_norm


def differential(weights, inputs, masks):
    """Ye et al. 2024, equations 1 to 3, head by head."""
    q, v, k = inputs["query"], inputs["value"], inputs["key"]
    (q1, k1), (q2, k2) = weights["lambdas"]
    factor = np.exp(q1 @ k1) - np.exp(q2 @ k2) + 0.3
    mask = formulas.visible(masks, 2, 11, 7)
    output, maps = np.zeros((2, 11, 5)), np.zeros((2, 3, 11, 7))
    for h in range(3):
        soft = [
            formulas.softmax(
                (q @ weights["query_kernel"][:, h, p])
                @ np.swapaxes(k @ weights["key_kernel"][:, h, p], 1, 2)
                / np.sqrt(2),
                mask,
            )
            for p in range(2)
        ]
        maps[:, h] = soft[0] - factor * soft[1]
        head = maps[:, h] @ (v @ weights["value_kernel"][:, h])
        rms = np.sqrt((head**2).mean(-1, keepdims=True) + 1e-5)
        head = (1 - 0.3) * head / rms * weights["norm_scale"]
        output += head @ weights["output_kernel"][h]
    return output, maps


CASES = [
    Case(
        name="differential_attention",
        cls=DifferentialAttention,
        config={"num_heads": 3, "key_dim": 2, "lambda_init": 0.3},
        inputs={"query": (2, 11, 5), "value": (2, 7, 17), "key": (2, 7, 13)},
        formula=differential,
        masks=("query_mask", "value_mask", "key_mask"),
        scores=(2, 3, 11, 7),
        tolerance=5e-5,  # normalising by a small length lifts rounding
        jumps=True,
    )
]


def test_rows_sum_to_one_less_lambda():
    layer = built_layer(CASES[0])
    (q1, k1), (q2, k2) = named_weights(layer)["lambdas"]
    factor = np.exp(q1 @ k1) - np.exp(q2 @ k2) + 0.3
    _, weights = to_numpy(layer(**CASES[0].draw(), return_attention_scores=True))
    np.testing.assert_allclose(weights.sum(-1), 1 - factor, atol=1e-4)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_heads_are_normalised_at_any_size_in_float16(size):
    """In float16 the square of 1000 overflows and that of 0.001 is nearly nothing."""
    x = np.random.default_rng(0).normal(size=(2, 3, 5)) * size
    scale = np.arange(1.0, 6.0)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * scale
    got = head_norm(*(ops.convert_to_tensor(a.astype("float16")) for a in (x, scale)))
    assert keras.backend.standardize_dtype(got.dtype) == "float16"
    np.testing.assert_allclose(to_numpy(got), expected, rtol=5e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_heads": 0}, "Received: num_heads=0"),
        ({"key_dim": -1}, "Received: key_dim=-1"),
        ({"lambda_init": 1.0}, "Received: lambda_init=1.0"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        DifferentialAttention(**config)
