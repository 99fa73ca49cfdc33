import numpy as np
import pytest
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo.layers import TemporalPatternAttention


def temporal_pattern(weights, inputs, masks):
    """Shih et al. 2019, equations 5 to 8: loops over features and filters."""
    x = inputs["inputs"]
    mask = masks.get("mask", np.ones(x.shape[:2], bool))
    window, count = weights["filters"].shape
    output, a = np.zeros((len(x), x.shape[2])), np.zeros((len(x), x.shape[2]))
    for b in np.flatnonzero(mask.any(axis=1)):
        *before, last = x[b, mask[b]]
        patterns = np.zeros((x.shape[2], count))
        for i in range(x.shape[2]):
            for j in range(count):
                for age, state in enumerate(before[::-1][:window]):
                    patterns[i, j] += state[i] * weights["filters"][age, j]
        scores = patterns @ weights["score_kernel"] @ last
        a[b] = 1 / (1 + np.exp(-scores))
        context = (a[b][:, None] * patterns).sum(0)
        output[b] = last @ weights["state_kernel"] + context @ weights["context_kernel"]
    return output, a


CASES = [
    Case(
        name="temporal_pattern_attention",
        cls=TemporalPatternAttention,
        config={"window": 7, "num_filters": 3},
        inputs={"inputs": (2, 11, 5)},
        formula=temporal_pattern,
        masks=("mask",),
        scores=(2, 5),
    ),
    Case(
        name="temporal_pattern_attention-long_window",
        cls=TemporalPatternAttention,
        config={"window": 13, "num_filters": 3},
        inputs={"inputs": (2, 7, 5)},
        formula=temporal_pattern,
        masks=("mask",),
        scores=(2, 5),
    ),
]


def test_what_lies_before_the_window_is_not_seen():
    layer, x = built_layer(CASES[0]), CASES[0].draw()["inputs"]
    far = x.copy()
    far[:, :3] = 9.0
    np.testing.assert_array_equal(to_numpy(layer(far)), to_numpy(layer(x)))
    near = x.copy()
    near[:, 3] = 9.0
    assert np.abs(to_numpy(layer(near)) - to_numpy(layer(x))).max() > 1e-3


def test_errors():
    with pytest.raises(ValueError, match="Received: window=0"):
        TemporalPatternAttention(0)
    with pytest.raises(ValueError, match="Received: num_filters=2.5"):
        TemporalPatternAttention(3, num_filters=2.5)
    with pytest.raises(ValueError, match="rank 3. Received"):
        TemporalPatternAttention(3)(np.zeros((2, 3), "float32"))
    with pytest.raises(ValueError, match="expects `mask` of shape"):
        TemporalPatternAttention(3)(
            np.zeros((2, 3, 5), "float32"), mask=np.ones((2, 2), bool)
        )
