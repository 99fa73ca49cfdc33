"""Attention layers side by side, their outputs merged."""

import functools

import keras
from keras import ops

from attention_zoo.layers.composite.base import Composite, agree, last_shape
from attention_zoo.layers.composite.calling import inner_shapes, make_layers
from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import check_choice
from attention_zoo.layers.vision._shared import to_data_format

MERGES = ("sum", "mean", "max", "concat", "gated")


def merge_branches(outputs, merge, axis=-1):
    """Returns tensors merged by one of `MERGES` that has no weights."""
    if merge == "concat":
        return ops.concatenate(outputs, axis=axis)
    if merge == "max":
        return functools.reduce(ops.maximum, outputs)
    total = functools.reduce(ops.add, outputs)
    return total / len(outputs) if merge == "mean" else total


def fuse_branches(outputs, kernel, bias):
    """Returns the sum of N tensors, each element with weights of its own.

    Args:
        outputs: List of N tensors `(B, ..., C)`.
        kernel: Tensor `(N C, N C)`.
        bias: Tensor `(N C,)`.

    Returns:
        Tensor `(B, ..., C)`, and the weights `(B, ..., N, C)`, which sum to 1 over N.
    """
    logits = ops.matmul(ops.concatenate(outputs, axis=-1), kernel) + bias
    logits = [widen(part) for part in ops.split(logits, len(outputs), axis=-1)]
    # By hand: TensorFlow's softmax takes five axes at most, a video has one more here.
    top = functools.reduce(ops.maximum, logits)
    shares = [ops.exp(part - top) for part in logits]
    total = functools.reduce(ops.add, shares)
    weights = [ops.cast(share / total, outputs[0].dtype) for share in shares]
    parts = [a * y for a, y in zip(weights, outputs, strict=True)]
    return functools.reduce(ops.add, parts), ops.stack(weights, axis=-2)


@keras.saving.register_keras_serializable("attention_zoo")
class Parallel(Composite):
    """Attention layers side by side on the same inputs, their outputs merged.

    1. Branches: `y_i = layer_i(query)`, or `layer_i(query, value)` for a layer that
       takes a value.
    2. Output: the branches merged, plus the query with `residual=True`.

    `"sum"`, `"mean"` and `"max"` are element-wise; `"concat"` lays the channels side by
    side, so that N poolings of `(B, D)` give `(B, N D)`. `"gated"` weighs the N
    branches at each position and for each channel: `a = softmax(W [y_1; ...; y_N] + b)`
    over the branches, `y = sum_i a_i * y_i`, with `gate_kernel` `(N C, N C)` and
    `gate_bias` `(N C,)`. For two branches this is the gate of the gated multimodal
    unit, whose dense layers of the inputs are the branches here. No position looks at
    another, so that causal branches stay causal.

    Padding holds zeros before and after each layer, and a row of padding gives zeros. A
    layer that takes no mask (the vision layers but those of videos) sees these zeros;
    Keras then warns, as it does where such a layer stands alone.

    Args:
        layers: List of layers, of names for `create_attention`, or of dicts
            `{"name": ..., **config}`. Those made by name have this layer's dtype
            policy. The `data_format` of a map is that of the layers.
        merge: String. `"sum"`, `"mean"`, `"max"`, `"concat"` or `"gated"`.
            Defaults to `"sum"`.
        residual: Boolean. Whether the query is added to the output.
            Defaults to `False`.

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

    Returns:
        The merged outputs, and with `return_attention_scores=True` the tuple of the
        weights of the layers that have some, then those of the gate, shape
        `(B, ..., N, C)`. `record_attention` sees them, the gate's as this layer's own.

    Raises:
        ValueError: If an argument is invalid; if the layers have several data formats;
            if shapes or masks are incompatible; and for an `attention_mask` or
            `use_causal_mask` that an attention inside does not take.

    Example:

    ```python
    layer = layers.Parallel(["attention_pooling", "gated_attention_pooling"], "concat")
    assert layer(np.random.rand(2, 5, 8)).shape == (2, 16)
    ```

    References:
        - Arevalo et al. 2017, https://arxiv.org/abs/1702.01992
        - Side by side: Woo et al. 2018, https://arxiv.org/abs/1807.06521
    """

    def __init__(self, layers, merge="sum", residual=False, **kwargs):
        super().__init__(residual=residual, **kwargs)
        owner = type(self).__name__
        check_choice(owner, MERGES, merge=merge)
        self.layers = make_layers(owner, layers, self.dtype_policy)
        self.merge = merge
        self._adopt_layers()

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        if self.merge == "gated":
            shape = self.compute_output_shape(query_shape, value_shape, key_shape)
            width = len(self.layers) * self._width(shape)
            self.gate_kernel = self.add_weight(
                name="gate_kernel", shape=(width, width), initializer="glorot_uniform"
            )
            self.gate_bias = self.add_weight(
                name="gate_bias", shape=(width,), initializer="zeros"
            )

    def _members(self):
        return list(self.layers)

    def _trace(self, visit, query, value, key):
        outputs = []
        for layer in self.layers:
            shapes = inner_shapes(layer, query, value, key)
            visit(layer, shapes)
            outputs.append(tuple(layer.compute_output_shape(*shapes)))
        self._check_branches(outputs)
        # A size that one branch knows is known.
        shape = [
            next((s for s in sizes if s is not None), None)
            for sizes in zip(*outputs, strict=True)
        ]
        if self.merge == "concat":
            widths = [output[self._axis] for output in outputs]
            shape[self._axis] = None if None in widths else sum(widths)
        return tuple(shape)

    def _check_branches(self, outputs):
        concat = self.merge == "concat"
        but = self._axis if concat else None
        if not all(agree(outputs[0], output, but) for output in outputs):
            names = [layer.name for layer in self.layers]
            shapes = {n: tuple(s) for n, s in zip(names, outputs, strict=True)}
            expected = " but for the channels" if concat else ""
            raise ValueError(
                f"`{type(self).__name__}` cannot merge its branches by "
                f"merge={self.merge!r}. Expected outputs of one shape{expected}. "
                f"Received: {shapes}"
            )

    def _compose(self, x, mask, given):
        outputs, scores, masks = [], (), []
        for layer in self.layers:
            output, own, left = self._run(layer, x, mask, given)
            outputs.append(output)
            scores += own
            masks.append(left)
        self._check_branches([output.shape for output in outputs])
        if self.merge == "gated":
            outputs = [self._last(output) for output in outputs]
            output, gate = fuse_branches(outputs, self.gate_kernel, self.gate_bias)
            output = to_data_format(output, self.data_format)
            record(self, gate)
            scores += (gate,)
        else:
            output = merge_branches(outputs, self.merge, self._axis)
        return self._add_query(x, output), scores, _common(masks)

    def compute_mask(self, inputs, previous_mask=None):
        if previous_mask is None:
            return None
        return _common([x.compute_mask(inputs, previous_mask) for x in self.layers])

    def _gate_shape(self, shape):
        if self.merge != "gated":
            return None
        *places, width = last_shape(shape, self.data_format)
        return (*places, len(self.layers), width)

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(x) for x in self.layers]
        config = {"layers": layers, "merge": self.merge}
        return {**super().get_config(), **config}


def _common(masks):
    """Returns the mask that all branches have, None if one has none."""
    return None if any(mask is None for mask in masks) else masks[0]
