"""Random shapes, masks, dtypes and windows against the mask contract."""

import hypothesis
import keras
import numpy as np
from hypothesis import strategies as st
from support.check_layer import BACKEND, to_numpy

from attention_zoo import layers
from attention_zoo.layers.core.normalizers import NORMALIZERS

# JAX compiles anew for every shape; PyTorch runs most of the cases.
EXAMPLES = {"tensorflow": 300, "torch": 1750, "jax": 5}[BACKEND]
PLAIN_SCORES = ("dot", "scaled_dot", "cosine", "general", "additive", "concat")
FLOATS = {"float32": 1e-5, "float16": 2e-2, "bfloat16": 1e-1}


@st.composite
def problems(draw):
    batch, rows, length = (draw(st.integers(1, n)) for n in (3, 7, 9))
    width = draw(st.sampled_from([1, 2, 5]))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    share = draw(st.sampled_from([0.0, 0.3, 0.8, 1.0]))

    def mask(*shape):
        return rng.random(shape) < share if draw(st.booleans()) else None

    window = draw(
        st.none() | st.integers(1, 4) | st.tuples(st.integers(0, 3), st.integers(0, 3))
    )
    return {
        "score": draw(st.sampled_from(PLAIN_SCORES)),
        "normalizer": draw(st.sampled_from(sorted(NORMALIZERS))),
        "dtype": draw(st.sampled_from(sorted(FLOATS))),
        "window": window,
        "block_size": draw(st.sampled_from([None, None, 2, 5])),
        "causal": draw(st.booleans()),
        "garbage": draw(st.sampled_from([np.nan, np.inf, 6e4, 0.0])),
        "query": rng.normal(size=(batch, rows, width)).astype("float32"),
        "value": rng.normal(size=(batch, length, width)).astype("float32"),
        "query_mask": mask(batch, rows),
        "value_mask": mask(batch, length),
        "attention_mask": mask(batch, rows, length),
    }


def seen(p):
    """Returns which keys each query sees, `(B, Tq, Tv)`."""
    (batch, rows), length = p["query"].shape[:2], p["value"].shape[1]
    mask = np.ones((batch, rows, length), bool)
    if p["query_mask"] is not None:
        mask &= p["query_mask"][:, :, None]
    if p["value_mask"] is not None:
        mask &= p["value_mask"][:, None, :]
    if p["attention_mask"] is not None:
        mask &= p["attention_mask"]
    i, j = np.arange(rows)[:, None], np.arange(length)
    if p["causal"]:
        mask &= j <= i
    if p["window"] is not None:
        pair = p["window"] if isinstance(p["window"], tuple) else [p["window"]] * 2
        mask &= (j >= i - pair[0]) & (j <= i + pair[1])
    return mask


@hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@hypothesis.given(problems())
def test_mask_contract(p):
    keras.utils.set_random_seed(0)
    layer = layers.Attention(
        score=p["score"],
        normalizer=p["normalizer"],
        window=p["window"],
        block_size=p["block_size"],
        dtype=p["dtype"],
    )
    options = {n: p[n] for n in ("query_mask", "value_mask", "attention_mask")}
    options["use_causal_mask"] = p["causal"]
    output, weights = to_numpy(
        layer(p["query"], p["value"], **options, return_attention_scores=True)
    )
    mask = seen(p)
    # What is hidden has no weight at all, and an empty row has no output.
    assert (weights[~mask] == 0).all()
    assert (output[~mask.any(-1)] == 0).all()
    assert np.isfinite(output).all()
    assert np.isfinite(weights).all()
    # What is visible shares a weight of 1, or has each its own.
    sums = weights.sum(-1)[mask.any(-1)]
    if p["normalizer"] == "sigmoid":
        assert (weights[mask] >= 0).all()
    else:
        np.testing.assert_allclose(sums, 1, atol=FLOATS[p["dtype"]])
    # What padding holds is nobody's business.
    dirty = {name: p[name].copy() for name in ("query", "value")}
    for name, x in dirty.items():
        if p[f"{name}_mask"] is not None:
            x[~p[f"{name}_mask"]] = p["garbage"]
    plain = to_numpy(layer(dirty["query"], dirty["value"], **options))
    tolerance = FLOATS[p["dtype"]]
    if p["dtype"] == "float32" or p["block_size"] is None:
        np.testing.assert_allclose(plain, output, atol=tolerance, rtol=tolerance)
