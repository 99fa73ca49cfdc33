"""explain: the weights are the layer's own, and each stands beside its word."""

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo import layers
from attention_zoo.interpret.base import position_weights
from attention_zoo.interpret.methods.ranks import rank_correlation

WORDS = ["a", "dull", "film", "with", "great", "ending", "not", "good"]
TEXTS = ["A dull film, with a GREAT sequel!", "not  good", "Zounds", ""]
IDS = np.array([[2, 3, 5, 7, 2], [4, 1, 0, 0, 0], [9, 0, 0, 0, 0]])


def create_tokens_model(attention="attention_pooling", **config):
    keras.utils.set_random_seed(19)
    config = {"num_classes": 3, "embedding_dim": 5, "units": 7, **config}
    model = attention_zoo.create(
        "attention_lstm", vocabulary_size=11, attention=attention, **config
    )
    for weight in model.get_layer("attention").weights:
        weight.assign(weight * 20)  # fresh weights attend almost uniformly
    return model


@pytest.fixture(scope="module")
def tokens_model():
    return create_tokens_model()


def strings_input():
    """An input of raw strings; Keras has them on TensorFlow alone."""
    if keras.config.backend() != "tensorflow":
        pytest.skip("models of raw strings need TensorFlow")
    return keras.Input((), dtype="string")


@pytest.fixture(scope="module")
def strings_model(tokens_model):
    """The tokens model behind a vectorizer, as a recipe exports it."""
    texts = strings_input()
    vectorizer = keras.layers.TextVectorization(vocabulary=WORDS)
    return keras.Model(texts, tokens_model(vectorizer(texts)))


@pytest.fixture(scope="module")
def explanation(strings_model):
    return attention_zoo.explain(strings_model, TEXTS)


def own_weights(model, ids):
    """The weights `(B, T)` that the layer itself gives for the LSTM's states."""
    states = keras.Model(model.input, model.get_layer("lstm").output)(ids)
    mask = keras.ops.convert_to_tensor(ids != 0)
    _, weights = model.get_layer("attention")(
        states, mask=mask, return_attention_scores=True
    )
    return keras.ops.convert_to_numpy(weights)


