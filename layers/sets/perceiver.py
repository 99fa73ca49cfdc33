"""Learned latents that read a set or sequence of any length: the Perceiver."""

import keras

from attention_zoo.layers.core.attention_layer import SelfAttentionLayer
from attention_zoo.layers.core.recording import pause_recording, record, recording
from attention_zoo.layers.core.validation import (
    check_number,
    check_optional_integers,
    check_positive_integer,
    check_rank,
    is_integer,
)
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.sets._block import (
    block_config,
    keep_arguments,
    make_block,
    repeat_rows,
    zero_empty_sets,
)


@keras.saving.register_keras_serializable("attention_zoo")
class PerceiverAttention(SelfAttentionLayer):
    """A few learned latents read inputs of any length, then attend to each other.

    1. `MAB(z, x) = h + feed(norm(h))` with `h = z + attention(norm(z), norm(x))`.
    2. Reading: `z = MAB(z, x)`, `z` the latents, shape `(B, S, Ds)`.
    3. Thinking: `z = MAB(z, z)`, `num_layers` times, each with its own weights.
    4. Steps 2 and 3 are repeated `num_repeats` times with the same weights.

    Time and memory grow with `N x S`, and with `S x S` for each layer. The order of the
    inputs does not matter: where it should, encode positions in them. Weights:
    `latents` `(S, Ds)`, the block `reading`, whose norms are `attention_norm` of the
    latents and `value_norm` of the inputs, and the blocks `thinking_0`, `thinking_1`...
    A row of padding gives zeros.

    Args:
        num_latents: Integer. Number of latents `S`. Defaults to `32`.
        latent_dim: Integer. Width `Ds` of the latents. Defaults to `None`, which stands
            for the width of the inputs.
        num_layers: Integer. Number of blocks in which the latents attend to each
            other, 0 or more. Defaults to `1`.
        num_repeats: Integer. How often the latents read the inputs. Defaults to `1`.
        num_heads: Integer. Number of heads `H` of all blocks. Defaults to `1`.
        key_dim: Integer. Width of each head. Defaults to `None`, which stands for
            `Ds / num_heads`, rounded up.
        intermediate_dim: Integer. Width of the feed-forward layer. Defaults to `None`,
            which stands for `Ds`.
        activation: String or function. Activation of the feed-forward layer. Defaults
            to `"gelu"`.
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
        Output of shape `(B, S, Ds)`, and with `return_attention_scores=True` the
        weights of the last reading, of shape `(B, H, S, N)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    inputs = np.random.normal(size=(2, 50, 8)).astype("float32")
    layer = layers.PerceiverAttention(num_latents=3, latent_dim=6, num_heads=2)
    output, weights = layer(inputs, return_attention_scores=True)
    assert output.shape == (2, 3, 6)
    assert weights.shape == (2, 2, 3, 50)
    ```

    References:
        - Jaegle et al. 2021, https://arxiv.org/abs/2103.03206
    """

    family = "set"
    call_options = ("return_attention_scores",)

    def __init__(
        self,
        num_latents=32,
        latent_dim=None,
        num_layers=1,
        num_repeats=1,
        num_heads=1,
        key_dim=None,
        intermediate_dim=None,
        activation="gelu",
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
        owner = type(self).__name__
        check_positive_integer(owner, num_latents=num_latents, num_repeats=num_repeats)
        check_optional_integers(owner, latent_dim=latent_dim)
        if not is_integer(num_layers):
            check_positive_integer(owner, num_layers=num_layers)
        check_number(owner, minimum=0, num_layers=num_layers)
        self.num_latents = num_latents
        self.latent_dim = latent_dim
        self.num_layers = num_layers
        self.num_repeats = num_repeats

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=input_shape)
        shape = (self.num_latents, self.latent_dim or input_shape[-1])
        self.latents = self.add_weight(
            name="latents",
            shape=shape,
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )
        shape = (input_shape[0], *shape)
        self._reading = make_block(
            self, "reading", normalize_first=True, normalize_value=True
        )
        self._reading.build(shape, input_shape)
        self._thinking = []
        for index in range(self.num_layers):
            block = make_block(self, f"thinking_{index}", normalize_first=True)
            hand_on(self._weight_options, block)
            block.build(shape, shape)
            self._thinking.append(block)
        self.built = True

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        x, mask = self._mask_inputs(inputs, mask)
        latents = repeat_rows(self.latents, x)
        need_weights = return_attention_scores or recording()
        with pause_recording():
            for _ in range(self.num_repeats):
                latents, weights = self._reading(
                    latents,
                    x,
                    value_mask=mask,
                    training=training,
                    need_weights=need_weights,
                )
                for block in self._thinking:
                    latents, _ = block(latents, latents, training=training)
        output = zero_empty_sets(latents, mask)
        if weights is not None:
            record(self, weights)
        return (output, weights) if return_attention_scores else output

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_latents, self.latent_dim or input_shape[-1])

    def compute_scores_shape(self, input_shape):
        return (input_shape[0], self.num_heads, self.num_latents, input_shape[1])

    def get_config(self):
        config = {
            "num_latents": self.num_latents,
            "latent_dim": self.latent_dim,
            "num_layers": self.num_layers,
            "num_repeats": self.num_repeats,
            **block_config(self),
        }
        return {**super().get_config(), **config}
