"""A linear model of words, pairs and triples, weighted by naive Bayes.

Wang and Manning 2012, https://aclanthology.org/P12-2018: whether an n-gram is there,
times the logarithm of how much more often a class has it; a linear classifier on that.
"""

import warnings

import numpy as np


class NaiveBayesLinear:
    """NB-SVM with logistic loss, so that it gives probabilities.

    Args:
        cost: Float, the inverse of the penalty. Defaults to `1.0`.
        ngrams: Integer, the longest n-gram. Defaults to `3`.
        smoothing: Float, added to each count. Defaults to `1.0`.

    Attributes:
        features: How many n-grams there are; those of one text alone do not count.
    """

    def __init__(self, cost=1.0, ngrams=3, smoothing=1.0):
        self.cost, self.ngrams, self.smoothing = cost, ngrams, smoothing
        self.features = 0

    def fit(self, texts, labels):
        """Learns from texts, words with spaces between them, and integer labels."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression

        self._vectorizer = CountVectorizer(
            ngram_range=(1, self.ngrams),
            min_df=2,
            binary=True,
            token_pattern=r"\S+",
            lowercase=False,
            dtype=np.float32,
        )
        try:
            counts = self._vectorizer.fit_transform(texts)
        except ValueError:  # no n-gram is in two texts
            counts = self._vectorizer.set_params(min_df=1).fit_transform(texts)
        labels = np.asarray(labels)
        self.features = counts.shape[1]
        classes = int(labels.max()) + 1
        self._models = []
        for label in range(classes) if classes > 2 else (1,):
            inside = labels == label
            ratio = self._log_ratio(counts, inside)
            model = LogisticRegression(
                C=self.cost, solver="liblinear", dual=True, max_iter=60, random_state=0
            )
            with warnings.catch_warnings():  # 60 steps are enough for the order
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(_scaled(counts, ratio), inside)
            self._models.append((ratio, model))
        return self

    def _log_ratio(self, counts, inside):
        """Returns `log p(n-gram | class) / p(n-gram | other classes)`."""
        own, others = (
            self.smoothing + np.asarray(counts[rows].sum(axis=0)).ravel()
            for rows in (inside, ~inside)
        )
        return np.log((own / own.sum()) / (others / others.sum())).astype("float32")

    def probabilities(self, texts):
        """Returns the probabilities `(B, classes)` of texts."""
        counts = self._vectorizer.transform(texts)
        columns = [
            model.predict_proba(_scaled(counts, ratio))[:, 1]
            for ratio, model in self._models
        ]
        if len(columns) == 1:
            return np.stack([1 - columns[0], columns[0]], axis=-1)
        found = np.stack(columns, axis=-1)
        return found / found.sum(axis=-1, keepdims=True)


def _scaled(counts, ratio):
    return counts.multiply(ratio).tocsr()
