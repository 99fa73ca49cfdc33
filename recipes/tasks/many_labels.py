"""Texts with several labels each: loss, measures, baselines and answers."""

import keras
import numpy as np

THRESHOLD = 0.5  # probability from which on a label is given


def hot(rows, count):
    """Returns numbers of labels as an int8 array `(N, count)` of 0 and 1.

    Args:
        rows: List of integer arrays, the labels of one text each; may be empty.
        count: Integer, how many labels there are.
    """
    result = np.zeros((len(rows), count), "int8")
    for target, row in zip(result, rows, strict=True):
        target[np.asarray(row, "int64")] = 1
    return result


def metrics():
    """Returns the metrics of an epoch."""
    return [keras.metrics.F1Score("macro", threshold=THRESHOLD, name="macro_f1")]


def score(logs):
    """Returns what picks the epoch and the seed; the greatest tuple wins."""
    return (logs["val_macro_f1"], -logs["val_loss"])


def scores_of(answers, labels):
    """Returns macro F1, micro F1 and subset accuracy, a dict.

    Args:
        answers: Array `(N, C)` of 0 and 1, the labels that were given.
        labels: Array `(N, C)` of 0 and 1, the right ones.

    Returns:
        Dict of `macro_f1`, the mean over the labels that occur of
        `2 * hits / (given + right)` of a label; `micro_f1`, the same of all labels
        together; and `subset_accuracy`, the share of the texts whose labels are all
        right.
    """
    answers, labels = np.asarray(answers) > 0, np.asarray(labels) > 0
    hits = (answers & labels).sum(axis=0)
    counts = answers.sum(axis=0) + labels.sum(axis=0)
    occur = counts > 0
    return {
        "macro_f1": float(
            (2 * hits[occur] / counts[occur]).sum() / max(1, occur.sum())
        ),
        "micro_f1": float(2 * hits.sum() / max(1, counts.sum())),
        "subset_accuracy": float((answers == labels).all(axis=-1).mean()),
    }


def names_above(row, names):
    """Returns the names of the labels that a row of probabilities gives."""
    return [name for name, p in zip(names, row, strict=True) if p > THRESHOLD]


# === Baselines ===


def most_frequent(train, validation, test):
    """Returns the metrics of the answer that gives to all texts the frequent labels.

    Frequent is a label that more than half of the training texts have.
    """
    frequent = train[1].mean(axis=0) > THRESHOLD
    return scores_of(np.tile(frequent, (len(test[0]), 1)), test[1])


def one_against_rest(vectorizer, features, costs, train, validation, test):
    """Returns the metrics of a logistic regression for each label.

    Args:
        vectorizer: The vectorizer of scikit-learn, fitted.
        features: What it makes of the training texts.
        costs: Inverse penalties; the best on validation by macro F1 is taken.
        train: Texts and labels `(N, C)`.
        validation: The same.
        test: The same.
    """
    from sklearn.linear_model import LogisticRegression

    inputs = vectorizer.transform([*validation[0], *test[0]])
    count = len(validation[0])

    def answers(cost):
        columns = []
        for right in train[1].T:
            if len({*right.tolist()}) < 2:  # all texts have it, or none
                columns.append(np.full(inputs.shape[0], right[0]))
                continue
            model = LogisticRegression(C=cost, solver="liblinear", random_state=0)
            columns.append(model.fit(features, right).predict(inputs))
        return np.stack(columns, axis=-1)

    given = [answers(cost) for cost in costs]
    found = [scores_of(rows[:count], validation[1])["macro_f1"] for rows in given]
    best = found.index(max(found))
    return {
        **scores_of(given[best][count:], test[1]),
        "validation_macro_f1": found[best],
        "C": costs[best],
        "features": len(vectorizer.vocabulary_),
    }
