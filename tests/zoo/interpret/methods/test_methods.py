"""Every method of `explain` against its formula in float64, and on real models."""

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo import layers
from attention_zoo.interpret.methods.attention_x_gradient import (
    attention_times_gradient,
)
from attention_zoo.interpret.methods.faithfulness import curves
from attention_zoo.interpret.methods.grad_cam import grad_cam
from attention_zoo.interpret.methods.integrated_gradients import integrated_gradients
from attention_zoo.interpret.methods.rollout import rollout
from attention_zoo.interpret.text import TextExplanation

IDS = np.array([[2, 3, 5, 7, 4], [4, 1, 0, 0, 0]])
GRADIENTS = ["gradient", "gradient_x_input", "integrated_gradients"]


def values(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor), "float64")


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def mean_model():
    """Softmax of a linear map of the sum of the embeddings: gradients by hand."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(11, 3, embeddings_initializer="normal")(inputs)
    x = keras.layers.Dense(3, "softmax", kernel_initializer="normal")(
        keras.ops.sum(x, axis=1)
    )
    model = keras.Model(inputs, x)
    for weight in model.weights:
        weight.assign(weight * 11)
    return model


def by_hand(model, ids, share=1.0):
    """Returns embeddings, and the gradient of the best class's probability there."""
    table, kernel, bias = map(values, model.weights)
    embedded = table[ids]
    best = softmax(embedded.sum(axis=1) @ kernel + bias).argmax(axis=-1)
    p = softmax(share * embedded.sum(axis=1) @ kernel + bias)
    rows = np.arange(len(ids))
    slope = p[rows, best][:, None] * (kernel[:, best].T - p @ kernel.T)
    return embedded, np.broadcast_to(slope[:, None], embedded.shape)


def test_gradients_of_words_follow_the_formula():
    model, ids = mean_model(), np.array([[2, 3, 5, 7, 4], [4, 1, 6, 8, 9]])
    embedded, slope = by_hand(model, ids)
    found = {
        m: attention_zoo.explain(model, ids, method=m).attributions for m in GRADIENTS
    }
    expected = np.linalg.norm(slope, axis=-1)
    np.testing.assert_allclose(found["gradient"], expected, atol=1e-5)
    expected = (embedded * slope).sum(axis=-1)
    np.testing.assert_allclose(found["gradient_x_input"], expected, atol=1e-5)
    way = [by_hand(model, ids, (step + 0.5) / 32)[1] for step in range(32)]
    expected = (embedded * np.mean(way, axis=0)).sum(axis=-1)
    np.testing.assert_allclose(found["integrated_gradients"], expected, atol=1e-5)


