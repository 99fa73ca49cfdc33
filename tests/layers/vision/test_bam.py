import numpy as np
import pytest
from support.check_layer import to_numpy
from support.image_cases import both_formats
from support.image_formulas import batch_norm, convolve, dense, relu, sigmoid, spread

from attention_zoo import layers


def formula(combine, dilation):
    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        z = x.mean(axis=tuple(range(1, x.ndim - 1)))
        channel = dense(
            relu(dense(z, weights, "channel_reduce")), weights, "channel_expand"
        )
        channel = spread(batch_norm(channel, weights, "channel_norm"), x)
        y = x
        for i in range(4):
            kernel = weights[f"spatial_{i}/kernel"]
            y = convolve(y, kernel, dilation=dilation if i in (1, 2) else 1)
            y = y + weights[f"spatial_{i}/bias"]
            y = relu(y) if i < 3 else batch_norm(y, weights, "spatial_norm")
        gate = sigmoid(channel + y if combine == "sum" else channel * y)
        return x + x * gate, gate

    return compute


CASES = [
    *both_formats(
        "bam",
        layers.BAM,
        {"ratio": 1, "dilation_rate": 2},
        formula("sum", 2),
        scores=(2, 7, 5, 11),
    ),
    *both_formats(
        "bam-product",
        layers.BAM,
        {"ratio": 1, "combine": "product"},
        formula("product", 4),
        scores=(2, 7, 5, 11),
    ),
    *both_formats(
        "bam-3d",
        layers.BAM,
        {"ratio": 1, "dilation_rate": 1},
        formula("sum", 1),
        shape=(2, 3, 2, 5, 7),
        scores=(2, 3, 2, 5, 7),
    ),
]


@pytest.mark.parametrize(("combine", "logit"), [("sum", 5.0), ("product", 6.0)])
def test_the_paper_sums_and_the_released_code_multiplies(combine, logit):
    """With branches of 2 and 3 everywhere, the shifts of their normalisations."""
    assert layers.BAM().combine == "sum"
    layer = layers.BAM(ratio=1, combine=combine)
    x = np.ones((1, 2, 3, 1), "float32")
    layer(x)
    for w in layer.trainable_weights:
        values = {"channel_norm/beta": 2.0, "spatial_norm/beta": 3.0}
        found = [v for name, v in values.items() if w.path.endswith(name)]
        w.assign(np.full(w.shape, found[0] if found else 0.0))
    output, gate = layer(x, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(gate), sigmoid(logit) * x, atol=1e-6)
    np.testing.assert_allclose(to_numpy(output), (1 + sigmoid(logit)) * x, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match=r"\['sum', 'product'\].*combine='mul'"):
        layers.BAM(combine="mul")
    with pytest.raises(ValueError, match="positive integer.*dilation_rate=0"):
        layers.BAM(dilation_rate=0)
    with pytest.raises(ValueError, match="`BAM` has too few channels for its ratio"):
        layers.BAM(ratio=16)(np.zeros((2, 3, 3, 15)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.BAM()(np.zeros((2, 16)))
