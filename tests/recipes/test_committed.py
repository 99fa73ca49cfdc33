"""The committed models: their cards are measured again and must hold."""

import json
import os
import re

import numpy as np
import pytest
from support.claimed import Claimed

import attention_zoo
from attention_zoo.recipes.cards.card import render
from attention_zoo.recipes.cards.schema import check_card
from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.tasks.text import pipeline as text

SAMPLE = 2000
# A card's BLEU, and what the same file scores on 64 sentences spread over the split, of
# which one other word moves it by about 0.2.
SAMPLED_BLEU = {
    "rnn_translator_multi30k": (40.78, 41.74),
    "transformer_translator_multi30k": (40.63, 39.19),
}


@pytest.fixture(params=_recipe.list_recipes())
def claimed(request):
    return Claimed(request.param)


def interval(right, count, confidence=0.99):
    """Returns the exact binomial interval of a share, after Clopper and Pearson."""
    from scipy.stats import binomtest

    found = binomtest(right, count).proportion_ci(confidence, method="exact")
    return found.low, found.high


def assert_holds(claim, accuracy, count):
    """Asserts that a claim lies in the interval of an accuracy on a sample."""
    low, high = interval(round(accuracy * count), count)
    assert low <= claim <= high, (
        f"the card claims {claim:.4f}; {count} test examples say {low:.4f} "
        f"to {high:.4f}"
    )


def test_the_interval():
    # A published table of Clopper and Pearson: 8 of 10, 99 %.
    assert interval(8, 10) == pytest.approx((0.3518, 0.9891), abs=2e-4)
    assert_holds(0.885, 0.88, 2000)
    with pytest.raises(AssertionError, match="the card claims 0.9100"):
        assert_holds(0.91, 0.885, 2000)
    with pytest.raises(AssertionError, match="2000 test examples say"):
        assert_holds(0.86, 0.885, 2000)


def test_the_files_are_those_of_the_card(claimed):
    card, folder = claimed.card, claimed.folder
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    assert size < 24e6
    model = attention_zoo.load(folder)  # checks the sha256
    assert not model.compiled  # no optimizer state either
    assert model.count_params() == card["parameters"]
    assert card["smoke"] is False
    assert card["recipe"] == folder.name
    assert card["kind"] == claimed.recipe.kind
    assert check_card(card, folder) == card
    assert "/tmp" not in json.dumps(card)
    for name in ("curves.png", "attention.png", "history.csv"):
        assert (folder / name).stat().st_size > 100


def test_the_recipe_keeps_its_promise(claimed):
    card, recipe, task = claimed.card, claimed.recipe, claimed.recipe.task
    sign = -1 if task.lower_is_better else 1
    for key, promised in recipe.expected.items():
        measured = float(f"{card[f'{key}_mean']:.{task.digits(key, card)}f}")
        assert sign * measured >= sign * promised, key
    seconds = card["seeds"][0]["seconds"]
    assert len(card["seeds"]) >= 3 or seconds > 10 * 60
    assert seconds < 90 * 60


def test_the_settings_are_the_recipes(claimed):
    settings = json.loads(json.dumps(claimed.recipe.settings()))
    assert {k: claimed.card["settings"][k] for k in settings} == settings


def test_the_readme_says_what_the_card_says(claimed):
    readme = (claimed.folder / "README.md").read_text(encoding="utf-8")
    assert readme == render(claimed.card, claimed.recipe)
    keys = claimed.recipe.task.measures(claimed.card)
    told = _recipe.describe(claimed.recipe.name).split("Measured: ")[1]
    for key, measured in zip(keys, re.findall(r"\d*\.\d+", told), strict=False):
        digits = len(measured.split(".")[1])
        assert float(measured) == round(claimed.card[f"{key}_mean"], digits), key


@pytest.mark.data("imdb_reviews")
def test_imdb_again(monkeypatch):
    claimed = Claimed("attention_lstm_imdb")
    model = attention_zoo.load(claimed.folder)
    pipeline = _recipe.load_pipeline(claimed.recipe)
    assert pipeline.dataset == claimed.card["dataset"]
    measured = pipeline.evaluate(model, "test", sample=SAMPLE)
    assert_holds(claimed.card["metrics"]["accuracy"], measured["accuracy"], SAMPLE)


