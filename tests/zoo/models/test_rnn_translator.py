"""The recurrent translator: against NumPy, whole against step by step, padding."""

import keras
import numpy as np
import pytest
from keras import ops

import attention_zoo
from attention_zoo import layers

SMALL = {
    "source_vocabulary_size": 23,
    "target_vocabulary_size": 19,
    "embedding_dim": 5,
    "units": 7,
}
RNG = np.random.default_rng(3)
SOURCE = RNG.integers(1, 23, (4, 11)).astype("int32")
TARGET = RNG.integers(1, 19, (4, 6)).astype("int32")
for row, words in zip(SOURCE, (11, 5, 1, 0), strict=True):
    row[words:] = 0
for row, words in zip(TARGET, (6, 3, 6, 6), strict=True):
    row[words:] = 0


def create(**config):
    """Returns a small translator with weights that are far from zero."""
    model = attention_zoo.create("rnn_translator", **{**SMALL, **config})
    rng = np.random.default_rng(5)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def to_numpy(x):
    return ops.convert_to_numpy(x)


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def make_steps(model, source, target):
    """Returns the log-probabilities and the alignments of steps along a target."""
    target = ops.convert_to_tensor(target)
    states, memory = model.encode(ops.convert_to_tensor(source), target.shape[1])
    given, alignments = [], []
    for t in range(target.shape[1]):
        now, states, alignment = model.step(target[:, t], states, memory)
        given.append(to_numpy(now))
        alignments.append(to_numpy(alignment))
    return np.stack(given, axis=1), np.stack(alignments, axis=1)


@pytest.mark.parametrize(
    "config",
    [
        {"encoder": "lstm", "order": "bahdanau"},
        {"attention": {"name": "luong_attention", "score": "dot"}},
        {"attention": {"name": "luong_attention", "alignment": "local_p"}},
        {"attention": "monotonic_attention", "input_feeding": False},
        {"attention": {"name": "coverage_attention", "units": 13}, "encoder": "lstm"},
        {"attention": "multi_head_attention"},
        {"attention": None},
        {"attention": None, "encoder": "lstm"},
    ],
)
def test_steps_give_what_the_whole_gives(config):
    model = create(**config)
    with layers.record_attention() as records:
        whole = log_softmax(to_numpy(model([SOURCE, TARGET])))
    given, alignment = make_steps(model, SOURCE, TARGET)
    real = TARGET != 0
    np.testing.assert_allclose(given[real], whole[real], atol=1e-5)
    assert alignment.shape == (4, 6, 11)
    assert not alignment[:, :, :][
        np.broadcast_to(SOURCE[:, None] == 0, (4, 6, 11))
    ].any()
    if config.get("attention", "") is None:
        assert not records
        assert not alignment.any()
        return
    (record,) = records
    assert record.layer_name == "decoder"
    np.testing.assert_allclose(alignment[real], record.weights[real], atol=1e-6)
    assert (alignment[0].sum(axis=-1) > 0.1).any()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(w, x, h):
    """Cho et al. 2014 with the reset gate after the product, as in cuDNN."""
    kernel, recurrent, bias = w
    xz, xr, xh = np.split(x @ kernel + bias[0], 3)
    hz, hr, hh = np.split(h @ recurrent + bias[1], 3)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    return z * h + (1 - z) * np.tanh(xh + r * hh)


def plain_translator(model, source, target):
    """Luong et al. 2015 with the general score and input feeding, one sentence."""
    weights = {w.path: to_numpy(w).astype("float64") for w in model.weights}

    def of(part, *names):
        found = [[v for k, v in weights.items() if part in k and n in k] for n in names]
        return [one for (one,) in found]

    words = ("/kernel", "recurrent_kernel", "bias")
    (embed_source,) = of("source_embedding", "embeddings")
    (embed_target,) = of("target_embedding", "embeddings")
    x = embed_source[source]
    forward, backward = [], []
    for direction, order, states in (
        ("forward", x, forward),
        ("backward", x[::-1], backward),
    ):
        h = np.zeros(7)
        for vector in order:
            h = gru(of(f"{direction}_direction", *words), vector, h)
            states.append(h)
    kernel, bias = of("memory/", "kernel", "bias")
    memory = np.concatenate([forward, backward[::-1]], axis=1) @ kernel + bias
    kernel, bias = of("initial_state_0/", "kernel", "bias")
    h = np.tanh(np.concatenate([forward[-1], backward[-1]]) @ kernel + bias)
    (general,) = of("/attention/", "kernel")
    (combine,) = of("attention_kernel", "")
    fed, logits, alignment = np.zeros(5), [], []
    for token in target:
        h = gru(
            of("attention_cell/cell/", *words),
            np.concatenate([embed_target[token], fed]),
            h,
        )
        scores = memory @ (general.T @ h)
        share = np.exp(scores) / np.exp(scores).sum()
        fed = np.tanh(np.concatenate([share @ memory, h]) @ combine)
        logits.append(embed_target @ fed)
        alignment.append(share)
    return np.array(logits), np.array(alignment)


def test_the_model_is_the_papers():
    model = create(attention="luong_attention")
    with layers.record_attention() as records:
        got = to_numpy(model([SOURCE, TARGET]))
    for row in (0, 1, 2):
        real = SOURCE[row][SOURCE[row] != 0], TARGET[row][TARGET[row] != 0]
        logits, alignment = plain_translator(model, *real)
        rows, width = alignment.shape
        np.testing.assert_allclose(got[row, :rows], logits, atol=1e-5)
        np.testing.assert_allclose(
            records[0].weights[row, :rows, :width], alignment, atol=1e-5
        )


def test_padding_changes_nothing():
    model = create()
    real = TARGET != 0
    expected = to_numpy(model([SOURCE, TARGET]))[real]
    longer = [np.pad(SOURCE, [(0, 0), (0, 3)]), np.pad(TARGET, [(0, 0), (0, 2)])]
    got = to_numpy(model(longer))[:, :6][real]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_shared_embeddings_are_one_table():
    sizes = {"source_vocabulary_size": 19, "target_vocabulary_size": 19}
    apart, shared = (
        create(**sizes, share_embeddings=share).count_params()
        for share in (False, True)
    )
    assert apart - shared == 19 * 5


def test_number_of_weights_without_attention():
    model = create(attention=None)
    gru_weights = 3 * 7 * (5 + 7 + 2)
    expected = 23 * 5 + 19 * 5 + 3 * gru_weights
    expected += (14 + 1) * 7 + (7 + 1) * 5  # the bridge, the output
    assert model.count_params() == expected


def test_the_config_gives_the_same_model():
    model = create(attention={"name": "luong_attention", "score": "dot"})
    clone = type(model).from_config(model.get_config())
    assert clone.get_config() == model.get_config()
    assert [w.path for w in clone.weights] == [w.path for w in model.weights]
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(
        to_numpy(clone([SOURCE, TARGET])), to_numpy(model([SOURCE, TARGET]))
    )
    assert isinstance(model, keras.Model)
    assert not model.compiled


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "gur"}, "'lstm'.*encoder='gur'.*did you mean 'gru'"),
        ({"attention": "attention_pooling"}, "families.*'pooling'"),
        ({"attention": "badhanau_attention"}, "did you mean 'bahdanau_attention'"),
        ({"order": "loung"}, "order='loung'"),
        ({"units": 0}, "positive integer. Received: units=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"share_embeddings": True}, "one vocabulary.*target_vocabulary_size=19"),
        ({"target_vocabulary_size": 1.5}, "target_vocabulary_size=1.5"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        attention_zoo.create("rnn_translator", **{**SMALL, **change})
