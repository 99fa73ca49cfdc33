"""The feed-forward layer of transformers, plain or gated."""

import keras

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.validation import check_positive_integer


@keras.saving.register_keras_serializable("attention_zoo")
class FeedForward(AttentionLayer):
    """Feed-forward layer of transformers: `W2 act(W1 x)`, gated `W2 (act(W1 x) * V x)`.

    1. Hidden layer: `act(W1 x + b1)`, shape `(..., intermediate_dim)`; with a gate its
       product with `V x + c`.
    2. Output: `W2 h + b2`, shape `(..., D)`.

    With a gate, `activation="sigmoid"` is GLU, `"silu"` SwiGLU, `"gelu"` GEGLU and
    `"relu"` ReGLU. The gated layers of the paper have no biases; these do.

    Args:
        intermediate_dim: Integer. Width of the hidden layer.
        activation: String or callable. Activation of the hidden layer.
            Defaults to `"relu"`.
        use_gate: Boolean. Whether a second projection `V` gates the hidden layer.
            Defaults to `False`.
        kernel_initializer: Initializer of the kernels. Defaults to `"glorot_uniform"`.

    Call arguments:
        inputs: Tensor of shape `(..., D)`.

    Returns:
        Tensor of shape `(..., D)`.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    swiglu = layers.FeedForward(32, activation="silu", use_gate=True)
    assert swiglu(np.random.rand(2, 5, 8)).shape == (2, 5, 8)
    ```

    References:
        - Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
        - Shazeer 2020, https://arxiv.org/abs/2002.05202
    """

    call_masks = ()

    def __init__(
        self,
        intermediate_dim,
        activation="relu",
        use_gate=False,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, intermediate_dim=intermediate_dim)
        self.intermediate_dim = intermediate_dim
        self.activation = keras.activations.get(activation)
        self.use_gate = use_gate
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        hidden_shape = (*input_shape[:-1], self.intermediate_dim)
        self._hidden = self._make_dense("hidden", self.intermediate_dim)
        self._hidden.build(input_shape)
        self._gate = None
        if self.use_gate:
            self._gate = self._make_dense("gate", self.intermediate_dim)
            self._gate.build(input_shape)
        self._output_dense = self._make_dense("output", input_shape[-1])
        self._output_dense.build(hidden_shape)
        self.built = True

    def _make_dense(self, name, width):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return keras.layers.Dense(
            width,
            kernel_initializer=keras.initializers.get(initializer),
            name=name,
            dtype=self.dtype_policy,
        )

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
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
        return {**super().get_config(), **config}
