"""Copy gate: generate a word of the vocabulary, or copy one of the source."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.indices import check_integers, known_values
from attention_zoo.layers.core.inputs import cast_integers
from attention_zoo.layers.core.masks import padding_mask, zero_padding
from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_number, check_rank, is_integer


@keras.saving.register_keras_serializable("attention_zoo")
class CopyGate(AttentionLayer):
    """A gate between a vocabulary's words and the source's: the pointer-generator.

    1. Gate: `p = sigmoid(W f_t + b)`, shape `(B, T, 1)`, `f_t` the features of a step:
       the paper's are `[context; state; decoder input]`.
    2. Output: `P(w) = p distribution(w) + (1 - p) sum of a_i over i with id_i = w`, the
       weights `a` of an attention over the source, shape `(B, T, V + extra_size)`.

    Words of the source that the vocabulary of `V` lacks have the ids from `V` on,
    numbered anew for each source: the model can copy what it cannot generate. Where no
    word can be copied, since all weights of a step are 0, it generates. Weights:
    `gate/kernel` and `gate/bias`.

    Args:
        extra_size: Integer. How many words of a source may be outside the vocabulary.
            Defaults to `0`.
        use_bias: Boolean. Whether the gate has a bias. Defaults to `True`.
        kernel_initializer: Initializer of the kernel. Defaults to
            `"glorot_uniform"`.

    Call arguments:
        inputs: Tensor of shape `(B, T, F)`. Features of the steps.
        distribution: Tensor of shape `(B, T, V)`. Probabilities of the vocabulary.
        weights: Tensor of shape `(B, T, S)`. Attention weights over the source, zeros
            at its padding, as the layers return them.
        source_ids: Integer tensor of shape `(B, S)`. Ids of the source's words.
        inputs_mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_gate: Boolean. Whether the gate is returned too.

    Returns:
        Output of shape `(B, T, V + extra_size)`, zeros at padding, and with
        `return_gate=True` the gate of shape `(B, T, 1)`.

    Raises:
        ValueError: If an argument is invalid, if shapes are incompatible, or if an id
            is not in `[0, V + extra_size)`. Inside a compiled function, where values
            are unknown, such a word cannot be copied.

    Example:

    ```python
    features = np.ones((1, 1, 4), "float32")
    words = np.full((1, 1, 3), 1 / 3, "float32")
    weights = np.array([[[0.5, 0.25, 0.25]]], "float32")
    layer = layers.CopyGate(extra_size=1)
    ids = np.array([[3, 0, 3]])
    output, gate = layer(features, words, weights, ids, return_gate=True)
    copied = (1 - gate[0, 0, 0]) * 0.75
    np.testing.assert_allclose(output[0, 0, 3], copied, atol=1e-6)
    np.testing.assert_allclose(np.sum(output), 1, atol=1e-6)
    ```

    References:
        - See et al. 2017, https://arxiv.org/abs/1704.04368
    """

    call_inputs = ("inputs", "distribution", "weights", "source_ids")
    call_masks = ("inputs_mask",)

    def __init__(
        self,
        extra_size=0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        if not is_integer(extra_size):
            raise ValueError(
                f"Invalid value for argument `extra_size` of `{owner}`. Expected an "
                f"integer of at least 0. Received: extra_size={extra_size!r}"
            )
        check_number(owner, minimum=0, extra_size=extra_size)
        self.extra_size = extra_size
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, inputs_shape, distribution_shape, weights_shape, source_ids_shape):
        self._check_shapes(
            inputs_shape, distribution_shape, weights_shape, source_ids_shape
        )
        initializer = keras.initializers.serialize(self.kernel_initializer)
        self._gate = keras.layers.Dense(
            1,
            use_bias=self.use_bias,
            kernel_initializer=keras.initializers.get(initializer),
            dtype=self.dtype_policy,
            name="gate",
        )
        self._gate.build(inputs_shape)
        self.built = True

    def call(
        self,
        inputs,
        distribution,
        weights,
        source_ids,
        inputs_mask=None,
        return_gate=False,
    ):
        owner = type(self).__name__
        tensors = inputs, distribution, weights, source_ids
        self._check_shapes(*(x.shape for x in tensors))
        x = cast_integers(inputs, self.compute_dtype)
        mask = padding_mask(owner, "inputs_mask", inputs_mask, x)
        x = zero_padding(x, mask)
        weights = zero_padding(widen(weights), mask)
        distribution = zero_padding(widen(distribution), mask)
        gate = ops.sigmoid(widen(self._gate(x)))
        copies = ops.sum(weights, axis=-1, keepdims=True) > 0
        gate = ops.where(copies, gate, ops.ones_like(gate))
        size = distribution.shape[-1] + self.extra_size
        copied = self._copy(weights, source_ids, size)
        extra = ops.zeros_like(copied[..., : self.extra_size])
        generated = ops.concatenate([distribution, extra], axis=-1)
        output = zero_padding(gate * generated + (1 - gate) * copied, mask)
        output = ops.cast(output, self.compute_dtype)
        return (output, ops.cast(gate, self.compute_dtype)) if return_gate else output

    def _copy(self, weights, source_ids, size):
        """Returns the weights `(B, T, S)` as shares of the words, `(B, T, size)`."""
        owner = type(self).__name__
        check_integers(owner, source_ids=source_ids)
        values = known_values(source_ids)
        if values is not None and ((values < 0) | (values >= size)).any():
            raise ValueError(
                f"`{owner}` received words outside the vocabulary and its extra words. "
                f"Expected ids from 0 to {size - 1}. Received: source_ids from "
                f"{values.min()} to {values.max()}, extra_size={self.extra_size}"
            )
        ids = ops.cast(source_ids, "int32")
        inside = ops.logical_and(ids >= 0, ids < size)
        ids = ops.where(inside, ids, ops.zeros_like(ids))
        weights = ops.where(inside[:, None], weights, ops.zeros_like(weights))
        batch, steps = ops.shape(weights)[:2]
        ids = ids + ops.expand_dims(ops.arange(batch, dtype="int32") * size, -1)
        rows = ops.reshape(ops.swapaxes(weights, 1, 2), (-1, steps))  # (B S, T)
        rows = ops.segment_sum(rows, ops.reshape(ids, (-1,)), batch * size)
        return ops.swapaxes(ops.reshape(rows, (batch, size, steps)), 1, 2)

    def _check_shapes(self, inputs, distribution, weights, source_ids):
        owner = type(self).__name__
        check_rank(owner, 3, inputs=inputs, distribution=distribution, weights=weights)
        check_rank(owner, 2, source_ids=source_ids)
        pairs = [
            *zip(inputs[:2], distribution[:2], strict=True),
            *zip(inputs[:2], weights[:2], strict=True),
            (weights[0], source_ids[0]),
            (weights[2], source_ids[1]),
        ]
        if any(None not in pair and pair[0] != pair[1] for pair in pairs):
            raise ValueError(
                f"`{owner}` expects `inputs` (B, T, F), `distribution` (B, T, V), "
                "`weights` (B, T, S) and `source_ids` (B, S). Received: "
                f"inputs.shape={tuple(inputs)}, "
                f"distribution.shape={tuple(distribution)}, "
                f"weights.shape={tuple(weights)}, "
                f"source_ids.shape={tuple(source_ids)}"
            )

    def compute_output_shape(
        self, inputs_shape, distribution_shape, weights_shape, source_ids_shape
    ):
        return (*inputs_shape[:2], distribution_shape[-1] + self.extra_size)

    def compute_output_spec(
        self,
        inputs,
        distribution,
        weights,
        source_ids,
        *args,
        return_gate=False,
        **kwargs,
    ):
        shapes = [x.shape for x in (inputs, distribution, weights, source_ids)]
        self._check_shapes(*shapes)
        shape = self.compute_output_shape(*shapes)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_gate:
            return output
        gate = keras.KerasTensor((*shape[:2], 1), dtype=self.compute_dtype)
        return output, gate

    def get_config(self):
        config = {
            "extra_size": self.extra_size,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
        return {**super().get_config(), **config}
