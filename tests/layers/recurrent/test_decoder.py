import keras
import numpy as np
import pytest
from keras import ops
from support import formulas
from support.check_layer import BACKEND, Case, named_weights, to_numpy
from support.fresh import run_fresh

from attention_zoo import layers
from attention_zoo.layers import AttentionCell, AttentionDecoder, record_attention

SHAPES = {"query": (2, 11, 5), "value": (2, 7, 3)}
UNITS = 13


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(w, x, state):
    """Hochreiter and Schmidhuber 1997, gates in Keras's order i, f, c, o."""
    h, c = state
    z = x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
    i, f, g, o = np.split(z, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, [h, c]


def gru(w, x, state):
    """Cho et al. 2014 with the reset gate after the product, as in cuDNN."""
    h = state[0]
    xz, xr, xh = np.split(x @ w["kernel"] + w["bias"][0], 3, axis=-1)
    hz, hr, hh = np.split(h @ w["recurrent_kernel"] + w["bias"][1], 3, axis=-1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    h = z * h + (1 - z) * np.tanh(xh + r * hh)
    return h, [h]


def simple(w, x, state):
    h = np.tanh(x @ w["kernel"] + state[0] @ w["recurrent_kernel"] + w["bias"])
    return h, [h]


def select(weights, part):
    """Returns the weights under a sublayer called `part`, by their last name."""
    return {
        path.rsplit("/", 1)[-1]: w for path, w in weights.items() if f"/{part}/" in path
    }


def decode(weights, inputs, masks, score, order, attention_units, feed, cells):
    """A decoder, one row of the batch and one step at a time.

    Args:
        cells: List of (name of the sublayer, step function, number of states); the
            output of one is the input of the next.
    """
    query, memory = inputs["query"], inputs["value"]
    rows, length = query.shape[1], memory.shape[1]
    kernel = next(
        (w for path, w in weights.items() if path.endswith("attention_kernel")), None
    )
    outputs, all_weights = [], []
    for b in range(len(query)):
        real = masks.get("query_mask", np.ones((2, rows), bool))[b]
        seen = masks.get("value_mask", np.ones((2, length), bool))[b]
        states = [[np.zeros(UNITS)] * count for _, _, count in cells]
        fed = np.zeros(attention_units or memory.shape[-1])

        def attend(h, b=b, seen=seen):
            s = formulas.score(
                score, formulas.bare(select(weights, "attention")), h[None], memory[b]
            )
            w = formulas.softmax(s, seen[None])[0]
            return w @ memory[b], w

        for t in range(rows):
            if not real[t]:
                width = attention_units or memory.shape[-1] + UNITS
                outputs.append(np.zeros(width))
                all_weights.append(np.zeros(length))
                continue
            x = query[b, t]
            if order == "bahdanau":
                context, w = attend(states[-1][0])
                fed = context
            if feed:
                x = np.concatenate([x, fed])
            for n, (part, step, _) in enumerate(cells):
                x, states[n] = step(select(weights, part), x, states[n])
            if order == "luong":
                context, w = attend(x)
            output = np.concatenate([context, x])
            if attention_units:
                output = np.tanh(output @ kernel)
            fed = output if attention_units else context
            outputs.append(output)
            all_weights.append(w)
    shape = (len(query), rows, -1)
    return np.reshape(outputs, shape), np.reshape(all_weights, shape)


CELLS = {
    "lstm": (lambda: keras.layers.LSTMCell(UNITS, name="cell_0"), [lstm], [2]),
    "gru": (lambda: keras.layers.GRUCell(UNITS, name="cell_0"), [gru], [1]),
    "simple": (lambda: keras.layers.SimpleRNNCell(UNITS, name="cell_0"), [simple], [1]),
    "stacked": (
        lambda: keras.layers.StackedRNNCells(
            [
                keras.layers.GRUCell(UNITS, name="cell_0"),
                keras.layers.LSTMCell(UNITS, name="cell_1"),
            ]
        ),
        [gru, lstm],
        [1, 2],
    ),
}


def attention_of(score):
    units = 17 if score == "additive" else None
    return layers.Attention(score=score, units=units, name="attention")


def make_cell(kind, score, order="bahdanau", attention_units=None, feed=True):
    return AttentionCell(
        CELLS[kind][0](),
        attention_of(score),
        order=order,
        attention_units=attention_units,
        input_feeding=feed,
        name="attention_cell",
    )


def case(kind, score, order="bahdanau", attention_units=None, feed=True):
    _, steps, counts = CELLS[kind]
    parts = [f"cell_{n}" for n in range(len(steps))]
    cells = list(zip(parts, steps, counts, strict=True))

    def formula(weights, inputs, masks):
        return decode(
            weights, inputs, masks, score, order, attention_units, feed, cells
        )

    cell = make_cell(kind, score, order, attention_units, feed)
    flags = [f"units{attention_units}"] * bool(attention_units) + ["open"] * (not feed)
    return Case(
        name="-".join(["decoder", order, kind, score, *flags]),
        cls=AttentionDecoder,
        config={"cell": keras.saving.serialize_keras_object(cell)},
        inputs=SHAPES,
        formula=formula,
        masks=("query_mask", "value_mask"),
        scores=(2, 11, 7),
    )


CASES = [
    case("lstm", "additive"),
    case("gru", "additive", attention_units=19),
    case("simple", "general", "luong"),
    case("lstm", "general", "luong", attention_units=19),
    case("stacked", "additive", "luong", attention_units=19),
    case("stacked", "general", "bahdanau", feed=False),
]


def build(cell, **config):
    """Returns a decoder around `cell`, called once, and its inputs."""
    rng = np.random.default_rng(0)
    inputs = {n: rng.normal(size=s).astype("float32") for n, s in SHAPES.items()}
    decoder = AttentionDecoder(cell, **config)
    decoder(**inputs)
    return decoder, inputs


@pytest.mark.parametrize("order", ["bahdanau", "luong"])
@pytest.mark.parametrize("kind", ["lstm", "stacked"])
def test_steps_make_the_sequence(order, kind):
    cell = make_cell(kind, "additive", order, attention_units=19)
    decoder, inputs = build(cell)
    mask = np.arange(7) < [[5], [7]]
    whole, weights = to_numpy(
        decoder(**inputs, value_mask=mask, return_attention_scores=True)
    )
    value = ops.convert_to_tensor(inputs["value"])
    mask = ops.convert_to_tensor(mask)
    for memory in ([value, mask], [cell.prepare(value, mask)]):
        states = cell.initial_states(memory[0])
        for t in range(11):
            output, states, w = cell.step(
                ops.convert_to_tensor(inputs["query"][:, t]), states, *memory
            )
            np.testing.assert_allclose(to_numpy(output), whole[:, t], atol=1e-6)
            np.testing.assert_allclose(to_numpy(w), weights[:, t], atol=1e-6)


@pytest.mark.parametrize("order", ["bahdanau", "luong"])
def test_the_states_returned_continue_the_sequence(order):
    decoder, inputs = build(make_cell("lstm", "additive", order), return_state=True)
    query, value = inputs["query"], inputs["value"]
    whole, *last = to_numpy(decoder(query, value))
    head, *states = decoder(query[:, :4], value)
    tail, *end = to_numpy(decoder(query[:, 4:], value, initial_state=states))
    np.testing.assert_allclose(np.concatenate([to_numpy(head), tail], 1), whole, 1e-5)
    assert [s.shape for s in last] == [(2, 13), (2, 13), (2, 3)][: len(last)]
    for got, expected in zip(end, last, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)
    spec = decoder(keras.KerasTensor((2, None, 5)), keras.KerasTensor((2, None, 3)))
    assert [s.shape for s in spec[1:]] == [s.shape for s in last]


def test_the_initial_state_is_the_encoders():
    """Against one step of the formula from a state that is not zero."""
    decoder, inputs = build(make_cell("gru", "additive"))
    state = np.linspace(-1, 1, 26, dtype="float32").reshape(2, 13)
    got = to_numpy(decoder(**inputs, initial_state=ops.convert_to_tensor(state)))
    w = {f"/{path}": x for path, x in named_weights(decoder).items()}
    value = inputs["value"].astype("float64")
    bare = formulas.bare(select(w, "attention"))
    scores = formulas.score("additive", bare, state[:, None], value)
    context = np.einsum("bij,bjd->bd", formulas.softmax(scores), value)
    for b in range(2):
        x = np.concatenate([inputs["query"][b, 0], context[b]])
        h, _ = gru(select(w, "cell_0"), x, [state[b]])
        np.testing.assert_allclose(got[b, 0], [*context[b], *h], atol=1e-5)


def test_an_attention_with_a_call_of_its_own_gives_the_same():
    results = []
    for cls in (layers.Attention, layers.LuongAttention):
        keras.utils.set_random_seed(0)
        attention = cls("additive", normalizer="sparsemax", name="attention")
        cell = AttentionCell(keras.layers.GRUCell(UNITS), attention)
        decoder, inputs = build(cell)
        mask = np.arange(7) < [[0], [5]]
        with record_attention() as records:
            results += [to_numpy(decoder(**inputs, value_mask=mask))]
        assert [r.layer for r in records] == [decoder]
    assert np.abs(results[0]).max() > 0.1
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)


@pytest.mark.parametrize("order", ["bahdanau", "luong"])
@pytest.mark.parametrize("name", layers.list_attentions(family="sequence"))
def test_every_attention_attends_as_it_does_to_a_whole_sequence(name, order):
    """Without input feeding, the cell's outputs are queries like any others."""
    inner = keras.layers.GRUCell(UNITS)
    cell = AttentionCell(inner, name, order=order, input_feeding=False)
    decoder = AttentionDecoder(cell, return_state=True)
    rng = np.random.default_rng(0)
    query = rng.normal(size=(3, 5, 7)).astype("float32")
    value = rng.normal(size=(3, 11, UNITS)).astype("float32")
    seen = {"query_mask": np.arange(5) < [[5], [4], [3]]}
    seen["value_mask"] = np.arange(11) < [[11], [7], [0]]
    options = {**seen, "return_attention_scores": True}
    decoder(query, value)
    for w in cell.attention_layer.trainable_weights:
        w.assign(np.random.default_rng(1).normal(size=w.shape))
    output, weights, *states = to_numpy(decoder(query, value, **options))
    context, hidden = output[..., :-UNITS], output[..., -UNITS:]
    if order == "bahdanau":
        hidden = np.pad(hidden[:, :-1], [(0, 0), (1, 0), (0, 0)])
    expected = to_numpy(cell.attention_layer(hidden, value, **options))
    if expected[1].ndim == 4:
        expected = expected[0], expected[1].mean(axis=1)
    real = seen["query_mask"]
    np.testing.assert_allclose(context[real], expected[0][real], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(weights[real], expected[1][real], atol=1e-5)
    assert np.abs(context).max() > 0.1
    assert np.all(output[~real] == 0)
    spec = decoder(keras.KerasTensor(query.shape), keras.KerasTensor(value.shape))
    shapes = [output.shape, *(state.shape for state in states)]
    assert [tuple(s.shape) for s in spec] == shapes


def test_the_loss_of_an_attention_is_the_models():
    """Coverage: looking twice at a place costs, and padded steps do not count."""
    cell = AttentionCell(
        keras.layers.GRUCell(UNITS),
        layers.CoverageAttention(17, loss_weight=0.5),
        order="luong",
    )
    decoder, inputs = build(cell)
    real = np.arange(11) < [[11], [5]]
    _, weights = to_numpy(
        decoder(**inputs, query_mask=real, return_attention_scores=True)
    )
    (loss,) = to_numpy(decoder.losses)
    overlap = np.minimum(weights, weights.cumsum(axis=1) - weights).sum(-1)
    expected = 0.5 * np.mean([overlap[0].mean(), overlap[1, :5].mean()])
    assert expected > 0.1
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("normalizer", ["softmax", "gumbel_softmax"])
def test_dropout_draws_anew_at_each_step_and_call(normalizer):
    attention = layers.Attention(normalizer=normalizer, dropout=0.5, seed=1)
    cell = AttentionCell(keras.layers.LSTMCell(3, dropout=0.5, seed=2), attention)
    decoder, inputs = build(cell)
    query = np.zeros((2, 64, 5), "float32")
    value = np.ones((2, 7, 3), "float32")  # all scores are the same

    def weights():
        options = {"return_attention_scores": True, "training": True}
        return to_numpy(decoder(query, value, **options)[1])

    one, two = weights(), weights()
    for w in (one, two):
        assert 0.3 < (w == 0).mean() < 0.7
        patterns = {tuple(row) for row in (w[0] == 0)}
        assert len(patterns) > 32
    assert ((one == 0) != (two == 0)).any(axis=-1).mean() > 0.8
    assert cell.cell.get_dropout_mask(ops.ones((2, 11))) is not None
    cell.cell.reset_dropout_mask()


def test_the_wrapped_cell_drops_the_same_at_every_step():
    inner = keras.layers.SimpleRNNCell(
        UNITS, dropout=0.5, activation="linear", recurrent_initializer="zeros", seed=1
    )
    decoder, inputs = build(AttentionCell(inner, input_feeding=False))
    query = np.repeat(inputs["query"][:, :1], 11, axis=1)
    output = to_numpy(decoder(query, inputs["value"], training=True))[..., 3:]
    plain = to_numpy(decoder(query, inputs["value"]))[..., 3:]
    np.testing.assert_allclose(output, np.repeat(output[:, :1], 11, axis=1), atol=1e-6)
    assert np.abs(output - plain).max() > 0.1


def seq2seq(attention=layers.BahdanauAttention, dropout=0.0, **config):
    """Returns an encoder-decoder over ids, 0 as padding."""
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    embed = keras.layers.Embedding(11, 16, mask_zero=True)
    memory = keras.layers.Dense(UNITS)(embed(source))
    state = layers.AttentionPooling(score=None)(memory)
    cell = AttentionCell(
        keras.layers.GRUCell(UNITS, dropout=dropout),
        attention(units=17, dropout=dropout),
        attention_units=19,
        **config,
    )
    decoder = AttentionDecoder(cell, name="decoder")
    output = decoder(embed(target), memory, initial_state=state)
    return keras.Model([source, target], keras.layers.Dense(11)(output))


@pytest.mark.parametrize(
    ("order", "attention", "compiled"),
    [
        ("bahdanau", layers.BahdanauAttention, BACKEND == "jax"),  # or it runs eagerly
        ("luong", layers.MonotonicAttention, BACKEND != "torch"),
    ],
)
def test_it_trains(order, attention, compiled):
    """Sorting a sequence, with dropout, noise, masks and XLA at once."""
    keras.utils.set_random_seed(1)
    model = seq2seq(attention, dropout=0.1, order=order)
    rng = np.random.default_rng(0)
    source = rng.integers(3, 11, (64, 5))
    target = np.sort(source, axis=1)
    source[:8, 3:] = 0
    target[:8, 3:] = 0
    fed = np.concatenate([np.full((64, 1), 2), target[:, :-1]], axis=1)
    model.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=compiled,
    )
    history = model.fit([source, fed], target, batch_size=32, epochs=12, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.7 * losses[0], losses
    assert np.isfinite(to_numpy(model([source, fed]))).all()  # eager, after compiled
    untrained = [v.path for v in model.trainable_weights if not np.any(to_numpy(v))]
    assert not untrained


def test_padding_of_the_source_is_invisible():
    model = seq2seq()
    rng = np.random.default_rng(0)
    source, target = rng.integers(1, 11, (3, 5)), rng.integers(1, 11, (3, 7))
    padded = np.pad(source, [(0, 0), (0, 2)])
    got = to_numpy(model([padded, target]))
    np.testing.assert_allclose(got, to_numpy(model([source, target])), atol=1e-5)


def test_a_model_with_an_initial_state_opens_in_a_fresh_process(tmp_path):
    model = seq2seq(order="luong")
    rng = np.random.default_rng(0)
    fed = [rng.integers(0, 11, (3, 5)), rng.integers(0, 11, (3, 7))]
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", *fed, to_numpy(model(fed)))
    program = """
import sys, keras, numpy as np, attention_zoo
model = keras.models.load_model(sys.argv[1] + "/model.keras")
*fed, expected = np.load(sys.argv[1] + "/data.npz").values()
got = keras.ops.convert_to_numpy(model(fed))
np.testing.assert_allclose(got, expected, atol=1e-5)
"""
    run_fresh(program, tmp_path)


def test_mixed_precision():
    outputs = {}
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            keras.utils.set_random_seed(0)
            cell = AttentionCell(keras.layers.LSTMCell(UNITS), attention_units=19)
            decoder, inputs = build(cell)
        finally:
            keras.config.set_dtype_policy("float32")
        output = decoder(**inputs, value_mask=np.arange(7) < [[0], [5]])
        outputs[policy] = to_numpy(output)
    assert keras.backend.standardize_dtype(output.dtype) == "float16"
    np.testing.assert_allclose(outputs["mixed_float16"], outputs["float32"], atol=0.01)


def test_errors():
    gru_cell = keras.layers.GRUCell(UNITS)
    with pytest.raises(ValueError, match="state_size.*Received: cell="):
        AttentionCell(keras.layers.Dense(3))
    with pytest.raises(ValueError, match="family 'sequence'.*'pooling'"):
        AttentionCell(gru_cell, "attention_pooling")
    with pytest.raises(ValueError, match=r"no position.*\(3, 3\)"):
        AttentionCell(gru_cell, layers.Attention(window=3))
    with pytest.raises(ValueError, match=r"no position.*\(10, 10\)"):
        AttentionCell(gru_cell, layers.LuongAttention(alignment="local_m"))
    with pytest.raises(ValueError, match=r"'luong'\]. Received: order='loung'"):
        AttentionCell(gru_cell, order="loung")
    with pytest.raises(ValueError, match="positive integer.*attention_units=0"):
        AttentionCell(gru_cell, attention_units=0)
    with pytest.raises(ValueError, match="expects an `AttentionCell`"):
        AttentionDecoder(gru_cell)
    decoder, inputs = build(AttentionCell(gru_cell))
    with pytest.raises(ValueError, match=r"widths \[13\].*\(2, 12\)"):
        decoder(**inputs, initial_state=ops.zeros((2, 12)))
    with pytest.raises(ValueError, match=r"widths \[13\]"):
        decoder(**inputs, initial_state=[ops.zeros((2, 13))] * 2)
    with pytest.raises(ValueError, match="`value` of rank 3"):
        decoder(inputs["query"], ops.zeros((2, 3)))


def test_an_initial_state_of_another_batch_size_is_refused():
    decoder, inputs = build(AttentionCell(keras.layers.GRUCell(UNITS)))
    with pytest.raises(ValueError, match=r"batch size 2 of the memory.*\(3, 13\)"):
        decoder(**inputs, initial_state=ops.zeros((3, 13)))


def test_masks_that_broadcast_and_integers():
    decoder, inputs = build(AttentionCell(keras.layers.GRUCell(UNITS)))
    steps, places = np.arange(11)[None] < 5, np.arange(7)[None] < 4
    got = to_numpy(decoder(**inputs, query_mask=steps, value_mask=places))
    whole = {
        "query_mask": np.repeat(steps, 2, 0),
        "value_mask": np.repeat(places, 2, 0),
    }
    np.testing.assert_allclose(got, to_numpy(decoder(**inputs, **whole)), atol=1e-6)
    np.testing.assert_array_equal(got[:, 5:], 0)
    counts = {n: np.arange(x.size).reshape(x.shape) % 3 for n, x in inputs.items()}
    expected = decoder(**{n: x.astype("float32") for n, x in counts.items()})
    np.testing.assert_allclose(
        to_numpy(decoder(**counts)), to_numpy(expected), atol=1e-6
    )
