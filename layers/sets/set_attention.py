"""Self-attention over a set: SAB of the Set Transformer."""

import keras

from attention_zoo.layers.core.attention_layer import SelfAttentionLayer
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.recording import pause_recording, record, recording
from attention_zoo.layers.core.validation import check_rank
from attention_zoo.layers.sets._block import block_config, keep_arguments, make_block


@keras.saving.register_keras_serializable("attention_zoo")
class SetAttentionBlock(SelfAttentionLayer):
    """Each member of a set attends to all of them, in whatever order they come: SAB.

    1. `h = norm(x + attention(x, x))`, multi-head attention, shape `(B, N, D)`.
    2. Output: `norm(h + feed(h))`, shape `(B, N, D)`; zeros at padding.

    Members that change places change places in the output and nothing else. Weights:
    `block`, with `attention`, `feed_forward` and the two layer normalizations. It is a
    `TransformerEncoderBlock` that is normalized after, with the paper's widths; for one
    vector of the set take `MultiHeadAttentionPooling`, the paper's PMA.

    Args:
        num_heads: Integer. Number of heads `H`.
        key_dim: Integer. Width of each head. Defaults to `None`, which stands for
            `D / num_heads`, rounded up.
        intermediate_dim: Integer. Width of the feed-forward layer. Defaults to `None`,
            which stands for `D`.
        activation: String or function. Activation of the feed-forward layer. Defaults
            to `"relu"`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        layer_norm_epsilon: Float. Added to the variance in the normalizations.
            Defaults to `1e-6`.
        kernel_initializer: Initializer of the kernels. Defaults to `"glorot_uniform"`.
        seed: Integer. Seed of the dropout. Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(B, N, D)`.
        mask: Boolean tensor of shape `(B, N)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.

    Returns:
        Output of shape `(B, N, D)`, and with `return_attention_scores=True` the
        weights of shape `(B, H, N, N)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    members = np.random.normal(size=(2, 5, 8)).astype("float32")
    layer = layers.SetAttentionBlock(num_heads=2)
    output = np.array(layer(members))
    assert output.shape == (2, 5, 8)
    np.testing.assert_allclose(layer(members[:, ::-1]), output[:, ::-1], atol=1e-5)
    ```

    References:
        - Lee et al. 2019, https://arxiv.org/abs/1810.00825
    """

    family = "set"
    call_options = ("return_attention_scores",)

    def __init__(
        self,
        num_heads,
        key_dim=None,
        intermediate_dim=None,
        activation="relu",
        dropout=0.0,
        layer_norm_epsilon=1e-6,
        kernel_initializer="glorot_uniform",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        keep_arguments(
            self,
            num_heads,
            key_dim,
            intermediate_dim,
            activation,
            dropout,
            layer_norm_epsilon,
            kernel_initializer,
            seed,
        )

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=input_shape)
        self._block = make_block(self, "block")
        self._block.build(input_shape, input_shape)
        self.built = True

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        x, mask = self._mask_inputs(inputs, mask)
        need_weights = return_attention_scores or recording()
        with pause_recording():
            output, weights = self._block(
                x, x, value_mask=mask, training=training, need_weights=need_weights
            )
        output = zero_padding(output, mask)
        if weights is not None:
            record(self, weights)
        return (output, weights) if return_attention_scores else output

    def compute_scores_shape(self, input_shape):
        batch, size = input_shape[:2]
        return (batch, self.num_heads, size, size)

    def get_config(self):
        return {**super().get_config(), **block_config(self)}
