"""Recipes: found on disk, checked when made, changed by --set."""

import inspect

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo.layers import create_attention, list_attentions
from attention_zoo.models import cbam_resnet
from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.engine import trainer as _run

NAMES = _recipe.list_recipes()
TYPES = {"batch_size": int, "learning_rate": float, "train_split": str}


@pytest.fixture
def recipe():
    return _recipe.get_recipe("attention_lstm_reviews")


def test_recipes_are_found():
    assert {"attention_lstm_imdb", "attention_lstm_reviews"} <= {*NAMES}
    assert not [name for name in NAMES if name.startswith("_")]
    assert len({*NAMES}) == len(NAMES)


def test_a_variant_is_its_recipe_but_for_a_few_settings():
    recipe = _recipe.get_recipe("autocorrelation_forecaster_etth1")
    variant = _recipe.get_recipe("autocorrelation_forecaster_etth1_336")
    changed = recipe.settings().items() ^ variant.settings().items()
    assert dict(changed).keys() == {"lookback", "epochs"}
    assert (variant.settings()["lookback"], variant.epochs) == (336, 4)
    assert variant.expected == {"mse_96": 0.42}


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_whole(name):
    recipe, about = _recipe.get_recipe(name), _recipe.describe(name)
    assert recipe.name == name
    assert recipe.model in attention_zoo.list_models()
    assert recipe.expected
    parameters = inspect.signature(attention_zoo.registry.get_builder(recipe.model))
    assert recipe.config.keys() <= parameters.parameters.keys()
    for word in (f"attention-zoo train {name}", "https://", "Expected", "Measured"):
        assert word in about, word
    for key in TYPES:
        assert isinstance(recipe.settings()[key], TYPES[key])


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_takes_a_step(name):
    recipe = _recipe.get_recipe(name).replace(batch_size=16)
    pipeline = _recipe.load_pipeline(recipe, smoke=True)
    model = _run.build(recipe, pipeline)
    pipeline.initialise(model)
    optimizer = _run.make_optimizer(recipe, steps=2)
    model.compile(
        optimizer, pipeline.loss(), metrics=pipeline.metrics(), run_eagerly=True
    )
    before = model.get_weights()
    for inputs, labels in pipeline.batches("train", seed=0).take(2):
        if keras.tree.is_nested(inputs) is False and inputs.dtype == "int32":
            inputs = inputs[:, :7]
        logs = model.train_on_batch(inputs, labels, return_dict=True)
    assert np.isfinite(logs["loss"])
    for weight, old in zip(model.weights, before, strict=True):
        moved = np.abs(np.asarray(weight) - old).max() > 0
        statistic = weight.name.startswith("moving_")  # of a normalization
        assert moved == (weight.trainable or statistic), weight.path


@pytest.mark.parametrize("family", cbam_resnet.FAMILIES)
def test_the_image_recipes_take_every_attention_of_their_model(family):
    """At the widths of the recipes, whose blocks have no fewer channels."""
    recipes = [_recipe.get_recipe(name) for name in NAMES]
    widths = {r.config["width"] for r in recipes if r.model == "cbam_resnet"}
    assert len(widths) >= 1
    for name in list_attentions(family=family):
        for width in widths:
            layer = create_attention(name)
            x = keras.KerasTensor((1, 4, 5, width), dtype="float32")
            assert layer(x).shape == x.shape, name


@pytest.mark.parametrize("name", NAMES)
def test_the_space_of_a_recipe_holds_settings(name):
    class Chooser:
        """Answers as a tuner does, with the first or the least value."""

        def Choice(self, name, values):
            return values[0]

        def Float(self, name, low, high, **kwargs):
            assert low < high
            return low

        Int = Float

    module = _recipe.recipe_module(name)
    chosen, recipe = module.space(Chooser()), _recipe.get_recipe(name)
    assert chosen.keys() <= recipe.settings().keys()
    changed = recipe.replace(**chosen)
    assert {k: changed.settings()[k] for k in chosen} == chosen


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("units=17", "units", 17),
        (" units = 17 ", "units", 17),
        ("learning_rate=2e-3", "learning_rate", 0.002),
        ("learning_rate=1", "learning_rate", 1.0),
        ("train_split=train[:50%]", "train_split", "train[:50%]"),
        ("attention=bahdanau_attention", "attention", "bahdanau_attention"),
        ("attention=none", "attention", None),
        ("max_length=11", "max_length", 11),
    ],
)
def test_set(recipe, text, key, value):
    before = recipe.settings()
    changed = recipe.with_settings([text]).settings()
    assert changed[key] == value
    assert type(changed[key]) is type(value)
    assert {k: v for k, v in changed.items() if k != key} == {
        k: v for k, v in before.items() if k != key
    }
    assert recipe.settings() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unts=17", r"unknown --set key 'unts'. Did you mean units"),
        ("learning-rate=1", "Did you mean learning_rate"),
        ("name=x", "unknown --set key 'name'"),
        ("config=3", "unknown --set key 'config'"),
        ("units", "takes key=value, received 'units'"),
        ("units=1.5", "units takes a value of type int .now 32., received '1.5'"),
        ("units=True", "type int"),
        ("units=two", "type int"),
        ("units=", "type int"),
        ("units=__import__('os')", "type int"),
        ("units=" + "(" * 500, "type int"),
        ("learning_rate=fast", "type float"),
        ("learning_rate=1e999", "type float"),
        ("learning_rate=nan", "type float"),
        ("learning_rate=1" + "0" * 400, "type float"),
        ("train_split=", "type str"),
        ("attention=bahdanau", "unknown attention 'bahdanau'. Did you mean bahdanau_a"),
        ("batch_size=0", "batch_size must be positive, received 0"),
        ("epochs=-1", "epochs must be positive"),
        ("learning_rate=0", "learning_rate must be positive"),
        ("warmup=1.0", "warmup must be at least 0 and below 1"),
        ("ema=-0.1", "ema must be at least 0 and below 1"),
        ("weight_decay=-1", "weight_decay must not be negative"),
    ],
)
def test_set_refuses(recipe, text, message):
    with pytest.raises(UserError, match=message) as refused:
        recipe.with_settings([text])
    assert len(str(refused.value).splitlines()) == 1


def test_the_learning_rate_climbs_and_falls(recipe):
    recipe = recipe.replace(learning_rate=0.5, warmup=0.1, weight_decay=0.25)
    optimizer = _run.make_optimizer(recipe, steps=200)
    rates = [float(optimizer._learning_rate(step)) for step in (0, 10, 20, 110, 200)]
    # The cosine of the 180 steps after the warm-up ends at 2 % of the peak.
    expected = [0, 0.25, 0.5, 0.5 * (0.02 + 0.98 * 0.5), 0.01]
    assert rates == pytest.approx(expected, rel=1e-5, abs=1e-9)
    assert optimizer.weight_decay == 0.25


def test_the_best_epoch_keeps_its_weights():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    keeper = _run.BestEpoch(lambda logs: logs["score"])
    keeper.set_model(model)
    for epoch, score in enumerate([0.1, 0.5, 0.5, 0.3]):
        model.layers[0].bias.assign([epoch])
        keeper.on_epoch_end(epoch, {"score": score})
    assert keeper.epoch == 2  # the first of equals
    assert keeper.best == 0.5
    assert keeper.weights[1].tolist() == [1]
