"""The feed-forward layer of transformers, plain or gated."""

import keras

from attention_zoo.layers.core.validation import check_positive_integer


@keras.saving.register_keras_serializable("attention_zoo")
class FeedForward(keras.layers.Layer):
    """The layers between attentions: `W2 act(W1 x)`, gated `W2 (act(W1 x) * V x)`.

    With a gate, `activation="sigmoid"` is GLU, `"silu"` SwiGLU, `"gelu"` GEGLU and
    `"relu"` ReGLU. The paper's have no biases; these do.

    Args:
        intermediate_dim: Width of the hidden layer.
        activation: Activation of the hidden layer. Defaults to `"relu"`.
        use_gate: Whether a second projection `V` gates the hidden layer.
            Defaults to `False`.

    Call arguments:
        inputs: Tensor of shape `(..., D)`.

    Returns:
        Tensor of shape `(..., D)`.

    References:
        - Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
        - Shazeer 2020, https://arxiv.org/abs/2002.05202
    """

    def __init__(self, intermediate_dim, activation="relu", use_gate=False, **kwargs):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, intermediate_dim=intermediate_dim)
        self.intermediate_dim = intermediate_dim
        self.activation = keras.activations.get(activation)
        self.use_gate = use_gate
        self.supports_masking = True

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        hidden_shape = (*input_shape[:-1], self.intermediate_dim)
        dense, dtype = keras.layers.Dense, self.dtype_policy
        self._hidden = dense(self.intermediate_dim, name="hidden", dtype=dtype)
        self._hidden.build(input_shape)
        self._gate = None
        if self.use_gate:
            self._gate = dense(self.intermediate_dim, name="gate", dtype=dtype)
            self._gate.build(input_shape)
        self._output_dense = dense(input_shape[-1], name="output", dtype=dtype)
        self._output_dense.build(hidden_shape)
        self.built = True

    def call(self, inputs):
        hidden = self.activation(self._hidden(inputs))
        if self._gate is not None:
            hidden = hidden * self._gate(inputs)
        return self._output_dense(hidden)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {
            "intermediate_dim": self.intermediate_dim,
            "activation": keras.activations.serialize(self.activation),
            "use_gate": self.use_gate,
        }
        return {**super().get_config(), **config}