def test_integrated_gradients_add_up():
    x = np.random.default_rng(0).normal(size=(2, 3, 5))
    baseline = np.full(5, 0.3)
    found = integrated_gradients(lambda x: np.cos(x), x, baseline, steps=500)
    expected = (np.sin(x) - np.sin(baseline)).sum(axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_rollout_and_attention_times_gradient_follow_the_formulas():
    rng = np.random.default_rng(1)
    first, second = softmax(rng.normal(size=(2, 1, 2, 3, 3)))
    pooling = softmax(rng.normal(size=(1, 3)))
    mask, eye = np.ones((1, 3), bool), np.eye(3)
    one, two = (w.mean(axis=1)[0] for w in (first, second))
    total = ((two + eye) / 2) @ ((one + eye) / 2)
    np.testing.assert_allclose(
        rollout([first, second, pooling], mask)[0], pooling[0] @ total
    )
    np.testing.assert_allclose(rollout([first, second], mask)[0], total.mean(axis=0))
    slopes = [rng.normal(size=w.shape) for w in (first, second, pooling)]
    one, two, last = (
        np.maximum(w * g, 0)
        for w, g in zip((first, second, pooling), slopes, strict=True)
    )
    relevance = eye + one.mean(axis=1)[0]
    relevance = relevance + two.mean(axis=1)[0] @ relevance
    found = attention_times_gradient([first, second, pooling], slopes, mask)
    np.testing.assert_allclose(found[0], last[0] @ relevance)


def test_padding_has_no_share_of_a_rollout():
    weights = softmax(np.random.default_rng(2).normal(size=(1, 3, 3)))
    found = rollout([weights], np.array([[True, True, False]]))
    assert found[0, 2] == 0
    np.testing.assert_allclose(found.sum(), 1)


def test_grad_cam_follows_the_formula():
    rng = np.random.default_rng(3)
    features, gradients = rng.normal(size=(2, 2, 3, 5, 7))
    weights = gradients.mean(axis=(1, 2))
    expected = np.maximum(np.einsum("bhwc,bc->bhw", features, weights), 0)
    np.testing.assert_allclose(grad_cam(features, gradients), expected)


def test_curves_of_an_additive_output():
    """Where the output is a sum over parts, the measures can be written down."""
    parts = np.array([0.4, 0.1, 0.3, 0.2])
    comprehensive, sufficient, deletion, insertion = curves(
        parts, lambda keep: keep @ parts
    )
    tops = [0.4, 0.4, 0.4, 0.4, 0.7]  # 1, 1, 1, 1 and 2 of four parts
    assert comprehensive == pytest.approx(np.mean(tops))
    assert sufficient == pytest.approx(1 - np.mean(tops))
    assert deletion == pytest.approx(np.trapezoid([1, 0.6, 0.3, 0.1, 0], dx=0.25))
    assert insertion == pytest.approx(np.trapezoid([0, 0.4, 0.7, 0.9, 1], dx=0.25))
    worst = curves(-parts, lambda keep: keep @ parts)
    assert worst[0] < comprehensive
    assert worst[2] > deletion


class Reader(keras.Model):
    """A user's model, no graph, with Keras's own attention."""

    def __init__(self, fused=True):
        super().__init__(name="reader")
        self.embedding = keras.layers.Embedding(11, 6, mask_zero=True)
        self.attention = keras.layers.MultiHeadAttention(2, 3, name="self_attention")
        self.head = keras.layers.Dense(3, "softmax")

    def call(self, ids):
        x = self.embedding(ids)
        x = x + self.attention(x, x)
        return self.head(keras.ops.sum(x, axis=1))


def test_attention_times_gradient_of_keras_heads():
    """The gradient by each weight is compared with a difference in float64."""
    keras.utils.set_random_seed(5)
    model = Reader()
    ids = np.array([[2, 3, 5]])
    model(ids)
    for weight in model.weights:
        weight.assign(weight * 2)
    found = attention_zoo.explain(model, ids, method="attention_x_gradient")
    attention, table = model.attention, values(model.weights[0])
    x = table[ids]
    kernels = {d.name: [values(w) for w in d.weights] for d in (
        attention.query_dense, attention.key_dense, attention.value_dense,
        attention.output_dense)}  # fmt: skip
    q, k, v = (
        np.einsum("btd,dhe->bhte", x, kernels[n][0]) + kernels[n][1][:, None]
        for n in ("query", "key", "value")
    )
    weights = softmax(np.einsum("bhqe,bhke->bhqk", q, k) / np.sqrt(3))
    kernel, bias = map(values, model.head.weights)

    def probabilities(weights):
        mixed = np.einsum("bhqk,bhke->bqhe", weights, v)
        mixed = np.einsum("bqhe,hed->bqd", mixed, kernels["attention_output"][0])
        out = x + mixed + kernels["attention_output"][1]
        return softmax(out.sum(axis=1) @ kernel + bias)

    best = probabilities(weights)[0].argmax()
    slopes = np.zeros_like(weights)
    for place in np.ndindex(weights.shape):
        moved = np.zeros_like(weights)
        moved[place] = 1e-5
        slopes[place] = (
            probabilities(weights + moved)[0, best]
            - probabilities(weights - moved)[0, best]
        ) / 2e-5
    expected = attention_times_gradient([weights], [slopes], ids != 0)
    np.testing.assert_allclose(found.attributions, expected, atol=1e-4)
    assert found.attributions.max() > 1e-3
    np.testing.assert_allclose(found.weights["self_attention"].sum(), 1, atol=1e-5)


@pytest.mark.parametrize("method", TextExplanation.methods)
def test_every_method_reads_a_users_model(method):
    keras.utils.set_random_seed(5)
    model = Reader()
    explanation = attention_zoo.explain(model, IDS, ["a", "b", "c"], method=method)
    scores = explanation.scores_of()
    assert scores.shape == (2, 5)
    assert (scores[1, 2:] == 0).all()  # padding
    assert np.abs(scores[0]).max() > 0
    assert np.isfinite(scores).all()
    assert len(str(explanation).splitlines()) == 2 + 5 + 2
    measured = explanation.faithfulness()
    assert measured.comprehensiveness.shape == (2,)
    if method == "occlusion":
        np.testing.assert_allclose(measured.rank_correlation, 1)


@pytest.mark.parametrize(
    "attention", ["attention_pooling", "self_attention", "luong_attention"]
)
def test_own_attention_times_its_gradient(attention):
    keras.utils.set_random_seed(3)
    model = attention_zoo.create(
        "attention_lstm", vocabulary_size=11, attention=attention, units=3
    )
    found = attention_zoo.explain(model, IDS, method="attention_x_gradient")
    assert found.attributions.shape == (2, 5)
    assert found.attributions.max() > 0
    assert found.attributions.min() >= 0


def test_a_model_without_attention_has_gradients_alone():
    model = mean_model()
    with pytest.raises(ValueError, match=r"gradient methods.*no attention layer among"):
        attention_zoo.explain(model, IDS, method="attention")
    for method in ("rollout", "attention_x_gradient"):
        with pytest.raises(ValueError, match="no attention layer among.*embedding"):
            attention_zoo.explain(model, IDS, method=method)
    found = attention_zoo.explain(model, IDS, method="occlusion")
    assert found.attributions.shape == (2, 5)


def test_unknown_methods_are_refused():
    model = mean_model()
    with pytest.raises(ValueError, match="Did you mean 'gradient'"):
        attention_zoo.explain(model, IDS, method="gradeint")
    with pytest.raises(ValueError, match=r"raw strings, token ids.*'grad_cam'"):
        attention_zoo.explain(model, IDS, method="grad_cam")


def image_model(dtype="uint8"):
    keras.utils.set_random_seed(11)
    inputs = keras.Input((7, 7, 3), dtype=dtype)
    x = inputs
    if dtype == "uint8":
        x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = keras.layers.Conv2D(5, 3, activation="relu", name="conv")(x)
    x = layers.SpatialAttention()(x) if hasattr(layers, "SpatialAttention") else x
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, "softmax")(x))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_methods_of_images(dtype, tmp_path):
    model = image_model(dtype)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 7, 7, 3)).astype(dtype)
    found = {}
    for method in [*GRADIENTS, "occlusion", "grad_cam"]:
        explanation = attention_zoo.explain(model, pixels, method=method)
        found[method] = explanation.attributions
        assert explanation.attributions.shape == (2, 7, 7)
        assert np.abs(explanation.attributions).max() > 0
        assert explanation.verdict(0) in str(explanation)
    # They add up to the output less that for the mean colour.
    best = explanation.predictions.argmax(axis=-1)
    if dtype == "float32":
        grey = np.broadcast_to(pixels.mean(axis=(1, 2), keepdims=True), pixels.shape)
        whole = explanation.predictions - values(model(grey))
        sums = found["integrated_gradients"].sum(axis=(1, 2))
        np.testing.assert_allclose(sums, whole[np.arange(2), best], rtol=0.1, atol=1e-2)
    explanation.save_html(tmp_path / "image.html")
    assert "data:image/png;base64," in (tmp_path / "image.html").read_text()
    assert explanation.faithfulness().deletion.shape == (2,)


