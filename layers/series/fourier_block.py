"""Fourier block: a learned filter over a few frequencies of a series."""

import keras
from keras import ops

from attention_zoo.layers.core.heads import join_heads, split_heads
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_rank
from attention_zoo.layers.series._fourier import mix_modes
from attention_zoo.layers.series._shared import mask_series
from attention_zoo.layers.series.fourier_attention import FourierAttention, Modes


@keras.saving.register_keras_serializable("attention_zoo")
class FourierBlock(FourierAttention):
    """A learned complex matrix for each of a few frequencies, in place of attention.

    `M` is the number of modes, `F` the Fourier transform over the steps that are not
    padding.

    1. Projection to heads, `(B, H, T, K)`, and their modes, complex, `(B, H, M, K)`.
    2. Each mode times its own learned complex matrix, `(B, H, M, K)`.
    3. Back to steps, all other modes 0, and the heads projected, `(B, T, D)`.

    It takes the place of self-attention in FEDformer, `FourierAttention` that of
    cross-attention, which says how modes are chosen. There are no attention weights.

    Weights, beside those of `query` and `attention_output`: `kernel_real` and
    `kernel_imag` `(H, M, K, K)`.

    Args:
        num_heads: Integer. Number of heads. Defaults to `4`.
        key_dim: Integer. Width of each head. Defaults to `None`: the inputs' width
            divided by `num_heads`, rounded up.
        num_modes: Integer. Number of modes `M`; the paper takes 64. Defaults to `32`.
        mode_select: String, `"low"` or `"random"`. Defaults to `"random"`.
        seed: Integer of at least 0 that chooses the random modes. Defaults to `0`.
        use_bias: Boolean. Whether the projections have biases. Defaults to `True`.
        kernel_initializer: Initializer of the projections.
            Defaults to `"glorot_uniform"`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        training: Boolean. Has no effect.

    Returns:
        Output of shape `(B, T, D)`, zeros at padding.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    series = np.random.normal(size=(2, 24, 8)).astype("float32")
    output = layers.FourierBlock(num_heads=2, num_modes=3)(series)
    assert output.shape == (2, 24, 8)
    ```

    References:
        - Zhou et al. 2022, https://arxiv.org/abs/2201.12740
    """

    weights_are = None
    call_inputs = ("inputs",)
    call_masks = ("mask",)
    call_options = ()

    def build(self, input_shape):
        shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=shape)
        width = self._head_width(shape)
        self._query_dense = self._projection("query", shape, width)
        self._output_dense = self._output_projection(shape, width)
        self._add_kernel(width)
        self.built = True

    def call(self, inputs, mask=None, training=None):
        check_rank(type(self).__name__, 3, inputs=inputs.shape)
        inputs, mask = mask_series(self, inputs, mask)
        heads = widen(split_heads(self._query_dense, inputs))  # (B, H, T, K)
        modes = Modes(ops.shape(heads)[2], mask, self.num_modes, self._places)
        mixed = mix_modes(modes.transform(heads), self._kernel(heads.dtype))
        return zero_padding(join_heads(self._output_dense, modes.invert(mixed)), mask)

    def compute_output_spec(self, inputs, mask=None, training=None):
        check_rank(type(self).__name__, 3, inputs=inputs.shape)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
