"""The transformer as a translator: cached steps, causality, padding, alignment."""

import numpy as np
import pytest
from keras import ops

import attention_zoo
from attention_zoo import layers

SMALL = {
    "source_vocabulary_size": 23,
    "target_vocabulary_size": 19,
    "width": 12,
    "num_layers": 2,
    "num_heads": 3,
    "intermediate_dim": 13,
}
RNG = np.random.default_rng(3)
SOURCE = RNG.integers(1, 23, (3, 7)).astype("int32")
TARGET = RNG.integers(1, 19, (3, 5)).astype("int32")
SOURCE[1, 4:] = SOURCE[2] = 0
TARGET[1, 3:] = 0


@pytest.fixture(scope="module")
def model():
    model = attention_zoo.create("transformer_translator", **SMALL)
    rng = np.random.default_rng(5)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def to_numpy(x):
    return ops.convert_to_numpy(x)


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def test_cached_steps_give_what_the_whole_gives(model):
    with layers.record_attention() as records:
        whole = log_softmax(to_numpy(model([SOURCE, TARGET])))
    crosses = [r.weights for r in records if r.layer_name == "cross_attention"]
    assert len(crosses) == 2
    expected = crosses[0].mean(axis=1)  # of the last block but one
    target = ops.convert_to_tensor(TARGET)
    # With room for more steps than are made.
    states, memory = model.encode(ops.convert_to_tensor(SOURCE), 11)
    for t in range(5):
        given, states, alignment = model.step(target[:, t], states, memory)
        real = TARGET[:, t] != 0
        np.testing.assert_allclose(to_numpy(given)[real], whole[real, t], atol=1e-5)
        np.testing.assert_allclose(
            to_numpy(alignment)[real], expected[real, t], atol=1e-6
        )
    seen = expected.sum(axis=-1)  # (3, 5)
    np.testing.assert_allclose(seen[TARGET != 0], [1] * 8 + [0] * 5, atol=1e-6)


def test_a_token_sees_none_that_come_later(model):
    expected = to_numpy(model([SOURCE, TARGET]))
    changed = TARGET.copy()
    changed[0, 3:] = 18 - changed[0, 3:] % 3
    got = to_numpy(model([SOURCE, changed]))
    np.testing.assert_allclose(got[0, :3], expected[0, :3], atol=1e-6)
    assert np.abs(got[0, 3:] - expected[0, 3:]).max() > 0.1


def test_padding_changes_nothing(model):
    real = TARGET != 0
    expected = to_numpy(model([SOURCE, TARGET]))[real]
    longer = [np.pad(SOURCE, [(0, 0), (0, 3)]), np.pad(TARGET, [(0, 0), (0, 2)])]
    got = to_numpy(model(longer))[:, :5][real]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_number_of_weights(model):
    attention, norm = 4 * 12 * 12 + 4 * 12, 2 * 12
    feed = 2 * 12 * 13 + 13 + 12
    encoder, decoder = attention + feed + 2 * norm, 2 * attention + feed + 3 * norm
    expected = (23 + 19) * 12 + 2 * (encoder + decoder) + 2 * norm
    assert model.count_params() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 9}, "even number times `num_heads`. Received: width=9"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"share_embeddings": True}, "one vocabulary"),
        ({"heads": 3}, "Unknown argument.*heads=3.*did you mean 'num_heads'"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        attention_zoo.create("transformer_translator", **{**SMALL, **change})
