import keras
import numpy as np
import pytest
from support.check_layer import BACKEND, Case, built_layer, to_numpy
from support.graph_formulas import alone, attend, leaky_relu

from attention_zoo import layers
from attention_zoo.layers import GraphAttention


def gat(combine="concat", loops=True, heads=2, units=3):
    """Veličković et al. 2018, equations 3 to 6."""

    def formula(weights, inputs, masks):
        x = inputs["inputs"]
        h = (x @ weights["kernel"]).reshape(*x.shape[:2], heads, units)

        def score(b, source, target):
            pair = np.concatenate([h[b, target], h[b, source]], axis=-1)
            a = [weights["target_vector"], weights["source_vector"]]
            return leaky_relu(np.sum(np.concatenate(a, -1) * pair, axis=-1))

        return attend(score, h, weights["bias"], combine, loops, inputs, masks)

    return formula


CASES = [
    Case(
        name="graph_attention",
        cls=GraphAttention,
        config={"units": 3, "num_heads": 2},
        inputs={"inputs": (2, 7, 5), "edges": (2, 11, 2)},
        formula=gat(),
        masks=("inputs_mask", "edges_mask"),
        scores=(2, 2, 18),
        int_inputs=("edges",),
    ),
    Case(
        name="graph_attention-alone",
        cls=GraphAttention,
        config={"units": 3, "num_heads": 2, "use_self_loops": False},
        inputs={"inputs": (7, 5), "edges": (11, 2)},
        formula=alone(gat(loops=False)),
        scores=(2, 11),
        dynamic=(),
        int_inputs=("edges",),
    ),
    Case(
        name="graph_attention-adjacency",
        cls=GraphAttention,
        config={"units": 3, "num_heads": 2, "combine": "mean"},
        inputs={"inputs": (2, 7, 5), "adjacency": (2, 7, 7)},
        formula=gat("mean"),
        masks=("inputs_mask",),
        scores=(2, 2, 7, 7),
        int_inputs=("adjacency",),
    ),
]
NODES = CASES[0].draw()["inputs"]
CLASSES = [GraphAttention, layers.GraphAttentionV2]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_isolated_node_gives_the_bias(cls):
    layer = cls(3, use_self_loops=False)
    layer(NODES, np.array([[0, 1]]))
    layer.bias.assign([1.0, 2.0, 3.0])
    output = to_numpy(layer(NODES, np.array([[0, 1]])))
    np.testing.assert_array_equal(output[:, 2:], np.full((2, 5, 3), [1, 2, 3]))
    assert np.abs(output[:, 1] - [1, 2, 3]).max() > 0.01


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("use_self_loops", [False, True])
def test_edges_and_the_matrix_of_them_agree(cls, use_self_loops):
    edges = np.array([[0, 1], [2, 1], [1, 3], [3, 3], [6, 0]])
    matrix = np.zeros((7, 7), "float32")
    matrix[edges[:, 1], edges[:, 0]] = 1
    layer = cls(3, num_heads=2, use_self_loops=use_self_loops)
    by_edges = to_numpy(layer(NODES, edges))
    np.testing.assert_allclose(
        to_numpy(layer(NODES, adjacency=matrix)), by_edges, atol=1e-6
    )
    # One graph of both graphs' nodes, without edges between them.
    both = np.concatenate([edges, edges + 7])
    together = to_numpy(layer(NODES.reshape(14, 5), both))
    np.testing.assert_allclose(together.reshape(2, 7, -1), by_edges, atol=1e-6)


def test_dropout_drops_edges_in_training_only():
    layer = GraphAttention(3, dropout=0.5, seed=1)
    edges = CASES[0].draw()["edges"]
    _, weights = layer(NODES, edges, return_attention_scores=True, training=True)
    _, plain = layer(NODES, edges, return_attention_scores=True)
    weights, plain = to_numpy(weights), to_numpy(plain)
    kept = weights > 0
    assert 0 < kept.sum() < (plain > 0).sum()
    np.testing.assert_allclose(weights[kept], 2 * plain[kept], rtol=1e-5)


def test_a_graph_without_edges():
    layer = GraphAttention(3, use_self_loops=False)
    output = layer(NODES, np.zeros((0, 2), "int32"))
    np.testing.assert_array_equal(to_numpy(output), np.zeros((2, 7, 3)))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="compiles with TensorFlow")
def test_a_compiled_function_hides_edges_that_point_outside():
    import tensorflow as tf

    layer = built_layer(CASES[1])
    edges = CASES[1].draw()["edges"]
    x = CASES[1].draw()["inputs"]
    strayed = np.concatenate([edges, [[0, 7], [-1, 1], [9, 2]]])
    compiled = tf.function(layer)
    np.testing.assert_allclose(
        to_numpy(compiled(x, strayed)), to_numpy(layer(x, edges)), atol=1e-6
    )


def test_a_hidden_edge_may_point_anywhere():
    layer = built_layer(CASES[1])
    x, edges = CASES[1].draw()["inputs"], CASES[1].draw()["edges"]
    strayed = np.concatenate([edges, [[-1, -1]]])
    mask = np.arange(12) < 11
    np.testing.assert_allclose(
        to_numpy(layer(x, strayed, edges_mask=mask)),
        to_numpy(layer(x, edges)),
        atol=1e-6,
    )


EDGES = np.array([[0, 1]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GraphAttention(0), "positive integer. Received: units=0"),
        (lambda: GraphAttention(3, combine="sum"), r"one of \['concat', 'mean'\]"),
        (lambda: GraphAttention(3, dropout=1.0), r"\[0, 1\). Received: dropout=1.0"),
        (lambda: GraphAttention(3)(NODES), "either `edges` or `adjacency`. Received"),
        (
            lambda: GraphAttention(3)(NODES, EDGES, adjacency=np.eye(7)),
            r"either `edges` or `adjacency`.*adjacency.shape=\(7, 7\)",
        ),
        (lambda: GraphAttention(3)(NODES, EDGES.T), r"of shape \(E, 2\).*\(2, 1\)"),
        (lambda: GraphAttention(3)(NODES, EDGES[0]), r"of shape \(E, 2\).*\(2,\)"),
        (
            lambda: GraphAttention(3)(NODES, np.zeros((3, 5, 2), "int32")),
            r"one for each graph of a batch.*\(3, 5, 2\)",
        ),
        (lambda: GraphAttention(3)(NODES, adjacency=np.eye(5)), r"\(N, N\).*\(5, 5\)"),
        (lambda: GraphAttention(3)(NODES, EDGES / 2), "integer dtype.*float"),
        (
            lambda: GraphAttention(3)(NODES, np.array([[0, 1], [7, 0], [-1, 0]])),
            r"point outside.*from 0 to 6.*2 such edges, the first of them \[7, 0\]",
        ),
        (lambda: GraphAttention(3)(NODES[0, 0], EDGES), r"\(N, D\) or \(B, N, D\)"),
        (
            lambda: GraphAttention(3)(keras.Input((7, 5)), keras.Input((4, 3))),
            r"of shape \(E, 2\).*\(None, 4, 3\)",
        ),
        (
            lambda: GraphAttention(3)(
                NODES, adjacency=np.eye(7), edges_mask=np.ones((2, 7), bool)
            ),
            "`edges_mask` with `edges` only",
        ),
        (
            lambda: GraphAttention(3)(NODES, EDGES, edges_mask=np.ones((3,), bool)),
            r"`edges_mask` of shape \(1,\)",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
