"""Large kernel attention."""

import keras

from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision._base import MapGate
from attention_zoo.layers.vision._shared import check_odd, convolution


@keras.saving.register_keras_serializable("attention_zoo")
class LargeKernelAttention(MapGate):
    """An element-wise factor, from a large kernel in three cheap pieces.

    1. `local`: depthwise convolution of reach `2 dilation_rate - 1`.
    2. `dilated`: depthwise convolution of reach `kernel_size / dilation_rate`, rounded
       up, dilated by `dilation_rate`.
    3. `conv`: 1 x 1 convolution over the channels, shape `(B, H, W, C)`.
    4. Output: the inputs times the result of 3, the inputs' shape.

    The factors are not passed through a sigmoid. With the defaults the pieces reach 5,
    7 dilated by 3, and 1.

    Cost at 64 channels on a 32 x 32 map: 9,024 parameters, 18,087,936 FLOPs.

    Args:
        kernel_size: Odd integer. Reach of the kernel as a whole; it over
            `dilation_rate`, rounded up, must be odd too. Defaults to `21`.
        dilation_rate: Integer. Dilation of the second convolution. Defaults to `3`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)` or `(B, T, C)`.
        return_attention_scores: Boolean. Whether the factors are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the factors
        of the same shape, channels last.

    Raises:
        ValueError: If the inputs have another rank, or if a kernel is even.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.LargeKernelAttention(kernel_size=9, dilation_rate=3)
    output, factors = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert factors.shape == (2, 7, 5, 8)
    ```

    References:
        - Guo et al. 2022, https://arxiv.org/abs/2202.09741
    """

    family = "spatial"
    ranks = (1, 2)

    def __init__(self, kernel_size=21, dilation_rate=3, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        owner = type(self).__name__
        check_odd(owner, kernel_size=kernel_size)
        check_positive_integer(owner, dilation_rate=dilation_rate)
        self._reach = -(-kernel_size // dilation_rate)
        if self._reach % 2 == 0:
            raise ValueError(
                f"`{owner}` would dilate an even kernel. Expected `kernel_size` over "
                "`dilation_rate`, rounded up, to be odd. Received: "
                f"kernel_size={kernel_size}, dilation_rate={dilation_rate}"
            )
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate

    def build_maps(self, shape):
        rank, policy = len(shape) - 2, self.dtype_policy
        self._local = convolution(
            rank,
            None,
            2 * self.dilation_rate - 1,
            policy,
            depthwise=True,
            name="local",
        )
        self._dilated = convolution(
            rank,
            None,
            self._reach,
            policy,
            depthwise=True,
            dilation_rate=self.dilation_rate,
            name="dilated",
        )
        self._conv = keras.layers.Dense(shape[-1], dtype=policy, name="conv")
        for part in (self._local, self._dilated, self._conv):
            part.build(shape)

    def calculate_gate(self, x):
        return self._conv(self._dilated(self._local(x)))

    def get_config(self):
        config = {
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
        }
        return {**super().get_config(), **config}
