"""Self-attention of linear cost by way of one context vector."""

import keras
from keras import ops

from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._shared import (
    count_positions,
    flatten_positions,
    mean_over_queries,
    softmax,
    unflatten_positions,
)


@keras.saving.register_keras_serializable("attention_zoo")
class SeparableSelfAttention(VisionLayer):
    """All positions are summed up in one vector, which then reaches each: MobileViT v2.

    1. Weights: softmax over the positions of `query(x)`, one number each, shape
       `(B, N)`.
    2. Context: the weighted sum of `key(x)`, shape `(B, C)`.
    3. Output: `output(relu(value(x)) * context)`, the inputs' shape.

    Parts: dense layers `query` to one channel and without a bias, which the softmax
    would cancel, and `key`, `value` and `output`. Its cost is linear in N. The paper
    attends over the patches of a map; here all positions are one sequence.

    Cost at 64 channels on a 32 x 32 map: 12,544 parameters, 25,427,968 FLOPs.

    Args:
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the weights
        of shape `(B, N)`.

    Raises:
        ValueError: If the inputs have another rank.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.SeparableSelfAttention()
    output, weights = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, atol=1e-5)
    ```

    References:
        - Mehta and Rastegari 2022, https://arxiv.org/abs/2206.02680
    """

    family = "spatial"

    def build_maps(self, shape):
        policy, channels = self.dtype_policy, shape[-1]
        self._query = keras.layers.Dense(1, use_bias=False, dtype=policy, name="query")
        self._key = keras.layers.Dense(channels, dtype=policy, name="key")
        self._value = keras.layers.Dense(channels, dtype=policy, name="value")
        self._output = keras.layers.Dense(channels, dtype=policy, name="output")
        for dense in (self._query, self._key, self._value, self._output):
            dense.build((shape[0], None, channels))

    def attend_maps(self, x):
        flat = flatten_positions(x)
        weights = softmax(self._query(flat)[..., 0])  # (B, N)
        context = ops.matmul(ops.expand_dims(weights, 1), self._key(flat))
        output = self._output(ops.relu(self._value(flat)) * context)
        return unflatten_positions(output, x), weights

    def reduce_weights(self, weights, sizes):
        return mean_over_queries(weights, sizes)

    def scores_shape(self, shape):
        return (shape[0], count_positions(shape))
