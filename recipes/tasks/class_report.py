"""What `evaluate` prints of a classifier on own data: by class, what is confused."""

import numpy as np

MOST_CLASSES = 12  # whose confusion is printed as a matrix
MOST_PAIRS = 10  # confused classes that are printed where there are more


def by_class(answers, labels):
    """Returns precision, recall, F1 and number of examples of each class.

    Args:
        answers: Array `(N, C)` of 0 and 1, the classes that were answered.
        labels: Array `(N, C)` of 0 and 1, the right ones.

    Returns:
        List of tuples, one for each class; a figure of nothing is NaN.
    """
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(labels, answers, zero_division=np.nan)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def confusion(answers, labels, count):
    """Returns how often each class `(row)` was answered as each `(column)`.

    Args:
        answers: Integer array `(N,)`.
        labels: Integer array `(N,)`.
        count: Integer, how many classes there are.
    """
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(labels, answers, labels=range(count))


def table_lines(rows, names):
    """Yields the lines of the table by class."""
    width = max(5, *map(len, names))
    yield f"{'class':{width}}  precision  recall      F1  examples"
    for name, (precision, recall, f1, count) in zip(names, rows, strict=True):
        figures = [f"{v:.4f}" if v == v else "-" for v in (precision, recall, f1)]
        yield (
            f"{name:{width}}  {figures[0]:>9}  {figures[1]:>6}  {figures[2]:>6}  "
            f"{count:>8,}"
        )


def confusion_lines(matrix, names):
    """Yields the lines of a confusion matrix; of a large one, its greatest entries."""
    if len(names) > MOST_CLASSES:
        wrong = matrix - np.diag(np.diag(matrix))
        order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
        yield "most often confused:"
        for right, answer in zip(*np.unravel_index(order, wrong.shape), strict=True):
            if wrong[right, answer]:
                count = wrong[right, answer]
                yield f"{names[right]} answered as {names[answer]}  {count:,}"
        return
    width = max(map(len, names))
    cells = [
        max(len(n), len(f"{c.max():,}")) for n, c in zip(names, matrix.T, strict=True)
    ]
    yield "confusion, a row for each right class and a column for each answer:"
    yield " " * width + "".join(
        f"  {n:>{w}}" for n, w in zip(names, cells, strict=True)
    )
    for name, row in zip(names, matrix, strict=True):
        yield f"{name:{width}}" + "".join(
            f"  {value:>{w},}" for value, w in zip(row, cells, strict=True)
        )
