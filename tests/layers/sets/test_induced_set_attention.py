import numpy as np
import pytest
from support.check_layer import Case, built_layer, named_weights, to_numpy
from support.set_formulas import mab, mask_of

from attention_zoo.layers import InducedSetAttentionBlock, record_attention


def steps(weights, inputs, masks):
    """Lee et al. 2019, equations 9 and 10."""
    mask = mask_of(inputs, masks)
    x = np.where(mask[..., None], inputs["inputs"], 0)
    points = np.broadcast_to(weights["points"], (len(x), *weights["points"].shape))
    points, reading = mab(points, x, weights, "reading", mask)
    points = np.where(mask.any(axis=1)[:, None, None], points, 0)
    output, writing = mab(x, points, weights, "writing")
    return np.where(mask[..., None], output, 0), reading, writing


CASES = [
    Case(
        name="induced_set_attention_block",
        cls=InducedSetAttentionBlock,
        config={
            "num_heads": 2,
            "num_points": 3,
            "intermediate_dim": 11,
        },
        inputs={"inputs": (2, 7, 5)},
        formula=lambda *args: steps(*args)[0],
        masks=("mask",),
        tolerance=3e-5,
    )
]


def test_both_weights_are_returned_and_recorded():
    layer, fed = built_layer(CASES[0]), CASES[0].draw()
    masks = CASES[0].draw_masks()
    _, (reading, writing) = layer(**fed, **masks, return_attention_scores=True)
    expected = steps(named_weights(layer), fed, masks)[1:]
    np.testing.assert_allclose(to_numpy(reading), expected[0], atol=1e-5)
    np.testing.assert_allclose(to_numpy(writing), expected[1], atol=1e-5)
    with record_attention() as records:
        layer(**fed, **masks)
    np.testing.assert_allclose(records[0].weights, expected[0], atol=1e-5)
    np.testing.assert_allclose(records[1].weights, expected[1], atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="positive integer. Received: num_points=0"):
        InducedSetAttentionBlock(2, num_points=0)
