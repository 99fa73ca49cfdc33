import numpy as np
import pytest
from support.image_cases import both_formats
from support.image_formulas import dense, positions, softmax

from attention_zoo import layers


def covariance(num_heads):
    """El-Nouby et al. 2021, equation 2."""

    def formula(weights, inputs, masks):
        x = positions(inputs["inputs"])
        parts = (dense(x, weights, name) for name in ("query", "key", "value"))
        heads, found = [], []
        queries, keys, values = (np.split(p, num_heads, axis=-1) for p in parts)
        for h in range(num_heads):
            q, k = (
                p / np.sqrt((p**2).sum(axis=1, keepdims=True) + 1e-6)
                for p in (queries[h], keys[h])
            )
            scores = np.einsum("bnd,bne->bde", q, k) * weights["scale"][h]
            found.append(softmax(scores, axis=-1))
            heads.append(np.einsum("bde,bne->bnd", found[-1], values[h]))
        output = dense(np.concatenate(heads, -1), weights, "output")
        return output.reshape(inputs["inputs"].shape), np.stack(found, axis=1)

    return formula


CASES = both_formats(
    "cross_covariance_attention",
    layers.CrossCovarianceAttention,
    {"num_heads": 3},
    covariance(3),
    scores=(2, 3, 4, 4),
)


def test_errors():
    with pytest.raises(ValueError, match="Received: num_heads=0"):
        layers.CrossCovarianceAttention(num_heads=0)
    with pytest.raises(ValueError, match="too few channels"):
        layers.CrossCovarianceAttention(num_heads=4)(np.zeros((2, 3, 3, 3)))
