import numpy as np
import pytest
from support.check_layer import Case, built_layer, to_numpy
from support.set_formulas import mab, mask_of

from attention_zoo.layers import SetAttentionBlock


def sab(weights, inputs, masks):
    """Lee et al. 2019, equation 8."""
    mask = mask_of(inputs, masks)
    x = np.where(mask[..., None], inputs["inputs"], 0)
    output, shares = mab(x, x, weights, "block", mask)
    return np.where(mask[..., None], output, 0), shares


CASES = [
    Case(
        name="set_attention_block",
        cls=SetAttentionBlock,
        config={"num_heads": 2, "key_dim": 3, "intermediate_dim": 11},
        inputs={"inputs": (2, 7, 5)},
        formula=sab,
        masks=("mask",),
        scores=(2, 2, 7, 7),
        tolerance=3e-5,
    )
]


def test_members_that_change_places_change_nothing_else():
    layer = built_layer(CASES[0])
    x = CASES[0].draw()["inputs"]
    order = np.array([3, 1, 6, 0, 5, 2, 4])
    output = to_numpy(layer(x))
    np.testing.assert_allclose(
        to_numpy(layer(x[:, order])), output[:, order], atol=1e-5
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SetAttentionBlock(0), "positive integer. Received: num_heads=0"),
        (lambda: SetAttentionBlock(2, key_dim=0), "Received: key_dim=0"),
        (lambda: SetAttentionBlock(2, dropout=1), "Received: dropout=1"),
        (
            lambda: SetAttentionBlock(2, layer_norm_epsilon=0),
            "above 0. Received: layer_norm_epsilon=0",
        ),
        (lambda: SetAttentionBlock(2)(np.ones((2, 3))), "rank 3. Received"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
