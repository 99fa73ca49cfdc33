import numpy as np
from support.check_layer import named_weights, to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, positions, relu, softmax

from attention_zoo import layers


def separable(weights, inputs, masks):
    """Mehta and Rastegari 2022, section 3.1, over all positions."""
    x = positions(inputs["inputs"])
    shares = softmax(dense(x, weights, "query")[..., 0], axis=1)
    context = np.einsum("bn,bnc->bc", shares, dense(x, weights, "key"))
    values = relu(dense(x, weights, "value")) * context[:, None]
    output = dense(values, weights, "output")
    return output.reshape(inputs["inputs"].shape), shares


CASES = both_formats(
    "separable_self_attention",
    layers.SeparableSelfAttention,
    {},
    separable,
    scores=(2, 35),
)


def test_videos_and_sequences():
    rng = np.random.default_rng(0)
    for shape in ((2, 7, 3), (2, 3, 5, 7, 4)):
        layer = layers.SeparableSelfAttention(name="layer")
        x = rng.normal(size=shape).astype("float32")
        output = to_numpy(layer(x))
        weights = named_weights(layer)
        expected, _ = separable(weights, {"inputs": x.astype("float64")}, {})
        np.testing.assert_allclose(output, expected, atol=1e-4)
