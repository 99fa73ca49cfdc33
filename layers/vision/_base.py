"""The bases of the vision layers.

A subclass of `VisionLayer` sees channels last only. Channels-first maps are moved to
channels last on the way in and back on the way out, since TensorFlow has no
channels-first convolution on a CPU; so both formats give the same values.
"""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.inputs import cast_integers, check_not_empty
from attention_zoo.layers.core.recording import record, recording
from attention_zoo.layers.core.validation import check_choice, check_optional_integers
from attention_zoo.layers.vision._shared import (
    per_map,
    to_channels_last,
    to_data_format,
)

DATA_FORMATS = ("channels_last", "channels_first")


class VisionLayer(AttentionLayer):
    """Base of the vision layers: one tensor in, one of its shape out.

    A subclass creates its weights in `build_maps(shape)` and computes in
    `attend_maps(x)`, which returns the output and the weights; shape and `x` are
    `(B, ..., C)`. `scores_shape(shape)` says which shape the weights have; a subclass
    whose parts record their own weights sets `records = False`.

    Padding masks are not taken: Keras warns where one comes in.

    Attributes:
        weights_are: What the recorded weights are of: `"positions"`, `"channels"` or
            `"branches"`; None where the parts record their own.
        records: Whether the layer records the weights that `attend_maps` returns.

    Args:
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, ..., C)`, or `(B, C, ...)` channels first.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether batch normalisation takes the batch's statistics.
    """

    weights_are: str | None = "positions"
    call_masks: tuple[str, ...] = ()
    call_options: tuple[str, ...] = ("return_attention_scores",)
    ranks: tuple[int, ...] = (1, 2, 3)  # numbers of axes between batch and channels
    records = True

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = False
        if data_format is None:
            data_format = keras.config.image_data_format()
        check_choice(type(self).__name__, DATA_FORMATS, data_format=data_format)
        self.data_format = data_format

    def build(self, input_shape):
        self.build_maps(self._last_shape(input_shape))
        self.built = True

    def _last_shape(self, shape):
        """Checks the shape of the inputs and returns it as `(B, ..., C)`."""
        shape = tuple(shape)
        owner = type(self).__name__
        if len(shape) - 2 not in self.ranks:
            ranks = " or ".join(str(r + 2) for r in self.ranks)
            raise ValueError(
                f"`{owner}` expects `inputs` of rank {ranks}. "
                f"Received: inputs.shape={shape}"
            )
        check_not_empty(owner, inputs=shape)
        last = shape
        if self.data_format == "channels_first":
            last = (shape[0], *shape[2:], shape[1])
        if last[-1] is None:
            raise ValueError(
                f"`{owner}` expects `inputs` of a known number of channels. "
                f"Received: inputs.shape={shape}, data_format={self.data_format!r}"
            )
        return last

    def build_maps(self, shape):
        """Creates the weights for inputs of shape `(B, ..., C)`."""

    def attend_maps(self, x):
        """Returns output and weights of inputs `(B, ..., C)`."""
        raise NotImplementedError

    def scores_shape(self, shape):
        """Returns the shape of the weights for inputs of shape `(B, ..., C)`."""
        raise NotImplementedError

    def reduce_weights(self, weights, sizes):
        """Returns recorded weights as one value for each of what they are of.

        Args:
            weights: NumPy array as the layer recorded it, `(B, ...)`.
            sizes: Tuple of the sizes of the axes between batch and channels.

        Returns:
            Array `(B, *sizes)` for positions, of a smaller map where the layer pools:
            the mean over heads and over the positions that look, or over channels.
            `(B, C)` for channels, `(B, M)` or `(B, M, C)` for branches. None where the
            weights belong to inputs of other sizes, or to no single map.
        """
        return None

    def call(self, inputs, return_attention_scores=False, training=None):
        x = self._to_maps(inputs)
        output, weights = self._attend(x, return_attention_scores or recording())
        return self._finish(output, weights, return_attention_scores)

    def _to_maps(self, inputs):
        """Checks the inputs and returns them as `(B, ..., C)`."""
        self._last_shape(inputs.shape)
        return to_channels_last(
            cast_integers(inputs, self.compute_dtype), self.data_format
        )

    def _attend(self, x, need_weights):
        """As `attend_maps`; None may take the weights' place if they are not needed."""
        return self.attend_maps(x)

    def _finish(self, output, weights, return_attention_scores):
        """Records the weights and returns what `call` returns."""
        if self.records and weights is not None:
            record(self, weights)
        output = to_data_format(output, self.data_format)
        return (output, weights) if return_attention_scores else output

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def compute_output_spec(self, inputs, return_attention_scores=False, training=None):
        shape = self._last_shape(inputs.shape)
        output = keras.KerasTensor(
            self.compute_output_shape(inputs.shape), dtype=self.compute_dtype
        )
        if not return_attention_scores:
            return output
        scores = keras.tree.map_shape_structure(
            lambda s: keras.KerasTensor(s, dtype=self.compute_dtype),
            self.scores_shape(shape),
        )
        return output, scores

    def get_config(self):
        return {**super().get_config(), "data_format": self.data_format}


