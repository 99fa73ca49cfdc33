import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import BACKEND, Case, built_layer, named_weights, run, to_numpy
from support.series_formulas import join, project, rows

from attention_zoo.layers import ProbSparseAttention
from attention_zoo.layers.series.prob_sparse import log_count, spread_positions


def count_of(size, factor):
    return max(1, min(size, factor * int(np.ceil(np.log(size)))))


def sample(size, factor):
    """One position in each of `c ceil(ln(L))` parts, where the golden section says."""
    count = count_of(size, factor)
    cuts = [j * size // count for j in range(count + 1)]
    return [
        cuts[j] + (j * 633 % 1024) * (cuts[j + 1] - cuts[j]) // 1024
        for j in range(count)
    ]


def prob_sparse(factor, causal=False):
    """Zhou et al. 2021, algorithm 1 and equation 4, each row without its padding."""

    def formula(weights, inputs, masks):
        query = inputs["query"]
        length = inputs.get("value", query).shape[1]
        output, dense = np.zeros(query.shape), np.zeros((2, 3, query.shape[1], length))
        for b, queries, keys, q, k, v in rows(inputs, masks):
            q, k, v = (
                project(x, weights, name)
                for x, name in ((q, "query"), (k, "key"), (v, "value"))
            )
            seen = np.ones((len(queries), len(keys)), bool)
            if causal:
                seen = keys <= queries[:, None]
            heads = np.zeros(q.shape)
            for h in range(3):
                scores = q[h] @ k[h].T / np.sqrt(q.shape[-1])
                some = np.array(sample(len(keys), factor))
                measure = [
                    row[some][own[some]].max() - row[some][own[some]].mean()
                    for row, own in zip(scores, seen, strict=True)
                ]
                top = np.argsort(-np.array(measure), kind="stable")
                top = top[: count_of(len(queries), factor)]
                own = formulas.softmax(np.zeros(scores.shape), seen)
                own[top] = formulas.softmax(scores, seen)[top]
                heads[h] = own @ v[h]
                dense[b, h][np.ix_(queries, keys)] = own
            output[b, queries] = join(heads, weights)
        return output, dense

    return formula


CONFIG = {"num_heads": 3, "key_dim": 2, "factor": 1}
CASES = [
    Case(
        name="prob_sparse_attention",
        cls=ProbSparseAttention,
        config=CONFIG,
        inputs={"query": (2, 11, 5)},
        formula=prob_sparse(1),
        masks=("query_mask",),
        scores=(2, 3, 11, 11),
        jumps=True,
    ),
    Case(
        name="prob_sparse_attention-cross",
        cls=ProbSparseAttention,
        config={**CONFIG, "factor": 2},
        inputs={"query": (2, 11, 5), "value": (2, 17, 7), "key": (2, 17, 13)},
        formula=prob_sparse(2),
        masks=("query_mask", "value_mask", "key_mask"),
        scores=(2, 3, 11, 17),
        jumps=True,
    ),
    Case(
        name="prob_sparse_attention-causal",
        cls=ProbSparseAttention,
        config=CONFIG,
        inputs={"query": (2, 13, 5)},
        formula=prob_sparse(1, causal=True),
        masks=("query_mask",),
        scores=(2, 3, 13, 13),
        call={"use_causal_mask": True},
        jumps=True,
    ),
]


@pytest.mark.parametrize("causal", [False, True])
def test_with_a_large_factor_it_is_exact_attention(causal):
    layer = ProbSparseAttention(num_heads=3, key_dim=2, factor=100)
    x = np.random.default_rng(0).normal(size=(2, 13, 5)).astype("float32")
    mask = np.arange(13) < np.array([[13], [9]])
    layer.build(x.shape)
    options = {"use_causal_mask": causal, "return_attention_scores": True}
    output, weights = run(layer, {"query": x, "query_mask": mask}, **options)
    named = named_weights(layer)
    seen = formulas.visible({"mask": mask}, 2, 13, 13)
    seen = seen & (np.tri(13, dtype=bool) | (not causal))
    for b in range(2):
        q, k, v = (project(x[b], named, n) for n in ("query", "key", "value"))
        exact = formulas.softmax(q @ np.swapaxes(k, 1, 2) / np.sqrt(2), seen[b])
        np.testing.assert_allclose(weights[b], exact, atol=1e-5)
        there = mask[b]
        np.testing.assert_allclose(
            output[b, there], join(exact @ v, named)[there], atol=1e-5
        )


def test_causal_values_do_not_come_from_the_future():
    layer = built_layer(CASES[2])
    options = {"use_causal_mask": True, "return_attention_scores": True}
    _, weights = run(layer, CASES[2].draw(), **options)
    assert (weights[:, :, ~np.tri(13, dtype=bool)] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_causal_cross_attention_beyond_the_end_of_the_keys():
    x = np.random.default_rng(0).normal(size=(2, 11, 5)).astype("float32")
    layer = ProbSparseAttention(num_heads=3, key_dim=2, factor=1)
    options = {"use_causal_mask": True, "return_attention_scores": True}
    layer.build(x.shape)
    output, weights = run(layer, {"query": x, "value": x[:, :7]}, **options)
    named = named_weights(layer)
    for b in range(2):
        heads = weights[b] @ project(x[b, :7], named, "value")
        np.testing.assert_allclose(output[b], join(heads, named), atol=1e-5)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="the same code, and slow to compile")
@pytest.mark.parametrize("size", [1, 2, 7, 8, 20, 21, 720, 65536])
@pytest.mark.parametrize("factor", [1, 5, 100])
def test_the_sample_is_of_different_positions(size, factor):
    count = log_count(size, factor)
    assert count == count_of(size, factor)
    as_tensor = keras.ops.convert_to_tensor(np.array([[size]], "int32"))
    assert int(to_numpy(log_count(as_tensor, factor))[0, 0]) == count
    positions, used = spread_positions(as_tensor, count, count + 2)
    positions = to_numpy(positions)[0][to_numpy(used)[0].astype(bool)]
    assert list(positions) == sample(size, factor)
    assert len(set(positions)) == count
    assert positions.min() == 0
    assert positions.max() < size


@pytest.mark.skipif(BACKEND == "jax", reason="the same code, and slow to compile")
def test_dropout_drops_in_training_alone():
    x = np.random.default_rng(0).normal(size=(2, 11, 5)).astype("float32")
    layer = ProbSparseAttention(factor=100, dropout=0.5, seed=1)
    options = {"return_attention_scores": True}
    _, whole = to_numpy(layer(x, **options))
    _, dropped = to_numpy(layer(x, training=True, **options))
    assert (whole > 0).all()
    assert 0.3 < (dropped == 0).mean() < 0.7
    np.testing.assert_allclose(dropped[dropped > 0], 2 * whole[dropped > 0], rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_heads": 0}, "Received: num_heads=0"),
        ({"key_dim": -1}, "Received: key_dim=-1"),
        ({"factor": 0.5}, "a positive integer. Received: factor=0.5"),
        ({"dropout": 1.0}, "Received: dropout=1.0"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        ProbSparseAttention(**config)


def test_errors_of_shapes():
    x = np.zeros((2, 7, 5), "float32")
    with pytest.raises(ValueError, match="of rank 3"):
        ProbSparseAttention()(x[0])
    with pytest.raises(ValueError, match="of one length"):
        ProbSparseAttention()(x, x, x[:, :3])
