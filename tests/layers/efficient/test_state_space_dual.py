import numpy as np
import pytest
from support import recurrent_formulas as f
from support.check_layer import Case

from attention_zoo.layers import StateSpaceDual


def state_space(weights, inputs, masks):
    """Dao and Gu 2024, equation 16 with the discretization of section 2, section 7."""
    x, mask = f.masked(inputs, masks)
    kernels = [weights[f"{n}/kernel"] for n in ("value", "key", "query")]
    joined = f.convolution(x @ np.concatenate(kernels, 1), weights["conv_kernel"])
    joined = f.silu(joined + weights["conv_bias"])
    v, k, q = np.split(joined, [15, 19], axis=-1)
    steps = f.softplus(x @ weights["step/kernel"] + weights["step_bias"])
    decay = np.exp(-np.exp(weights["decay_scale"]) * steps)[..., None]
    v = f.heads(v, 3)
    query = np.repeat(q[:, :, None], 3, axis=2)
    key = k[:, :, None] * steps[..., None]
    y, scores = f.recurrence(query, key, v, decay, mask)
    y = y + weights["skip_scale"][:, None] * v
    y = y.reshape(*y.shape[:2], -1) * f.silu(x @ weights["gate/kernel"])
    return f.finish(f.rms_norm(y) * weights["norm_scale"], mask, weights), scores


CASES = [
    Case(
        name="state_space_dual",
        cls=StateSpaceDual,
        config={
            "num_heads": 3,
            "key_dim": 4,
            "value_dim": 5,
            "conv_size": 2,
        },
        inputs={"inputs": (2, 7, 11)},
        formula=state_space,
        masks=("mask",),
        scores=(2, 3, 7, 7),
        tolerance=2e-4,
    ),
]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_heads": 2, "key_dim": 4, "value_dim": 0}, "Received: value_dim=0"),
        ({"num_heads": 2, "key_dim": 4, "conv_size": 0}, "Received: conv_size=0"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        StateSpaceDual(**config)
