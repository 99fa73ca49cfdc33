"""Attention layers in a row."""

import keras

from attention_zoo.layers.composite.base import Composite
from attention_zoo.layers.composite.calling import inner_shapes, make_layers


@keras.saving.register_keras_serializable("attention_zoo")
class Serial(Composite):
    """Attention layers in a row, each on the output of the one before.

    1. `x_0` is the query; `x_i = layer_i(x_{i-1})`, or `layer_i(x_{i-1}, value)` for a
       layer that takes a value.
    2. Output: `x_n`, or `query + x_n` with `residual=True`.

    Layers of one input and layers of two may be mixed, and so may other layers of
    Keras, such as `LayerNormalization`. A residual around each layer is
    `Serial([Serial([a], residual=True), Serial([b], residual=True)])`.

    Padding holds zeros before and after each layer, and a row of padding gives zeros. A
    layer that takes no mask (the vision layers but those of videos) sees these zeros;
    Keras then warns, as it does where such a layer stands alone.

    Args:
        layers: List of layers, of names for `create_attention`, or of dicts
            `{"name": ..., **config}`. Those made by name have this layer's dtype
            policy. The `data_format` of a map is that of the layers.
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
        Output of the last layer, and with `return_attention_scores=True` the tuple of
        the weights of the layers that have some, itself nested where layers are.
        `record_attention` sees them as those of the inner layers.

    Raises:
        ValueError: If an argument is invalid; if the layers have several data formats;
            if shapes or masks are incompatible; and for an `attention_mask` or
            `use_causal_mask` that an attention inside does not take.

    Example:

    ```python
    layer = layers.Serial([
        keras.layers.LayerNormalization(),
        {"name": "multi_head_attention", "num_heads": 2, "key_dim": 4},
    ], residual=True)
    assert layer(np.random.rand(2, 5, 8)).shape == (2, 5, 8)
    ```

    References:
        - Woo et al. 2018, which compares both orders of two attentions with the two
          side by side, https://arxiv.org/abs/1807.06521
    """

    def __init__(self, layers, residual=False, **kwargs):
        super().__init__(residual=residual, **kwargs)
        self.layers = make_layers(type(self).__name__, layers, self.dtype_policy)
        self._adopt_layers()

    def _members(self):
        return list(self.layers)

    def _trace(self, visit, query, value, key):
        for layer in self.layers:
            shapes = inner_shapes(layer, query, value, key)
            visit(layer, shapes)
            query = tuple(layer.compute_output_shape(*shapes))
        return query

    def _compose(self, x, mask, given):
        output, scores = x, ()
        for layer in self.layers:
            output, own, mask = self._run(layer, output, mask, given)
            scores += own
        return self._add_query(x, output), scores, mask

    def compute_mask(self, inputs, previous_mask=None):
        for layer in self.layers:
            if previous_mask is not None:
                previous_mask = layer.compute_mask(inputs, previous_mask)
        return previous_mask

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(x) for x in self.layers]
        return {**super().get_config(), "layers": layers}
