"""Attention over the frames of a video."""

import keras
from keras import ops

from attention_zoo.layers.core.inputs import broadcast_mask
from attention_zoo.layers.core.validation import check_mask, check_positive_integer
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._heads import HeadsAttention
from attention_zoo.layers.vision._shared import merge_sizes


def hide_frames(x, mask):
    """Returns `x` `(B, T, ..., C)` with zeros in the frames where `mask` is False."""
    if mask is None:
        return x
    mask = ops.expand_dims(mask, tuple(range(2, len(x.shape))))
    return ops.where(mask, x, ops.zeros_like(x))


def see_frames(mask):
    """Returns who sees whom, `(B, 1, 1, T, T)`, from the mask `(B, T)` or None."""
    if mask is None:
        return None
    mask = ops.expand_dims(mask, (1, 2))  # (B, 1, 1, T)
    return ops.logical_and(ops.expand_dims(mask, -1), ops.expand_dims(mask, -2))


def attend_over_time(heads, x, mask):
    """Returns `x` `(B, T, ..., C)` after `heads`, at each position on its own.

    Args:
        heads: A `HeadsAttention`.
        x: Tensor `(B, T, H, W, C)`; there may be fewer axes between T and C.
        mask: Boolean tensor `(B, T)` or None.

    Returns:
        Tensor of the shape of `x`, and weights `(B, H, W, heads, T, T)`.
    """
    moved = ops.moveaxis(x, 1, -2)  # (B, H, W, T, C)
    shape = ops.shape(moved)
    lines = ops.reshape(  # (B, N, T, C)
        moved, (shape[0], merge_sizes(shape[1:-2]), *shape[-2:])
    )
    lines, weights = heads(lines, see_frames(mask))
    weights = ops.reshape(weights, (*shape[:-2], *ops.shape(weights)[2:]))
    return ops.moveaxis(ops.reshape(lines, shape), -2, 1), weights


class VideoLayer(VisionLayer):
    """Base of the layers over videos `(B, T, H, W, C)`, or `(B, C, T, H, W)` channels
    first, which honour a mask `(B, T)` of frames.

    A subclass overrides `attend_frames(x, mask)`.
    """

    family = "temporal"
    call_masks = ("mask",)
    ranks = (3,)

    def __init__(self, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        x = self._to_maps(inputs)
        mask = check_mask(type(self).__name__, "mask", mask, tuple(x.shape[:2]))
        mask = broadcast_mask(mask, x)
        output, weights = self.attend_frames(hide_frames(x, mask), mask)
        return self._finish(hide_frames(output, mask), weights, return_attention_scores)

    def attend_frames(self, x, mask):
        """Returns output and weights of `x` `(B, T, H, W, C)`, `mask` `(B, T)`."""
        raise NotImplementedError

    def compute_output_spec(
        self, inputs, mask=None, return_attention_scores=False, training=None
    ):
        return super().compute_output_spec(inputs, return_attention_scores, training)


@keras.saving.register_keras_serializable("attention_zoo")
class TemporalAttention(VideoLayer):
    """Each position of a video attends to itself in all frames.

    1. `query`, `key`, `value`: dense layers over the channels, cut into heads.
    2. Weights: softmax over the frames of `query . key / sqrt(D)`, shape
       `(B, H, W, heads, T, T)`.
    3. Output: `output` of the weighted values, the inputs' shape.

    This is the time-only attention of TimeSformer, as video diffusion models have it
    between their frames, without residual connection and without embedding of time. A
    frame of padding is never seen and comes out as zeros. `key` has no bias, which the
    softmax would cancel.

    Cost at 64 channels on a video of 8 frames of 32 x 32: 16,576 parameters,
    285,212,672 FLOPs.

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
        Output of the inputs' shape, and with `return_attention_scores=True` the weights
        of shape `(B, H, W, heads, T, T)`.

    Raises:
        ValueError: If the inputs have another rank, or if they have fewer channels than
            heads.

    Example:

    ```python
    video = np.random.normal(size=(2, 5, 3, 2, 8)).astype("float32")
    layer = layers.TemporalAttention(num_heads=2)
    output, weights = layer(video, return_attention_scores=True)
    assert output.shape == (2, 5, 3, 2, 8)
    assert weights.shape == (2, 3, 2, 2, 5, 5)
    ```

    References:
        - Bertasius et al. 2021, https://arxiv.org/abs/2102.05095
        - Ho et al. 2022, https://arxiv.org/abs/2204.03458
    """

    def __init__(self, num_heads=8, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, num_heads=num_heads)
        self.num_heads = num_heads
        self._heads = HeadsAttention(
            owner, self.num_heads, dtype=self.dtype_policy, name="heads"
        )

    def build_maps(self, shape):
        self._heads.build((shape[0], None, shape[1], shape[-1]))

    def attend_frames(self, x, mask):
        return attend_over_time(self._heads, x, mask)

    def scores_shape(self, shape):
        batch, frames, height, width, _ = shape
        return (batch, height, width, self.num_heads, frames, frames)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}
