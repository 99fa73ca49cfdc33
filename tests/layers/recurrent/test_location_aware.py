import keras
import numpy as np
import pytest
from keras import ops
from support import formulas
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo import layers

SHAPES = {"query": (2, 5, 3), "value": (2, 11, 7), "key": (2, 11, 13)}
MASKS = ("query_mask", "value_mask", "key_mask")


def convolve(weights, filters):
    """Section 2.2 of the paper, F * a: each position sees its surroundings."""
    width, length = len(filters), len(weights)
    left = (width - 1) // 2
    out = np.zeros((length, filters.shape[-1]))
    for j in range(length):
        for offset in range(width):
            source = j + offset - left
            if 0 <= source < length:
                out[j] += weights[source] * filters[offset, 0]
    return out


def formula(normalizer):
    def compute(weights, inputs, masks):
        q, v, k = inputs["query"], inputs["value"], inputs["key"]
        bare = formulas.bare(weights)
        seen = formulas.visible(masks, len(q), q.shape[1], v.shape[1])
        out = np.zeros(seen.shape)
        for b in range(len(q)):
            previous = np.zeros(v.shape[1])
            keys = masks.get("key_mask", np.ones(k.shape[:2], bool))[b]
            if keys.any():
                previous[keys.argmax()] = 1
            for i in range(q.shape[1]):
                if not seen[b, i].any():
                    continue
                features = convolve(previous, bare["location_filters"])
                hidden = q[b, i] @ bare["query_kernel"] + k[b] @ bare["key_kernel"]
                hidden = hidden + features @ bare["location_kernel"] + bare["bias"]
                scores = np.tanh(hidden) @ bare["scale"]
                row = formulas.NORMALIZERS[normalizer](scores[None], seen[b, i][None])
                out[b, i] = previous = row[0]
        return out @ v, out

    return compute


def case(normalizer="softmax", **config):
    return Case(
        name="-".join(["location_aware", normalizer, *map(str, config.values())]),
        cls=layers.LocationAwareAttention,
        config={"units": 17, "normalizer": normalizer, **config},
        inputs=SHAPES,
        formula=formula(normalizer),
        masks=MASKS,
        scores=(2, 5, 11),
    )


CASES = [
    case(filters=19, kernel_size=5),
    case("sparsemax", filters=2, kernel_size=4),
    case(kernel_size=23),
]


def call(layer, inputs, **options):
    return to_numpy(layer(**inputs, return_attention_scores=True, **options))


def test_without_location_it_is_bahdanau():
    layer = built_layer(CASES[0])
    layer.location_kernel.assign(np.zeros((19, 17)))
    plain = layers.BahdanauAttention(17)
    plain(**CASES[0].draw())
    plain._score.set_weights(layer._score.get_weights())
    inputs = CASES[0].draw()
    for got, expected in zip(call(layer, inputs), call(plain, inputs), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_it_can_walk_on_from_where_it_was():
    """A filter that moves the last weights by one position steps through the keys."""
    layer = layers.LocationAwareAttention(units=1, filters=1, kernel_size=3)
    query, value = np.zeros((1, 6, 2)), np.zeros((1, 7, 2))
    layer(query, value)
    for weight in layer.weights:
        weight.assign(np.zeros(weight.shape))
    layer.location_filters.assign(np.array([9.0, 0, 0]).reshape(3, 1, 1))
    layer.location_kernel.assign([[1.0]])
    layer._score.scale.assign([30.0])
    weights = call(layer, {"query": query, "value": value})[1]
    np.testing.assert_array_equal(weights[0].argmax(-1), [1, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(weights.max(-1), 1, atol=1e-6)


def test_it_begins_at_the_first_key_that_is_not_padding():
    layer = built_layer(CASES[0])
    inputs, mask = CASES[0].draw(), np.ones((2, 11), bool)
    mask[1, :4] = False
    expected = np.eye(11)[[0, 4]]
    np.testing.assert_array_equal(to_numpy(layer.initial_state(2, 11, mask)), expected)
    weights = call(layer, inputs, value_mask=mask)[1]
    given = call(layer, inputs, value_mask=mask, state=expected.astype("float32"))[1]
    np.testing.assert_array_equal(weights, given)
    other = call(layer, inputs, value_mask=mask, state=np.eye(11)[[7, 7]])[1]
    assert np.abs(weights - other).max() > 1e-3


def test_steps_are_the_whole():
    layer = built_layer(CASES[0])
    inputs, mask = CASES[0].draw(), np.ones((2, 11), bool)
    mask[0, -3:] = False
    expected = call(layer, inputs, key_mask=mask)[1]
    keys = layer.prepare(ops.convert_to_tensor(inputs["key"]))
    state = layer.initial_state(2, 11, mask)
    for i in range(5):
        query = ops.convert_to_tensor(inputs["query"][:, i])
        weights, state = layer.step(query, keys, state, mask)
        np.testing.assert_allclose(to_numpy(weights), expected[:, i], atol=1e-6)


def test_causal_and_attention_masks_hold():
    layer = built_layer(CASES[0])
    weights = call(layer, CASES[0].draw(), use_causal_mask=True)[1]
    after = np.arange(11) > np.arange(5)[:, None]
    assert (weights[:, after] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)


def test_fit_compiles_with_xla():
    layer = CASES[0].make()
    tensors = [keras.Input((None, 3)), keras.Input((None, 7))]
    model = keras.Model(tensors, layer(*tensors))
    jit_compile = keras.config.backend() != "torch"
    model.compile("sgd", "mse", jit_compile=jit_compile)
    before = [ops.convert_to_numpy(w) for w in layer.trainable_weights]
    inputs = CASES[0].draw()
    model.train_on_batch([inputs["query"], inputs["value"]], np.ones((2, 5, 7)))
    for old, new in zip(before, layer.trainable_weights, strict=True):
        assert (old != ops.convert_to_numpy(new)).any(), new.path


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"units": 0}, "positive integer.*units=0"),
        ({"units": 3, "filters": 1.5}, "positive integer.*filters=1.5"),
        ({"units": 3, "kernel_size": None}, "positive integer.*kernel_size=None"),
        ({"units": 3, "normalizer": "gumbel_softmax"}, "not random.*gumbel"),
    ],
)
def test_bad_arguments(config, message):
    with pytest.raises(ValueError, match=message):
        layers.LocationAwareAttention(**config)
