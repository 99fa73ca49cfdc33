"""The base of the causal attentions that keep a state of fixed size."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import SelfAttentionLayer
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.recording import record, recording
from attention_zoo.layers.core.validation import (
    check_optional_integers,
    check_positive_integer,
    check_positive_number,
    check_rank,
)
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.efficient._recurrence import (
    advance,
    chunked_outputs,
    short_convolution,
    whole_weights,
)


class StatefulAttention(SelfAttentionLayer):
    """Base of the causal attentions whose past is a `K x V` state for each head.

    A subclass makes its projections in `_build_parts(shape)` and overrides `_read`, and
    `_finish` where its output is another. `call` takes the sequence in chunks; `step`
    takes one position and the state before it.

    Attributes:
        centered: Whether `_finish` subtracts the mean of a head's numbers.

    Args:
        num_heads: Integer. Number of heads `H`.
        key_dim: Integer. Width `K` of each head's queries and keys.
        value_dim: Integer. Width `V` of each head's values, or `None`.
        chunk_size: Integer. Number of positions compared at a time.
        epsilon: Positive float. Added to the mean square in the normalization.
    """

    call_options: tuple[str, ...] = ("return_attention_scores",)
    centered = False
    conv_size: int | None = None

    def __init__(self, num_heads, key_dim, value_dim, chunk_size, epsilon, **kwargs):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(
            owner, num_heads=num_heads, key_dim=key_dim, chunk_size=chunk_size
        )
        check_optional_integers(owner, value_dim=value_dim)
        check_positive_number(owner, epsilon=epsilon)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.chunk_size = chunk_size
        self.epsilon = epsilon
        self.norm_scale = None  # of some: the scale after the normalization
        self._gate = None  # of some: what multiplies the heads

    @property
    def _value_width(self):
        return self.value_dim or self.key_dim

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=input_shape)
        self._build_parts(input_shape)
        joined = (*input_shape[:2], self.num_heads * self._value_width)
        self._output = self._dense("attention_output", input_shape[-1], joined)
        self.built = True

    def _build_parts(self, shape):
        """Makes the projections of inputs of a shape `(B, T, D)`."""
        raise NotImplementedError

    def _read(self, x, state):
        """Returns what the recurrence takes of inputs `(B, T, D)`, and their state.

        Args:
            x: Tensor `(B, T, D)`, with zeros at padding.
            state: Dict, the state before `x`.

        Returns:
            Query and key `(B, H, T, K)`, value `(B, H, T, V)`, logarithm of the decay
            `(B, H, T, 1)` or `(B, H, T, K)`, and rate `(B, H, T, 1)` or None, in at
            least float32; and a dict of what the state has beside the memory.
        """
        raise NotImplementedError

    def _dense(self, name, width, shape, use_bias=False):
        dense = keras.layers.Dense(
            width, use_bias=use_bias, dtype=self.dtype_policy, name=name
        )
        hand_on(self._weight_options, dense)
        dense.build(shape)
        return dense

    def _split(self, x, width):
        """Returns `(B, T, H * width)` as heads `(B, H, T, width)`, widened."""
        x = ops.reshape(widen(x), (*ops.shape(x)[:2], self.num_heads, width))
        return ops.swapaxes(x, 1, 2)

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        x, mask = self._mask_inputs(inputs, mask)
        parts, _ = self._read(x, self.initial_state(ops.shape(x)[0]))
        query, key, value, log_decay, rate = parts
        if mask is not None:  # padding is neither remembered nor does it age a memory
            by_head = ops.expand_dims(mask, 1)
            key, log_decay = (
                zero_padding(key, by_head),
                zero_padding(log_decay, by_head),
            )
        weights = None
        if return_attention_scores or recording():
            weights = whole_weights(query, key, log_decay, rate)
            heads = ops.matmul(weights, value)
        else:
            size = self.chunk_size
            heads = chunked_outputs(query, key, value, log_decay, rate, size)
        output = zero_padding(self._finish(x, heads, value), mask)
        if weights is None:
            return output
        if mask is not None:
            weights = zero_padding(weights, by_head)
        weights = ops.cast(weights, self.compute_dtype)
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def _finish(self, x, heads, value):
        """Returns the output `(B, T, D)` of heads `(B, H, T, V)`."""
        if self.centered:
            heads = heads - ops.mean(heads, axis=-1, keepdims=True)
        square = ops.mean(ops.square(heads), axis=-1, keepdims=True)
        heads = heads / ops.sqrt(square + self.epsilon)
        if self.norm_scale is not None:
            heads = heads * ops.cast(self.norm_scale, heads.dtype)
        heads = ops.cast(self._join(heads), x.dtype)
        if self._gate is not None:
            heads = heads * ops.silu(self._gate(x))
        return self._output(heads)

    def _join(self, heads):
        """Returns heads `(B, H, T, V)` as `(B, T, H V)`."""
        heads = ops.swapaxes(heads, 1, 2)
        width = self.num_heads * heads.shape[-1]
        return ops.reshape(heads, (*ops.shape(heads)[:2], width))

    def _convolve(self, x, kernel, state):
        """Returns a causal convolution of `x`, and the state it leaves."""
        kernel = ops.cast(kernel, x.dtype)
        before = ops.cast(state["recent"], x.dtype)
        output, recent = short_convolution(x, kernel, before)
        return output, {"recent": recent}

    @property
    def _conv_width(self):
        return self.num_heads * (2 * self.key_dim + self._value_width)

    def initial_state(self, batch_size):
        """Returns the state before the first position, zeros.

        Args:
            batch_size: Integer.

        Returns:
            Dict: `memory`, the state `(B, H, K, V)`, and where a layer needs them the
            `position` or the `recent` inputs of a convolution.
        """
        width = self._value_width
        shape = (batch_size, self.num_heads, self.key_dim, width)
        state = {"memory": ops.zeros(shape, dtype=self._wide_dtype)}
        if self.conv_size is not None:
            shape = (batch_size, self.conv_size - 1, self._conv_width)
            state["recent"] = ops.zeros(shape, dtype=self.compute_dtype)
        return state

    @property
    def _wide_dtype(self):
        low = self.compute_dtype in ("float16", "bfloat16")
        return "float32" if low else self.compute_dtype

    def step(self, x, state=None):
        """Returns the output at the next position, and the state after it.

        Args:
            x: Tensor `(B, D)`. The inputs at this position.
            state: What the step before returned. Defaults to `None`, which stands for
                the first position: `initial_state(B)`.

        Returns:
            Output `(B, D)`, what `call` gives at this position of the whole sequence,
            and the new state.

        Raises:
            ValueError: If `x` has another rank, or if the state is that of another
                batch.
        """
        owner = type(self).__name__
        x = ops.cast(x, self.compute_dtype)
        check_rank(f"{owner}.step", 2, x=x.shape)
        state = self.initial_state(ops.shape(x)[0]) if state is None else state
        memory = state["memory"]
        if memory.shape[0] != x.shape[0]:
            raise ValueError(
                f"`{owner}.step` expects a state of the batch of `x`. Received: state "
                f"of batch {memory.shape[0]}, x.shape={tuple(x.shape)}"
            )
        x = ops.expand_dims(x, 1)
        if not self.built:
            self.build(x.shape)
        (query, key, value, log_decay, rate), more = self._read(x, state)
        memory = advance(memory, key, value, log_decay, rate)
        output = self._finish(x, ops.matmul(query, memory), value)
        return output[:, 0], {"memory": memory, **more}

    def compute_scores_shape(self, input_shape):
        batch, steps = input_shape[:2]
        return (batch, self.num_heads, steps, steps)

    def get_config(self):
        config = {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "chunk_size": self.chunk_size,
            "epsilon": self.epsilon,
        }
        return {**super().get_config(), **config}
