"""Double attention."""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._shared import (
    flatten_positions,
    reduced_channels,
    softmax,
    unflatten_positions,
)


def gather_and_distribute(features, gather, distribute):
    """Returns what positions get back of the features that the map gathered.

    Args:
        features: Tensor `(B, N, D)`.
        gather: Scores `(B, N, K)`, normalised here over the positions.
        distribute: Scores `(B, N, K)`, normalised here over the K descriptors.

    Returns:
        Tensor `(B, N, D)`, and the gathering weights `(B, K, N)`.
    """
    gather = softmax(ops.swapaxes(gather, 1, 2))  # (B, K, N)
    descriptors = ops.matmul(gather, features)  # (B, K, D)
    return ops.matmul(softmax(distribute), descriptors), gather


@keras.saving.register_keras_serializable("attention_zoo")
class DoubleAttention(VisionLayer):
    """A few global descriptors are gathered, and each position takes a mix of them.

    With D = K = `C / ratio`:

    1. `features` `(B, N, D)`, `gather` and `distribute` `(B, N, K)`: 1 x 1
       convolutions.
    2. Gather: K descriptors, each the mean of the features weighed by a softmax over
       the positions, shape `(B, K, D)`.
    3. Distribute: each position takes the descriptors weighed by a softmax over them,
       shape `(B, N, D)`.
    4. Output: the inputs plus a 1 x 1 convolution, `output`, of the result, the inputs'
       shape.

    `gather` has no bias, which its softmax would cancel.

    Cost at 64 channels on a 32 x 32 map: 4,192 parameters, 9,437,184 FLOPs.

    Args:
        ratio: Integer. How many times fewer channels and descriptors there are, rounded
            up. Defaults to `4`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the gathering weights are returned
            too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the
        gathering weights of shape `(B, K, H, W)`, `(B, K, T)` or `(B, K, D, H, W)`.

    Raises:
        ValueError: If the inputs have another rank, or if they have fewer channels than
            `ratio`.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.DoubleAttention(ratio=4)
    output, weights = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert weights.shape == (2, 2, 7, 5)
    ```

    References:
        - Chen et al. 2018, https://arxiv.org/abs/1810.11579
    """

    family = "spatial"

    def __init__(self, ratio=4, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        check_positive_integer(type(self).__name__, ratio=ratio)
        self.ratio = ratio

    def build_maps(self, shape):
        channels, policy = shape[-1], self.dtype_policy
        hidden = reduced_channels(type(self).__name__, channels, self.ratio)
        self._features = keras.layers.Dense(hidden, dtype=policy, name="features")
        self._gather = keras.layers.Dense(
            hidden, use_bias=False, dtype=policy, name="gather"
        )
        self._distribute = keras.layers.Dense(hidden, dtype=policy, name="distribute")
        self._output = keras.layers.Dense(channels, dtype=policy, name="output")
        for part in (self._features, self._gather, self._distribute):
            part.build(shape)
        self._output.build((*shape[:-1], hidden))

    def attend_maps(self, x):
        result, gather = gather_and_distribute(
            flatten_positions(self._features(x)),
            flatten_positions(self._gather(x)),
            flatten_positions(self._distribute(x)),
        )
        output = x + self._output(unflatten_positions(result, x))
        return output, ops.reshape(
            gather, (*ops.shape(gather)[:2], *ops.shape(x)[1:-1])
        )

    def reduce_weights(self, weights, sizes):
        return weights.mean(axis=1)

    def scores_shape(self, shape):
        return (shape[0], -(-shape[-1] // self.ratio), *shape[1:-1])

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio}
