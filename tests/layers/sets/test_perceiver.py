import dataclasses

import numpy as np
import pytest
from support.check_layer import Case, built_layer, check_values
from support.set_formulas import feed, gelu, mask_of, multi_head, norm

from attention_zoo.layers import PerceiverAttention


def perceiver(num_layers, num_repeats):
    """Jaegle et al. 2021, section 3.1 and figure 1."""

    def block(z, x, weights, name, norm_of_x, mask=None):
        y = norm(x, weights, f"{name}/{norm_of_x}")
        z_normed = norm(z, weights, f"{name}/attention_norm")
        attended, shares = multi_head(z_normed, y, weights, f"{name}/attention", mask)
        h = z + attended
        hidden = norm(h, weights, f"{name}/feed_forward_norm")
        return h + feed(hidden, weights, f"{name}/feed_forward", gelu), shares

    def formula(weights, inputs, masks):
        mask = mask_of(inputs, masks)
        x = np.where(mask[..., None], inputs["inputs"], 0)
        z = np.broadcast_to(weights["latents"], (len(x), *weights["latents"].shape))
        for _ in range(num_repeats):
            z, shares = block(z, x, weights, "reading", "value_norm", mask)
            for n in range(num_layers):
                z, _ = block(z, z, weights, f"thinking_{n}", "attention_norm")
        return np.where(mask.any(axis=1)[:, None, None], z, 0), shares

    return formula


CASES = [
    Case(
        name="perceiver_attention",
        cls=PerceiverAttention,
        config={
            "num_latents": 3,
            "latent_dim": 11,
            "num_heads": 2,
        },
        inputs={"inputs": (2, 7, 5)},
        formula=perceiver(1, 1),
        masks=("mask",),
        scores=(2, 2, 3, 7),
        tolerance=5e-5,
    )
]


def test_layers_and_repeats():
    case = dataclasses.replace(
        CASES[0],
        config={**CASES[0].config, "num_layers": 2, "num_repeats": 2},
        formula=perceiver(2, 2),
        masks=(),
    )
    check_values(case, built_layer(case))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_latents": 0}, "positive integer. Received: num_latents=0"),
        ({"latent_dim": -1}, "positive integer. Received: latent_dim=-1"),
        ({"num_layers": -1}, "at least 0. Received: num_layers=-1"),
        ({"num_layers": 1.5}, "integer. Received: num_layers=1.5"),
        ({"num_repeats": 0}, "positive integer. Received: num_repeats=0"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        PerceiverAttention(**config)
