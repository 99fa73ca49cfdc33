"""A recurrent cell that attends to a memory: one step of a decoder."""

import collections
import contextlib
import copy

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.masks import AttentionMask, zero_padding
from attention_zoo.layers.core.parts import serialize_part
from attention_zoo.layers.core.validation import (
    check_choice,
    check_mask,
    check_positive_integer,
)
from attention_zoo.layers.registry import create_attention, get_family

ORDERS = ("bahdanau", "luong")

# What a cell attends to: `value` (B, Tv, Dv), `key` with all that a score can compute
# from it beforehand, and `mask` (B, Tv) or None.
Memory = collections.namedtuple("Memory", ["value", "key", "mask"])


@keras.saving.register_keras_serializable("attention_zoo")
class AttentionCell(AttentionLayer):
    """A recurrent cell that attends to a memory, one step at a time.

    One step, with the input `x_t`, the cell's state `s` and its output `h`:

    - `order="bahdanau"`: `c_t = attend(h_{t-1})`, then `h_t, s_t = cell([x_t; c_t],
      s_{t-1})`.
    - `order="luong"`: `h_t, s_t = cell([x_t; o_{t-1}], s_{t-1})`, then
      `c_t = attend(h_t)`. `o_{t-1}` is the last step's attentional vector, or its
      context without `attention_units`: input feeding.

    An attention that carries a state from query to query, such as
    `MonotonicAttention`, has it among the cell's states. Weights of several heads are
    returned as their mean.

    The output is the attentional vector `tanh(Wc [c_t; h_t])`, or `[c_t; h_t]` without
    `attention_units`. `AttentionDecoder` runs the cell over a sequence; `step` is one
    step, for a search that chooses the next input.

    Bahdanau et al. start the decoder at `tanh(Ws h_1)` of the encoder; here the initial
    state is the caller's.

    Args:
        cell: Recurrent cell: `keras.layers.LSTMCell`, `GRUCell`, `SimpleRNNCell`,
            `StackedRNNCells` of them, or a custom one whose first state is its output.
        attention: String or layer. An attention of the family `"sequence"`.
            Defaults to `"bahdanau_attention"`.
        order: String. `"bahdanau"` or `"luong"`. Defaults to `"bahdanau"`.
        attention_units: Integer. Width of the attentional vector; its weight is
            `attention_kernel` `(Dv + units, attention_units)`. Defaults to `None`,
            which stands for no attentional vector.
        input_feeding: Boolean. Whether the cell reads the last context or attentional
            vector. Defaults to `True`.

    Call arguments:
        inputs: Tensor of shape `(B, D)`.
        states: List of tensors, from `initial_states` or the last step.
        memory: Tensor of shape `(B, Tv, Dv)`, or the result of `prepare`, which saves
            projecting the memory at each step.
        memory_mask: Boolean tensor of shape `(B, Tv)`; goes with a tensor as memory.
        training: Boolean. Whether dropout and noise are applied.

    Returns:
        The output of shape `(B, attention_units)` or `(B, Dv + units)`, the new list
        of states, and the weights of shape `(B, Tv)`.

    Raises:
        ValueError: If an argument is invalid, or if shapes, masks or states are
            incompatible.

    Example:

    ```python
    cell = layers.AttentionCell(keras.layers.GRUCell(8), attention_units=6)
    encoded = ops.ones((2, 5, 4))
    inputs = ops.ones((2, 3))
    cell.build((2, 3), (2, 5, 4))
    memory = cell.prepare(encoded)
    states = cell.initial_states(memory)
    for _ in range(2):
        output, states, weights = cell.step(inputs, states, memory)
    assert output.shape == (2, 6)
    assert weights.shape == (2, 5)
    ```

    References:
        - Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473
        - Luong et al. 2015, https://arxiv.org/abs/1508.04025
    """

    call_inputs = ("inputs", "states", "memory")
    call_masks = ("memory_mask",)

    def __init__(
        self,
        cell,
        attention="bahdanau_attention",
        order="bahdanau",
        attention_units=None,
        input_feeding=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_choice(owner, ORDERS, order=order)
        if attention_units is not None:
            check_positive_integer(owner, attention_units=attention_units)
        if isinstance(cell, dict):  # `StackedRNNCells` empties the config it is given
            cell = keras.saving.deserialize_keras_object(copy.deepcopy(cell))
        if not hasattr(cell, "state_size"):
            raise ValueError(
                f"`{owner}` expects a recurrent `cell` with a `state_size`, such as "
                f"`keras.layers.LSTMCell`. Received: cell={cell!r}"
            )
        self.cell = cell
        self.attention_layer = self._get_attention(attention)
        self.attention = (
            self.attention_layer if isinstance(attention, dict) else attention
        )
        self.order = order
        self.attention_units = attention_units
        self.input_feeding = input_feeding
        size = cell.state_size
        self._state_template = [size] if isinstance(size, int) else size
        self._num_cell_states = len(keras.tree.flatten(self._state_template))
        self._feeds_back = input_feeding and order == "luong"
        self._keeps_state = hasattr(self.attention_layer, "initial_state")

    def _get_attention(self, attention):
        owner = type(self).__name__
        if isinstance(attention, str):
            family = get_family(attention)
            if family != "sequence":
                raise ValueError(
                    f"`{owner}` takes an attention of the family 'sequence'. "
                    f"Received: attention={attention!r}, of the family {family!r}"
                )
            attention = create_attention(attention, dtype=self.dtype_policy)
        elif isinstance(attention, dict):
            attention = keras.saving.deserialize_keras_object(attention)
        window = getattr(attention, "moving_window", None)
        if window is not None:
            raise ValueError(
                f"`{owner}` asks with one query at a time, which has no position for a "
                f"window to move with. Received: an `{type(attention).__name__}` that "
                f"sees the window {window}"
            )
        return attention

    def build(self, inputs_shape, memory_shape):
        inputs_shape, memory_shape = tuple(inputs_shape), tuple(memory_shape)
        batch, units = inputs_shape[0], output_size(self.cell)
        query_shape = (batch, 1, units)
        depth = self.attention_layer.compute_output_shape(query_shape, memory_shape)[-1]
        self.output_size = self.attention_units or depth + units
        fed = (self.attention_units or depth) if self.order == "luong" else depth
        self._fed_width = fed if self.input_feeding else 0
        # Those that come out of a saved model's config are built.
        if not self.cell.built:
            self.cell.build((batch, inputs_shape[-1] + self._fed_width))
        if not self.attention_layer.built:
            self.attention_layer.build(query_shape, memory_shape)
        if self.attention_units is not None:
            self.attention_kernel = self.add_weight(
                name="attention_kernel", shape=(depth + units, self.attention_units)
            )
        self.built = True

    def prepare(self, memory, memory_mask=None):
        """Returns the `Memory` of `memory` `(B, Tv, Dv)` and its mask `(B, Tv)`.

        What depends on the memory alone is computed here, once for all steps.
        """
        name, shape = type(self).__name__, tuple(memory.shape[:2])
        memory_mask = check_mask(name, "memory_mask", memory_mask, shape)
        if memory_mask is not None:
            memory_mask = ops.broadcast_to(memory_mask, ops.shape(memory)[:2])
        memory = zero_padding(ops.cast(memory, self.compute_dtype), memory_mask)
        return Memory(memory, self.attention_layer.prepare(memory), memory_mask)

    def initial_states(self, memory, initial_state=None):
        """Returns the list of states before the first step, each `(B, width)`.

        Args:
            memory: Tensor `(B, Tv, Dv)`, or what `prepare` returned.
            initial_state: States of `cell`, a tensor or any nest of them in the order
                of its `state_size`; or all states that a step returned. Defaults to
                `None`: zeros.

        Raises:
            ValueError: for states of another number or width.
        """
        value, *_, mask = memory if isinstance(memory, Memory) else (memory, None)
        batch, length = ops.shape(value)[:2]
        own = []
        if self._feeds_back:
            own.append(ops.zeros((batch, self._fed_width), dtype=value.dtype))
        if self._keeps_state:
            own.append(self.attention_layer.initial_state(batch, length, mask))
        if initial_state is None:
            initial_state = self.cell.get_initial_state(batch_size=batch)
        states = keras.tree.flatten(initial_state)
        sizes = keras.tree.flatten(self._state_template)
        given, rest = states[: len(sizes)], states[len(sizes) :]
        rows, wrong = value.shape[0], None
        if [s.shape[-1] for s in given] != sizes or len(rest) not in (0, len(own)):
            wrong = f"widths {sizes}, the states of its cell"
        elif any(None not in (rows, s.shape[0]) and s.shape[0] != rows for s in states):
            wrong = f"batch size {rows} of the memory"
        if wrong:
            raise ValueError(
                f"`{type(self).__name__}` expects `initial_state` of the {wrong}. "
                f"Received: states of the shapes {[tuple(s.shape) for s in states]}"
            )
        return [*given, *(rest or own)]

    def step(self, inputs, states, memory, memory_mask=None, training=None):
        """The same as calling the cell: one step of a decoder."""
        return self(
            inputs, states, memory=memory, memory_mask=memory_mask, training=training
        )

    def call(self, inputs, states, memory, memory_mask=None, training=None):
        if not isinstance(memory, Memory):
            memory = self.prepare(memory, memory_mask)
        count = self._num_cell_states
        inner, own = list(states[:count]), list(states[count:])
        fed, looked = (own[0], own[1:]) if self._feeds_back else (None, own)
        if self.order == "bahdanau":
            query = _leaves(self.cell, None, inner)[-1][-1]  # the last output
            fed, weights, looked = self._attend(query, memory, looked, training)
        context = fed
        if self.input_feeding:
            inputs = ops.concatenate([inputs, ops.cast(fed, inputs.dtype)], axis=-1)
        hidden, inner = self._run_cell(inputs, inner, training)
        if self.order == "luong":
            context, weights, looked = self._attend(hidden, memory, looked, training)
        output = ops.concatenate([context, ops.cast(hidden, context.dtype)], axis=-1)
        if self.attention_units is not None:
            output = ops.tanh(ops.matmul(output, self.attention_kernel))
        fed = context if self.attention_units is None else output
        own = [fed] if self._feeds_back else []
        return output, [*inner, *own, *looked], weights

    def add_losses(self, weights, states, memory, query_mask=None):
        """Adds what the attention adds to a model's loss, such as coverage's.

        Args:
            weights: Tensor `(B, Tq, Tv)`, of all steps.
            states: List of states before the first step.
            memory: What `prepare` returned.
            query_mask: Boolean tensor `(B, Tq)` or None.
        """
        if self._keeps_state:
            mask = AttentionMask(query_mask, memory.mask)
            self.attention_layer.add_losses(weights, states[-1], mask)

    def state_sizes(self, memory_shape):
        """Returns the widths of all states, given the shape of the memory."""
        fed = [self._fed_width] if self._feeds_back else []
        kept = [memory_shape[1]] if self._keeps_state else []
        return [*keras.tree.flatten(self._state_template), *fed, *kept]

    @contextlib.contextmanager
    def fixed_dropout(self, inputs, states, training):
        """Within, the wrapped cell drops the same at every step, as Keras's RNNs do.

        The masks are drawn at the start, from inputs `(B, D)` and the flat states: a
        loop must not draw them, for they are kept on the cell.
        """
        width = inputs.shape[-1] + self._fed_width
        leaves = _leaves(self.cell, width, states)
        leaves = [leaf for leaf in leaves if hasattr(leaf[0], "get_dropout_mask")]
        try:
            for cell, width, state in leaves if training else ():
                ones = ops.ones((ops.shape(inputs)[0], width), dtype=inputs.dtype)
                cell.get_dropout_mask(ones)
                cell.get_recurrent_dropout_mask(ops.cast(state, inputs.dtype))
            yield
        finally:
            for cell, _, _ in leaves:
                cell.reset_dropout_mask()
                cell.reset_recurrent_dropout_mask()

    def _run_cell(self, inputs, states, training):
        """Returns the wrapped cell's output `(B, units)` and its flat new states."""
        states = keras.tree.pack_sequence_as(self._state_template, states)
        takes = getattr(self.cell, "call_signature_parameters", ())
        options = {"training": training} if "training" in takes else {}
        output, states = self.cell(inputs, states, **options)
        return output, keras.tree.flatten(states)

    def _attend(self, query, memory, states, training):
        """Returns context `(B, Dv)`, weights `(B, Tv)`, the attention's own states."""
        attention = self.attention_layer
        query = ops.cast(query, memory.value.dtype)
        if self._keeps_state:
            weights, state = attention.step(
                query, memory.key, states[0], memory.mask, training
            )
            if training and attention.dropout:
                weights = keras.random.dropout(
                    weights, attention.dropout, seed=attention.seed_generator
                )
            return ops.einsum("bt,btd->bd", weights, memory.value), weights, [state]
        context, weights = attention.attend_prepared(
            ops.expand_dims(query, 1),
            memory.key,
            memory.value,
            key_mask=memory.mask,
            training=training,
        )
        if len(weights.shape) == 4:  # (B, H, 1, Tv)
            weights = ops.mean(weights, axis=1)
        return ops.squeeze(context, 1), ops.squeeze(weights, 1), states

    def get_config(self):
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "attention": serialize_part(self.attention),
            "order": self.order,
            "attention_units": self.attention_units,
            "input_feeding": self.input_feeding,
        }


def output_size(cell):
    """Returns the width of a recurrent cell's output."""
    size = getattr(cell, "output_size", None)
    return keras.tree.flatten(cell.state_size)[0] if size is None else size


def _leaves(cell, width, states):
    """Returns (cell, width of its inputs, its first state) of each cell in a stack."""
    if not hasattr(cell, "cells"):
        return [(cell, width, states[0])]
    leaves = []
    for inner in cell.cells:
        count = len(keras.tree.flatten(inner.state_size))
        leaves += _leaves(inner, width, states[:count])
        states, width = states[count:], output_size(inner)
    return leaves
