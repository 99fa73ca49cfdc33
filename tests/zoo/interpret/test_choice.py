"""`method="auto"` and `compare_methods`: measured, then obeyed."""

import json
import weakref

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo import layers, pretrained
from attention_zoo.interpret.choice import MEASURES, MethodComparison, compare_methods
from attention_zoo.interpret.methods.faithfulness import Faithfulness
from attention_zoo.interpret.text import TextExplanation

GOOD = {"sufficiency": 0.25, "comprehensiveness": 0.75}
IDS = np.array([[2, 3, 5, 7, 9], [4, 6, 0, 0, 0]])


def words_model():
    keras.utils.set_random_seed(3)
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(11, 3, mask_zero=True)(ids)
    x = layers.AttentionPooling()(x)
    return keras.Model(ids, keras.layers.Dense(2, "softmax")(x))


@pytest.fixture(scope="module")
def compared():
    return compare_methods(attention_zoo.explain(words_model(), IDS))


def test_the_table_is_that_of_the_methods_one_by_one(compared):
    model = words_model()
    rows = compared.means()
    assert tuple(rows) == TextExplanation.methods
    assert compared.left_out == {}
    for method in ("attention", "gradient", "occlusion"):
        alone = attention_zoo.explain(model, IDS, method=method).faithfulness()
        for key in MEASURES:
            np.testing.assert_allclose(
                rows[method][key], np.mean(getattr(alone, key)), atol=1e-5
            )
    np.testing.assert_allclose(rows["occlusion"]["rank_correlation"], 1)


def faithful(rank_correlation, comprehensiveness, sufficiency=0.1):
    nothing = np.zeros(1)
    return Faithfulness(
        np.array([comprehensiveness]), np.array([sufficiency]), nothing, nothing,
        np.array([rank_correlation, np.nan]),
    )  # fmt: skip


def test_the_best_is_comprehensive_and_sufficient():
    rows = {
        "attention": faithful(0.3, 0.5),
        "gradient": faithful(0.85, 0.4),
        "gradient_x_input": faithful(0.84, 0.7, 0.5),
        "integrated_gradients": faithful(np.nan, 0.6),
        "occlusion": faithful(1.0, 0.9),  # asks the measures' own question
        "rollout": faithful(0.9, np.nan),
    }
    found = MethodComparison(rows, {})
    assert found.best == "integrated_gradients"
    assert found.means()["integrated_gradients"] == {
        "comprehensiveness": 0.6, "sufficiency": 0.1
    }  # fmt: skip
    (marked,) = [line for line in str(found).splitlines() if line.startswith("*")]
    assert marked.split() == ["*", "integrated_gradients", "0.600", "0.100"]
    assert MethodComparison({"rollout": rows["rollout"]}, {}).best is None


def entry(tmp_path, explanations):
    """Writes an entry whose card says something of the methods."""
    folder = tmp_path / "words"
    folder.mkdir()
    words_model().save(folder / "model.keras")
    sha256 = pretrained.file_sha256(folder / "model.keras")
    card = {"sha256": sha256, "explanations": explanations}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_auto_obeys_the_card(tmp_path):
    told = {"best": "gradient", "methods": {"gradient": GOOD}}
    model = attention_zoo.load(entry(tmp_path, told))
    explanation = attention_zoo.explain(model, IDS)
    assert explanation.method == "gradient"
    assert "(comprehensiveness 0.75, sufficiency 0.25)" in explanation.note
    assert str(explanation).startswith(explanation.note)
    expected = attention_zoo.explain(model, IDS, method="gradient").attributions
    np.testing.assert_allclose(explanation.attributions, expected, atol=1e-6)
    asked = attention_zoo.explain(model, IDS, method="attention")
    assert (asked.method, asked.note) == ("attention", "")


@pytest.mark.parametrize(
    "told",
    [
        None, 7, [], {}, {"best": "gradient"}, {"best": ["x"], "methods": {}},
        {"best": "grad_cam", "methods": {"grad_cam": GOOD}},
        {"best": "gradient", "methods": {"gradient": {"sufficiency": 0.5}}},
        {"best": "gradient", "methods": {"gradient": {**GOOD, "sufficiency": "x"}}},
        {"best": "gradient", "methods": {"gradient": {**GOOD, "sufficiency": None}}},
    ],
)  # fmt: skip
def test_a_card_that_does_not_fit_counts_as_none(told):
    model = words_model()
    pretrained._CARDS[model] = {"explanations": told}
    explanation = attention_zoo.explain(model, IDS)
    assert explanation.method == "attention"
    assert explanation.note == "method attention: its methods are not measured"
    assert str(explanation) == explanation.to_text()


def test_a_card_does_not_keep_its_model_alive():
    model = words_model()
    pretrained._CARDS[model] = {}
    seen = weakref.ref(model)
    assert pretrained.card_of(model) == {}
    assert pretrained.card_of(words_model()) is None
    assert isinstance(pretrained._CARDS, weakref.WeakKeyDictionary)
    assert seen() is model


def test_without_attention_a_gradient_takes_its_place():
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(11, 3)(ids))
    model = keras.Model(ids, keras.layers.Dense(2, "softmax")(x))
    explanation = attention_zoo.explain(model, IDS)
    assert explanation.method == "gradient_x_input"
    assert explanation.note.startswith("method gradient_x_input: the model has no att")
    assert str(explanation).splitlines()[0] == explanation.note
    with pytest.raises(ValueError, match="needs an attention layer"):
        attention_zoo.explain(model, IDS, method="attention")


def test_a_translator_has_nothing_to_compare():
    explanation = attention_zoo.explain(words_model(), IDS)
    with pytest.raises(ValueError, match="at least one method whose faithfulness"):
        compare_methods(explanation, ["grad_cam"])