def test_weights_are_the_layers_own(tokens_model):
    explanation = attention_zoo.explain(tokens_model, IDS)
    assert list(explanation.weights) == ["attention"]
    weights = explanation.weights["attention"]
    np.testing.assert_allclose(weights, own_weights(tokens_model, IDS), atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
    assert (weights[IDS == 0] == 0).all()
    assert len(np.unique(weights[0])) == 5
    expected = keras.ops.convert_to_numpy(tokens_model(IDS))
    np.testing.assert_allclose(explanation.predictions, expected, atol=1e-6)
    assert len(explanation) == 3


def test_words_stand_beside_their_weights(explanation, tokens_model):
    assert explanation.tokens == [
        ["a", "dull", "film", "with", "a", "great", "sequel"],
        ["not", "good"],
        ["zounds"],
        [],
    ]
    ids = np.zeros((4, 7), "int32")
    ids[0] = [2, 3, 4, 5, 2, 6, 1]
    ids[1, :2] = [8, 9]
    ids[2, 0] = 1
    np.testing.assert_array_equal(explanation.token_ids, ids)
    np.testing.assert_array_equal(explanation.known, ids > 1)
    np.testing.assert_allclose(
        explanation.weights["attention"], own_weights(tokens_model, ids), atol=1e-6
    )
    assert explanation.word(0, 6) == "[sequel]"
    assert explanation.word(0, 5) == "great"


def test_same_after_saving(explanation, strings_model, tmp_path):
    strings_model.save(tmp_path / "model.keras")
    loaded = attention_zoo.load(tmp_path / "model.keras")
    again = attention_zoo.explain(loaded, TEXTS)
    assert again.tokens == explanation.tokens
    np.testing.assert_allclose(
        again.weights["attention"], explanation.weights["attention"], atol=1e-6
    )


@pytest.mark.parametrize("standardize", ["lower_and_strip_punctuation", "lower", None])
@pytest.mark.parametrize("split", ["whitespace", "character"])
@pytest.mark.parametrize("length", [None, 3])
def test_words_follow_the_vectorizer(tokens_model, standardize, split, length):
    texts = strings_input()
    vectorizer = keras.layers.TextVectorization(
        vocabulary=WORDS,
        standardize=standardize,
        split=split,
        output_sequence_length=length,
    )
    model = keras.Model(texts, tokens_model(vectorizer(texts)))
    text = "Été\xa0noir, [UNK] good"
    (tokens,) = attention_zoo.explain(model, text).tokens
    # Bytes: as in TensorFlow, only ASCII letters change and only ASCII blanks split.
    plain = text.encode() if standardize is None else text.encode().lower()
    if standardize == "lower_and_strip_punctuation":
        plain = plain.translate(None, b",[]")
    words = [word.decode() for word in plain.split()]
    expected = list(plain.decode()) if split == "character" else words
    assert tokens == expected[:length]


@pytest.mark.parametrize("reloaded", [False, True])
def test_words_that_the_model_crops_or_pads(tokens_model, reloaded, tmp_path):
    texts = strings_input()
    ids = keras.layers.TextVectorization(vocabulary=WORDS)(texts)[:, :3]
    ids = keras.ops.cast(keras.ops.pad(ids, ((0, 0), (0, 1))), "int32")
    model = keras.Model(texts, tokens_model(ids))
    if reloaded:
        model.save(tmp_path / "model.keras")
        model = attention_zoo.load(tmp_path / "model.keras")
    explanation = attention_zoo.explain(model, TEXTS)
    assert explanation.tokens == [
        ["a", "dull", "film"],
        ["not", "good"],
        ["zounds"],
        [],
    ]
    cropped = np.array([[2, 3, 4, 0], [8, 9, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(explanation.token_ids, cropped)
    np.testing.assert_allclose(
        explanation.weights["attention"], own_weights(tokens_model, cropped), atol=1e-6
    )
    alone = attention_zoo.explain(model, "")
    assert alone.tokens == [[]]
    assert [len(move) for move in alone.occlusion().moves] == [0]


def test_token_ids_with_a_vocabulary(tokens_model):
    assert attention_zoo.explain(tokens_model, IDS).tokens[1] == ["4", "1"]
    vocabulary = ["", "[UNK]", *WORDS]
    explanation = attention_zoo.explain(tokens_model, IDS, vocabulary=vocabulary)
    assert explanation.tokens[0] == ["a", "dull", "with", "ending", "a"]


def test_self_attention_shows_its_own_weights_and_not_the_mean(tokens_model):
    inputs = keras.Input((None,), dtype="int32")
    states = keras.layers.Embedding(11, 5, mask_zero=True)(inputs)
    rewritten = layers.Attention(name="mine")(states, states)
    summary = layers.AttentionPooling(score=None, name="mean")(rewritten)
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(summary))
    explanation = attention_zoo.explain(model, IDS)
    assert list(explanation.weights) == ["mine", "mean"]
    assert explanation.default_layer == "mine"
    assert explanation.records["mine"].weights.shape == (3, 5, 5)
    np.testing.assert_allclose(explanation.weights["mean"][1], [0.5, 0.5, 0, 0, 0])
    assert explanation.predictions.shape == (3, 2)  # both classes of one sigmoid


def test_position_weights():
    pooled = np.array([[0.25, 0.75, 0.0]])
    np.testing.assert_allclose(position_weights(pooled), pooled)
    np.testing.assert_allclose(position_weights(pooled[:, None]), pooled)
    queries = np.array([[[1.0, 0, 0], [0.5, 0.5, 0], [0, 0, 0]]])  # the last is padding
    np.testing.assert_allclose(position_weights(queries), [[0.75, 0.25, 0]])
    heads = np.stack([queries, queries[:, ::-1]], axis=1)
    assert heads.shape == (1, 2, 3, 3)
    mean = (queries + queries[:, ::-1]) / 2
    np.testing.assert_allclose(position_weights(heads), position_weights(mean))
    np.testing.assert_allclose(position_weights(np.zeros((2, 3, 5))), np.zeros((2, 5)))


def create_recorded(layer):
    """A model whose attention has other columns than the words."""
    inputs = keras.Input((None,), dtype="int32")
    states = keras.layers.Embedding(11, 5, mask_zero=True)(inputs)
    mean = layers.AttentionPooling(score=None, name="mean")
    return keras.Model(inputs, keras.layers.Dense(3, "softmax")(mean(layer(states))))


def test_the_weights_of_a_memory_are_not_those_of_words():
    model = create_recorded(layers.ExternalAttention(5, name="memory"))
    explanation = attention_zoo.explain(model, IDS)
    assert explanation.records["memory"].weights.shape == (3, 5, 5)
    assert list(explanation.weights) == ["mean"]


def test_a_sentinel_is_no_word():
    model = attention_zoo.create(
        "attention_lstm", vocabulary_size=11, attention="adaptive_attention"
    )
    explanation = attention_zoo.explain(model, IDS)
    used = explanation.records["attention"].weights
    assert used.shape == (3, 1, 6)
    np.testing.assert_allclose(explanation.weights["attention"], used[:, 0, :5])
    assert (explanation.weights["attention"].sum(axis=-1) < 1).all()


def test_to_text(explanation):
    lines = str(explanation).splitlines()
    assert lines[0].startswith("1. class ")
    assert lines[0].endswith("7 words")
    assert "[sequel]" in str(explanation)
    assert lines[-1].endswith("0 words")
    assert len(explanation.to_text(max_words=1).splitlines()) == 4 + 3


def test_class_names(strings_model):
    names = ["bad", "mixed", "good"]
    explanation = attention_zoo.explain(strings_model, "a film", class_names=names)
    best = names[int(explanation.predictions[0].argmax())]
    assert explanation.verdict(0).startswith(f"{best} (0.")


def test_plot(explanation, tmp_path):
    figure = explanation.plot()
    (axes,) = figure.axes
    drawn = [text.get_text() for text in axes.texts]
    words = explanation.tokens[0]
    assert drawn[1:8] == [*words[:-1], f"[{words[-1]}]"]
    blue = [patch.get_facecolor()[2] for patch in axes.patches][:7]
    weights = explanation.weights["attention"][0]
    assert list(np.argsort(blue)) == list(np.argsort(-weights))  # less blue is darker
    figure.savefig(tmp_path / "attention.png")
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")


def test_plot_takes_any_text(strings_model, tmp_path):
    text = "$x^2$ \\frac{ " + "word " * 60 + "w" * 300
    figure = attention_zoo.explain(strings_model, text).plot(max_words=50)
    figure.savefig(tmp_path / "attention.png")
    assert len(figure.axes[0].patches) == 50


def test_occlusion_takes_one_word_out(tokens_model):
    explanation = attention_zoo.explain(tokens_model, IDS)
    occlusion = explanation.occlusion(batch_size=2)
    assert [len(move) for move in occlusion.moves] == [5, 2, 1]
    best = int(explanation.predictions[0].argmax())
    for t, move in enumerate(occlusion.moves[0]):
        shorter = np.delete(IDS[0], t)[None]
        without = keras.ops.convert_to_numpy(tokens_model(shorter))[0, best]
        expected = explanation.predictions[0, best] - without
        np.testing.assert_allclose(move, expected, atol=1e-6)
    assert np.isnan(occlusion.rank_correlation[2])  # one word has no order


def test_occlusion_of_strings_is_that_of_their_tokens(explanation, tokens_model):
    words = explanation.occlusion()
    ids = attention_zoo.explain(tokens_model, explanation.token_ids).occlusion()
    for by_word, by_id in zip(words.moves, ids.moves, strict=True):
        np.testing.assert_allclose(by_word, by_id, atol=1e-6)
    np.testing.assert_allclose(words.rank_correlation, ids.rank_correlation)


def test_rank_correlation():
    assert rank_correlation([1, 2, 3], [10, 40, 90]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    # Ties share the mean of their ranks: scipy.stats.spearmanr gives the same.
    value = rank_correlation([1, 2, 2, 3, 5], [2, 1, 4, 4, 3])
    assert value == pytest.approx(0.3947368, abs=1e-6)
    assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))


def test_errors(tokens_model, explanation):
    with pytest.raises(ValueError, match="padding, token id 0, behind the words"):
        attention_zoo.explain(tokens_model, np.array([[0, 3]]))
    with pytest.raises(ValueError, match=r"integers \(B, T\)"):
        attention_zoo.explain(tokens_model, ["a film"])
    with pytest.raises(ValueError, match="Unknown attention layer.*'attention'"):
        explanation.plot(layer_name="atention")
    videos = keras.Sequential([keras.Input((2, 3, 3, 1)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="raw strings, token ids"):
        attention_zoo.explain(videos, np.zeros((2, 2, 3, 3, 1)))


def test_a_model_without_attention_is_refused():
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(11, 5)(inputs))
    with pytest.raises(ValueError, match="needs an attention layer"):
        attention_zoo.explain(keras.Model(inputs, x), IDS, method="attention")
