"""Lists of edges: their checks, and a softmax over the edges of each target."""

import numpy as np
from keras import ops

from attention_zoo.layers.core.entmax import LOWEST
from attention_zoo.layers.core.indices import known_values


def check_inside(owner, edges, edges_mask, num_nodes):
    """Raises `ValueError` where an edge is known to point to no node.

    Args:
        owner: Name of the layer, for the message.
        edges: Integer tensor `(..., E, 2)`.
        edges_mask: Boolean tensor `(..., E)` or None.
        num_nodes: Number of nodes, or None where it is unknown.
    """
    values, shown = known_values(edges), known_values(edges_mask)
    if (
        values is None
        or num_nodes is None
        or (shown is None and edges_mask is not None)
    ):
        return
    outside = np.any((values < 0) | (values >= num_nodes), axis=-1)
    if shown is not None:
        outside &= shown
    if outside.any():
        first = values[outside][0].tolist()
        raise ValueError(
            f"`{owner}` received edges that point outside the graph. Expected indices "
            f"from 0 to {num_nodes - 1}, since the inputs have {num_nodes} nodes. "
            "Received: "
            f"{int(outside.sum())} such edges, the first of them {first}"
        )


def flatten_edges(edges, edges_mask, batch, num_nodes, self_loops):
    """Returns the edges of a batch of graphs as those of one graph of all nodes.

    Args:
        edges: Integer tensor `(B, E, 2)` of pairs (source, target).
        edges_mask: Boolean tensor `(B, E)` or None.
        batch: Number of graphs.
        num_nodes: Number of nodes of each.
        self_loops: Whether each node gets an edge to itself after the given edges, in
            place of one that is given.

    Returns:
        Sources and targets `(B * E')` as indices from 0 to `B * num_nodes - 1`, and
        the boolean `visible` `(B * E')`; an edge that is hidden or points outside has
        False there.
    """
    visible = ops.all(ops.logical_and(edges >= 0, edges < num_nodes), axis=-1)
    if edges_mask is not None:
        visible = ops.logical_and(visible, edges_mask)
    if self_loops:
        visible = ops.logical_and(visible, edges[..., 0] != edges[..., 1])
        nodes = ops.arange(num_nodes, dtype="int32")
        loops = ops.broadcast_to(ops.reshape(nodes, (1, -1, 1)), (batch, num_nodes, 2))
        edges = ops.concatenate([edges, loops], axis=1)
        shown = ops.ones((batch, num_nodes), dtype="bool")
        visible = ops.concatenate([visible, shown], axis=1)
    edges = ops.where(ops.expand_dims(visible, -1), edges, ops.zeros_like(edges))
    first = ops.arange(batch, dtype="int32") * num_nodes
    edges = edges + ops.reshape(first, (-1, 1, 1))
    edges = ops.reshape(edges, (-1, 2))
    return edges[:, 0], edges[:, 1], ops.reshape(visible, (-1,))


def edge_softmax(scores, targets, visible, num_targets):
    """Softmax over the edges that lead to the same target.

    Args:
        scores: Tensor `(E, H)`, in at least float32.
        targets: Integer tensor `(E,)`.
        visible: Boolean tensor `(E,)`.
        num_targets: Number of targets.

    Returns:
        Weights `(E, H)`; zeros where `visible` is False.
    """
    shown = ops.expand_dims(visible, -1)
    scores = ops.where(shown, scores, LOWEST)
    top = ops.stop_gradient(ops.segment_max(scores, targets, num_targets))
    powers = ops.exp(scores - ops.take(top, targets, axis=0))
    powers = ops.where(shown, powers, ops.zeros_like(powers))
    total = ops.take(ops.segment_sum(powers, targets, num_targets), targets, axis=0)
    return powers / ops.where(total > 0, total, ops.ones_like(total))
