"""A bidirectional LSTM that takes TensorFlow's fused kernel where there is no GPU."""

import contextlib

import keras
from keras import ops

from attention_zoo.layers.core.saving import saved_as


@saved_as("Bidirectional")
@keras.saving.register_keras_serializable("attention_zoo")
class BidirectionalLSTM(keras.layers.Bidirectional):
    """`keras.layers.Bidirectional` of an LSTM, with the same weights and numbers.

    On TensorFlow without a GPU, each direction is one call of the kernel `BlockLSTM`
    instead of a loop of small operations in the graph. The kernel does not support
    masks, so the valid steps of each row are moved to its front, in order; a masked
    step gives zeros, as in Keras. XLA has no such kernel: within `jit_compile=True`
    Keras's loop runs.

    Args:
        layer: A `keras.layers.LSTM` with `return_sequences=True`. The kernel is used
            if the layer has the default activations, a bias and no dropout.
        use_fused: String or boolean. `"auto"` uses the kernel wherever it is
            supported, `False` never. Defaults to `"auto"`.
        **kwargs: Other arguments of `keras.layers.Bidirectional`, such as `name`.

    Call arguments:
        sequences: Float tensor of shape `(B, T, D)`.
        initial_state: List of tensors, the initial states of both directions, with
            which Keras's loop runs. Defaults to `None`, zeros.
        mask: Boolean tensor of shape `(B, T)`, True at valid steps. Defaults to `None`.
        training: Boolean, whether the layer runs in training mode. Defaults to `None`.

    Returns:
        Tensor `(B, T, 2 * units)`; with `return_state` a tuple of it and the states
        `h, c` of the forward direction and `h, c` of the backward one, `(B, units)`.

    Raises:
        ValueError: If `use_fused` is neither `"auto"` nor `False`.

    Example:

    ```python
    lstm = keras.layers.LSTM(5, return_sequences=True)
    layer = attention_zoo.BidirectionalLSTM(lstm)
    outputs = layer(np.ones((2, 7, 3), dtype="float32"))
    assert outputs.shape == (2, 7, 10)
    ```

    References:
        - [Hochreiter and Schmidhuber, 1997](https://doi.org/10.1162/neco.1997.9.8.1735)
    """

    def __init__(self, layer, use_fused="auto", **kwargs):
        if use_fused not in ("auto", False):
            raise ValueError(
                "Invalid value for argument `use_fused` of `BidirectionalLSTM`. "
                f"Expected 'auto' or False. Received: use_fused={use_fused!r}"
            )
        super().__init__(layer, **kwargs)
        self.use_fused = use_fused

    def call(self, sequences, initial_state=None, mask=None, training=None):
        if initial_state is not None or not self._takes_kernel():
            return super().call(
                sequences, initial_state=initial_state, mask=mask, training=training
            )
        forward, *states = run_direction(self.forward_layer.cell, sequences, mask)
        flipped = None if mask is None else ops.flip(mask, axis=1)
        sequences = ops.flip(sequences, axis=1)
        backward, *more = run_direction(self.backward_layer.cell, sequences, flipped)
        outputs = ops.concatenate([forward, ops.flip(backward, axis=1)], axis=-1)
        return (outputs, *states, *more) if self.return_state else outputs

    def get_config(self):
        return {**super().get_config(), "use_fused": self.use_fused}

    def _takes_kernel(self):
        """Returns whether the kernel gives what Keras's loop gives here."""
        layer = self.forward_layer
        if (
            self.use_fused is False
            or keras.backend.backend() != "tensorflow"
            or self.merge_mode != "concat"
            or not layer.return_sequences
            or layer.stateful
            or layer.unroll
            or not layer.use_bias
            or layer.activation is not keras.activations.tanh
            or layer.recurrent_activation is not keras.activations.sigmoid
            or layer.dropout
            or layer.recurrent_dropout
        ):
            return False
        import tensorflow as tf

        return not tf.config.list_physical_devices("GPU") and not in_xla()


