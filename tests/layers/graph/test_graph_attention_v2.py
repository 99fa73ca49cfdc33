import numpy as np
from support.check_layer import Case, to_numpy
from support.graph_formulas import alone, attend, leaky_relu

from attention_zoo.layers import GraphAttention, GraphAttentionV2


def gat(combine="concat", loops=True, heads=2, units=3):
    """Brody et al. 2022, equation 7."""

    def formula(weights, inputs, masks):
        x = inputs["inputs"]
        shape = (*x.shape[:2], heads, units)
        t = (x @ weights["target_kernel"]).reshape(shape)
        s = (x @ weights["source_kernel"]).reshape(shape)

        def score(b, source, target):
            hidden = leaky_relu(t[b, target] + s[b, source])
            return np.sum(weights["vector"] * hidden, axis=-1)

        return attend(score, s, weights["bias"], combine, loops, inputs, masks)

    return formula


CASES = [
    Case(
        name="graph_attention_v2",
        cls=GraphAttentionV2,
        config={"units": 3, "num_heads": 2},
        inputs={"inputs": (2, 7, 5), "edges": (2, 11, 2)},
        formula=gat(),
        masks=("inputs_mask", "edges_mask"),
        scores=(2, 2, 18),
        int_inputs=("edges",),
    ),
    Case(
        name="graph_attention_v2-adjacency",
        cls=GraphAttentionV2,
        config={"units": 3, "num_heads": 2, "combine": "mean", "use_self_loops": False},
        inputs={"inputs": (7, 5), "adjacency": (7, 7)},
        formula=alone(gat("mean", loops=False)),
        scores=(2, 7, 7),
        dynamic=(),
        int_inputs=("adjacency",),
    ),
]


def test_nodes_may_prefer_different_neighbours():
    """With all pairs as edges, version 1 has one order of the sources for all."""
    x = np.random.default_rng(2).normal(size=(7, 5)).astype("float32")
    orders = {}
    for cls in (GraphAttention, GraphAttentionV2):
        layer = cls(5)
        layer(x, adjacency=np.ones((7, 7)))
        rng = np.random.default_rng(3)
        layer.set_weights(
            [rng.normal(size=w.shape) for w in layer.weights[:-1]] + [np.zeros(5)]
        )
        _, weights = layer(x, adjacency=np.ones((7, 7)), return_attention_scores=True)
        orders[cls] = {tuple(row) for row in np.argsort(to_numpy(weights)[0])}
    assert len(orders[GraphAttention]) == 1
    assert len(orders[GraphAttentionV2]) > 1
