import numpy as np
import pytest
from support.check_layer import built_layer, named_weights, to_numpy
from support.image_cases import both_formats, one_format
from support.image_formulas import layer_norm
from support.image_heads import self_attention

from attention_zoo import layers


def attend(weights, x, mask):
    """Returns the output and the weights over time and space."""
    batch, frames, height, width, channels = x.shape
    x = np.where(mask[:, :, None, None, None], x, 0.0)
    y, change = layer_norm(x, weights, "time_norm"), np.zeros(x.shape)
    time = np.zeros((batch, height, width, 3, frames, frames))
    for b, h, w in np.ndindex(batch, height, width):
        pair = mask[b, :, None] & mask[b, None, :]
        change[b, :, h, w], time[b, h, w] = self_attention(
            y[b, :, h, w], weights, "time/", 3, visible=pair
        )
    x = x + change
    y, change = layer_norm(x, weights, "space_norm"), np.zeros(x.shape)
    count = height * width
    space = np.zeros((batch, frames, 3, count, count))
    for b, t in np.ndindex(batch, frames):
        pair = np.full((count, count), mask[b, t])
        result, space[b, t] = self_attention(
            y[b, t].reshape(count, channels), weights, "space/", 3, visible=pair
        )
        change[b, t] = result.reshape(height, width, channels)
    output = np.where(mask[:, :, None, None, None], x + change, 0.0)
    return output, time, space


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    return attend(weights, x, masks.get("mask", np.ones(x.shape[:2], bool)))[0]


SHAPE = (2, 5, 3, 2, 7)
CASES = [
    *both_formats(
        "divided_space_time_attention",
        layers.DividedSpaceTimeAttention,
        {"num_heads": 3},
        formula,
        SHAPE,
    ),
    one_format(
        "divided_space_time_attention-masked",
        layers.DividedSpaceTimeAttention,
        {"num_heads": 3},
        formula,
        SHAPE,
        masks=("mask",),
    ),
]


def test_the_weights_are_returned_and_recorded():
    case = CASES[-1]
    layer, inputs, masks = built_layer(case), case.draw(), case.draw_masks()
    with layers.record_attention() as records:
        _, scores = layer(**inputs, **masks, return_attention_scores=True)
    assert [r.layer_name for r in records] == ["time", "space"]
    x = inputs["inputs"].astype("float64")
    expected = attend(named_weights(layer), x, masks["mask"])[1:]
    for got, record, values in zip(scores, records, expected, strict=True):
        np.testing.assert_allclose(to_numpy(got), values, atol=1e-5)
        np.testing.assert_allclose(record.weights, values, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="positive integer.*num_heads=0"):
        layers.DividedSpaceTimeAttention(num_heads=0)
    with pytest.raises(ValueError, match="too few channels for its heads"):
        layers.DividedSpaceTimeAttention(num_heads=8)(np.zeros((2, 3, 3, 3, 7)))
    with pytest.raises(ValueError, match="of rank 5"):
        layers.DividedSpaceTimeAttention()(np.zeros((2, 3, 3, 16)))
