"""An attention layer behind a gate."""

import keras
from keras import ops

from attention_zoo.layers.composite.base import Composite, last_shape
from attention_zoo.layers.composite.calling import inner_shapes, make_layer
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.vision._shared import to_data_format


@keras.saving.register_keras_serializable("attention_zoo", name="Gated")
class GatedFusion(Composite):
    """An attention layer behind a learned element-wise gate.

    1. `y = layer(query)`, or `layer(query, value)` for a layer that takes a value.
    2. Gate: `g = sigmoid(W [x; y] + b)`, of the output's shape, where `x` is the query.
    3. Output: `g * y`; with `residual=True` `g * y + (1 - g) * x`, the gate between the
       layer and a way around it.

    The first is attention on attention without the dense layer that its gate opens, the
    second the gated fusion of two inputs, or a highway whose gate knows both ways.
    Where the positions of the query are gone, as behind a pooling, the gate is
    `sigmoid(W y + b)`. Weights: `gate_kernel` `(Dq + C, C)`, or `(C, C)` then, and
    `gate_bias` `(C,)`. No position looks at another: a causal layer stays causal.

    Padding holds zeros before and after each layer, and a row of padding gives zeros. A
    layer that takes no mask (the vision layers but those of videos) sees these zeros;
    Keras then warns, as it does where such a layer stands alone.

    Args:
        layer: Layer, name for `create_attention`, or dict `{"name": ..., **config}`.
            One made by name has this layer's dtype policy. The `data_format` of a map
            is that of the layer.
        residual: Boolean. Whether what the gate keeps out is taken from the query.
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
        Output of the layer's shape, and with `return_attention_scores=True` a tuple of
        the layer's weights, if it has some, and of the gate, channels last.
        `record_attention` sees them, the gate as this layer's own.

    Raises:
        ValueError: If an argument is invalid; if the layers have several data formats;
            if shapes or masks are incompatible; and for an `attention_mask` or
            `use_causal_mask` that an attention inside does not take.

    Example:

    ```python
    layer = layers.GatedFusion("self_attention", residual=True)
    x = np.random.rand(2, 5, 8)
    output, (weights, gate) = layer(x, return_attention_scores=True)
    assert output.shape == gate.shape == (2, 5, 8)
    assert weights.shape == (2, 5, 5)
    ```

    References:
        - Attention on attention: Huang et al. 2019, https://arxiv.org/abs/1908.06954
        - Gated fusion: Arevalo et al. 2017, https://arxiv.org/abs/1702.01992
        - Highways: Srivastava et al. 2015, https://arxiv.org/abs/1505.00387
    """

    def __init__(self, layer, residual=False, **kwargs):
        super().__init__(residual=residual, **kwargs)
        self.layer = make_layer(type(self).__name__, layer, self.dtype_policy)
        self._adopt_layers()

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        query = tuple(query_shape)
        output = self.compute_output_shape(query_shape, value_shape, key_shape)
        width = self._width(output)
        places = (last_shape(shape, self.data_format)[:-1] for shape in (query, output))
        self._sees_query = len(set(places)) == 1
        inputs = width + (self._width(query) if self._sees_query else 0)
        self.gate_kernel = self.add_weight(
            name="gate_kernel", shape=(inputs, width), initializer="glorot_uniform"
        )
        self.gate_bias = self.add_weight(
            name="gate_bias", shape=(width,), initializer="zeros"
        )

    def _members(self):
        return [self.layer]

    def _trace(self, visit, query, value, key):
        shapes = inner_shapes(self.layer, query, value, key)
        visit(self.layer, shapes)
        return tuple(self.layer.compute_output_shape(*shapes))

    def _compose(self, x, mask, given):
        output, scores, mask = self._run(self.layer, x, mask, given)
        self._check_residual(x.shape, output.shape)
        x, output = self._last(x), self._last(output)
        both = ops.concatenate([x, output], axis=-1) if self._sees_query else output
        gate = ops.sigmoid(ops.matmul(both, self.gate_kernel) + self.gate_bias)
        record(self, gate)
        output = x + gate * (output - x) if self.residual else gate * output
        return to_data_format(output, self.data_format), (*scores, gate), mask

    def compute_mask(self, inputs, previous_mask=None):
        if previous_mask is None:
            return None
        return self.layer.compute_mask(inputs, previous_mask)

    def _gate_shape(self, shape):
        return last_shape(shape, self.data_format)

    def get_config(self):
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}
