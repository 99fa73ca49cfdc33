import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import loss_and_gradients, to_numpy

from attention_zoo import layers
from attention_zoo.layers.core.entmax import entmax, entmax15, sparsemax
from attention_zoo.layers.core.normalizers import (
    NORMALIZERS,
    get_normalizer,
    top_k_softmax,
)

tensor = keras.ops.convert_to_tensor
RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(2, 3, 5, 7)).astype("float32") * 2
MASK = RNG.random((2, 1, 5, 7)) < 0.6
MASK[1, 0, 2] = False

FUNCTIONS = {
    "sparsemax": (sparsemax, 2.0),
    "entmax15": (entmax15, 1.5),
    "entmax-1.2": (lambda s, m=None: entmax(s, 1.2, m), 1.2),
    "entmax-1.5": (lambda s, m=None: entmax(s, 1.5, m), 1.5),
    "entmax-1.9": (lambda s, m=None: entmax(s, 1.9, m), 1.9),
}


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_optimality_conditions(name, mask):
    """p maximises p.s + H(p) over the simplex: with the multiplier tau, positions with
    weight satisfy p = ((a - 1) s - tau)^(1 / (a - 1)), the others (a - 1) s <= tau."""
    function, alpha = FUNCTIONS[name]
    p = to_numpy(function(tensor(SCORES), mask)).astype("float64")
    mask = np.broadcast_to(True if mask is None else mask, SCORES.shape)
    assert (p >= 0).all()
    np.testing.assert_array_equal(p[~mask], 0)
    np.testing.assert_allclose(p.sum(-1), mask.any(-1), atol=1e-5)
    scaled = (alpha - 1) * SCORES.astype("float64")
    for row in np.ndindex(p.shape[:-1]):
        seen = mask[row]
        if not seen.any():
            continue
        taus = scaled[row] - p[row] ** (alpha - 1)
        inside = seen & (p[row] > 1e-6)
        tau = taus[inside].mean()
        np.testing.assert_allclose(taus[inside], tau, atol=1e-4)
        # A weight below 1e-6 stands for a distance of (1e-6)^(a - 1) above tau.
        slack = 1e-6 ** (alpha - 1) + 1e-4
        assert (scaled[row][seen & ~inside] <= tau + slack).all()


def test_known_values():
    """Martins and Astudillo: sparsemax of (t, 0) is ((1 + t) / 2, (1 - t) / 2)."""
    scores = np.array([[0.4, 0.0], [3.0, 0.0]], "float32")
    np.testing.assert_allclose(
        to_numpy(sparsemax(tensor(scores))), [[0.7, 0.3], [1, 0]]
    )
    for function, alpha in FUNCTIONS.values():
        expected = formulas.per_row(
            lambda r, a=alpha: formulas.entmax_row(r, a), SCORES.astype("float64")
        )
        np.testing.assert_allclose(
            to_numpy(function(tensor(SCORES))), expected, atol=2e-6
        )


def test_huge_scores_and_equal_scores():
    scores = np.array([[1e30, -1e30, 1e30], [2.0, 2.0, 2.0]], "float32")
    for name in ("softmax", "sparsemax", "entmax15", "entmax"):
        got = to_numpy(get_normalizer(name)(scores[None]))[0]
        np.testing.assert_allclose(got, [[0.5, 0, 0.5], [1 / 3] * 3], atol=1e-5)


FORMULAS = {
    **formulas.NORMALIZERS,
    "entmax": lambda s: formulas.per_row(lambda r: formulas.entmax_row(r, 1.5), s),
}


@pytest.mark.parametrize("name", ["sparsemax", "entmax15", "entmax", "softmax"])
def test_gradients_against_finite_differences_of_the_formula(name):
    scores = RNG.normal(size=(1, 3, 5))
    outer = np.cos(np.arange(15)).reshape(1, 3, 5)

    def loss(s):
        p = FORMULAS[name](s)
        return (p * outer).sum() + 0.5 * (p**2).sum()

    step, numeric = 1e-6, np.zeros_like(scores)
    for at in np.ndindex(scores.shape):
        moved = np.zeros_like(scores)
        moved[at] = step
        numeric[at] = (loss(scores + moved) - loss(scores - moved)) / (2 * step)
    normalizer = get_normalizer(name)
    inputs = {"scores": scores.astype("float32")}
    normalizer(inputs["scores"])
    _, _, (gradient,) = loss_and_gradients(normalizer, inputs, ("scores",))
    np.testing.assert_allclose(gradient, numeric, atol=2e-4)


