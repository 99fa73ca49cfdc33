"""The base of the graph attentions: edges or an adjacency matrix, masks, heads."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.indices import check_integers
from attention_zoo.layers.core.inputs import cast_integers
from attention_zoo.layers.core.masks import padding_mask, zero_padding
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import (
    check_choice,
    check_mask,
    check_number,
    check_positive_integer,
    check_rate,
)
from attention_zoo.layers.graph._edges import (
    check_inside,
    edge_softmax,
    flatten_edges,
)

COMBINES = ("concat", "mean")


class GraphLayer(AttentionLayer):
    """Base of the layers `layer(inputs, edges)` in which nodes attend to neighbours.

    A subclass creates its weights in `build_heads(width)`, projects in `project(x)`,
    which returns the heads of nodes as targets and as sources, both `(..., N, H, K)`
    with the sources also being the values, and scores pairs in `score(target, source)`,
    tensors that broadcast to `(..., H, K)`, which returns `(..., H)`.

    Args:
        units: Integer. Width `K` of each head.
        num_heads: Integer. Number of heads `H`. Defaults to `1`.
        combine: String, `"concat"` or `"mean"`. Defaults to `"concat"`.
        use_self_loops: Boolean. Defaults to `True`.
        negative_slope: Float. Defaults to `0.2`.
        dropout: Float in [0, 1). Defaults to `0.0`.
        use_bias: Boolean. Defaults to `True`.
        kernel_initializer: Initializer. Defaults to `"glorot_uniform"`.
        seed: Integer. Defaults to `None`.
    """

    family = "graph"
    weights_are = "edges"
    call_inputs = ("inputs", "edges", "adjacency")
    call_masks = ("inputs_mask", "edges_mask")
    call_options = ("return_attention_scores",)

    def __init__(
        self,
        units,
        num_heads=1,
        combine="concat",
        use_self_loops=True,
        negative_slope=0.2,
        dropout=0.0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, units=units, num_heads=num_heads)
        check_choice(owner, COMBINES, combine=combine)
        check_number(owner, minimum=0, negative_slope=negative_slope)
        check_rate(owner, dropout=dropout)
        self.units = units
        self.num_heads = num_heads
        self.combine = combine
        self.use_self_loops = use_self_loops
        self.negative_slope = negative_slope
        self.dropout = dropout
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = seed
        self._seed_generator = keras.random.SeedGenerator(seed)

    def build(self, inputs_shape, edges_shape=None, adjacency_shape=None):
        self._check_shapes(inputs_shape, edges_shape, adjacency_shape)
        self.build_heads(inputs_shape[-1])
        self.bias = None
        if self.use_bias:
            shape = (self._output_width,)
            self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros")
        self.built = True

    def build_heads(self, width):
        """Creates the weights for nodes of `width` features."""
        raise NotImplementedError

    def project(self, x):
        """Returns the heads of nodes `(..., N, D)` as targets and as sources."""
        raise NotImplementedError

    def score(self, target, source):
        """Returns the scores `(..., H)` of heads that broadcast to `(..., H, K)`."""
        raise NotImplementedError

    def add_kernel(self, name, width):
        """Returns a new kernel `(D, H * K)`."""
        return self.add_weight(
            name=name,
            shape=(width, self.num_heads * self.units),
            initializer=self.kernel_initializer,
        )

    def split(self, x, kernel):
        """Returns nodes `(..., N, D)` as heads `(..., N, H, K)`."""
        x = ops.matmul(x, ops.cast(kernel, x.dtype))
        return ops.reshape(x, (*ops.shape(x)[:-1], self.num_heads, self.units))

    def call(
        self,
        inputs,
        edges=None,
        adjacency=None,
        inputs_mask=None,
        edges_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        owner = type(self).__name__
        self._check_shapes(
            inputs.shape, _shape(edges), _shape(adjacency), edges_mask is not None
        )
        x = cast_integers(inputs, self.compute_dtype)
        alone = len(x.shape) == 2
        if alone:
            x = ops.expand_dims(x, 0)
            if inputs_mask is not None:
                inputs_mask = ops.expand_dims(inputs_mask, 0)
        mask = padding_mask(owner, "inputs_mask", inputs_mask, x)
        x = zero_padding(x, mask)
        if adjacency is None:
            output, weights = self._along_edges(x, mask, edges, edges_mask, training)
        else:
            output, weights = self._along_matrix(x, mask, adjacency, training)
        output = self._finish(output, mask)
        if alone:
            output, weights = ops.squeeze(output, 0), ops.squeeze(weights, 0)
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def _along_edges(self, x, mask, edges, edges_mask, training):
        """Returns heads `(B, N, H, K)` and weights `(B, H, E')` of a list of edges."""
        owner = type(self).__name__
        check_integers(owner, edges=edges)
        edges = ops.cast(edges, "int32")
        edges_mask = check_mask(
            owner, "edges_mask", edges_mask, tuple(edges.shape[:-1])
        )
        check_inside(owner, edges, edges_mask, x.shape[1])
        batch, nodes = ops.shape(x)[:2]
        if len(edges.shape) == 2:
            edges = ops.expand_dims(edges, 0)
            edges_mask = None if edges_mask is None else ops.expand_dims(edges_mask, 0)
        edges = ops.broadcast_to(edges, (batch, *ops.shape(edges)[1:]))
        sources, targets, visible = flatten_edges(
            edges, edges_mask, batch, nodes, self.use_self_loops
        )
        if mask is not None:
            shown = ops.reshape(mask, (-1,))
            visible = ops.logical_and(visible, ops.take(shown, sources, axis=0))
            visible = ops.logical_and(visible, ops.take(shown, targets, axis=0))
        flat = (batch * nodes, self.num_heads, self.units)
        target, source = (ops.reshape(h, flat) for h in self.project(x))
        source = ops.take(source, sources, axis=0)  # (B E', H, K)
        scores = self.score(ops.take(target, targets, axis=0), source)
        weights = edge_softmax(widen(scores), targets, visible, batch * nodes)
        weights = self._drop(weights, training)
        sent = ops.expand_dims(weights, -1) * widen(source)
        output = ops.segment_sum(sent, targets, batch * nodes)
        output = ops.reshape(output, (batch, nodes, self.num_heads, self.units))
        weights = ops.reshape(weights, (batch, -1, self.num_heads))
        weights = ops.cast(ops.swapaxes(weights, 1, 2), self.compute_dtype)
        return ops.cast(output, self.compute_dtype), weights

    def _along_matrix(self, x, mask, adjacency, training):
        """Returns heads `(B, N, H, K)` and weights `(B, H, N, N)` of a matrix."""
        visible = adjacency != 0
        if len(visible.shape) == 2:
            visible = ops.expand_dims(visible, 0)
        if self.use_self_loops:
            visible = ops.logical_or(visible, ops.eye(ops.shape(x)[1], dtype="bool"))
        if mask is not None:
            visible = ops.logical_and(visible, ops.expand_dims(mask, -1))
            visible = ops.logical_and(visible, ops.expand_dims(mask, -2))
        target, source = self.project(x)
        scores = self.score(ops.expand_dims(target, 2), ops.expand_dims(source, 1))
        scores = ops.moveaxis(widen(scores), -1, 1)  # (B, H, N, N)
        weights = masked_softmax(scores, ops.expand_dims(visible, 1))
        weights = ops.cast(self._drop(weights, training), self.compute_dtype)
        output = ops.matmul(weights, ops.swapaxes(source, 1, 2))
        return ops.swapaxes(output, 1, 2), weights

    def _drop(self, weights, training):
        if not training or not self.dropout:
            return weights
        return keras.random.dropout(weights, self.dropout, seed=self._seed_generator)

    def _finish(self, heads, mask):
        """Returns the output of heads `(B, N, H, K)`; zeros at padded nodes."""
        if self.combine == "mean":
            output = ops.mean(heads, axis=2)
        else:
            output = ops.reshape(heads, (*ops.shape(heads)[:2], self._output_width))
        if self.bias is not None:
            output = output + ops.cast(self.bias, output.dtype)
        return zero_padding(output, mask)

    @property
    def _output_width(self):
        return self.units * (self.num_heads if self.combine == "concat" else 1)

    def compute_output_shape(
        self, inputs_shape, edges_shape=None, adjacency_shape=None
    ):
        return (*inputs_shape[:-1], self._output_width)

    def compute_scores_shape(
        self, inputs_shape, edges_shape=None, adjacency_shape=None
    ):
        """Returns the shape of the attention weights."""
        batch, nodes = tuple(inputs_shape[:-2]), inputs_shape[-2]
        if edges_shape is None:
            return (*batch, self.num_heads, nodes, nodes)
        edges = edges_shape[-2]
        if self.use_self_loops:
            edges = None if edges is None or nodes is None else edges + nodes
        return (*batch, self.num_heads, edges)

    def compute_output_spec(
        self,
        inputs,
        edges=None,
        adjacency=None,
        *args,
        return_attention_scores=False,
        **kwargs,
    ):
        shapes = inputs.shape, _shape(edges), _shape(adjacency)
        self._check_shapes(*shapes)
        shape = self.compute_output_shape(*shapes)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        shape = self.compute_scores_shape(*shapes)
        return output, keras.KerasTensor(shape, dtype=self.compute_dtype)

    def _check_shapes(self, inputs, edges, adjacency, edges_mask=False):
        """Raises `ValueError` unless the shapes of nodes and edges fit together."""
        owner, inputs = type(self).__name__, tuple(inputs)
        if len(inputs) not in (2, 3):
            raise ValueError(
                f"`{owner}` expects `inputs` of shape (N, D) or (B, N, D). "
                f"Received: inputs.shape={inputs}"
            )
        received = f"Received: inputs.shape={inputs}"
        received += "" if edges is None else f", edges.shape={tuple(edges)}"
        received += "" if adjacency is None else f", adjacency.shape={tuple(adjacency)}"
        if (edges is None) == (adjacency is None):
            raise ValueError(
                f"`{owner}` expects either `edges` or `adjacency`. {received}"
            )
        if adjacency is not None and edges_mask:
            raise ValueError(
                f"`{owner}` takes an `edges_mask` with `edges` only; an edge that "
                f"`adjacency` lacks has 0 there. {received}"
            )
        name, given = (
            ("edges", edges) if adjacency is None else ("adjacency", adjacency)
        )
        wanted = ("E", 2) if adjacency is None else (inputs[-2], inputs[-2])
        given = tuple(given)
        agrees = [
            a is None or not isinstance(b, int) or a == b
            for a, b in zip(given[-2:], wanted, strict=False)
        ]
        batch = len(given) == 2 or (
            len(given) == len(inputs) == 3
            and (given[0] is None or inputs[0] is None or given[0] == inputs[0])
        )
        if len(given) < 2 or not all(agrees) or not batch:
            shape = "(E, 2)" if adjacency is None else "(N, N)"
            raise ValueError(
                f"`{owner}` expects `{name}` of shape {shape}, or one for each graph "
                f"of a batch of graphs. {received}"
            )

    def get_config(self):
        config = {
            "units": self.units,
            "num_heads": self.num_heads,
            "combine": self.combine,
            "use_self_loops": self.use_self_loops,
            "negative_slope": self.negative_slope,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


def _shape(x):
    return None if x is None else tuple(x.shape)
