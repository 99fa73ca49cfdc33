import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, built_layer, run
from support.series_formulas import join, project, rows

from attention_zoo.layers import AutoCorrelation

FACTOR = 1.5


def resize(heads, size):
    """Cuts heads `(H, T, K)` to `size` steps, or fills them up with zeros."""
    fitted = np.zeros((heads.shape[0], size, heads.shape[2]))
    fitted[:, : heads.shape[1]] = heads[:, :size]
    return fitted


def auto_correlation(weights, inputs, masks):
    """Wu et al. 2021, equations 6 to 8, delay by delay, rows without padding."""
    output, delays = np.zeros(inputs["query"].shape), np.zeros((2, 3, 11))
    for b, queries, _, q, k, v in rows(inputs, masks):
        size = len(queries)
        q = project(q, weights, "query")
        k = resize(project(k, weights, "key"), size)
        v = resize(project(v, weights, "value"), size)
        heads = np.zeros(v.shape)
        for h in range(3):
            correlation = np.array(
                [(np.roll(q[h], -s, axis=0) * k[h]).sum(0).mean() for s in range(size)]
            )
            count = max(1, min(size, int(FACTOR * np.log(size))))
            best = np.argsort(-correlation)[:count]
            delays[b, h, best] = formulas.softmax(correlation[best])
            for s in best:
                heads[h] += delays[b, h, s] * np.roll(v[h], -s, axis=0)
        output[b, queries] = join(heads, weights)
    return output, delays


CONFIG = {"num_heads": 3, "key_dim": 2, "factor": FACTOR}
CASES = [
    Case(
        name="auto_correlation",
        cls=AutoCorrelation,
        config=CONFIG,
        inputs={"query": (2, 11, 5)},
        formula=auto_correlation,
        masks=("query_mask",),
        scores=(2, 3, 11),
        tolerance=2e-5,
        jumps=True,
    ),
    Case(
        name="auto_correlation-longer_value",
        cls=AutoCorrelation,
        config={**CONFIG, "use_bias": False},
        inputs={"query": (2, 11, 5), "value": (2, 17, 7), "key": (2, 17, 13)},
        formula=auto_correlation,
        masks=("query_mask", "value_mask", "key_mask"),
        scores=(2, 3, 11),
        tolerance=2e-5,
        jumps=True,
    ),
    Case(
        name="auto_correlation-shorter_value",
        cls=AutoCorrelation,
        config=CONFIG,
        inputs={"query": (2, 11, 5), "value": (2, 7, 13)},
        formula=auto_correlation,
        masks=("value_mask",),
        scores=(2, 3, 11),
        tolerance=2e-5,
        jumps=True,
    ),
]


@pytest.mark.parametrize("padding", [0, 5])
def test_the_period_of_a_series_is_found(padding):
    """Projections that pass the series on, and a series of period 6: delays 0, 6, 12
    resemble most, and the output is the series itself."""
    steps = np.arange(18)
    wave = np.stack([np.sin(steps * np.pi / 3), np.cos(steps * np.pi / 3)], axis=-1)
    x = np.pad(wave, ((padding, 0), (0, 0)), constant_values=np.nan)[None]
    inputs = {"query": x.astype("float32"), "query_mask": ~np.isnan(x[..., 0])}
    layer = AutoCorrelation(num_heads=1, key_dim=2, factor=1.1, use_bias=False)
    layer.build(x.shape)
    eye = np.eye(2)
    layer.set_weights([eye[:, None], eye[:, None], eye[:, None], eye[None]])
    output, weights = run(layer, inputs, return_attention_scores=True)
    expected = np.zeros(18 + padding)
    expected[[0, 6, 12]] = 1 / 3
    np.testing.assert_allclose(weights[0, 0], expected, atol=1e-5)
    np.testing.assert_allclose(output[0, padding:], wave, atol=1e-5)


def test_a_row_does_not_depend_on_its_batch_in_training_either():
    case = CASES[0]
    layer, x = built_layer(case), case.draw()["query"]
    whole, alone = (run(layer, {"query": q}, training=True) for q in (x, x[:1]))
    np.testing.assert_allclose(whole[:1], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_heads": 0}, "Received: num_heads=0"),
        ({"key_dim": -1}, "Received: key_dim=-1"),
        ({"factor": 0}, "a number above 0. Received: factor=0"),
        ({"factor": "1"}, "Received: factor='1'"),
        ({"factor": float("inf")}, "Received: factor=inf"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        AutoCorrelation(**config)


def test_errors_of_shapes_and_masks():
    x = np.zeros((2, 7, 5), "float32")
    with pytest.raises(ValueError, match="of rank 3"):
        AutoCorrelation()(x[0])
    with pytest.raises(ValueError, match="of one batch size"):
        AutoCorrelation()(x, x[:1])
    with pytest.raises(ValueError, match="boolean or integer dtype"):
        AutoCorrelation()(x, query_mask=x[..., 0])
