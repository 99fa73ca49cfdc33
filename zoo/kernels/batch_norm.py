"""Batch normalization over maps by TensorFlow's fused kernel."""

import keras
from keras import ops

from attention_zoo.layers.core.saving import saved_as


@saved_as("BatchNormalization")
@keras.saving.register_keras_serializable("attention_zoo")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of maps, with the same weights and outputs.

    On TensorFlow in float32, a training step runs the kernel `FusedBatchNormV3`, where
    Keras computes moments and normalizes in separate operations. Elsewhere, and for
    what the kernel does not support, this is Keras's layer.

    Args:
        **kwargs: Arguments of `keras.layers.BatchNormalization`, such as `momentum`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`. For another rank Keras's layer runs.
        training: Boolean, whether to normalize with the statistics of the batch.
            Defaults to `None`.
        mask: Boolean tensor, with which Keras's layer runs. Defaults to `None`.

    Returns:
        Tensor of the same shape.

    Example:

    ```python
    layer = attention_zoo.FusedBatchNormalization(momentum=0.9)
    outputs = layer(np.random.rand(2, 5, 5, 3).astype("float32"), training=True)
    assert outputs.shape == (2, 5, 5, 3)
    assert abs(float(ops.mean(outputs))) < 1e-5
    ```

    References:
        - [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167)
    """

    def call(self, inputs, training=None, mask=None):
        takes_kernel = (
            keras.backend.backend() == "tensorflow"
            and training
            and self.trainable
            and mask is None
            and len(inputs.shape) == 4
            and self.axis in (3, -1)
            and self.center
            and self.scale
            and not self.synchronized
            and self.compute_dtype == "float32"
        )
        if not takes_kernel:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = normalize(inputs, self.gamma, self.beta, self.epsilon)
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            kept = moving * self.momentum + value * (1.0 - self.momentum)
            moving.assign(kept)
        return outputs


def normalize(x, scale, offset, epsilon):
    """Returns normalized maps `(B, H, W, C)`, their means and variances, `(C,)`."""
    import tensorflow as tf

    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=ops.convert_to_tensor(scale),
        offset=ops.convert_to_tensor(offset),
        mean=tf.zeros((0,)),
        variance=tf.zeros((0,)),
        epsilon=epsilon,
        exponential_avg_factor=1.0,
        data_format="NHWC",
        is_training=True,
    )
    # The kernel's variance is the unbiased one; Keras keeps the other.
    count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), "float32")
    return outputs, mean, variance * (count - 1) / count
