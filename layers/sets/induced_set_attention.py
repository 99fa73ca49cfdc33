"""Self-attention over a set by way of a few points: ISAB of the Set Transformer."""

import keras

from attention_zoo.layers.core.attention_layer import SelfAttentionLayer
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.recording import recording
from attention_zoo.layers.core.validation import check_positive_integer, check_rank
from attention_zoo.layers.sets._block import (
    block_config,
    keep_arguments,
    make_block,
    repeat_rows,
    zero_empty_sets,
)


@keras.saving.register_keras_serializable("attention_zoo")
class InducedSetAttentionBlock(SelfAttentionLayer):
    """A set attends to a few learned points that have attended to it: ISAB.

    1. `MAB(x, y) = norm(h + feed(h))` with `h = norm(x + attention(x, y))`.
    2. The points read the set: `p = MAB(points, x)`, shape `(B, P, D)`.
    3. Output: the set reads the points, `MAB(x, p)`, shape `(B, N, D)`; zeros at
       padding.

    Members that change places change places in the output and nothing else, as in
    `SetAttentionBlock`, at a cost of `N x P` instead of `N x N`. Weights: `points`
    `(P, D)`, and the blocks `reading` and `writing`, each with `attention`,
    `feed_forward` and two layer normalizations.

    Args:
        num_heads: Integer. Number of heads `H`.
        num_points: Integer. Number of learned points `P`. Defaults to `16`.
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
        Output of shape `(B, N, D)`, and with `return_attention_scores=True` a pair of
        weights, dropout included: of the points over the set, `(B, H, P, N)`, and of
        the set over the points, `(B, H, N, P)`. The `attention` of each block records
        them.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    members = np.random.normal(size=(2, 7, 8)).astype("float32")
    layer = layers.InducedSetAttentionBlock(num_heads=2, num_points=3)
    output, (reading, writing) = layer(members, return_attention_scores=True)
    assert output.shape == (2, 7, 8)
    assert reading.shape == (2, 2, 3, 7)
    assert writing.shape == (2, 2, 7, 3)
    ```

    References:
        - Lee et al. 2019, https://arxiv.org/abs/1810.00825
    """

    family = "set"
    weights_are = None
    call_options = ("return_attention_scores",)

    def __init__(
        self,
        num_heads,
        num_points=16,
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
        check_positive_integer(type(self).__name__, num_points=num_points)
        self.num_points = num_points

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=input_shape)
        shape = (self.num_points, input_shape[-1])
        self.points = self.add_weight(
            name="points", shape=shape, initializer="glorot_uniform"
        )
        self._reading = make_block(self, "reading")
        self._reading.build((input_shape[0], *shape), input_shape)
        self._writing = make_block(self, "writing")
        self._writing.build(input_shape, (input_shape[0], *shape))
        self.built = True

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        x, mask = self._mask_inputs(inputs, mask)
        options = {
            "training": training,
            "need_weights": return_attention_scores or recording(),
        }
        points, reading = self._reading(
            repeat_rows(self.points, x), x, value_mask=mask, **options
        )
        points = zero_empty_sets(points, mask)
        output, writing = self._writing(x, points, **options)
        output = zero_padding(output, mask)
        return (output, (reading, writing)) if return_attention_scores else output

    def compute_scores_shape(self, input_shape):
        batch, size = input_shape[:2]
        heads, points = self.num_heads, self.num_points
        return (batch, heads, points, size), (batch, heads, size, points)

    def compute_output_spec(
        self, inputs, mask=None, return_attention_scores=False, training=None
    ):
        output = super().compute_output_spec(inputs, mask)
        if not return_attention_scores:
            return output
        shapes = self.compute_scores_shape(inputs.shape)
        return output, tuple(
            keras.KerasTensor(shape, dtype=self.compute_dtype) for shape in shapes
        )

    def get_config(self):
        config = {"num_points": self.num_points, **block_config(self)}
        return {**super().get_config(), **config}
