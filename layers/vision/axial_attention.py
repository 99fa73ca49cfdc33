"""Axial attention."""

import keras
from keras import ops

from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._heads import HeadsAttention
from attention_zoo.layers.vision._shared import merge_sizes


@keras.saving.register_keras_serializable("attention_zoo")
class AxialAttention(VisionLayer):
    """Multi-head self-attention along the columns, then along the rows.

    1. Height: each position attends to its column, weights `(B, W, heads, H, H)`.
    2. Width: of the result, each position attends to its row, weights
       `(B, H, heads, W, W)`.

    Each axis is scaled dot-product attention with its own `query`, `key`, `value` and
    `output` under `axis_0`, `axis_1`, so that after both each position has seen the
    whole map. A video `(B, D, H, W, C)` has three axes, a sequence one. There is no
    residual connection inside, and no embedding of positions; Wang et al. add the
    latter. `key` has no bias, which the softmax would cancel.

    Cost at 64 channels on a 32 x 32 map: 33,152 parameters, 83,886,080 FLOPs.

    Args:
        num_heads: Integer. Number of heads; each has `C / num_heads` channels, rounded
            up. Defaults to `8`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` a tuple of
        the weights of each axis. The parts `axis_0`, `axis_1` record them.

    Raises:
        ValueError: If the inputs have another rank, or if they have fewer channels than
            heads.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.AxialAttention(num_heads=2)
    output, (columns, rows) = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert columns.shape == (2, 5, 2, 7, 7)
    assert rows.shape == (2, 7, 2, 5, 5)
    ```

    References:
        - Ho et al. 2019, https://arxiv.org/abs/1912.12180
        - Wang et al. 2020, https://arxiv.org/abs/2003.07853
    """

    family = "spatial"
    weights_are = None
    records = False

    def __init__(self, num_heads=8, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        check_positive_integer(type(self).__name__, num_heads=num_heads)
        self.num_heads = num_heads

    def build_maps(self, shape):
        self._axes = []
        for axis in range(len(shape) - 2):
            part = HeadsAttention(
                type(self).__name__,
                self.num_heads,
                axis=axis,
                dtype=self.dtype_policy,
                name=f"axis_{axis}",
            )
            hand_on(self._weight_options, part)
            part.build(_axis_last(shape, axis))
            self._axes.append(part)

    def attend_maps(self, x):
        scores = []
        for axis, part in enumerate(self._axes, start=1):
            moved = ops.moveaxis(x, axis, -2)
            shape = ops.shape(moved)
            merged = (shape[0], merge_sizes(shape[1:-2]), *shape[-2:])
            lines, weights = part(ops.reshape(moved, merged))
            x = ops.moveaxis(ops.reshape(lines, shape), -2, axis)
            weights = ops.reshape(weights, (*shape[:-2], *ops.shape(weights)[2:]))
            record(part, weights)
            scores.append(weights)
        return x, tuple(scores)

    def scores_shape(self, shape):
        moved = [_axis_last(shape, axis) for axis in range(len(shape) - 2)]
        return tuple((*m[:-2], self.num_heads, m[-2], m[-2]) for m in moved)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}


def _axis_last(shape, axis):
    """Returns the shape `(B, ..., C)` with one axis moved before the channels."""
    middle = list(shape[1:-1])
    size = middle.pop(axis)
    return (shape[0], *middle, size, shape[-1])
