import math

import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import (
    BACKEND,
    Case,
    built_layer,
    loss_and_gradients,
    named_weights,
    run,
    to_numpy,
)
from support.series_formulas import project

from attention_zoo import layers
from attention_zoo.layers import TwoStageAttention


def attend(weights, part, x, memory, seen):
    """Returns the output `(T, D)` and the weights `(H, T, Tv)` of one row."""
    own = {
        name.removeprefix(f"{part}/"): w
        for name, w in weights.items()
        if name.startswith(f"{part}/")
    }
    q, k, v = (
        project(a, own, name)
        for a, name in ((x, "query"), (memory, "key"), (memory, "value"))
    )
    scores = q @ np.swapaxes(k, 1, 2) / np.sqrt(q.shape[-1])
    a = formulas.softmax(scores, seen)
    output = np.einsum("htk,hko->to", a @ v, own["attention_output/kernel"])
    output = output + own["attention_output/bias"]
    return np.where(seen.any(-1)[:, None], output, 0.0), a


def norm(weights, part, x):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    return x * weights[f"{part}/gamma"] + weights[f"{part}/beta"]


def mlp(weights, part, x):
    gelu = np.vectorize(lambda t: t * (1 + math.erf(t / math.sqrt(2))) / 2)
    hidden = x @ weights[f"{part}/hidden/kernel"] + weights[f"{part}/hidden/bias"]
    output = gelu(hidden) @ weights[f"{part}/output/kernel"]
    return output + weights[f"{part}/output/bias"]


def two_stages(weights, x, mask):
    """Zhang and Yan 2023, equations 4 to 7; returns the output and the weights."""
    batch, variates, segments, _ = x.shape
    x = np.where(mask[..., None], x, 0.0)
    change = np.zeros(x.shape)
    time = np.zeros((batch, variates, 3, segments, segments))
    for b, d in np.ndindex(batch, variates):
        seen = mask[b, d][:, None] & mask[b, d]
        change[b, d], time[b, d] = attend(weights, "time", x[b, d], x[b, d], seen)
    x = norm(weights, "time_norm", x + change)
    x = norm(weights, "time_mlp_norm", x + mlp(weights, "time_mlp", x))
    count = weights["routers"].shape[1]
    gather = np.zeros((batch, segments, 3, count, variates))
    distribute = np.zeros((batch, segments, 3, variates, count))
    for b, s in np.ndindex(batch, segments):
        there = mask[b, :, s]
        routers, line = weights["routers"][s], x[b, :, s]
        seen = np.broadcast_to(there, (count, variates))
        gathered, gather[b, s] = attend(weights, "gather", routers, line, seen)
        change[b, :, s], distribute[b, s] = attend(
            weights, "distribute", line, gathered, seen.T
        )
    x = norm(weights, "variate_norm", x + change)
    x = norm(weights, "variate_mlp_norm", x + mlp(weights, "variate_mlp", x))
    return np.where(mask[..., None], x, 0.0), (time, gather, distribute)


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    return two_stages(weights, x, np.ones(x.shape[:3], bool))[0]


SHAPE = (2, 5, 7, 11)
CONFIG = {"num_heads": 3, "num_routers": 2, "intermediate_dim": 13}
CASES = [
    Case(
        name="two_stage_attention",
        cls=TwoStageAttention,
        config=CONFIG,
        inputs={"inputs": SHAPE},
        formula=formula,
        dynamic=(1, 2),
        tolerance=2e-5,
    ),
    Case(
        name="two_stage_attention-fewer_segments",
        cls=TwoStageAttention,
        config={**CONFIG, "max_segments": 17, "activation": "gelu"},
        inputs={"inputs": SHAPE},
        formula=formula,
        dynamic=(1, 2),
        tolerance=2e-5,
    ),
]


def draw_mask():
    mask = np.random.default_rng(1).random(SHAPE[:3]) < 0.7
    mask[0, 1] = False  # a variate of padding
    mask[0, :, -1] = False  # a segment of padding
    mask[1] = False  # a row of padding
    return mask


def test_masks_and_scores():
    layer, x = built_layer(CASES[0]), CASES[0].draw()["inputs"]
    mask = draw_mask()
    dirty = np.where(mask[..., None], x, np.nan).astype("float32")
    inputs, options = {"inputs": dirty, "mask": mask}, {"return_attention_scores": True}
    output, scores = run(layer, inputs, **options)
    expected, weights = two_stages(named_weights(layer), x.astype("float64"), mask)
    np.testing.assert_allclose(output, expected, atol=5e-5)
    for got, values in zip(scores, weights, strict=True):
        np.testing.assert_allclose(got, values, atol=2e-5)
        assert (got[values == 0] == 0).all()
    assert (output[~mask] == 0).all()
    _, grads, _ = loss_and_gradients(layer, {"inputs": dirty}, (), mask=mask)
    assert all(np.isfinite(g).all() for g in grads)
    _, _, (grad,) = loss_and_gradients(layer, {"inputs": x}, ("inputs",), mask=mask)
    assert np.isfinite(grad).all()


@pytest.mark.skipif(BACKEND == "jax", reason="the same code, and slow to compile")
def test_the_parts_record_their_weights():
    layer, inputs = built_layer(CASES[0]), CASES[0].draw()
    with layers.record_attention() as records:
        _, scores = layer(**inputs, return_attention_scores=True)
    assert [r.layer_name for r in records] == ["time", "gather", "distribute"]
    for got, record in zip(scores, records, strict=True):
        np.testing.assert_array_equal(record.weights, to_numpy(got))


def test_symbolic_scores_and_the_mask_handed_on():
    layer = built_layer(CASES[0])
    ids = keras.Input((5, 7), dtype="int32")
    embedded = keras.layers.Embedding(3, 11, mask_zero=True)(ids)
    output, scores = layer(embedded, return_attention_scores=True)
    assert getattr(output, "_keras_mask", None) is not None
    shapes = [tuple(s.shape)[1:] for s in scores]
    assert shapes == [(5, 3, 7, 7), (7, 3, 2, 5), (7, 3, 5, 2)]


def test_errors():
    x = np.zeros(SHAPE, "float32")
    for config, message in (
        ({"num_heads": 0}, "Received: num_heads=0"),
        ({"num_routers": 0}, "Received: num_routers=0"),
        ({"max_segments": 0}, "Received: max_segments=0"),
        ({"dropout": 2}, "Received: dropout=2"),
    ):
        with pytest.raises(ValueError, match=message):
            TwoStageAttention(**config)
    with pytest.raises(ValueError, match="rank 4. Received"):
        TwoStageAttention()(x[0])
    with pytest.raises(ValueError, match="known number of segments"):
        TwoStageAttention()(keras.Input((5, None, 11)))
    with pytest.raises(ValueError, match="at most 3. Received"):
        TwoStageAttention(max_segments=3)(x)
    with pytest.raises(ValueError, match="expects `mask` of shape"):
        TwoStageAttention()(x, mask=np.ones((2, 5, 3), bool))
