import numpy as np
import pytest
from support.check_layer import to_numpy
from support.image_cases import both_formats, one_format
from support.image_heads import self_attention

from attention_zoo import layers


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    batch, frames, height, width, _ = x.shape
    mask = masks.get("mask", np.ones((batch, frames), bool))
    output = np.zeros(x.shape)
    scores = np.zeros((batch, height, width, 3, frames, frames))
    for b, h, w in np.ndindex(batch, height, width):
        pair = mask[b, :, None] & mask[b, None, :]
        output[b, :, h, w], scores[b, h, w] = self_attention(
            x[b, :, h, w], weights, "heads/", 3, visible=pair
        )
        output[b, ~mask[b], h, w] = 0
    return output, scores


OPTIONS = {"shape": (2, 5, 3, 2, 7), "scores": (2, 3, 2, 3, 5, 5)}
CASES = [
    *both_formats(
        "temporal_attention",
        layers.TemporalAttention,
        {"num_heads": 3},
        formula,
        **OPTIONS,
    ),
    one_format(
        "temporal_attention-masked",
        layers.TemporalAttention,
        {"num_heads": 3},
        formula,
        masks=("mask",),
        **OPTIONS,
    ),
]


def test_the_mask_of_a_channels_first_video_is_over_its_frames():
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 2, 8)).astype("float32")
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    last = layers.TemporalAttention(data_format="channels_last")
    first = layers.TemporalAttention(data_format="channels_first")
    expected = to_numpy(last(x, mask=mask))
    assert (expected[0, 3:] == 0).all()
    first.build((2, 8, 5, 3, 2))
    first.set_weights(last.get_weights())
    got = to_numpy(first(np.moveaxis(x, -1, 1), mask=mask))
    np.testing.assert_allclose(np.moveaxis(got, 1, -1), expected, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="positive integer.*num_heads=0"):
        layers.TemporalAttention(num_heads=0)
    with pytest.raises(
        ValueError, match="`TemporalAttention` has too few channels for"
    ):
        layers.TemporalAttention(num_heads=8)(np.zeros((2, 3, 3, 3, 7)))
    x, mask = np.zeros((2, 5, 3, 3, 8)), np.ones((2, 3), bool)
    with pytest.raises(ValueError, match=r"`mask` of shape \(2, 5\)"):
        layers.TemporalAttention()(x, mask=mask)
    with pytest.raises(ValueError, match="of rank 5"):
        layers.TemporalAttention()(np.zeros((2, 3, 3, 16)))
