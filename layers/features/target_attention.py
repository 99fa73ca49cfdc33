"""Attention of one target to a history: the deep interest network."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.inputs import cast_integers
from attention_zoo.layers.core.masks import padding_mask, zero_padding
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import check_positive_integer, check_rank


@keras.saving.register_keras_serializable("attention_zoo")
class TargetAttention(AttentionLayer):
    """A history is summed up with respect to one target: DIN.

    1. Pairs: `[e_t; v; e_t - v; e_t * v]` of the target `v` and each step `e_t` of the
       history, shape `(B, T, 4 D)`.
    2. Weights: `w . activation(W pair_t + b) + c`, shape `(B, T)`; as in the paper they
       are no shares, so that their size tells how strong the interest is.
    3. Output: the sum of `weight_t e_t`, shape `(B, D)`.

    Weights: `hidden` and `weigh`, dense layers. The pairs are those of the paper's
    published code; its text has the outer product in place of the last two.

    Args:
        units: Integer. Width of the hidden layer. Defaults to `36`.
        activation: String or function. Activation of the hidden layer. Defaults to
            `"sigmoid"`, as in the published code.
        use_softmax: Boolean. Whether the weights become shares by a softmax over the
            history. Defaults to `False`.

    Call arguments:
        query: Tensor of shape `(B, D)`. The target, such as an item on offer.
        value: Tensor of shape `(B, T, D)`. The history, such as the items seen.
        value_mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of shape `(B, D)`, zeros for an empty history, and with
        `return_attention_scores=True` the weights of shape `(B, T)`, zeros at padding.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    target = np.random.normal(size=(2, 5)).astype("float32")
    history = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.TargetAttention(units=11)
    output, weights = layer(target, history, return_attention_scores=True)
    assert output.shape == (2, 5)
    assert weights.shape == (2, 7)
    ```

    References:
        - Zhou et al. 2018, https://arxiv.org/abs/1706.06978
    """

    family = "features"
    weights_are = "positions"
    call_inputs = ("query", "value")
    call_masks = ("value_mask",)
    call_options = ("return_attention_scores",)
    needs_value = True

    def __init__(self, units=36, activation="sigmoid", use_softmax=False, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer(type(self).__name__, units=units)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.use_softmax = use_softmax

    def build(self, query_shape, value_shape):
        self._check_shapes(query_shape, value_shape)
        self._hidden = keras.layers.Dense(
            self.units,
            activation=self.activation,
            dtype=self.dtype_policy,
            name="hidden",
        )
        # A softmax over the history would cancel the bias.
        self._weigh = keras.layers.Dense(
            1, use_bias=not self.use_softmax, dtype=self.dtype_policy, name="weigh"
        )
        self._hidden.build((*value_shape[:2], 4 * value_shape[-1]))
        self._weigh.build((*value_shape[:2], self.units))
        self.built = True

    def call(
        self,
        query,
        value,
        value_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        self._check_shapes(query.shape, value.shape)
        value = cast_integers(value, self.compute_dtype)
        mask = padding_mask(type(self).__name__, "value_mask", value_mask, value)
        value = zero_padding(value, mask)
        query = ops.expand_dims(cast_integers(query, self.compute_dtype), 1)
        target = query + ops.zeros_like(value)
        pairs = [value, target, value - target, value * target]
        hidden = self._hidden(ops.concatenate(pairs, axis=-1))
        scores = widen(ops.squeeze(self._weigh(hidden), -1))
        if self.use_softmax:
            weights = masked_softmax(scores, mask)
        else:
            shown = ops.ones_like(scores, dtype="bool") if mask is None else mask
            weights = ops.where(shown, scores, ops.zeros_like(scores))
        output = ops.matmul(ops.expand_dims(weights, 1), widen(value))
        output = ops.cast(ops.squeeze(output, 1), self.compute_dtype)
        weights = ops.cast(weights, self.compute_dtype)
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def _check_shapes(self, query, value):
        owner, query, value = type(self).__name__, tuple(query), tuple(value)
        check_rank(owner, 2, query=query)
        check_rank(owner, 3, value=value)
        pairs = (query[0], value[0]), (query[1], value[2])
        if any(None not in pair and pair[0] != pair[1] for pair in pairs):
            raise ValueError(
                f"`{owner}` expects `query` of shape (B, D) and `value` of shape "
                f"(B, T, D). Received: query.shape={query}, value.shape={value}"
            )

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, query_shape, value_shape):
        return tuple(query_shape)

    def compute_output_spec(
        self, query, value, *args, return_attention_scores=False, **kwargs
    ):
        self._check_shapes(query.shape, value.shape)
        output = keras.KerasTensor(query.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        return output, keras.KerasTensor(value.shape[:2], dtype=self.compute_dtype)

    def get_config(self):
        config = {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_softmax": self.use_softmax,
        }
        return {**super().get_config(), **config}
