import keras
import numpy as np
import pytest
from support.check_layer import shake, to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, softmax

from attention_zoo import layers


def formula(recurrence):
    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        batch, height, width, _ = x.shape
        for _ in range(recurrence):
            query, key = dense(x, weights, "query"), dense(x, weights, "key")
            value = dense(x, weights, "value")
            attention = np.zeros((batch, height, width, height + width))
            result = np.zeros(x.shape)
            for b, h, w in np.ndindex(batch, height, width):
                others = [g for g in range(height) if g != h]
                cross = [(g, w) for g in others] + [(h, v) for v in range(width)]
                places = [*others, *range(height, height + width)]
                scores = np.array([query[b, h, w] @ key[b, g, v] for g, v in cross])
                attention[b, h, w, places] = softmax(scores, axis=0)
                for place, (g, v) in zip(places, cross, strict=True):
                    result[b, h, w] += attention[b, h, w, place] * value[b, g, v]
            x = x + weights["scale"] * result
        return x, attention

    return compute


CASES = [
    *both_formats(
        "criss_cross", layers.CrissCross, {"ratio": 3}, formula(2), scores=(2, 7, 5, 12)
    ),
    *both_formats(
        "criss_cross-once",
        layers.CrissCross,
        {"ratio": 5, "recurrence": 1},
        formula(1),
        scores=(2, 7, 5, 12),
    ),
]


@pytest.mark.parametrize(("recurrence", "everywhere"), [(1, False), (2, True)])
def test_two_rounds_see_the_whole_map(recurrence, everywhere):
    keras.utils.set_random_seed(0)  # with some weights a change is too small to see
    layer = layers.CrissCross(ratio=2, recurrence=recurrence)
    x = np.random.default_rng(0).normal(size=(1, 5, 7, 3)).astype("float32")
    layer(x)
    shake(layer)
    moved = x.copy()
    moved[0, 4, 6] += 3.0
    change = np.abs(to_numpy(layer(moved)) - to_numpy(layer(x))).max(axis=-1)[0]
    assert (change > 0).all() == everywhere
    assert (change[4] > 0).all()
    assert (change[:, 6] > 0).all()


def test_errors():
    with pytest.raises(ValueError, match="positive integer.*recurrence=0"):
        layers.CrissCross(recurrence=0)
    with pytest.raises(ValueError, match="`CrissCross` has too few channels"):
        layers.CrissCross(ratio=8)(np.zeros((2, 3, 3, 7)))
    with pytest.raises(ValueError, match="of rank 4"):
        layers.CrissCross()(np.zeros((2, 5, 16)))
