"""Graph attention: GAT."""

import keras
from keras import ops

from attention_zoo.layers.graph.base import GraphLayer


@keras.saving.register_keras_serializable("attention_zoo")
class GraphAttention(GraphLayer):
    """Each node takes a mean of its neighbours, weighted by both ends of an edge: GAT.

    1. Heads: `h = x W` for each node, shape `(N, H, K)`.
    2. Scores of an edge from `j` to `i`: `leaky_relu(a_t . h_i + a_s . h_j)`.
    3. Weights: softmax over the edges that lead to `i`.
    4. Output: the weighted sum of `h_j`, heads side by side or their mean, plus a bias.

    Weights: `kernel` `(D, H * K)`, `target_vector` and `source_vector` `(H, K)`, which
    are the two halves of the paper's `a`, and `bias`. The order of a node's neighbours
    by weight is the same for all nodes, see `GraphAttentionV2`. Graphs of different
    sizes go into one batch as one graph without edges between them, or padded, with
    masks. Dropout of the inputs and the activation after the layer are Keras's own.

    Args:
        units: Integer. Width `K` of each head.
        num_heads: Integer. Number of heads `H`. Defaults to `1`.
        combine: String, `"concat"` or `"mean"`. What becomes of the heads; the papers
            take the mean in the last layer. Defaults to `"concat"`.
        use_self_loops: Boolean. Whether each node sees itself, whatever the edges say.
            Defaults to `True`.
        negative_slope: Float. Slope of the leaky ReLU below 0. Defaults to `0.2`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        use_bias: Boolean. Whether a bias is added to the output. Defaults to `True`.
        kernel_initializer: Initializer of the kernels. Defaults to `"glorot_uniform"`.
        seed: Integer. Seed of the dropout. Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(N, D)` or `(B, N, D)`. Features of the nodes.
        edges: Integer tensor of shape `(E, 2)` or `(B, E, 2)`. Pairs (source, target):
            the target attends to the source. Of the shape `(E, 2)` they hold for each
            graph of a batch.
        adjacency: Tensor of shape `(N, N)` or `(B, N, N)`, in place of `edges`. Node
            `i` attends to node `j` where `adjacency[i, j]` is not 0.
        inputs_mask: Boolean tensor of shape `(N,)` or `(B, N)`. Which nodes there are;
            Keras fills it in.
        edges_mask: Boolean tensor of the shape of `edges` without its last axis. Which
            edges there are.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.

    Returns:
        Output of shape `(..., N, H * K)`, or `(..., N, K)` with `combine="mean"`; the
        bias at a node without edges, zeros at padded nodes. With
        `return_attention_scores=True` the weights too, dropout included: of shape
        `(..., H, E)` for `edges`, followed by one for each node with self-loops,
        `(..., H, E + N)`; `(..., H, N, N)` for `adjacency`.

    Raises:
        ValueError: If an argument is invalid, if shapes or masks are incompatible, or
            if an edge points outside the graph. Inside a compiled function, where
            values are unknown, such an edge counts as hidden.

    Example:

    ```python
    nodes = np.random.normal(size=(4, 5)).astype("float32")
    edges = np.array([[0, 1], [2, 1], [1, 3]])
    layer = layers.GraphAttention(units=3, num_heads=2, use_self_loops=False)
    output, weights = layer(nodes, edges, return_attention_scores=True)
    assert output.shape == (4, 6)
    np.testing.assert_allclose(weights[:, 0] + weights[:, 1], 1, atol=1e-6)
    np.testing.assert_allclose(weights[:, 2], 1, atol=1e-6)
    ```

    References:
        - Veličković et al. 2018, https://arxiv.org/abs/1710.10903
    """

    def build_heads(self, width):
        self.kernel = self.add_kernel("kernel", width)
        shape = (self.num_heads, self.units)
        options = {"shape": shape, "initializer": self.kernel_initializer}
        self.target_vector = self.add_weight(name="target_vector", **options)
        self.source_vector = self.add_weight(name="source_vector", **options)

    def project(self, x):
        heads = self.split(x, self.kernel)
        return heads, heads

    def score(self, target, source):
        of_target = ops.sum(target * ops.cast(self.target_vector, target.dtype), -1)
        of_source = ops.sum(source * ops.cast(self.source_vector, source.dtype), -1)
        return ops.leaky_relu(of_target + of_source, self.negative_slope)
