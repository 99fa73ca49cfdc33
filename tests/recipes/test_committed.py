"""The committed models: their cards are measured again and must hold."""

import json
import pathlib
import re

import numpy as np
import pytest

import attention_zoo
from attention_zoo.recipes.cards.card import render
from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.tasks.text import pipeline as text

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLE = 2000
LARGEST_MB = {"translation": 24}  # 12 of other kinds


class Claimed:
    """One committed entry."""

    def __init__(self, name):
        self.folder = ROOT / "saved_models" / name
        if not (self.folder / "card.json").exists():
            pytest.skip(f"{name} is not committed yet")
        self.card = json.loads((self.folder / "card.json").read_text(encoding="utf-8"))
        self.recipe = _recipe.get_recipe(name)


@pytest.fixture(params=_recipe.list_recipes())
def claimed(request):
    return Claimed(request.param)


@pytest.fixture
def classifier(claimed):
    if claimed.recipe.kind not in ("text", "images"):
        pytest.skip("no classifier")
    return claimed


@pytest.fixture
def forecaster(claimed):
    if claimed.recipe.kind != "series":
        pytest.skip("no forecaster")
    return claimed


@pytest.fixture
def translator(claimed):
    if claimed.recipe.kind != "translation":
        pytest.skip("no translator")
    return claimed


def linear_baselines(card):
    rows = card["baselines"].items()
    return {name: row["accuracy"] for name, row in rows if name != "no_attention"}


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
    assert size < LARGEST_MB.get(claimed.recipe.kind, 12) * 1e6
    model = attention_zoo.load(folder)  # checks the sha256
    assert not model.compiled  # no optimizer state either
    assert model.count_params() == card["parameters"]
    assert card["smoke"] is False
    assert card["recipe"] == folder.name
    assert "/tmp" not in json.dumps(card)
    for name in ("curves.png", "attention.png", "history.csv"):
        assert (folder / name).stat().st_size > 100


def test_the_recipe_keeps_its_promise(classifier):
    card, recipe = classifier.card, classifier.recipe
    for name, promised in recipe.expected.items():
        assert card[f"{name}_mean"] >= promised
    best = max(linear_baselines(card).values())
    if recipe.synthetic:
        assert card["accuracy_mean"] >= best + 0.15
        assert card["attention"]["marked_mass"] > 2 * card["attention"]["uniform_mass"]
    seconds = card["seeds"][0]["seconds"]
    assert len(card["seeds"]) >= 3 or seconds > 10 * 60
    assert seconds < 90 * 60


def test_the_settings_are_the_recipes(claimed):
    settings = json.loads(json.dumps(claimed.recipe.settings()))
    assert {k: claimed.card["settings"][k] for k in settings} == settings


def test_the_forecaster_keeps_its_promise(forecaster):
    card, recipe = forecaster.card, forecaster.recipe
    for name, promised in recipe.expected.items():
        assert round(card[f"{name}_mean"], 3) <= promised, name
    assert len(card["seeds"]) >= 3
    assert card["seeds"][0]["seconds"] < 15 * 60
    assert {*card["baselines"]} == {"seasonal_naive", "linear", "no_attention"}
    for h in card["horizons"]:
        assert card[f"mse_{h}_mean"] < card["baselines"]["seasonal_naive"][f"mse_{h}"]
    assert -1 <= card["attention"]["rank_correlation"] <= 1


def test_the_translator_keeps_its_promise(translator):
    card, recipe = translator.card, translator.recipe
    for name, promised in recipe.expected.items():
        assert card[f"{name}_mean"] >= promised, name
        assert card[f"{name}_mean"] > card["baselines"]["nearest_neighbour"][name]
    seconds = card["seeds"][0]["seconds"]
    assert len(card["seeds"]) >= 3 or seconds > 15 * 60
    assert seconds < 90 * 60


def test_the_readme_says_what_the_card_says(claimed):
    readme = (claimed.folder / "README.md").read_text(encoding="utf-8")
    assert readme == render(claimed.card, claimed.recipe)
    docstring = _recipe.recipe_module(claimed.recipe.name).__doc__
    keys = ["accuracy"]
    if claimed.recipe.kind == "series":
        keys = [f"mse_{h}" for h in claimed.card["horizons"]]
    elif claimed.recipe.kind == "translation":
        keys = [claimed.card["metric"]]
    told = docstring.split("Measured: ")[1]
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
    """Every sentence of the test split, through the committed file."""
    claimed = Claimed(name)
    pipeline = _recipe.load_pipeline(claimed.recipe)
    assert pipeline.dataset == claimed.card["dataset"]
    assert pipeline.signatures == claimed.card["signatures"]
    measured = pipeline.evaluate(attention_zoo.load(claimed.folder), "test")
    assert measured["bleu"] == pytest.approx(claimed.card["metrics"]["bleu"], abs=0.1)


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
    assert measured == pytest.approx(claimed.card["metrics"], abs=1 / 360)


def test_zoo_reviews_again():
    from attention_zoo.recipes.datasets import _grammar

    claimed = Claimed("attention_lstm_reviews")
    model = attention_zoo.load(claimed.folder)
    reviews = list(_grammar.generate("test", 1000))  # the first half of the split
    outputs = text.predict(model, [review["text"] for review in reviews])
    right = outputs.argmax(-1) == np.array([review["label"] for review in reviews])
    assert_holds(claimed.card["metrics"]["accuracy"], right.mean(), len(reviews))