@pytest.mark.parametrize("method", ["rollout", "attention_x_gradient", "grad_cam"])
def test_methods_of_patches(method):
    model = attention_zoo.create(
        "vision_transformer", num_classes=3, input_shape=(8, 8, 1), patch_size=2,
        num_layers=2, num_heads=2, width=6,
    )  # fmt: skip
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1)).astype("uint8")
    found = attention_zoo.explain(model, pixels, method=method)
    assert found.attributions.shape == (2, 8, 8)
    assert found.attributions.min() >= 0


def test_methods_of_series():
    keras.utils.set_random_seed(2)
    inputs = keras.Input((8, 3))
    outputs = keras.layers.Dense(5)(keras.ops.transpose(inputs, (0, 2, 1)))
    model = keras.Model(inputs, keras.ops.transpose(outputs, (0, 2, 1)))
    windows = np.random.default_rng(0).normal(size=(2, 8, 3)).astype("float32")
    slope = values(model.weights[0]).mean(axis=1)[:, None] / 3  # of the mean forecast
    centred = windows - windows.mean(axis=1, keepdims=True)
    for method in ("gradient_x_input", "integrated_gradients"):
        found = attention_zoo.explain(model, windows, method=method)
        np.testing.assert_allclose(found.attributions, centred * slope, atol=1e-5)
    found = attention_zoo.explain(model, windows, method="gradient")
    expected = np.broadcast_to(np.abs(slope), windows.shape)
    np.testing.assert_allclose(found.attributions, expected, atol=1e-5)
    hidden = attention_zoo.explain(model, windows, method="occlusion")
    assert (hidden.attributions >= 0).all()
    np.testing.assert_allclose(hidden.faithfulness().rank_correlation, 1)
    assert "variate 0" in str(found)
    assert len(found.plot().axes) >= 4
