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
    shake,
    to_numpy,
)
from support.series_formulas import join, project

from attention_zoo.layers import (
    DeStationaryAttention,
    DeStationaryFactors,
    create_attention,
)


def factors(weights, x, mask, prefix=""):
    """Liu et al. 2022, equation 5, with projectors that take any length."""
    tau, delta = np.ones(len(x)), np.zeros(x.shape[:2])

    def projector(name, features):
        hidden = features @ weights[f"{prefix}{name}_hidden/kernel"]
        hidden = np.maximum(hidden + weights[f"{prefix}{name}_hidden/bias"], 0)
        return (hidden @ weights[f"{prefix}{name}/kernel"])[..., 0]

    for b in np.flatnonzero(mask.any(axis=1)):
        seen = x[b, mask[b]]
        mean, deviation = seen.mean(0), np.sqrt(seen.var(0) + 1e-5)
        tau[b] = np.exp(projector("tau", np.concatenate([deviation, mean])))
        for t in np.flatnonzero(mask[b]):
            delta[b, t] = projector("delta", np.concatenate([mean, x[b, t]]))
    return tau, delta


def de_stationary(weights, inputs, masks, causal=False):
    """Liu et al. 2022, equation 6."""
    q = inputs["query"]
    v = inputs.get("value", q)
    k = inputs.get("key", v)
    if "value" not in inputs and masks:
        masks = {"mask": masks["query_mask"]}
    mask = formulas.visible(masks, len(q), q.shape[1], v.shape[1])
    if causal:
        mask = mask & np.tri(*mask.shape[1:], dtype=bool)
    there = np.ones(v.shape[:2], bool)
    for name in ("value_mask", "key_mask", "mask"):
        there &= masks.get(name, True)
    if "tau" in inputs or "delta" in inputs:
        tau = inputs["tau"][:, 0] if "tau" in inputs else np.ones(len(q))
        delta = inputs["delta"] if "delta" in inputs else np.zeros(v.shape[:2])
    else:
        tau, delta = factors(weights, v, there, "factors/")
    output = np.zeros(q.shape)
    dense = np.zeros((len(q), 3, q.shape[1], v.shape[1]))
    for b in range(len(q)):
        heads = [
            project(x[b], weights, name)
            for x, name in ((q, "query"), (k, "key"), (v, "value"))
        ]
        scores = tau[b] * heads[0] @ np.swapaxes(heads[1], 1, 2) + delta[b]
        dense[b] = formulas.softmax(scores / np.sqrt(2), mask[b])
        seen = mask[b].any(axis=-1)
        output[b, seen] = join(dense[b] @ heads[2], weights)[seen]
    return output, dense


def causal(weights, inputs, masks):
    return de_stationary(weights, inputs, masks, causal=True)


CONFIG = {"num_heads": 3, "key_dim": 2, "hidden_units": 13}
CASES = [
    Case(
        name="de_stationary_attention",
        cls=DeStationaryAttention,
        config=CONFIG,
        inputs={"query": (2, 11, 5)},
        formula=de_stationary,
        masks=("query_mask",),
        scores=(2, 3, 11, 11),
        tolerance=3e-5,  # an exponential in the scale of the scores
        jumps=True,
    ),
    Case(
        name="de_stationary_attention-cross",
        cls=DeStationaryAttention,
        config={**CONFIG, "use_bias": False},
        inputs={"query": (2, 11, 5), "value": (2, 7, 17), "key": (2, 7, 13)},
        formula=de_stationary,
        masks=("query_mask", "value_mask", "key_mask"),
        scores=(2, 3, 11, 7),
        tolerance=3e-5,
        jumps=True,
    ),
    Case(
        name="de_stationary_attention-given",
        cls=DeStationaryAttention,
        config=CONFIG,
        inputs={
            "query": (2, 11, 5),
            "value": (2, 7, 17),
            "tau": (2, 1),
            "delta": (2, 7),
        },
        formula=de_stationary,
        masks=("query_mask", "value_mask"),
        scores=(2, 3, 11, 7),
    ),
    Case(
        name="de_stationary_attention-causal",
        cls=DeStationaryAttention,
        config=CONFIG,
        inputs={"query": (2, 11, 5), "delta": (2, 11)},
        formula=causal,
        masks=("query_mask",),
        scores=(2, 3, 11, 11),
        call={"use_causal_mask": True},
    ),
]
X = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")


