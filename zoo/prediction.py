"""Predictions for Python's own strings, which `keras.Model.predict` does not take."""

import keras
import numpy as np


def predict(model, texts, batch_size=256):
    """Returns the outputs of a model that takes raw texts, for a list of strings.

    `keras.Model.predict` takes tensors of strings alone: a list of `str` or an array of
    them ends in an error there. Texts of like length are computed together.

    Args:
        model: `keras.Model`. A model of raw texts, from `attention_zoo.load`.
        texts: List or array of strings, `B` of them, or one string.
        batch_size: Integer, how many texts are computed at once. Defaults to `256`.

    Returns:
        A NumPy array of the outputs in the order of the texts, `(B, ...)`; for one
        string the output of that text, `(...)`.

    Raises:
        ValueError: If a text is not a string, or if there is none.

    Example:

    ```python
    model = attention_zoo.load("attention_lstm_imdb")
    probabilities = attention_zoo.predict(model, ["what a film", "so dull"])
    assert probabilities.shape == (2, 2)
    ```
    """
    if isinstance(texts, (str, bytes)):
        return predict(model, [texts], batch_size)[0]
    texts = list(texts)
    wrong = [text for text in texts if not isinstance(text, (str, bytes))]
    if wrong or not texts:
        raise ValueError(
            "Invalid value for argument `texts`. Expected a list of strings. "
            f"Received: {f'{wrong[0]!r} in it' if wrong else 'an empty list'}"
        )
    order = np.argsort([len(text) for text in texts], kind="stable")
    parts = np.split(order, range(batch_size, len(texts), batch_size))
    outputs: list = [None] * len(texts)
    for rows in parts:
        batch = keras.ops.convert_to_tensor([texts[i] for i in rows])
        found = keras.ops.convert_to_numpy(model(batch, training=False))
        for i, output in zip(rows, found, strict=True):
            outputs[i] = output
    return np.stack(outputs)