def test_learned_alpha_gets_the_gradient_of_finite_differences():
    normalizer = layers.Entmax(num_heads=3)
    inputs = {"scores": SCORES}
    normalizer(SCORES)
    _, (gradient,), _ = loss_and_gradients(normalizer, inputs, ())
    start = np.zeros((3, 1, 1), "float32")
    for head in range(3):
        losses = []
        for sign in (1, -1):
            moved = start.copy()
            moved[head] = sign * 1e-2
            normalizer.alpha_logit.assign(moved)
            losses.append(loss_and_gradients(normalizer, inputs, ())[0])
        numeric = (losses[0] - losses[1]) / 2e-2
        np.testing.assert_allclose(gradient[head, 0, 0], numeric, atol=2e-3)


def test_top_k_keeps_ties_and_ignores_hidden_positions():
    scores = np.array([[5.0, 1.0, 1.0, 0.0]], "float32")
    mask = np.array([[False, True, True, True]])
    got = to_numpy(top_k_softmax(tensor(scores), 2))[0]
    e = np.exp([5.0, 1.0, 1.0])
    np.testing.assert_allclose(got, [*(e / e.sum()), 0], atol=1e-6)
    got = to_numpy(top_k_softmax(tensor(scores), 1, mask))[0]
    np.testing.assert_allclose(got, [0, 0.5, 0.5, 0], atol=1e-6)
    got = to_numpy(top_k_softmax(tensor(scores), 9))[0]
    np.testing.assert_allclose(got.sum(), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["hardmax", "gumbel_softmax"])
def test_choosing_one_position_has_softmax_gradients(name):
    normalizer, soft = get_normalizer(name), get_normalizer("softmax")
    got = to_numpy(normalizer(SCORES))
    np.testing.assert_allclose(got, np.eye(7)[SCORES.argmax(-1)], atol=1e-6)
    inputs = {"scores": SCORES[:1, :1, :1] * 0}
    _, _, (hard_gradient,) = loss_and_gradients(normalizer, inputs, ("scores",))
    assert np.abs(hard_gradient).max() > 0
    assert soft(SCORES) is not None


def test_gumbel_softmax_samples_from_the_softmax():
    """Gumbel-max: the argmax of s + noise is distributed as softmax(s)."""
    row = np.array([1.0, 0.0, -1.0], "float32")
    scores = np.broadcast_to(row, (1, 6007, 3))
    sample = layers.GumbelSoftmax(temperature=0.5, hard=True, seed=3)
    drawn = to_numpy(sample(scores, training=True))
    np.testing.assert_allclose(drawn.sum(-1), 1, atol=1e-6)
    expected = np.exp(row) / np.exp(row).sum()
    np.testing.assert_allclose(drawn.mean((0, 1)), expected, atol=0.025)
    again = to_numpy(sample(scores, training=True))
    assert (again != drawn).any()


@pytest.mark.parametrize("name", sorted(NORMALIZERS))
def test_a_nan_score_is_shown_where_visible_and_silent_where_hidden(name):
    scores = np.array([[[0.3, np.nan, 1.0], [0.3, 2.0, 1.0]]], "float32")
    normalizer = get_normalizer(name)
    assert np.isnan(to_numpy(normalizer(scores))[0, 0]).any()
    assert np.isfinite(to_numpy(normalizer(scores))[0, 1]).all()
    mask = np.array([[[True, False, True]]])
    hidden = to_numpy(normalizer(scores, mask))
    assert np.isfinite(hidden).all()
    np.testing.assert_array_equal(hidden[..., 1], 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: get_normalizer("sparsmax"), "did you mean 'sparsemax'"),
        (lambda: layers.TopK(0), "Received: k=0"),
        (lambda: layers.GumbelSoftmax(0), "above 0. Received: temperature=0"),
        (lambda: layers.Entmax(num_heads=-1), "Received: num_heads=-1"),
        (lambda: layers.Entmax(num_heads=2)(SCORES), r"\(B, num_heads, Tq, Tv\)"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
