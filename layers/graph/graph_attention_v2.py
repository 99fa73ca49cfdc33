"""Graph attention with scores that depend on the pair: GATv2."""

import keras
from keras import ops

from attention_zoo.layers.graph.base import GraphLayer


@keras.saving.register_keras_serializable("attention_zoo")
class GraphAttentionV2(GraphLayer):
    """Graph attention in which each node ranks its neighbours in its own way: GATv2.

    1. Heads: `t = x W_t` and `s = x W_s` for each node, shape `(N, H, K)`.
    2. Scores of an edge from `j` to `i`: `a . leaky_relu(t_i + s_j)`.
    3. Weights: softmax over the edges that lead to `i`.
    4. Output: the weighted sum of `s_j`, heads side by side or their mean, plus a bias.

    Weights: `target_kernel` and `source_kernel` `(D, H * K)`, `vector` `(H, K)` and
    `bias`. In `GraphAttention` the vector comes before the leaky ReLU, so that all
    nodes prefer the same neighbours; here it comes after. With `adjacency` the
    scores of all pairs hold `N x N x H x K` numbers: prefer `edges` where the graph is
    sparse.

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
    nodes = np.random.normal(size=(2, 4, 5)).astype("float32")
    adjacency = np.array([[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    layer = layers.GraphAttentionV2(units=3, num_heads=2, combine="mean")
    output, weights = layer(nodes, adjacency=adjacency, return_attention_scores=True)
    assert output.shape == (2, 4, 3)
    assert weights.shape == (2, 2, 4, 4)
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, atol=1e-6)
    ```

    References:
        - Brody et al. 2022, https://arxiv.org/abs/2105.14491
    """

    def build_heads(self, width):
        self.target_kernel = self.add_kernel("target_kernel", width)
        self.source_kernel = self.add_kernel("source_kernel", width)
        self.vector = self.add_weight(
            name="vector",
            shape=(self.num_heads, self.units),
            initializer=self.kernel_initializer,
        )

    def project(self, x):
        return self.split(x, self.target_kernel), self.split(x, self.source_kernel)

    def score(self, target, source):
        hidden = ops.leaky_relu(target + source, self.negative_slope)
        return ops.sum(hidden * ops.cast(self.vector, hidden.dtype), axis=-1)
