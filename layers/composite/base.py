"""What the layers made of layers share: how they are built and called."""

import keras
from keras import ops

from attention_zoo.layers.composite.calling import (
    Given,
    apply_mask,
    call_layer,
    check_padding,
    shared_data_format,
    takes_value,
)
from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.inputs import cast_integers
from attention_zoo.layers.core.validation import check_choice
from attention_zoo.layers.vision._shared import to_channels_last


def agree(shape, other, but=None):
    """Whether two shapes may be equal; the axis `but` may differ anyway."""
    if len(shape) != len(other):
        return False
    pairs = list(zip(shape, other, strict=True))
    if but is not None:
        del pairs[but]
    return all(a is None or b is None or a == b for a, b in pairs)


def last_shape(shape, data_format):
    """Returns the shape `(B, ..., C)` of a tensor whose shape has `data_format`."""
    if data_format == "channels_first":
        return (shape[0], *shape[2:], shape[1])
    return tuple(shape)


class Composite(AttentionLayer):
    """Base of the layers made of layers: how they are called.

    A subclass overrides `_members`, `_trace`, which follows the shapes through its
    layers, `_compose`, which follows the tensors, and `compute_mask`.

    Args:
        residual: Boolean. A subclass says what it means. Defaults to `False`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)` or a map `(B, H, W, C)`: the inputs of the
            layers of one input, and the query of those that take a `value`.
        value: Tensor of shape `(B, Tv, Dv)`, the same for all layers that take one.
            Defaults to `None`: a layer that needs one attends to its own query.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        mask: Boolean tensor of shape `(B, Tq)`, of a `query` without a `value`; Keras
            fills it in.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`, for all attentions.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Handed on to the layers.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only, in all
            attentions.
    """

    family = "composite"
    call_inputs = ("query", "value", "key")
    call_masks = ("mask", "query_mask", "value_mask", "key_mask")
    call_options = ("attention_mask", "use_causal_mask", "return_attention_scores")
    needs_value = False
    ranks = (1, 2, 3)  # those of the layers inside, which a class does not know

    def __init__(self, residual=False, **kwargs):
        super().__init__(**kwargs)
        check_choice(type(self).__name__, (True, False), residual=residual)
        self.residual = residual

    def _adopt_layers(self):
        """Takes over the layers' data format, and whether they take masks and values.

        `data_format` is None where no layer has one.
        """
        members = self._members()
        self.data_format = shared_data_format(type(self).__name__, members)
        self.takes_value = any(takes_value(layer) for layer in members)
        self.supports_masking = all(layer.supports_masking for layer in members)

    @property
    def _axis(self):
        """The axis of the channels."""
        return 1 if self.data_format == "channels_first" else -1

    def _members(self):
        """Returns the list of the layers."""
        raise NotImplementedError(f"`{type(self).__name__}` must override `_members`.")

    def _trace(self, visit, query, value, key):
        """Calls `visit(layer, shapes)` for each layer and returns the output's shape.

        Args:
            visit: Function of a layer and the tuple of shapes that it is called on.
            query, value, key: Shapes; the latter two may be None.
        """
        raise NotImplementedError(f"`{type(self).__name__}` must override `_trace`.")

    def _compose(self, x, mask, given):
        """Returns the output, a tuple of scores, and the output's mask.

        Args:
            x: The query, with zeros at padding.
            mask: Its boolean mask, or None.
            given: The `Given` of the call.
        """
        raise NotImplementedError(f"`{type(self).__name__}` must override `_compose`.")

    def build(self, query_shape, value_shape=None, key_shape=None):
        def build_layer(layer, shapes):
            if not layer.built:  # one given, or out of a saved model, may be
                layer.build(*shapes)

        self._follow(build_layer, query_shape, value_shape, key_shape)
        self.built = True

    def _follow(self, visit, query, value=None, key=None):
        """Returns the output's shape, with `visit` called as `_trace` does."""
        query, value, key = (s if s is None else tuple(s) for s in (query, value, key))
        self._check_inputs(query, value, key)
        output = self._trace(visit, query, value, key)
        self._check_residual(query, output)
        return output

    def _check_inputs(self, query, value, key):
        owner = type(self).__name__
        if value is None and key is not None:
            raise ValueError(
                f"`{owner}` expects a `key` beside a `value` only. Received: "
                f"value=None, key.shape={tuple(key)}"
            )
        if value is not None and not self.takes_value:
            raise ValueError(
                f"None of the layers of `{owner}` takes a `value`. Expected one input. "
                f"Received: query.shape={tuple(query)}, value.shape={tuple(value)}"
            )

    def _check_residual(self, query, output):
        if self.residual and not agree(query, output):
            raise ValueError(
                f"`{type(self).__name__}` with `residual=True` expects an output of "
                f"the query's shape. Received: query.shape={tuple(query)}, "
                f"an output of shape {tuple(output)}"
            )

    def _width(self, shape):
        """Returns the number of channels of a shape, which a gate has to know."""
        if shape[self._axis] is None:
            raise ValueError(
                f"`{type(self).__name__}` has a gate, which expects a known number of "
                f"channels. Received: a tensor of shape {tuple(shape)}"
            )
        return shape[self._axis]

    def _last(self, x):
        return to_channels_last(x, self.data_format)

    def _run(self, layer, x, mask, given):
        owner = type(self).__name__
        x, scores, mask = call_layer(owner, layer, x, mask, given, self.data_format)
        return ops.cast(x, self.compute_dtype), scores, mask

    def call(
        self,
        query,
        value=None,
        key=None,
        mask=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        shapes = (x if x is None else x.shape for x in (query, value, key))
        self._check_inputs(*shapes)
        name, mask = ("query_mask", query_mask) if mask is None else ("mask", mask)
        mask = check_padding(
            type(self).__name__, name, mask, query.shape, self.data_format
        )
        given = Given(
            value,
            key,
            value_mask,
            key_mask,
            attention_mask,
            use_causal_mask,
            return_attention_scores,
        )
        query = cast_integers(query, self.compute_dtype)
        x = apply_mask(query, mask, self.data_format)
        output, scores, mask_left = self._compose(x, mask, given)
        if mask is not None and mask_left is None:  # still, rows of padding give zeros
            rows = ops.any(mask, axis=tuple(range(1, len(mask.shape))))
            output = apply_mask(output, rows, None)
        return (output, scores) if return_attention_scores else output

    def _add_query(self, x, output):
        """Returns the output, plus the query where there is a residual."""
        self._check_residual(x.shape, output.shape)
        return x + output if self.residual else output

    def compute_output_shape(self, query_shape, value_shape=None, key_shape=None):
        return self._follow(lambda *_: None, query_shape, value_shape, key_shape)

    def compute_output_spec(
        self,
        query,
        value=None,
        key=None,
        mask=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        scores = []

        def collect(layer, shapes):
            if "return_attention_scores" in layer.call_signature_parameters:
                specs = [keras.KerasTensor(s, self.compute_dtype) for s in shapes]
                spec = layer.compute_output_spec(*specs, return_attention_scores=True)
                scores.append(spec[1])

        shapes = (x if x is None else x.shape for x in (query, value, key))
        visit = collect if return_attention_scores else lambda *_: None
        shape = self._follow(visit, *shapes)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        gate = self._gate_shape(shape)
        if gate is not None:
            scores.append(keras.KerasTensor(gate, dtype=self.compute_dtype))
        return output, tuple(scores)

    def _gate_shape(self, shape):
        """Returns the shape of the layer's own gate for an output's shape, or None."""
        return None

    def get_config(self):
        return {**super().get_config(), "residual": self.residual}
