"""Baselines of scikit-learn on plain pixels, measured in the same run as the model.

Each takes three pairs of raw images and labels: train, validation and test. Its one
parameter is picked on validation; test is measured once.
"""

import time
import warnings


def logistic(train, validation, test, costs=(1e-3, 1e-2, 1e-1)):
    """Returns the metrics of a logistic regression on standardised pixels.

    The search ends after 200 iterations, converged or not.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    models = {
        cost: make_pipeline(StandardScaler(), LogisticRegression(C=cost, max_iter=200))
        for cost in costs
    }
    return _pick("C", models, train, validation, test)


def neighbours(train, validation, test, counts=(1, 3, 5, 9)):
    """Returns the metrics of the nearest neighbours in 50 principal components."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    components = min(50, _flat(train[0]).shape[1])
    models = {
        count: make_pipeline(
            PCA(components, random_state=0),
            KNeighborsClassifier(count, weights="distance", algorithm="brute"),
        )
        for count in counts
    }
    return _pick("neighbours", models, train, validation, test)


def _pick(parameter, models, train, validation, test):
    """Returns the metrics of the model that scores best on validation."""
    from sklearn.exceptions import ConvergenceWarning

    start = time.monotonic()
    pixels, labels = _flat(train[0]), train[1]
    held_out = _flat(validation[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = {
            value: float(model.fit(pixels, labels).score(held_out, validation[1]))
            for value, model in models.items()
        }
    best = max(scores, key=lambda value: scores[value])
    return {
        "accuracy": float(models[best].score(_flat(test[0]), test[1])),
        "validation_accuracy": scores[best],
        parameter: best,
        "seconds": round(time.monotonic() - start, 1),
    }


def _flat(images):
    """Returns images `(N, H, W, C)` as float32 rows `(N, H * W * C)`."""
    return images.reshape(len(images), -1).astype("float32")