class ChannelGate(VisionLayer):
    """Base of the layers that multiply each channel by a gate `(B, C)`.

    A subclass overrides `calculate_gate(x)`.
    """

    family = "channel"
    weights_are = "channels"

    def attend_maps(self, x):
        gate = self.calculate_gate(x)
        return x * per_map(gate, x), gate

    def reduce_weights(self, weights, sizes):
        return weights

    def scores_shape(self, shape):
        return (shape[0], shape[-1])


class SpatialGate(VisionLayer):
    """Base of the layers that multiply each position by a gate `(B, ...)`.

    A subclass overrides `calculate_gate(x)`.
    """

    family = "spatial"

    def attend_maps(self, x):
        gate = self.calculate_gate(x)
        return x * ops.expand_dims(gate, -1), gate

    def reduce_weights(self, weights, sizes):
        return weights

    def scores_shape(self, shape):
        return shape[:-1]


class MapGate(VisionLayer):
    """Base of the layers that multiply each element by its own gate, `(B, ..., C)`.

    A subclass overrides `calculate_gate(x)`.
    """

    def attend_maps(self, x):
        gate = self.calculate_gate(x)
        return x * gate, gate

    def reduce_weights(self, weights, sizes):
        return weights.mean(axis=-1)

    def scores_shape(self, shape):
        return shape


class GatePair(VisionLayer):
    """Base of the layers of a channel gate and a spatial gate, both of the inputs.

    A subclass creates the gates, the parts `channel` and `spatial`, from
    `part_options()`, and may override `combine_gated`.
    """

    family = "hybrid"
    weights_are = None
    records = False

    def part_options(self):
        """Returns the arguments that both gates take."""
        return {"data_format": "channels_last", "dtype": self.dtype_policy}

    def build_maps(self, shape):
        self._channel.build(shape)
        self._spatial.build(shape)

    def attend_maps(self, x):
        by_channel, channel = self._channel(x, return_attention_scores=True)
        by_position, spatial = self._spatial(x, return_attention_scores=True)
        return self.combine_gated(by_channel, by_position), (channel, spatial)

    def combine_gated(self, by_channel, by_position):
        """Returns the output from the inputs times each gate."""
        return by_channel + by_position

    def scores_shape(self, shape):
        return (shape[0], shape[-1]), shape[:-1]


class BranchLayer(VisionLayer):
    """Base of the layers that replace a convolution: `filters` channels come out.

    Args:
        filters: Integer. Number of channels of the output. Defaults to `None`: as many
            as the inputs have.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.
    """

    family = "branch"
    weights_are = "branches"

    def __init__(self, filters=None, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        check_optional_integers(type(self).__name__, filters=filters)
        self.filters = filters

    def reduce_weights(self, weights, sizes):
        return weights

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        axis = 1 if self.data_format == "channels_first" else -1
        shape[axis] = self.filters or shape[axis]
        return tuple(shape)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
