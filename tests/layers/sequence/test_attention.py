import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import (
    Case,
    built_layer,
    loss_and_gradients,
    named_weights,
    to_numpy,
)

from attention_zoo import layers
from attention_zoo.layers.core.normalizers import NORMALIZERS
from attention_zoo.layers.core.scores import SCORES

SHAPES = {"query": (2, 11, 5), "value": (2, 7, 3), "key": (2, 7, 5)}
CROSS = {"query": (2, 11, 5), "value": (2, 7, 3), "key": (2, 7, 13)}
MASKS = ("query_mask", "value_mask", "key_mask")


def formula(score, normalizer):
    def compute(weights, inputs, masks):
        q, v, k = inputs["query"], inputs["value"], inputs["key"]
        mask = formulas.visible(masks, len(q), q.shape[1], v.shape[1])
        scores = formulas.score(score, formulas.bare(weights), q, k)
        w = formulas.NORMALIZERS[normalizer](scores, mask)
        return w @ v, w

    return compute


def case(score, normalizer="softmax", shapes=SHAPES, **config):
    return Case(
        name="-".join(["attention", score, normalizer, *map(str, config)]),
        cls=layers.Attention,
        config={"score": score, "normalizer": normalizer, **config},
        inputs=shapes,
        formula=formula(score, normalizer),
        masks=MASKS,
        scores=(2, 11, 7),
        dynamic=() if score == "location" else (1,),
        unread=("key",) if score == "location" else (),
    )


CASES = [
    case("dot"),
    case("scaled_dot"),
    case("cosine"),
    case("general", shapes=CROSS),
    case("concat", shapes=CROSS, units=17),
    case("additive", shapes=CROSS, units=17),
    case("location", shapes=CROSS),
    case("scaled_dot", "sigmoid"),
    case("scaled_dot", "sparsemax"),
    case("scaled_dot", "entmax15"),
    case("additive", "softmax", CROSS, block_size=4, units=19),
]