@pytest.mark.data("ett/h1")
@pytest.mark.parametrize(
    "name", [n for n in attention_zoo.list_pretrained() if n.endswith("_etth1")]
)
def test_etth1_again(name):
    """Every window of the test split, through the committed file."""
    claimed = Claimed(name)
    pipeline = _recipe.load_pipeline(claimed.recipe)
    assert pipeline.dataset == claimed.card["dataset"]
    measured = pipeline.evaluate(attention_zoo.load(claimed.folder), "test")
    assert measured == pytest.approx(claimed.card["metrics"], rel=2e-3)
    naive = pipeline.baselines()["seasonal_naive"]()
    assert naive == pytest.approx(claimed.card["baselines"]["seasonal_naive"])


@pytest.mark.data("multi30k")
@pytest.mark.parametrize(
    "name", [n for n in attention_zoo.list_pretrained() if n.endswith("_multi30k")]
)
def test_multi30k_again(name):
    """Sentences of the test split through the committed file; all, in the soak."""
    claimed = Claimed(name)
    pipeline = _recipe.load_pipeline(claimed.recipe)
    assert pipeline.dataset == claimed.card["dataset"]
    assert pipeline.signatures == claimed.card["signatures"]
    model, bleu = attention_zoo.load(claimed.folder), claimed.card["metrics"]["bleu"]
    if "ATTENTION_ZOO_WHOLE" in os.environ:
        measured = pipeline.evaluate(model, "test")["bleu"]
        assert measured == pytest.approx(bleu, abs=0.1)
    else:
        known_bleu, known = SAMPLED_BLEU[name]
        assert bleu == pytest.approx(known_bleu, abs=0.05), "measure the sample anew"
        measured = pipeline.evaluate(model, "test", sample=64)["bleu"]
        assert measured == pytest.approx(known, abs=0.5)


def test_zoo_dates_again(tmp_path):
    claimed = Claimed("rnn_translator_dates")
    pipeline = _recipe.load_pipeline(claimed.recipe, str(tmp_path))
    measured = pipeline.evaluate(attention_zoo.load(claimed.folder), "test")
    assert measured == pytest.approx(claimed.card["metrics"], abs=2e-3)


def test_zoo_climate_again(tmp_path):
    pytest.importorskip("statsmodels")
    claimed = Claimed("attention_forecaster_climate")
    pipeline = _recipe.load_pipeline(claimed.recipe, str(tmp_path))
    measured = pipeline.evaluate(attention_zoo.load(claimed.folder), "test")
    assert measured == pytest.approx(claimed.card["metrics"], rel=2e-3)


@pytest.mark.data("fashion_mnist")
@pytest.mark.parametrize(
    "name", [n for n in attention_zoo.list_pretrained() if n.endswith("_fashion_mnist")]
)
def test_fashion_mnist_again(name):
    claimed = Claimed(name)
    pipeline = _recipe.load_pipeline(claimed.recipe)
    assert pipeline.dataset == claimed.card["dataset"]
    model = attention_zoo.load(claimed.folder)
    measured = pipeline.evaluate(model, "test", sample=SAMPLE)
    assert_holds(claimed.card["metrics"]["accuracy"], measured["accuracy"], SAMPLE)


def test_zoo_digits_again(tmp_path):
    claimed = Claimed("cbam_resnet_digits")
    pipeline = _recipe.load_pipeline(claimed.recipe, str(tmp_path))
    measured = pipeline.evaluate(attention_zoo.load(claimed.folder), "test")
    claims = claimed.card["metrics"]
    measured = {name: measured[name] for name in claims}
    assert measured == pytest.approx(claims, abs=1 / 360)


def test_zoo_reviews_again():
    from attention_zoo.recipes.datasets import _grammar

    claimed = Claimed("attention_lstm_reviews")
    model = attention_zoo.load(claimed.folder)
    reviews = list(_grammar.generate("test", 1000))  # the first half of the split
    outputs = text.predict(model, [review["text"] for review in reviews])
    right = outputs.argmax(-1) == np.array([review["label"] for review in reviews])
    assert_holds(claimed.card["metrics"]["accuracy"], right.mean(), len(reviews))
