"""Attention between the fields of a table: AutoInt."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import SelfAttentionLayer
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import check_positive_integer, check_rank


@keras.saving.register_keras_serializable("attention_zoo")
class FieldAttention(SelfAttentionLayer):
    """The embedded fields of a row attend to each other and are combined: AutoInt.

    1. Heads: `q_m`, `k_m`, `v_m`, each a product of the embedding `e_m` of field `m`
       with a kernel of its own, shape `(B, H, F, K)`.
    2. Weights: `softmax(q_m . k_n)` over the fields `n`, not scaled, `(B, H, F, F)`.
    3. Output: `activation(heads side by side + e_m W_res)`, shape `(B, F, H * K)`.

    Each layer makes combinations of one order more: stack it, flatten and add a dense
    layer. Weights: `query_kernel`, `key_kernel`, `value_kernel` and `residual_kernel`,
    each `(D, H * K)`; there are no biases.

    Args:
        num_heads: Integer. Number of heads `H`. Defaults to `2`.
        key_dim: Integer. Width `K` of each head. Defaults to `32`.
        use_residual: Boolean. Whether the projected embedding is added. Defaults to
            `True`.
        activation: String or function. Activation of the output. Defaults to `"relu"`.
        kernel_initializer: Initializer of the kernels. Defaults to `"glorot_uniform"`.

    Call arguments:
        inputs: Tensor of shape `(B, F, D)`. One embedding for each field.
        mask: Boolean tensor of shape `(B, F)`, False where a value is missing; Keras
            fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of shape `(B, F, H * K)`, zeros at missing fields, and with
        `return_attention_scores=True` the weights of shape `(B, H, F, F)`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    fields = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.FieldAttention(num_heads=2, key_dim=3)
    output, weights = layer(fields, return_attention_scores=True)
    assert output.shape == (2, 7, 6)
    assert weights.shape == (2, 2, 7, 7)
    ```

    References:
        - Song et al. 2019, https://arxiv.org/abs/1810.11921
    """

    family = "features"
    weights_are = "features"
    call_options = ("return_attention_scores",)

    def __init__(
        self,
        num_heads=2,
        key_dim=32,
        use_residual=True,
        activation="relu",
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, num_heads=num_heads, key_dim=key_dim)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.use_residual = use_residual
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        check_rank(type(self).__name__, 3, inputs=tuple(input_shape))
        width = input_shape[-1]
        self.query_kernel = self._kernel("query_kernel", width)
        self.key_kernel = self._kernel("key_kernel", width)
        self.value_kernel = self._kernel("value_kernel", width)
        self.residual_kernel = None
        if self.use_residual:
            self.residual_kernel = self._kernel("residual_kernel", width)
        self.built = True

    def _kernel(self, name, width):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return self.add_weight(
            name=name,
            shape=(width, self.num_heads * self.key_dim),
            initializer=keras.initializers.get(initializer),
        )

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        x, mask = self._mask_inputs(inputs, mask)
        query, key, value = (
            self._split(x, kernel)
            for kernel in (self.query_kernel, self.key_kernel, self.value_kernel)
        )
        scores = widen(ops.matmul(query, ops.swapaxes(key, -2, -1)))
        visible = None
        if mask is not None:
            visible = ops.logical_and(mask[:, None, None], mask[:, None, :, None])
        weights = ops.cast(masked_softmax(scores, visible), x.dtype)
        heads = ops.swapaxes(ops.matmul(weights, value), 1, 2)  # (B, F, H, K)
        output = ops.reshape(heads, (*ops.shape(x)[:2], self.num_heads * self.key_dim))
        if self.residual_kernel is not None:
            output = output + ops.matmul(x, ops.cast(self.residual_kernel, x.dtype))
        output = zero_padding(self.activation(output), mask)
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def _split(self, x, kernel):
        """Returns `x` `(B, F, D)` as heads `(B, H, F, K)`."""
        x = ops.matmul(x, ops.cast(kernel, x.dtype))
        shape = (*ops.shape(x)[:2], self.num_heads, self.key_dim)
        return ops.swapaxes(ops.reshape(x, shape), 1, 2)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], self.num_heads * self.key_dim)

    def compute_scores_shape(self, input_shape):
        batch, fields = input_shape[:2]
        return (batch, self.num_heads, fields, fields)

    def get_config(self):
        config = {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "use_residual": self.use_residual,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
        return {**super().get_config(), **config}
