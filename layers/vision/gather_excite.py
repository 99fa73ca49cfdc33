"""Gather and excite."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._shared import convolution


def gather_average(x, extent):
    """Returns averages over windows of `2 extent - 1` at every `extent`-th position.

    Positions beyond the edge do not count.

    Args:
        x: Tensor `(B, H, W, C)`.
        extent: Positive integer.

    Returns:
        Tensor `(B, ceil(H / extent), ceil(W / extent), C)`.
    """

    def window_mean(x):
        reach = extent - 1
        x = ops.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
        return ops.average_pool(
            x, 2 * extent - 1, extent, "valid", data_format="channels_last"
        )

    wide = widen(x)
    inside = window_mean(ops.ones_like(wide[:1, :, :, :1]))
    return ops.cast(window_mean(wide) / inside, x.dtype)


def repeat_positions(gathered, extent, x):
    """Returns `gathered` `(B, h, w, C)` with each entry spread over `extent` positions
    both ways, cut to the height and width of `x`."""
    spread = ops.repeat(ops.repeat(gathered, extent, axis=1), extent, axis=2)
    height, width = ops.shape(x)[1:3]
    return spread[:, :height, :width, :]


@keras.saving.register_keras_serializable("attention_zoo")
class GatherExcite(VisionLayer):
    """A gate for each channel and neighbourhood, gathered from around it.

    1. Gather, shape `(B, H / extent, W / extent, C)`, rounded up: with `use_kernel`, by
       one 3 x 3 depthwise convolution of stride 2 for each power of two in `extent`,
       each with batch normalisation and `activation` between them (the paper's
       GE-theta); without, by averages over windows of `2 extent - 1` (GE-theta-minus,
       no parameters).
    2. Excite: a sigmoid, each gate spread over the `extent` x `extent` positions that
       it stands for.
    3. Output: the inputs times the gate, the inputs' shape.

    The gather over the whole map is `SqueezeExcite`. `GE-theta-plus` is this layer with
    1 x 1 convolutions between 1 and 2, and is not here.

    Cost at 64 channels on a 32 x 32 map: 2,112 parameters, 387,072 FLOPs.

    Args:
        extent: Integer. Distance between the gathered positions: with `use_kernel` a
            power of two of at least 2. Defaults to `8`.
        use_kernel: Boolean. Whether the gather is learned. Defaults to `True`.
        activation: String or function. Activation between the convolutions. Defaults to
            `"relu"`.
        gate_activation: String or function. Activation of the gate. Defaults to
            `"sigmoid"`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`.
        return_attention_scores: Boolean. Whether the gate is returned too.
        training: Boolean. Whether batch normalisation takes the batch's statistics.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the gate
        of shape `(B, H / extent, W / extent, C)`, rounded up.

    Raises:
        ValueError: If the inputs have another rank, or if `extent` is not a power of
            two where one is needed.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    output, gate = layers.GatherExcite(extent=4)(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert gate.shape == (2, 2, 2, 8)
    ```

    References:
        - Hu et al. 2018, https://arxiv.org/abs/1810.12348
    """

    family = "channel"
    ranks = (2,)

    def __init__(
        self,
        extent=8,
        use_kernel=True,
        activation="relu",
        gate_activation="sigmoid",
        data_format=None,
        **kwargs,
    ):
        super().__init__(data_format=data_format, **kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, extent=extent)
        if use_kernel and (extent < 2 or extent & (extent - 1)):
            raise ValueError(
                f"Invalid value for argument `extent` of `{owner}`. Expected a power "
                "of two of at least 2 with `use_kernel=True`. "
                f"Received: extent={extent}"
            )
        self.extent = extent
        self.use_kernel = use_kernel
        self.activation = keras.activations.get(activation)
        self.gate_activation = keras.activations.get(gate_activation)

    def build_maps(self, shape):
        self._gathers, self._norms = [], []
        if not self.use_kernel:
            return
        for i in range(int(self.extent).bit_length() - 1):
            policy = self.dtype_policy
            gather = convolution(
                2,
                None,
                3,
                policy,
                depthwise=True,
                strides=2,
                use_bias=False,
                name=f"gather_{i}",
            )
            norm = keras.layers.BatchNormalization(dtype=policy, name=f"norm_{i}")
            hand_on(self._weight_options, gather)
            gather.build(shape)
            norm.build(shape)
            self._gathers.append(gather)
            self._norms.append(norm)

    def _gather(self, x):
        """Returns `(B, H / extent, W / extent, C)` from inputs `(B, H, W, C)`."""
        if not self.use_kernel:
            return gather_average(x, self.extent)
        for i, (gather, norm) in enumerate(
            zip(self._gathers, self._norms, strict=True)
        ):
            x = norm(gather(self.activation(x) if i else x))
        return x

    def attend_maps(self, x):
        gate = self.gate_activation(self._gather(x))
        return x * repeat_positions(gate, self.extent, x), gate

    def reduce_weights(self, weights, sizes):
        return weights.mean(axis=-1)

    def scores_shape(self, shape):
        down = [None if n is None else -(-n // self.extent) for n in shape[1:3]]
        return (shape[0], *down, shape[-1])

    def get_config(self):
        config = {
            "extent": self.extent,
            "use_kernel": self.use_kernel,
            "activation": keras.activations.serialize(self.activation),
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }
        return {**super().get_config(), **config}