def in_xla():
    """Returns whether TensorFlow is tracing a function that XLA will compile.

    TensorFlow has no public way to ask.
    """
    from tensorflow.python.framework import ops as framework
    from tensorflow.python.ops import control_flow_util

    graph = framework.get_default_graph()
    return control_flow_util.GraphOrParentsInXlaContext(graph)


def run_direction(cell, sequences, mask=None):
    """Runs a cell over `(B, T, D)`; returns outputs `(B, T, U)` and last `h`, `c`."""
    dtype = sequences.dtype
    weights = [
        ops.cast(ops.convert_to_tensor(weight), "float32")
        for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)
    ]
    x = ops.cast(sequences, "float32")
    if mask is not None:
        x = pick(x, valid_first(mask))
    hidden, memory = fused_lstm(x, *weights)
    if mask is None:
        states = [hidden[:, -1], memory[:, -1]]
    else:
        seen = ops.cumsum(ops.cast(mask, "int32"), axis=1)  # valid steps until here
        newest = ops.maximum(seen - 1, 0)  # of the valid steps, where there is one
        states = [
            ops.where(seen[:, -1:] > 0, pick(values, newest[:, -1:])[:, 0], 0.0)
            for values in (hidden, memory)
        ]
        hidden = ops.where(mask[..., None], pick(hidden, newest), 0.0)
    return [ops.cast(values, dtype) for values in (hidden, *states)]


def valid_first(mask):
    """Returns indices `(B, T)`: valid steps in their order, then the others."""
    steps = ops.arange(ops.shape(mask)[1], dtype="int32")
    return ops.argsort(ops.where(mask, steps, steps + ops.shape(mask)[1]), axis=1)


def pick(values, steps):
    """Returns `values[b, steps[b, n]]`, `(B, N, U)`, whole vectors at a time."""
    import tensorflow as tf

    return tf.gather(values, steps, batch_dims=1)


def fused_lstm(x, kernel, recurrent_kernel, bias):
    """Returns all `h` and `c` of an LSTM from zeros, `(B, T, U)`, in float32.

    Gates come in Keras's order `i, f, c, o`; the kernel's is `i, c, f, o`. The newer
    `BlockLSTMV2` has Keras's, but its gradient is that of the other order.
    """
    import tensorflow as tf

    def reorder(weight):
        i, f, c, o = tf.split(weight, 4, axis=-1)
        return tf.concat([i, c, f, o], -1)

    x = tf.transpose(x, (1, 0, 2))
    units = recurrent_kernel.shape[0]
    start, peephole = tf.zeros((tf.shape(x)[1], units)), tf.zeros((units,))
    outputs = tf.raw_ops.BlockLSTM(
        seq_len_max=tf.shape(x, out_type="int64")[0],
        x=x,
        cs_prev=start,
        h_prev=start,
        w=reorder(tf.concat([kernel, recurrent_kernel], 0)),
        wci=peephole,
        wcf=peephole,
        wco=peephole,
        b=reorder(bias),
        forget_bias=0.0,
        cell_clip=-1.0,
        use_peephole=False,
    )
    return [tf.transpose(values, (1, 0, 2)) for values in (outputs.h, outputs.cs)]


@contextlib.contextmanager
def without_kernel(model):
    """A context in which no layer of a model takes the kernel, for XLA."""
    layers = list(bidirectional_layers(model))
    before = [layer.use_fused for layer in layers]
    try:
        for layer in layers:
            layer.use_fused = False
        yield
    finally:
        for layer, use_fused in zip(layers, before, strict=True):
            layer.use_fused = use_fused


def bidirectional_layers(model):
    """Yields the layers of this kind in a model and in the models within it."""
    for layer in model.layers:
        if isinstance(layer, BidirectionalLSTM):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from bidirectional_layers(layer)
