"""Word vectors from texts without labels: counts, positive PMI, truncated SVD.

Levy and Goldberg 2014, https://papers.nips.cc/paper/5477; with the context
distribution smoothed and the singular values halved as in Levy et al. 2015,
https://aclanthology.org/Q15-1016.
"""

import numpy as np


def word_vectors(rows, vocabulary_size, dimensions, window=5, seed=0):
    """Returns a vector for each token id, from the company that the word keeps.

    Args:
        rows: List of integer arrays, the token ids of one text each; ids 0 and 1,
            padding and unknown words, keep no company.
        vocabulary_size: Number of token ids.
        dimensions: Length of a vector.
        window: Farthest word that counts as company; nearer ones count for more.
        seed: Integer for the randomised SVD.

    Returns:
        Float32 array `(vocabulary_size, dimensions)` with a standard deviation of 1.
    """
    from sklearn.decomposition import TruncatedSVD

    pmi = positive_pmi(cooccurrences(rows, vocabulary_size, window))
    svd = TruncatedSVD(dimensions, n_iter=3, random_state=seed)
    # fit_transform gives U S; with S to the power of 1/2 rare directions weigh more.
    vectors = svd.fit_transform(pmi) / np.sqrt(np.maximum(svd.singular_values_, 1e-9))
    return (vectors / max(vectors.std(), 1e-9)).astype("float32")


def cooccurrences(rows, vocabulary_size, window):
    """Returns the sparse symmetric matrix of how often two words stand together.

    Words `d` apart count `(window + 1 - d) / window`.
    """
    from scipy import sparse

    shape = (vocabulary_size, vocabulary_size)
    gap = np.zeros(window, dtype="int64")  # keeps the texts apart
    stream = np.concatenate([part for row in rows for part in (row, gap)])
    total = sparse.csr_matrix(shape, dtype="float32")
    for distance in range(1, window + 1):
        left, right = stream[:-distance], stream[distance:]
        kept = (left > 1) & (right > 1)
        pairs = left[kept] * vocabulary_size + right[kept]
        pairs, counts = np.unique(pairs, return_counts=True)
        counts = counts.astype("float32") * (window + 1 - distance) / window
        where = (pairs // vocabulary_size, pairs % vocabulary_size)
        total = total + sparse.csr_matrix((counts, where), shape=shape)
    return total + total.T


def positive_pmi(counts, smoothing=0.75):
    """Returns `max(0, log(p(w, c) / (p(w) p(c)^smoothing)))` of sparse counts."""
    from scipy import sparse

    of_word = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1e-9)
    of_context = of_word**smoothing / (of_word**smoothing).sum()
    counts = counts.tocoo()
    pmi = np.log(counts.data / (of_word[counts.row] * of_context[counts.col]))
    kept = pmi > 0
    where = (counts.row[kept], counts.col[kept])
    return sparse.csr_matrix((pmi[kept], where), shape=counts.shape)
