import numpy as np

from attention_zoo.recipes.tasks.text.word_vectors import (
    cooccurrences,
    positive_pmi,
    word_vectors,
)


def test_cooccurrences_by_hand():
    rows = [np.array([2, 3, 1, 4]), np.array([4, 2])]
    got = cooccurrences(rows, 5, window=2).toarray()
    expected = np.zeros((5, 5))
    expected[2, 3] = expected[3, 2] = 1  # neighbours
    expected[3, 4] = expected[4, 3] = 0.5  # two apart, over an unknown word
    expected[4, 2] = expected[2, 4] = 1  # not over the end of the first text
    np.testing.assert_allclose(got, expected)


def test_positive_pmi_against_the_formula():
    from scipy import sparse

    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, (7, 7)).astype("float64")
    counts = counts + counts.T
    pair = counts / counts.sum()
    word = counts.sum(1) / counts.sum()
    context = word**0.75 / (word**0.75).sum()
    with np.errstate(divide="ignore"):
        expected = np.maximum(np.log(pair / np.outer(word, context)), 0)
    got = positive_pmi(sparse.csr_matrix(counts)).toarray()
    np.testing.assert_allclose(got, expected, atol=1e-9)


def test_words_in_like_company_have_like_vectors():
    rng = np.random.default_rng(0)
    # 2 and 3 stand beside 4 to 7, 8 and 9 beside 10 to 13.
    rows = [
        np.stack([rng.choice(heads, 40), rng.choice(others, 40)], 1).ravel()
        for heads, others in [([2, 3], [4, 5, 6, 7]), ([8, 9], [10, 11, 12, 13])] * 5
    ]
    vectors = word_vectors(rows, 14, dimensions=4, window=1)
    assert vectors.shape == (14, 4)
    assert vectors.dtype == "float32"
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    assert unit[2] @ unit[3] > 0.9
    assert unit[8] @ unit[9] > 0.9
    assert abs(unit[2] @ unit[8]) < 0.3
    np.testing.assert_allclose(vectors[:2], 0, atol=1e-6)
