"""Baselines of scikit-learn, measured in the same run as the model.

Each takes three pairs of raw texts (bytes or strings) and labels: train, validation
and test. The inverse penalty C is picked on validation; test is measured once. NB-SVM,
which may be a teacher too, comes trained, with one C.
"""

import re
import time

import numpy as np

from attention_zoo.recipes.tasks import many_labels
from attention_zoo.recipes.tasks.classification import scores_of

WORDS = {"token_pattern": r"(?u)\b\w+\b", "decode_error": "replace"}
CHARACTERS = {"analyzer": "char", "decode_error": "replace"}
# Thai, Lao, Tibetan, Burmese, Khmer, kana, ideographs: no spaces between words.
UNSPACED = re.compile(
    r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
)


def majority_class(train, validation, test):
    """Returns the metrics of the answer that is most frequent in training."""
    from sklearn.dummy import DummyClassifier

    model = DummyClassifier().fit(train[0], train[1])
    return scores_of(model.predict(test[0]), test[1])


def bag_of_words(train, validation, test):
    """Returns the metrics of a logistic regression on which words a text holds.

    Where words have no spaces between them, characters are in their place.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    options = CHARACTERS if is_unspaced(train[0]) else WORDS
    vectorizer = CountVectorizer(binary=True, min_df=2, **options)
    return _logistic_regression(vectorizer, (0.01, 0.1, 1.0), train, validation, test)


def tfidf(train, validation, test):
    """Returns the metrics of a logistic regression on TF-IDF of words and pairs.

    Where texts have several labels, each label has a regression of its own.

    Where words have no spaces between them, runs of up to three characters are in
    their place.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    ngrams, options = (1, 2), WORDS
    if is_unspaced(train[0]):
        ngrams, options = (1, 3), CHARACTERS
    vectorizer = TfidfVectorizer(
        ngram_range=ngrams, min_df=2, sublinear_tf=True, **options
    )
    costs = (1.0, 4.0, 16.0, 64.0)
    if np.ndim(train[1]) == 2:  # several labels to a text
        features = _fit(vectorizer, train[0])
        parts = (train, validation, test)
        return many_labels.one_against_rest(vectorizer, features, costs, *parts)
    return _logistic_regression(vectorizer, costs, train, validation, test)


def is_unspaced(texts, sample=200):
    """Returns whether most letters of texts are of scripts without spaces."""
    text = " ".join(
        t.decode("utf-8", "replace") if isinstance(t, bytes) else t
        for t in texts[:: max(1, len(texts) // sample)]
    )
    letters = sum(c.isalpha() for c in text)
    return 2 * len(UNSPACED.findall(text)) > letters


def nb_svm(model, words):
    """Returns the metrics of a trained `NaiveBayesLinear`.

    Args:
        model: The trained model.
        words: Function from a split to its standardised texts and labels.
    """
    found = {}
    for split in ("validation", "test"):
        texts, labels = words(split)
        found[split] = scores_of(model.probabilities(texts).argmax(axis=-1), labels)
    return {
        **found["test"],
        "validation_accuracy": found["validation"]["accuracy"],
        "C": model.cost,
        "features": model.features,
    }


def _fit(vectorizer, texts):
    """Returns what a vectorizer makes of the texts that it learns from."""
    try:
        return vectorizer.fit_transform(texts)
    except ValueError:  # no word occurs twice
        return vectorizer.set_params(min_df=1).fit_transform(texts)


def _logistic_regression(vectorizer, costs, train, validation, test):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    start = time.monotonic()
    features = _fit(vectorizer, train[0])
    held_out = vectorizer.transform(validation[0])
    models = [
        LogisticRegression(C=cost, solver="liblinear", random_state=0) for cost in costs
    ]
    if len({*train[1]}) > 2:
        models = [OneVsRestClassifier(model) for model in models]
    scores = [
        float(model.fit(features, train[1]).score(held_out, validation[1]))
        for model in models
    ]
    best = scores.index(max(scores))
    return {
        **scores_of(models[best].predict(vectorizer.transform(test[0])), test[1]),
        "validation_accuracy": scores[best],
        "C": costs[best],
        "features": len(vectorizer.vocabulary_),
        "seconds": round(time.monotonic() - start, 1),
    }
