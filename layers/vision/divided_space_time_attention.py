"""Divided space-time attention."""

import keras
from keras import ops

from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision._heads import HeadsAttention
from attention_zoo.layers.vision._shared import count_positions, merge_sizes
from attention_zoo.layers.vision.temporal_attention import (
    VideoLayer,
    attend_over_time,
)


@keras.saving.register_keras_serializable("attention_zoo")
class DividedSpaceTimeAttention(VideoLayer):
    """First time, then space: the attention of TimeSformer.

    1. `y = x + time(time_norm(x))`: each position attends to itself in all frames,
       weights `(B, H, W, heads, T, T)`.
    2. `output = y + space(space_norm(y))`: each position attends to all N positions of
       its frame, weights `(B, T, heads, N, N)`.

    Both are multi-head scaled dot-product attention behind a layer normalisation, with
    weights of their own. There is no classification token and no embedding of
    positions. A frame of padding is never seen and comes out as zeros. `key` has no
    bias, which the softmax would cancel.

    Cost at 64 channels on a video of 8 frames of 32 x 32: 33,408 parameters,
    2,701,131,776 FLOPs.

    Args:
        num_heads: Integer. Number of heads; each has `C / num_heads` channels, rounded
            up. Defaults to `8`.
        data_format: String, `"channels_last"` or `"channels_first"`, `(B, C, T, H, W)`.
            Defaults to `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, T, H, W, C)`.
        mask: Boolean tensor of shape `(B, T)`, False for frames of padding.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` a tuple of
        the weights over time and over space. The parts `time` and `space` record them.

    Raises:
        ValueError: If the inputs have another rank, or if they have fewer channels than
            heads.

    Example:

    ```python
    video = np.random.normal(size=(2, 5, 3, 2, 8)).astype("float32")
    layer = layers.DividedSpaceTimeAttention(num_heads=2)
    output, (time, space) = layer(video, return_attention_scores=True)
    assert output.shape == (2, 5, 3, 2, 8)
    assert time.shape == (2, 3, 2, 2, 5, 5)
    assert space.shape == (2, 5, 2, 6, 6)
    ```

    References:
        - Bertasius et al. 2021, https://arxiv.org/abs/2102.05095
    """

    weights_are = None
    records = False

    def __init__(self, num_heads=8, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        owner, policy = type(self).__name__, self.dtype_policy
        check_positive_integer(owner, num_heads=num_heads)
        self.num_heads = num_heads
        self._time = HeadsAttention(owner, self.num_heads, dtype=policy, name="time")
        self._space = HeadsAttention(owner, self.num_heads, dtype=policy, name="space")
        self._time_norm = keras.layers.LayerNormalization(
            dtype=policy, name="time_norm"
        )
        self._space_norm = keras.layers.LayerNormalization(
            dtype=policy, name="space_norm"
        )

    def build_maps(self, shape):
        self._time_norm.build(shape)
        self._space_norm.build(shape)
        self._time.build((shape[0], None, shape[1], shape[-1]))
        self._space.build((*shape[:2], None, shape[-1]))

    def attend_frames(self, x, mask):
        change, time = attend_over_time(self._time, self._time_norm(x), mask)
        record(self._time, time)
        x = x + change
        shape = ops.shape(x)
        flat = ops.reshape(
            self._space_norm(x), (*shape[:2], merge_sizes(shape[2:-1]), shape[-1])
        )
        seen = None
        if mask is not None:
            seen = ops.expand_dims(mask, (2, 3, 4))  # (B, T, 1, 1, 1)
        change, space = self._space(flat, seen)  # (B, T, N, C)
        record(self._space, space)
        return x + ops.reshape(change, shape), (time, space)

    def scores_shape(self, shape):
        batch, frames, height, width, _ = shape
        count = count_positions((batch, height, width, None))
        return (
            (batch, height, width, self.num_heads, frames, frames),
            (batch, frames, self.num_heads, count, count),
        )

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}
