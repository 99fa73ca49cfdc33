"""A search inside a model: against the whole model's scores, saved and exported."""

import keras
import numpy as np
import pytest
from keras import ops
from support.fresh import run_fresh

import attention_zoo
from attention_zoo import Translator, layers

SIZES = {"source_vocabulary_size": 13, "target_vocabulary_size": 11}
CORES = {
    "rnn_translator": {"embedding_dim": 5, "units": 7},
    "transformer_translator": {
        "width": 8,
        "num_layers": 1,
        "num_heads": 2,
        "intermediate_dim": 7,
    },
}
SOURCE = np.random.default_rng(1).integers(1, 13, (3, 7)).astype("int32")
SOURCE[1, 4:] = SOURCE[2] = 0
TIME = 5


def to_numpy(results):
    return [ops.convert_to_numpy(x) for x in results]


def make_core(name):
    core = attention_zoo.create(name, **SIZES, **CORES[name])
    rng = np.random.default_rng(7)
    for weight in core.trainable_weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    return core


@pytest.fixture(scope="module", params=CORES)
def core(request):
    return make_core(request.param)


def make_model(core, **config):
    source = keras.Input((None,), dtype="int32", name="source")
    translator = Translator(core, max_length=TIME, name="translator", **config)
    return keras.Model(source, translator(source))


def score(core, source, tokens):
    """Returns the log-probability of tokens by the whole model at once."""
    fed = np.array([[2, *tokens[:-1]]], "int32")
    logits = ops.convert_to_numpy(core([source[None], fed]))[0].astype("float64")
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return sum(row[token] for row, token in zip(logits, tokens, strict=True))


def test_scores_are_those_of_the_whole_model(core):
    search = {"name": "beam", "beam_size": 3, "num_best": 2, "length_penalty": 0.5}
    model = make_model(core, search=search)
    tokens, scores, alignment = to_numpy(model(SOURCE))
    assert [tuple(x.shape) for x in model.outputs] == [
        (None, 2, 5), (None, 2), (None, 2, 5, None),
    ]  # fmt: skip
    assert tokens.shape == (3, 2, 5)
    assert alignment.shape == (3, 2, 5, 7)
    for row in range(3):
        for n in range(2):
            sequence = [t for t in tokens[row, n] if t]
            total = score(core, SOURCE[row], sequence)
            expected = total / ((5 + len(sequence)) / 6) ** 0.5
            assert scores[row, n] == pytest.approx(expected, abs=1e-4)
        assert scores[row, 0] >= scores[row, 1]
    used = tokens != 0
    seen = alignment.sum(axis=-1)
    np.testing.assert_allclose(seen[:2][used[:2]], 1, atol=1e-5)
    assert not seen[2].any()  # nothing to look at
    assert not seen[~used].any()
    assert not alignment[1, ..., 4:].any()


def test_a_sentence_has_the_same_translation_in_any_batch(core):
    model = make_model(core)
    together = to_numpy(model(SOURCE))
    alone = to_numpy(model(SOURCE[1:2, :4]))
    np.testing.assert_array_equal(alone[0][0], together[0][1])
    np.testing.assert_allclose(alone[1][0], together[1][1], atol=1e-5)
    np.testing.assert_allclose(alone[2][0], together[2][1, ..., :4], atol=1e-5)


def test_attention_is_recorded():
    model = make_model(make_core("rnn_translator"), search="greedy")
    with layers.record_attention() as records:
        _, _, alignment = model(SOURCE)
    (record,) = records
    assert record.layer_name == "translator"
    np.testing.assert_array_equal(record.weights, ops.convert_to_numpy(alignment))


def test_samples():
    model = make_model(
        make_core("rnn_translator"),
        search={"name": "sample", "num_samples": 3, "seed": 1, "top_k": 4},
    )
    first, second = (to_numpy(model(SOURCE))[0] for _ in range(2))
    assert first.shape == (3, 3, 5)
    assert (first != second).any()  # each call draws anew


@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="SavedModels are TensorFlow's"
)
def test_saved_models_search(tmp_path):
    """As `.keras` with nothing but the package, as a SavedModel without it."""
    for name in CORES:
        model = make_model(make_core(name), search={"name": "beam", "num_best": 2})
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", SOURCE, *to_numpy(model(SOURCE)))
        if name == "rnn_translator":  # exporting takes seconds
            model.export(tmp_path / name, format="tf_saved_model", verbose=False)
    program = """
import sys, pathlib, numpy as np, tensorflow as tf
folder = pathlib.Path(sys.argv[1])
def check(results, name):
    expected = [*np.load(folder / f"{name}.npz").values()][1:]
    for got, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
source = np.load(folder / "rnn_translator.npz")["arr_0"]
served = tf.saved_model.load(str(folder / "rnn_translator"))
check(served.serve(tf.constant(source)), "rnn_translator")
assert "attention_zoo" not in sys.modules
import attention_zoo, keras
for name in ("rnn_translator", "transformer_translator"):
    model = keras.models.load_model(folder / f"{name}.keras")
    assert model.get_layer("translator").search["num_best"] == 2
    check(model(source) if name[0] == "r" else model.predict(source, verbose=0), name)
"""
    run_fresh(program, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"search": "baem"}, "search='baem'.*did you mean 'beam'"),
        ({"search": 3}, "Received: search=3"),
        ({"search": {"name": "beam", "size": 3}}, "Expected some of.*size=3"),
        ({"search": {"name": "greedy", "top_k": 3}}, "top_k=3"),
        ({"search": {"name": "beam", "beam_size": 0}}, "beam_size=0"),
        ({"search": {"name": "beam", "beam_size": 12}}, "11. Received: beam_size=12"),
        ({"search": {"name": "sample", "top_p": 2}}, "top_p=2"),
        ({"end_id": 11}, "below the vocabulary's size, 11. Received: end_id=11"),
        ({"start_id": 0}, "start_id=0"),
        ({"max_length": 0}, "max_length=0"),
        ({"core": "rnn_translator"}, "expects a translator of the zoo"),
    ],
)
def test_errors(change, message):
    arguments = {"core": make_core("rnn_translator"), **change}
    with pytest.raises(ValueError, match=message):
        Translator(**arguments)