def test_factors_follow_the_formula_and_ignore_padding():
    layer = DeStationaryFactors(13)
    layer(X)
    shake(layer)
    mask = np.arange(7) >= np.array([[3], [0]])
    dirty = np.where(mask[..., None], X, np.nan)
    tau, delta = to_numpy(layer(dirty, mask=mask))
    expected = factors(named_weights(layer), X.astype("float64"), mask)
    np.testing.assert_allclose(tau[:, 0], expected[0], rtol=1e-4)
    np.testing.assert_allclose(delta, expected[1], atol=1e-5)
    assert (delta[~mask] == 0).all()


def test_factors_are_bounded_saved_and_begin_as_none(tmp_path):
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, DeStationaryFactors(13, name="factors")(inputs))
    tau, delta = to_numpy(model(X))
    np.testing.assert_array_equal(tau, np.ones((2, 1)))
    np.testing.assert_array_equal(delta, np.zeros((2, 7)))
    shake(model)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for got, expected in zip(again(X), model(X), strict=True):
        np.testing.assert_allclose(to_numpy(got), to_numpy(expected), atol=1e-6)
    tau, _ = to_numpy(model(1e6 * X))
    assert (np.abs(np.log(tau)) < 10.01).all()


def test_one_series_gives_the_factors_of_a_model_that_trains():
    keras.utils.set_random_seed(0)
    series = keras.Input((None, 5))
    tau, delta = DeStationaryFactors(13)(series)
    x = keras.layers.UnitNormalization(axis=1)(series)
    for _ in range(2):
        x = DeStationaryAttention(num_heads=3)(x, tau=tau, delta=delta)
    model = keras.Model(series, x)
    # By XLA, on TensorFlow, the step takes most of a minute to compile.
    model.compile("adam", "mse", jit_compile=BACKEND == "jax")
    before = [to_numpy(w) for w in model.trainable_weights]
    model.fit(X, X[..., ::-1].copy(), epochs=2, verbose=0)
    moved = [
        np.abs(to_numpy(w) - b).max() > 0
        for w, b in zip(model.trainable_weights, before, strict=True)
    ]
    assert all(moved)


def test_without_factors_it_starts_as_plain_attention():
    layer = create_attention("de_stationary_attention", num_heads=3, key_dim=2)
    got = to_numpy(layer(X))
    weights = named_weights(layer)
    inputs = {"query": X.astype("float64"), "delta": np.zeros((2, 7))}
    np.testing.assert_allclose(got, de_stationary(weights, inputs, {})[0], atol=1e-5)


def test_attention_mask():
    layer = built_layer(CASES[0])
    x = CASES[0].draw()["query"]
    seen = np.random.default_rng(1).random((2, 11, 11)) < 0.4
    _, weights = to_numpy(layer(x, attention_mask=seen, return_attention_scores=True))
    assert (weights[~np.repeat(seen[:, None], 3, axis=1)] == 0).all()


def test_factors_of_a_row_of_padding_may_be_anything():
    layer = built_layer(CASES[2])
    inputs = CASES[2].draw()
    mask = np.ones((2, 7), bool)
    mask[1] = False
    inputs["tau"][1], inputs["delta"][1] = np.nan, np.nan
    output = to_numpy(layer(**inputs, value_mask=mask))
    assert np.isfinite(output).all()
    np.testing.assert_array_equal(output[1], 0)
    _, weights, grads = loss_and_gradients(layer, inputs, ("query",), value_mask=mask)
    assert all(np.isfinite(g).all() for g in [*weights, *grads])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_heads": 0}, "Received: num_heads=0"),
        ({"hidden_units": 0}, "Received: hidden_units=0"),
        ({"dropout": -0.1}, "Received: dropout=-0.1"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        DeStationaryAttention(**config)


def test_errors_of_shapes_and_calls():
    with pytest.raises(ValueError, match="Received: hidden_units=0"):
        DeStationaryFactors(0)
    with pytest.raises(ValueError, match="rank 3. Received"):
        DeStationaryFactors()(X[0])
    with pytest.raises(ValueError, match="expects `tau` of shape"):
        DeStationaryAttention()(X, tau=np.ones(2, "float32"))
    with pytest.raises(ValueError, match="expects `delta` of shape"):
        DeStationaryAttention()(X, delta=np.ones((2, 5), "float32"))
    layer = DeStationaryAttention()
    layer(X, tau=np.ones((2, 1), "float32"))
    with pytest.raises(ValueError, match="learns none of its own"):
        layer(X)
