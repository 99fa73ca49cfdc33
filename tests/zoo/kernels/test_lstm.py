"""The bidirectional LSTM on TensorFlow's kernel gives what Keras's loop gives."""

import keras
import numpy as np
import pytest
from keras import ops

import attention_zoo
from attention_zoo.kernels.lstm import BidirectionalLSTM, in_xla, without_kernel

B, T, D, U = 5, 7, 3, 2
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
MASKS = {
    "none": None,
    "padding after": np.arange(T) < np.array([[7], [1], [4], [0], [6]]),
    "anywhere": np.random.default_rng(0).random((B, T)) < 0.5,
}


def make(cls=BidirectionalLSTM, dtype="float32", **arguments):
    """Returns a built layer whose weights are the same for each class."""
    lstm = keras.layers.LSTM(U, return_sequences=True, return_state=True, dtype=dtype)
    layer = cls(lstm, dtype=dtype, **arguments)
    layer.build((B, T, D))
    draw = np.random.default_rng(1)
    layer.set_weights([draw.normal(size=w.shape) for w in layer.weights])
    return layer


def inputs():
    return np.random.default_rng(2).normal(size=(B, T, D)).astype("float32")


def arrays(outputs):
    return [ops.convert_to_numpy(ops.cast(x, "float32")) for x in outputs]


@pytest.mark.parametrize("mask", MASKS)
def test_outputs_and_states_are_keras_own(mask):
    ours, theirs = make(), make(keras.layers.Bidirectional)
    assert ours._takes_kernel() == ON_TENSORFLOW
    x, mask = inputs(), MASKS[mask]
    got, expected = (arrays(layer(x, mask=mask)) for layer in (ours, theirs))
    assert len(got) == len(expected) == 5
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="the kernel is TensorFlow's")
@pytest.mark.parametrize("mask", MASKS)
def test_gradients_are_keras_own(mask):
    import tensorflow as tf

    x, mask = tf.constant(inputs()), MASKS[mask]
    found = []
    for layer in (make(), make(keras.layers.Bidirectional)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, mask=mask)
            waves = [tf.sin(y * (i + 1)) for i, y in enumerate(outputs)]
            loss = sum(tf.reduce_sum(wave) for wave in waves)
        weights = [weight.value for weight in layer.trainable_weights]
        found.append(tape.gradient(loss, [x, *weights]))
    for one, other in zip(*found, strict=True):
        assert float(tf.reduce_max(tf.abs(other))) > 0
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_half_precision_is_near():
    x, mask = inputs(), MASKS["anywhere"]
    exact = arrays(make()(x, mask=mask))
    rough = make(dtype="mixed_bfloat16")(ops.cast(x, "bfloat16"), mask=mask)
    assert keras.backend.standardize_dtype(rough[0].dtype) == "bfloat16"
    for one, other in zip(arrays(rough), exact, strict=True):
        np.testing.assert_allclose(one, other, atol=0.1)


def test_what_the_kernel_cannot_do_runs_in_the_loop():
    x = inputs()
    for arguments in ({"recurrent_dropout": 0.5}, {"activation": "relu"}):
        lstm = keras.layers.LSTM(U, return_sequences=True, **arguments)
        layer = BidirectionalLSTM(lstm)
        assert not layer._takes_kernel()
        assert layer(x).shape == (B, T, 2 * U)
    summed = BidirectionalLSTM(
        keras.layers.LSTM(U, return_sequences=True), merge_mode="sum"
    )
    assert summed(x).shape == (B, T, U)


def test_configuration_comes_back():
    layer = make(use_fused=False)
    again = BidirectionalLSTM.from_config(layer.get_config())
    assert again.use_fused is False
    assert not again._takes_kernel()
    with pytest.raises(ValueError, match="Received: use_fused=True"):
        make(use_fused=True)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="the kernel is TensorFlow's")
def test_xla_runs_without_the_kernel():
    import tensorflow as tf

    model = attention_zoo.create("attention_lstm", vocabulary_size=11, units=U)
    outer = keras.Model(model.input, model(model.input))
    ids = tf.constant([[2, 3, 5, 7], [10, 1, 0, 0]])
    expected = outer(ids)
    compiled = tf.function(outer, jit_compile=True, autograph=False)
    np.testing.assert_allclose(compiled(ids), expected, atol=1e-6)
    with without_kernel(outer):
        assert model.get_layer("lstm").use_fused is False
    assert model.get_layer("lstm").use_fused == "auto"


@pytest.mark.skipif(not ON_TENSORFLOW, reason="the kernel is TensorFlow's")
def test_tensorflow_still_tells_whether_xla_compiles():
    """`in_xla` asks a private function of TensorFlow: this holds for 2.21."""
    import tensorflow as tf

    assert tf.__version__ >= "2.21"
    found = []

    def ask():
        found.append(in_xla())
        return tf.constant(0)

    tf.function(ask)()
    tf.function(ask, jit_compile=True)()
    tf.function(lambda: tf.function(ask, jit_compile=True)())()
    tf.function(lambda: tf.cond(tf.constant(True), ask, ask), jit_compile=True)()
    assert found == [False, True, True, True, True]
    assert not in_xla()
