"""Two-stage attention: along time, then across the variates by way of routers."""

import keras
from keras import ops

from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.recording import pause_recording, record
from attention_zoo.layers.core.validation import (
    check_optional_integers,
    check_positive_integer,
    check_rank,
    check_rate,
)
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.sequence.multi_head import MultiHeadAttention
from attention_zoo.layers.series._shared import SeriesLayer
from attention_zoo.layers.transformer.feed_forward import FeedForward


def flat(x):
    """Returns `x` `(B, N, ...)` as `(B N, ...)`; None stays None."""
    if x is None:
        return None
    shape = ops.shape(x)
    return ops.reshape(x, (shape[0] * shape[1], *shape[2:]))


@keras.saving.register_keras_serializable("attention_zoo")
class TwoStageAttention(SeriesLayer):
    """Attention along time, then across variates through a few routers a segment.

    V variates are cut into S segments each, whose embeddings have width D. `c` is the
    number of routers, `H` of heads.

    1. Time: each variate attends to itself, `z = norm(x + attention(x, x))` and
       `t = norm(z + mlp(z))`, shape `(B, V, S, D)`, weights `(B, V, H, S, S)`.
    2. Gather: in each segment the learned routers attend to the variates,
       `b = attention(routers, t)`, shape `(B, S, c, D)`, weights `(B, S, H, c, V)`.
    3. Distribute: the variates attend to what was gathered,
       `z = norm(t + attention(t, b))` and `y = norm(z + mlp(z))`, shape
       `(B, V, S, D)`, weights `(B, S, H, V, c)`.

    All are multi-head scaled dot-product attention; the cost over variates is V x c and
    not V x V. Parts: `time`, `gather`, `distribute`, `time_norm`, `time_mlp`,
    `time_mlp_norm`, `variate_norm`, `variate_mlp`, `variate_mlp_norm`, and the weight
    `routers` `(max_segments, c, D)`, of which S segments use the first S. A segment
    of padding is never seen and comes out as zeros.

    Args:
        num_heads: Integer. Number of heads `H`; each has `D / H` features, rounded up.
            Defaults to `4`.
        num_routers: Integer. Number of routers `c`. Defaults to `10`, the authors'
            choice.
        intermediate_dim: Integer. Width of the hidden layer of both `mlp`. Defaults to
            `None`: 4 D.
        max_segments: Integer. Largest number of segments. Defaults to `None`: as many
            as the inputs of the first call have.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        activation: Activation inside both `mlp`. Defaults to `"gelu"`.
        seed: Integer. Seed of the dropout. Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(B, V, S, D)`.
        mask: Boolean tensor of shape `(B, V, S)`, False for segments of padding; Keras
            fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` a tuple of
        the three weights. The parts `time`, `gather` and `distribute` record them.

    Raises:
        ValueError: If an argument is invalid, if the inputs have another rank or more
            segments than `max_segments`, or an unknown number of segments without it.

    Example:

    ```python
    segments = np.random.normal(size=(2, 3, 5, 8)).astype("float32")
    layer = layers.TwoStageAttention(num_heads=2, num_routers=4, intermediate_dim=7)
    output, (time, gather, distribute) = layer(segments, return_attention_scores=True)
    assert output.shape == (2, 3, 5, 8)
    assert time.shape == (2, 3, 2, 5, 5)
    assert gather.shape == (2, 5, 2, 4, 3)
    assert distribute.shape == (2, 5, 2, 3, 4)
    ```

    References:
        - Zhang and Yan 2023, https://openreview.net/forum?id=vSVLM2j9eie
    """

    rank = 4
    ranks = (2,)  # variates and segments

    def __init__(
        self,
        num_heads=4,
        num_routers=10,
        intermediate_dim=None,
        max_segments=None,
        dropout=0.0,
        activation="gelu",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, num_heads=num_heads, num_routers=num_routers)
        check_optional_integers(
            owner, intermediate_dim=intermediate_dim, max_segments=max_segments
        )
        check_rate(owner, dropout=dropout)
        self.num_heads = num_heads
        self.num_routers = num_routers
        self.intermediate_dim = intermediate_dim
        self.max_segments = max_segments
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.seed = seed

    def build(self, input_shape):
        shape = tuple(input_shape)
        owner = type(self).__name__
        check_rank(owner, 4, inputs=shape)
        batch, variates, segments, width = shape
        most = self.max_segments or segments
        if most is None:
            raise ValueError(
                f"`{owner}` learns routers for each segment. Expected `inputs` of a "
                "known number of segments, or `max_segments`. "
                f"Received: inputs.shape={shape}, max_segments=None"
            )
        self.routers = self.add_weight(
            name="routers",
            shape=(most, self.num_routers, width),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )
        series = (None, segments, width)
        across, few = (None, variates, width), (None, self.num_routers, width)
        self._time = self._attention("time", width, series, series)
        self._gather = self._attention("gather", width, few, across)
        self._distribute = self._attention("distribute", width, across, few)
        self._time_norm = self._norm("time_norm", shape)
        self._time_mlp = self._mlp("time_mlp", shape)
        self._time_mlp_norm = self._norm("time_mlp_norm", shape)
        self._variate_norm = self._norm("variate_norm", shape)
        self._variate_mlp = self._mlp("variate_mlp", shape)
        self._variate_mlp_norm = self._norm("variate_mlp_norm", shape)
        self.built = True

    def _attention(self, name, width, *shapes):
        part = MultiHeadAttention(
            self.num_heads,
            -(-width // self.num_heads),
            dropout=self.dropout,
            seed=self.seed,
            name=name,
            dtype=self.dtype_policy,
        )
        hand_on(self._weight_options, part)
        part.build(*shapes)
        return part

    def _norm(self, name, shape):
        part = keras.layers.LayerNormalization(
            epsilon=1e-5, name=name, dtype=self.dtype_policy
        )
        part.build(shape)
        return part

    def _mlp(self, name, shape):
        activation = keras.activations.serialize(self.activation)
        part = FeedForward(
            self.intermediate_dim or 4 * shape[-1],
            keras.activations.get(activation),
            name=name,
            dtype=self.dtype_policy,
        )
        hand_on(self._weight_options, part)
        part.build(shape)
        return part

    def _across_time(self, x, mask, training):
        """Returns the output `(B, V, S, D)` and the weights `(B, V, H, S, S)`."""
        flat_mask = flat(mask)
        lines = flat(x)
        change, weights = self._time(
            lines,
            lines,
            query_mask=flat_mask,
            value_mask=flat_mask,
            return_attention_scores=True,
            training=training,
        )
        shape = ops.shape(x)
        x = self._time_norm(x + ops.reshape(change, shape))
        x = self._time_mlp_norm(x + self._time_mlp(x))
        return x, ops.reshape(weights, (*shape[:2], *ops.shape(weights)[1:]))

    def _across_variates(self, x, mask, training):
        """Returns the output `(B, V, S, D)` and the weights `(B, S, H, c, V)` and
        `(B, S, H, V, c)`."""
        x = ops.swapaxes(x, 1, 2)  # (B, S, V, D)
        shape = ops.shape(x)
        lines = flat(x)
        flat_mask = None if mask is None else flat(ops.swapaxes(mask, 1, 2))
        routers = ops.cast(self.routers, x.dtype)[: shape[1]]
        routers = ops.broadcast_to(
            ops.expand_dims(routers, 0), (shape[0], *ops.shape(routers))
        )
        gathered, gather = self._gather(
            flat(routers),
            lines,
            value_mask=flat_mask,
            return_attention_scores=True,
            training=training,
        )
        change, distribute = self._distribute(
            lines,
            gathered,
            query_mask=flat_mask,
            return_attention_scores=True,
            training=training,
        )
        x = self._variate_norm(x + ops.reshape(change, shape))
        x = self._variate_mlp_norm(x + self._variate_mlp(x))
        weights = (
            ops.reshape(w, (*shape[:2], *ops.shape(w)[1:]))
            for w in (gather, distribute)
        )
        return ops.swapaxes(x, 1, 2), *weights

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        x, mask = self._mask_inputs(inputs, mask)
        with pause_recording():
            x, time = self._across_time(x, mask, training)
            x, gather, distribute = self._across_variates(x, mask, training)
        output = zero_padding(x, mask)
        record(self._time, time)
        record(self._gather, gather)
        record(self._distribute, distribute)
        if return_attention_scores:
            return output, (time, gather, distribute)
        return output

    def _check_inputs(self, shape):
        """Raises `ValueError` for another rank and for too many segments."""
        super()._check_inputs(shape)
        most = self.routers.shape[0] if self.built else self.max_segments
        if most is not None and shape[2] is not None and shape[2] > most:
            raise ValueError(
                f"`{type(self).__name__}` has routers for fewer segments than there "
                f"are. Expected at most {most}. Received: inputs.shape={tuple(shape)}"
            )

    def compute_scores_shape(self, input_shape):
        batch, variates, segments, _ = input_shape
        heads, few = self.num_heads, self.num_routers
        return (
            (batch, variates, heads, segments, segments),
            (batch, segments, heads, few, variates),
            (batch, segments, heads, variates, few),
        )

    def get_config(self):
        config = {
            "num_heads": self.num_heads,
            "num_routers": self.num_routers,
            "intermediate_dim": self.intermediate_dim,
            "max_segments": self.max_segments,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
