"""What every attention layer is: its arguments, its family, and how it is called."""

import keras
import numpy as np

from attention_zoo.layers.core.inputs import cast_integers
from attention_zoo.layers.core.masks import padding_mask, zero_padding
from attention_zoo.layers.core.validation import check_arguments, check_rank
from attention_zoo.layers.core.weight_options import WeightOptions


class AttentionLayer(WeightOptions):
    """Base of the attention layers, with the arguments of `WeightOptions`.

    A subclass takes exactly the arguments that its `__init__` lists, and these; any
    other is refused. The class says what it is:

    Attributes:
        family: Name of the family in the registry, which says how the layer is called.
        weights_are: What the attention weights weigh, such as `"positions"` or
            `"channels"`; None for a layer without weights.
        call_inputs: Names of the tensors that `call` takes, in order.
        call_masks: Names of the padding masks that `call` takes.
        call_options: Names of the options that `call` takes out of
            `"attention_mask"`, `"use_causal_mask"`, `"return_attention_scores"`.
        needs_value: Whether the layer cannot be called on one tensor alone.
        ranks: Numbers of axes between batch and features that the layer takes: 1 for
            sequences, 2 for images, 3 for volumes and videos.
    """

    family: str | None = None
    weights_are: str | None = None
    call_inputs: tuple[str, ...] = ("inputs",)
    call_masks: tuple[str, ...] = ("mask",)
    call_options: tuple[str, ...] = ()
    needs_value = False
    ranks: tuple[int, ...] = (1,)

    def __init__(self, **kwargs):
        check_arguments(type(self), kwargs)
        super().__init__(**kwargs)
        self.supports_masking = True

    def __call__(self, *args, **kwargs):
        for x in (*args, *kwargs.values()):
            if hasattr(x, "nested_row_splits"):  # a ragged one of TensorFlow
                raise ValueError(
                    f"`{type(self).__name__}` takes dense tensors. Expected "
                    "`x.to_tensor()`, with the padding as a mask. Received: a ragged "
                    f"tensor of shape {tuple(x.shape)}"
                )
        return super().__call__(*args, **kwargs)

    def __setattr__(self, name, value):
        if isinstance(value, np.generic):  # Keras's own layers take Python's alone
            value = value.item()
        super().__setattr__(name, value)

    def compute_mask(self, inputs, previous_mask=None):
        if isinstance(previous_mask, (list, tuple)):
            return previous_mask[0]
        return previous_mask


class SelfAttentionLayer(AttentionLayer):
    """Base of the layers `layer(inputs)` in which a sequence attends to itself.

    A subclass overrides `compute_output_shape`, and `compute_scores_shape` where its
    weights are not `(B, T, T)`.
    """

    family: str | None = "self"
    weights_are: str | None = "positions"
    call_options: tuple[str, ...] = ("use_causal_mask", "return_attention_scores")

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def compute_scores_shape(self, input_shape):
        """Returns the shape of the attention weights."""
        return (*input_shape[:-1], input_shape[-2])

    def _mask_inputs(self, inputs, mask):
        """Returns the inputs with zeros at padding, and their boolean mask or None."""
        self._check_inputs(inputs, mask)
        inputs = cast_integers(inputs, self.compute_dtype)
        mask = padding_mask(type(self).__name__, "mask", mask, inputs)
        return zero_padding(inputs, mask), mask

    def _check_inputs(self, inputs, mask=None):
        """Raises `ValueError` unless `inputs` is one sequence, and `mask` its mask."""
        owner = type(self).__name__
        check_rank(owner, 3, inputs=inputs.shape)
        if mask is None:
            return
        mask = mask if hasattr(mask, "shape") else np.asarray(mask)
        shape, dtype = tuple(mask.shape), keras.backend.standardize_dtype(mask.dtype)
        if len(shape) == 3 or "float" in dtype:
            raise ValueError(
                f"`{owner}` attends within one sequence; its second argument is the "
                "sequence's padding `mask`, boolean and of shape (B, T). For a query "
                "and a value use `Attention`. "
                f"Received: mask.shape={shape}, mask.dtype={dtype}"
            )

    def compute_output_spec(
        self, inputs, mask=None, *args, return_attention_scores=False, **kwargs
    ):
        self._check_inputs(inputs, mask)
        shape = self.compute_output_shape(inputs.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        shape = self.compute_scores_shape(inputs.shape)
        return output, keras.KerasTensor(shape, dtype=self.compute_dtype)