def test_parts_with_weights_given_as_objects_are_saved(tmp_path):
    layer = layers.Attention(layers.AdditiveScore(17), layers.Entmax())
    pooling = layers.AttentionPooling(layers.GeneralScore(), layers.Entmax())
    inputs = keras.Input((7, 5))
    model = keras.Model(inputs, pooling(layer(inputs, inputs)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(model.weights) == 8
    x = np.random.default_rng(0).normal(size=(2, 7, 5))
    np.testing.assert_array_equal(to_numpy(loaded(x)), to_numpy(model(x)))


X = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")


def call(layer=None, **inputs):
    return lambda: (layer or layers.Attention())(**{"query": X, "value": X, **inputs})


def zeros(*shape):
    return np.zeros(shape, "float32")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Attention(score="scaled"), "did you mean 'scaled_dot'"),
        (lambda: layers.Attention(normalizer="entmx15"), "did you mean 'entmax15'"),
        (lambda: layers.Attention(window=0), "Received: window=0"),
        (lambda: layers.Attention(window=(1, -2)), r"Received: window=\(1, -2\)"),
        (lambda: layers.Attention(window="3"), "Received: window='3'"),
        (lambda: layers.Attention(block_size=0), "Received: block_size=0"),
        (lambda: layers.Attention(block_size="big"), "Received: block_size='big'"),
        (lambda: layers.Attention(score="additive", units=-1), "Received: units=-1"),
        (lambda: layers.Attention(dropout=1.5), "Received: dropout=1.5"),
        (call(query=zeros(7, 5)), r"`query` of rank 3. Received: query.shape=\(7, 5\)"),
        (call(value=zeros(3, 7, 5)), "one batch size. Received: query.shape"),
        (call(key=zeros(2, 6, 5)), "`value` and `key` of one length"),
        (call(value=zeros(2, 7, 3)), "`query` and `key` of one width"),
        (call(query_mask=np.ones((2, 6), bool)), r"`query_mask` of shape \(2, 7\)"),
        (call(value_mask=np.ones((2, 7))), "boolean or integer dtype.*float"),
        (call(key_mask=np.ones((3, 7), bool)), "`key_mask` of shape"),
        (call(attention_mask=np.ones((2, 7), bool)), r"shape \(2, 7, 7\)"),
        (call(attention_mask=np.ones((2, 7, 6), bool)), "Received: attention_mask"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_integer_masks_are_taken_as_booleans():
    mask = np.array([[1, 1, 0, 0, 0, 0, 0], [1] * 7])
    layer = layers.Attention()
    np.testing.assert_array_equal(
        to_numpy(layer(X, X, value_mask=mask)),
        to_numpy(layer(X, X, value_mask=mask.astype(bool))),
    )


def test_a_key_is_hidden_by_either_of_its_masks():
    value_mask = np.arange(7) < np.array([[5], [7]])
    key_mask = np.arange(7) > np.array([[1], [0]])
    _, weights = to_numpy(
        layers.Attention()(
            X,
            X,
            X,
            value_mask=value_mask,
            key_mask=key_mask,
            return_attention_scores=True,
        )
    )
    seen = np.broadcast_to((value_mask & key_mask)[:, None], weights.shape)
    assert (weights[~seen] == 0).all()
    assert (weights[seen] > 0).all()


def test_nan_in_a_visible_value_is_not_hidden():
    dirty = X.copy()
    dirty[0, 3, 0] = np.nan
    output = to_numpy(layers.Attention(score="dot")(X, dirty, X))
    assert np.isnan(output[0, :, 0]).all()
    assert np.isfinite(output[1]).all()


def test_same_values_as_keras_layers():
    """Dot and scaled attention without weights are Keras's own, Tq != Tv included."""
    query, mask = X[:, :3], np.arange(7) < np.array([[4], [7]])
    theirs, scores = keras.layers.Attention()(
        [query, X], mask=[None, mask], return_attention_scores=True
    )
    ours, weights = layers.Attention(score="dot")(
        query, X, value_mask=mask, return_attention_scores=True
    )
    np.testing.assert_allclose(to_numpy(ours), to_numpy(theirs), atol=1e-6)
    np.testing.assert_allclose(to_numpy(weights), to_numpy(scores), atol=1e-6)
    causal = keras.layers.Attention()([X, X], use_causal_mask=True)
    ours = layers.Attention(score="dot")(X, X, use_causal_mask=True)
    np.testing.assert_allclose(to_numpy(ours), to_numpy(causal), atol=1e-6)


def test_symbolic_scores_have_the_length_of_the_value():
    """Keras's own multi-head layer promises (Tq, Tq) here."""
    query, value = keras.Input((11, 5)), keras.Input((7, 5))
    output, scores = layers.Attention()(query, value, return_attention_scores=True)
    assert output.shape == (None, 11, 5)
    assert scores.shape == (None, 11, 7)


def test_a_mask_from_an_embedding_is_honoured_in_a_compiled_model():
    """Masks that are lost under tf.function let padding into the output."""
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(13, 5, mask_zero=True)(ids)
    x = layers.BahdanauAttention(3)(x, x)
    model = keras.Model(ids, layers.AttentionPooling(score=None)(x))
    short = np.array([[3, 5, 2]])
    padded = np.array([[3, 5, 2, 0, 0, 0]])
    expected = model.predict(short, verbose=0)
    np.testing.assert_allclose(model.predict(padded, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(to_numpy(model(padded)), expected, atol=1e-6)


def test_float16_masks_do_not_overflow():
    """Adding -1e9 to a float16 score gives -inf, and NaN in a row of padding."""
    big = (X * 30).astype("float16")
    mask = np.array([[False] * 7, [True] * 7])
    output, weights = to_numpy(
        layers.Attention(score="dot", dtype="float16")(
            big, big, value_mask=mask, return_attention_scores=True
        )
    )
    assert np.isfinite(output).all()
    np.testing.assert_array_equal(weights[0], 0)
    np.testing.assert_allclose(weights[1].sum(-1), 1, atol=1e-2)


def test_gradients_against_finite_differences_of_the_formula():
    layer = built_layer(CASES[5])
    inputs, masks = CASES[5].draw(), CASES[5].draw_masks()
    weights = named_weights(layer)
    _, _, grads = loss_and_gradients(layer, inputs, ("query",), **masks)
    outer = np.cos(np.arange(2 * 11 * 3)).reshape(2, 11, 3)
    wide = {k: x.astype("float64") for k, x in inputs.items()}

    def loss(query):
        output, _ = CASES[5].formula(weights, {**wide, "query": query}, masks)
        return (output * outer).sum() + 0.5 * (output**2).sum()

    numeric, step = np.zeros((2, 11, 5)), 1e-6
    for at in np.ndindex(numeric.shape):
        moved = np.zeros_like(numeric)
        moved[at] = step
        high, low = loss(wide["query"] + moved), loss(wide["query"] - moved)
        numeric[at] = (high - low) / (2 * step)
    np.testing.assert_allclose(grads[0], numeric, atol=2e-5)


def test_every_name_makes_its_part():
    for score in SCORES:
        for normalizer in NORMALIZERS:
            layer = layers.Attention(score=score, normalizer=normalizer)
            config = layer.get_config()
            assert (config["score"], config["normalizer"]) == (score, normalizer)
