"""Synthesizers: attention weights without comparing positions."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import SelfAttentionLayer
from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.normalizers import get_normalizer
from attention_zoo.layers.core.parts import build_part, serialize_part
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import (
    check_optional_integers,
    check_positive_integer,
    check_rank,
)


class _Synthesizer(SelfAttentionLayer):
    """Shared by both: weights from the scores of positions, values projected."""

    def _set_arguments(self, max_length, units, normalizer):
        """Checks the arguments and keeps them."""
        owner = type(self).__name__
        check_positive_integer(owner, max_length=max_length)
        check_optional_integers(owner, units=units)
        self.max_length = max_length
        self.units = units
        self._normalizer = get_normalizer(normalizer, owner, self.dtype_policy)
        self.normalizer = (
            self._normalizer if isinstance(normalizer, dict) else normalizer
        )

    def build(self, input_shape):
        check_rank(type(self).__name__, 3, inputs=tuple(input_shape))
        width = input_shape[-1]
        self.value_kernel = self.add_weight(
            name="value_kernel", shape=(width, self.units or width)
        )
        build_part(self._normalizer, self.compute_scores_shape(input_shape))
        self._build_scores(width)
        self.built = True

    def call(
        self,
        inputs,
        mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        inputs, mask = self._mask_inputs(inputs, mask)
        if inputs.shape[1] is not None and inputs.shape[1] > self.max_length:
            raise ValueError(
                f"`{type(self).__name__}` expects at most `max_length` positions. "
                f"Received: max_length={self.max_length}, "
                f"inputs.shape={tuple(inputs.shape)}"
            )
        batch, length = ops.shape(inputs)[:2]
        scores = ops.broadcast_to(
            self._calculate_scores(inputs, length), (batch, length, length)
        )
        seen = AttentionMask(mask, mask, causal=use_causal_mask).rows(length, length)
        weights = self._normalizer(scores, mask=seen, training=training)
        output = ops.matmul(weights, ops.matmul(inputs, self.value_kernel))
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units or input_shape[-1])

    def get_config(self):
        config = {
            "max_length": self.max_length,
            "units": self.units,
            "normalizer": serialize_part(self.normalizer),
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("attention_zoo")
class DenseSynthesizer(_Synthesizer):
    """Each position writes its own row of scores: `W2 relu(W1 x + b1) + b2`.

    1. Scores, cut to the sequence's length, shape `(B, T, T)`.
    2. Weights: the normalizer over unpadded positions, shape `(B, T, T)`.
    3. Output: the weighted sum of `x V`, shape `(B, T, units)`.

    Args:
        max_length: Integer. Length of the longest sequence.
        units: Integer. Width of the values. Defaults to `None`: as wide as the inputs.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`. Defaults to `"softmax"`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether a random normalizer samples.
        use_causal_mask: Boolean. Whether position `i` sees positions up to `i` only.

    Returns:
        Output of shape `(B, T, units)`, and with `return_attention_scores=True` the
        weights of shape `(B, T, T)`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    inputs = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.DenseSynthesizer(max_length=11, units=3)
    output, weights = layer(inputs, return_attention_scores=True)
    assert output.shape == (2, 7, 3) and weights.shape == (2, 7, 7)
    ```

    References:
        - Tay et al. 2020, https://arxiv.org/abs/2005.00743
    """

    def __init__(self, max_length, units=None, normalizer="softmax", **kwargs):
        super().__init__(**kwargs)
        self._set_arguments(max_length, units, normalizer)

    def _build_scores(self, width):
        self.hidden_kernel = self.add_weight(name="hidden_kernel", shape=(width, width))
        self.hidden_bias = self.add_weight(
            name="hidden_bias", shape=(width,), initializer="zeros"
        )
        self.score_kernel = self.add_weight(
            name="score_kernel", shape=(width, self.max_length)
        )
        self.score_bias = self.add_weight(
            name="score_bias", shape=(self.max_length,), initializer="zeros"
        )

    def _calculate_scores(self, inputs, length):
        hidden = ops.relu(ops.matmul(inputs, self.hidden_kernel) + self.hidden_bias)
        kernel = ops.convert_to_tensor(self.score_kernel)[:, :length]
        return ops.matmul(hidden, kernel) + self.score_bias[:length]


@keras.saving.register_keras_serializable("attention_zoo")
class RandomSynthesizer(_Synthesizer):
    """One learned matrix of scores for all sequences, whatever their content.

    1. Scores: the first rows and columns of `scores` `(max_length, max_length)`.
    2. Weights: the normalizer over unpadded positions, shape `(B, T, T)`.
    3. Output: the weighted sum of `x V`, shape `(B, T, units)`.

    Args:
        max_length: Integer. Length of the longest sequence.
        units: Integer. Width of the values. Defaults to `None`: as wide as the inputs.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`. Defaults to `"softmax"`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether a random normalizer samples.
        use_causal_mask: Boolean. Whether position `i` sees positions up to `i` only.

    Returns:
        Output of shape `(B, T, units)`, and with `return_attention_scores=True` the
        weights of shape `(B, T, T)`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    inputs = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.RandomSynthesizer(max_length=11, units=3)
    output, weights = layer(inputs, return_attention_scores=True)
    assert output.shape == (2, 7, 3) and weights.shape == (2, 7, 7)
    ```

    References:
        - Tay et al. 2020, https://arxiv.org/abs/2005.00743
    """

    def __init__(self, max_length, units=None, normalizer="softmax", **kwargs):
        super().__init__(**kwargs)
        self._set_arguments(max_length, units, normalizer)

    def _build_scores(self, width):
        self.scores = self.add_weight(
            name="scores",
            shape=(self.max_length, self.max_length),
            initializer="glorot_uniform",
        )

    def _calculate_scores(self, inputs, length):
        return ops.convert_to_tensor(self.scores)[None, :length, :length]
