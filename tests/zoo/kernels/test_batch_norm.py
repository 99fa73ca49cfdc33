"""The fused batch normalization gives what Keras's gives."""

import keras
import numpy as np
import pytest
from keras import ops

from attention_zoo.kernels.batch_norm import FusedBatchNormalization

SHAPE = (5, 3, 2, 7)
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def make(cls, shape=SHAPE, **arguments):
    layer = cls(momentum=0.7, epsilon=1e-3, **arguments)
    layer.build(shape)
    draw = np.random.default_rng(0)
    layer.set_weights([draw.uniform(0.5, 2, size=w.shape) for w in layer.weights])
    return layer


def inputs(shape=SHAPE):
    return np.random.default_rng(1).normal(2, 3, size=shape).astype("float32")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [SHAPE, (5, 3, 7)])
@pytest.mark.parametrize("arguments", [{}, {"scale": False}])
def test_outputs_and_moving_averages_are_keras_own(training, shape, arguments):
    x, found = inputs(shape), []
    for cls in (FusedBatchNormalization, keras.layers.BatchNormalization):
        layer = make(cls, shape, **arguments)
        outputs = ops.convert_to_numpy(layer(x, training=training))
        found.append([outputs, *layer.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="the kernel is TensorFlow's")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradients_are_keras_own(jit_compile):
    import tensorflow as tf

    x, found = tf.constant(inputs()), []
    for cls in (FusedBatchNormalization, keras.layers.BatchNormalization):
        layer = make(cls)

        @tf.function(jit_compile=jit_compile)
        def step(x, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(tf.sin(layer(x, training=True)))
            weights = [weight.value for weight in layer.trainable_weights]
            return tape.gradient(loss, [x, *weights])

        found.append(step(x))
    for one, other in zip(*found, strict=True):
        assert float(tf.reduce_max(tf.abs(other))) > 0
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_frozen_it_changes_nothing():
    layer = make(FusedBatchNormalization)
    layer.trainable = False
    before = layer.get_weights()
    layer(inputs(), training=True)
    for one, other in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
