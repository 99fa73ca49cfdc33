"""Baselines of scikit-learn, measured in the same run as the model.

Each takes three pairs of raw texts (bytes or strings) and labels: train, validation
and test. The inverse penalty C is picked on validation; test is measured once.
"""

import time

TOKENS = {"token_pattern": r"(?u)\b\w+\b", "decode_error": "replace"}


def bag_of_words(train, validation, test):
    """Returns the metrics of a logistic regression on which words a text holds."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(binary=True, min_df=2, **TOKENS)
    return _logistic_regression(vectorizer, (0.01, 0.1, 1.0), train, validation, test)


def tfidf(train, validation, test):
    """Returns the metrics of a logistic regression on TF-IDF of words and pairs."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, **TOKENS
    )
    costs = (1.0, 4.0, 16.0, 64.0)
    return _logistic_regression(vectorizer, costs, train, validation, test)


def _logistic_regression(vectorizer, costs, train, validation, test):
    from sklearn.linear_model import LogisticRegression

    start = time.monotonic()
    features = vectorizer.fit_transform(train[0])
    held_out = vectorizer.transform(validation[0])
    models = [
        LogisticRegression(C=cost, solver="liblinear", random_state=0) for cost in costs
    ]
    scores = [
        float(model.fit(features, train[1]).score(held_out, validation[1]))
        for model in models
    ]
    best = scores.index(max(scores))
    accuracy = models[best].score(vectorizer.transform(test[0]), test[1])
    return {
        "accuracy": float(accuracy),
        "validation_accuracy": scores[best],
        "C": costs[best],
        "features": len(vectorizer.vocabulary_),
        "seconds": round(time.monotonic() - start, 1),
    }
