import itertools

import keras
import numpy as np
import pytest
from support.check_layer import Case, built_layer, named_weights, run, to_numpy

from attention_zoo.layers import ConditionalRandomField

rng = np.random.default_rng(0)


def path_score(weights, x, path):
    """Lample et al. 2016, equation of section 2.2."""
    score = weights["start"][path[0]] + weights["end"][path[-1]]
    score += sum(x[t, tag] for t, tag in enumerate(path))
    return score + sum(
        weights["transitions"][a, b] for a, b in itertools.pairwise(path)
    )


def paths_of(weights, x):
    """Returns all paths of a row `(T, N)` and their scores."""
    paths = list(itertools.product(range(x.shape[1]), repeat=len(x)))
    return np.array(paths), np.array([path_score(weights, x, p) for p in paths])


def marginals(weights, inputs, masks):
    """The probability of each tag: a sum over all paths."""
    x = inputs["inputs"]
    mask = masks.get("mask", np.ones(x.shape[:2], bool))
    output = np.zeros(x.shape)
    for b in range(len(x)):
        places = np.flatnonzero(mask[b])
        if not len(places):
            continue
        paths, scores = paths_of(weights, x[b, places])
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        for i, t in enumerate(places):
            for tag in range(x.shape[2]):
                output[b, t, tag] = shares[paths[:, i] == tag].sum()
    return output


CASES = [
    Case(
        name="conditional_random_field",
        cls=ConditionalRandomField,
        config={},
        inputs={"inputs": (2, 5, 3)},
        formula=marginals,
        masks=("mask",),
    )
]
MASK = np.array([[False, True, True, False, True], [True] * 5])


def test_the_best_path_is_the_best_of_all():
    layer = built_layer(CASES[0])
    weights, x = named_weights(layer), 2 * rng.normal(size=(2, 5, 3))
    fed = {"inputs": x.astype("float32"), "mask": MASK}
    probabilities, tags = run(layer, fed, return_tags=True)
    for b in range(2):
        paths, scores = paths_of(weights, x[b, MASK[b]])
        np.testing.assert_array_equal(tags[b, MASK[b]], paths[scores.argmax()])
    np.testing.assert_array_equal(tags[~MASK], 0)
    np.testing.assert_allclose(probabilities[MASK].sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(to_numpy(layer.decode(**fed)), tags)


def test_the_likelihood_of_tags_and_of_tags_that_are_not_known():
    layer = built_layer(CASES[0])
    weights, x = named_weights(layer), rng.normal(size=(2, 5, 3))
    tags = rng.integers(0, 3, (2, 5))
    tags[1, 2] = -1
    got = to_numpy(layer.log_likelihood(x.astype("float32"), tags, MASK))
    for b in range(2):
        paths, scores = paths_of(weights, x[b, MASK[b]])
        shares = np.exp(scores) / np.exp(scores).sum()
        known = tags[b, MASK[b]]
        fits = ((paths == known) | (known < 0)).all(axis=1)
        np.testing.assert_allclose(got[b], np.log(shares[fits].sum()), atol=1e-4)


def test_an_empty_row_has_no_loss():
    layer = built_layer(CASES[0])
    x, tags = np.ones((2, 5, 3), "float32"), np.zeros((2, 5), "int32")
    mask = np.array([[True] * 5, [False] * 5])
    got = to_numpy(layer.log_likelihood(x, tags, mask))
    assert got[1] == 0
    assert got[0] < 0


def test_training_learns_what_follows_what():
    """Scores say nothing: that tags alternate is in the transitions alone."""
    keras.utils.set_random_seed(1)
    x = np.zeros((8, 6, 2), "float32")
    tags = (np.arange(6)[None] + np.arange(8)[:, None]) % 2
    scores, given = keras.Input((6, 2)), keras.Input((6,), dtype="int32")
    layer = ConditionalRandomField()
    model = keras.Model([scores, given], layer(scores, given))
    model.compile(keras.optimizers.SGD(0.5))
    history = model.fit([x, tags], epochs=12, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    transitions = named_weights(layer)["transitions"]
    assert min(transitions[0, 1], transitions[1, 0]) > transitions.diagonal().max()
    path = to_numpy(layer.decode(x[:1]))[0]
    assert set(np.abs(np.diff(path))) == {1}


def test_errors():
    layer = ConditionalRandomField()
    x = np.ones((2, 5, 3), "float32")
    with pytest.raises(ValueError, match="`inputs` of rank 3"):
        layer(x[0])
    with pytest.raises(ValueError, match="`tags` of an integer dtype"):
        layer.log_likelihood(x, np.ones((2, 5), "float32"))
    with pytest.raises(ValueError, match="`tags` of rank 2"):
        layer.log_likelihood(x, np.ones((2, 5, 3), "int32"))
