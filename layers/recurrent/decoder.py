"""A recurrent decoder with attention, over a whole sequence."""

import contextlib
import copy

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.recording import pause_recording, record
from attention_zoo.layers.core.validation import check_mask, check_rank
from attention_zoo.layers.recurrent.attention_cell import AttentionCell


class _Steps:
    """A closure as the cell of a `keras.layers.RNN`, which has no constants."""

    state_size = 0  # the states are given

    def __init__(self, step, dtype):
        self.call = step
        self.compute_dtype = dtype

    def __call__(self, inputs, states):
        return self.call(inputs, list(states))


def run_steps(step, inputs, states):
    """Runs `step` along time by `keras.layers.RNN`, whose loop XLA can differentiate.

    Args:
        step: `step(inputs (B, D), states) -> output (B, U), states`; U need not be
            known.
        inputs: Tensor `(B, T, D)`, float32 or float64, which the loop works in.
        states: List of tensors.

    Returns:
        Outputs `(B, T, U)` and the list of the last states.
    """
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    loop = keras.layers.RNN(
        _Steps(step, dtype),
        return_sequences=True,
        return_state=True,
        dtype=dtype,
        name="steps",
    )
    outputs, *states = loop(inputs, initial_state=states)
    return outputs, states


DRAWS = 64  # random numbers that one step may draw from one generator


@keras.saving.register_keras_serializable("attention_zoo")
class AttentionDecoder(AttentionLayer):
    """Runs an `AttentionCell` over a sequence: a decoder that looks at its encoder.

    At each step the cell reads one row of `query`, the decoder's inputs (in training
    the target shifted by one), and attends to `value`, the memory.

    Padding in the memory is invisible. A padded row of `query` leaves the states as
    they are and gives a zero output and zero weights. A memory of nothing but padding
    has the context 0; the output is still that of the cell.

    Args:
        cell: An `AttentionCell`.
        return_state: Boolean. Whether the last states are returned too.
            Defaults to `False`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`, the decoder's inputs.
        value: Tensor of shape `(B, Tv, Dv)`, the memory: the encoder's outputs.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        initial_state: Tensor or nest of tensors. States of the wrapped cell, such as an
            encoder's last ones, or all states that an earlier call returned.
            Defaults to `None`, which stands for zeros.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout and noise are applied.

    Returns:
        Output of shape `(B, Tq, cell.output_size)`; with
        `return_attention_scores=True` the weights of shape `(B, Tq, Tv)`; and with
        `return_state=True` each state, of shape `(B, width)`.

    Raises:
        ValueError: If the cell is not an `AttentionCell`, or if shapes, masks or
            states are incompatible.

    Example:

    ```python
    cell = layers.AttentionCell(keras.layers.GRUCell(8), "luong_attention", "luong")
    decoder = layers.AttentionDecoder(cell)
    target, encoded = np.random.rand(2, 3, 4), np.random.rand(2, 5, 6)
    output, weights = decoder(target, encoded, return_attention_scores=True)
    assert output.shape == (2, 3, 6 + 8)
    assert weights.shape == (2, 3, 5)
    ```

    References:
        - Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473
        - Luong et al. 2015, https://arxiv.org/abs/1508.04025
    """

    call_inputs = ("query", "value")
    call_masks = ("query_mask", "value_mask")
    call_options = ("return_attention_scores",)
    needs_value = True

    def __init__(self, cell, return_state=False, **kwargs):
        super().__init__(**kwargs)
        if isinstance(cell, dict):
            cell = keras.saving.deserialize_keras_object(copy.deepcopy(cell))
        if not isinstance(cell, AttentionCell):
            raise ValueError(
                "`AttentionDecoder` expects an `AttentionCell` as `cell`. "
                f"Received: cell={cell!r}"
            )
        self.cell = cell
        self.return_state = return_state

    def build(self, query_shape, value_shape):
        query_shape, value_shape = tuple(query_shape), tuple(value_shape)
        check_rank(type(self).__name__, 3, query=query_shape, value=value_shape)
        if not self.cell.built:  # as it is out of a saved model's config
            self.cell.build((query_shape[0], query_shape[-1]), value_shape)
        self.built = True

    def call(
        self,
        query,
        value,
        query_mask=None,
        value_mask=None,
        initial_state=None,
        return_attention_scores=False,
        training=None,
    ):
        owner = type(self).__name__
        check_rank(owner, 3, query=query.shape, value=value.shape)
        query_mask = check_mask(owner, "query_mask", query_mask, query.shape[:2])
        value_mask = check_mask(owner, "value_mask", value_mask, value.shape[:2])
        query = ops.cast(query, self.compute_dtype)
        if query_mask is not None:
            query_mask = ops.broadcast_to(query_mask, ops.shape(query)[:2])
        query = zero_padding(query, query_mask)
        memory = self.cell.prepare(value, value_mask)
        states = self.cell.initial_states(memory, initial_state)
        # The loop works in at least float32, in which positions are exact.
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        states = [ops.cast(state, wide) for state in states]
        step = self._make_step(
            memory, query.shape[-1], query_mask is not None, wide, training
        )
        rows = _add_clock(query, query_mask, wide)
        with pause_recording(), self.cell.fixed_dropout(query[:, 0], states, training):
            outputs, last_states = run_steps(step, rows, states)
        for state in _random_states(self.cell.attention_layer) if training else ():
            state.assign(_skip(state, ops.shape(query)[1]))
        outputs = ops.cast(outputs, self.compute_dtype)
        width = self.cell.output_size
        output, weights = outputs[..., :width], outputs[..., width:]
        self.cell.add_losses(weights, states, memory, query_mask)
        record(self, weights)
        result = [output, weights] if return_attention_scores else [output]
        if self.return_state:
            result += [ops.cast(state, self.compute_dtype) for state in last_states]
        return tuple(result) if len(result) > 1 else output

    def _make_step(self, memory, width, has_mask, dtype, training):
        """Returns the function of one step that the loop runs.

        A row holds `width` inputs, its position, and with `has_mask` 1 where it is no
        padding: `keras.layers.RNN` would need the number of weights to mask them.
        """
        cell, compute_dtype = self.cell, self.compute_dtype
        generators = _random_states(cell.attention_layer) if training else []
        values = [(v, ops.convert_to_tensor(v)) for v in cell.variables]

        def step(row, states):
            inputs = ops.cast(row[:, :width], compute_dtype)
            with _drawing_at(row[0, width], generators, values):
                output, moved, weights = cell.step(
                    inputs, states, memory, training=training
                )
            output = ops.cast(ops.concatenate([output, weights], axis=-1), dtype)
            moved = [
                ops.cast(new, old.dtype) for new, old in zip(moved, states, strict=True)
            ]
            if has_mask:
                real = row[:, width + 1 :] > 0  # (B, 1)
                output = ops.where(real, output, ops.zeros_like(output))
                moved = [
                    ops.where(real, new, old)
                    for new, old in zip(moved, states, strict=True)
                ]
            return output, moved

        return step

    def compute_output_shape(self, query_shape, value_shape):
        return (*query_shape[:-1], self.cell.output_size)

    def compute_output_spec(
        self,
        query,
        value,
        query_mask=None,
        value_mask=None,
        initial_state=None,
        return_attention_scores=False,
        training=None,
    ):
        batch, rows = query.shape[:2]
        shapes = [(batch, rows, self.cell.output_size)]
        if return_attention_scores:
            shapes.append((batch, rows, value.shape[1]))
        if self.return_state:
            shapes += [(batch, width) for width in self.cell.state_sizes(value.shape)]
        specs = tuple(keras.KerasTensor(s, dtype=self.compute_dtype) for s in shapes)
        return specs if len(specs) > 1 else specs[0]

    def get_config(self):
        config = {
            "cell": keras.saving.serialize_keras_object(self.cell),
            "return_state": self.return_state,
        }
        return {**super().get_config(), **config}


def _random_states(layer):
    """Returns the variables that hold the states of a layer's seed generators."""
    return [v for v in layer.variables if v.path.endswith("seed_generator_state")]


def _skip(state, steps):
    """Returns a generator's state `(2,)` after the numbers of `steps` steps."""
    drawn = ops.cast(steps, state.dtype) * DRAWS
    return state + ops.stack([ops.zeros_like(drawn), drawn])


@contextlib.contextmanager
def _drawing_at(position, generators, values):
    """Within, generators draw the numbers of step `position` and are not moved on.

    A generator that moved inside a loop would keep a value that exists in there only.

    Args:
        position: Scalar tensor.
        generators: Variables, the states of seed generators.
        values: Pairs of every variable in use and its value: a scope without updates
            looks nowhere else.
    """
    if not generators:
        yield
        return
    moved = [(state, _skip(state, position)) for state in generators]
    with keras.StatelessScope([*values, *moved]):
        yield


def _add_clock(query, mask, dtype):
    """Returns `query` `(B, T, D)` with a column of positions, and one of the mask."""
    batch, length = ops.shape(query)[:2]
    clock = ops.reshape(ops.arange(length, dtype=dtype), (1, -1, 1))
    parts = [ops.cast(query, dtype), ops.broadcast_to(clock, (batch, length, 1))]
    if mask is not None:
        parts.append(ops.cast(ops.expand_dims(mask, -1), dtype))
    return ops.concatenate(parts, axis=-1)
