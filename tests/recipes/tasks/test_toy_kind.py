"""A fifth kind of task: one folder, found on disk, and no other edit."""

import json
import shutil

import pytest

import attention_zoo.recipes
from attention_zoo.recipes import tasks
from attention_zoo.recipes.cards.card import render
from attention_zoo.recipes.cli import main as _cli
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import get_recipe, list_recipes
from attention_zoo.recipes.tasks import TASKS
from benchmarks import tables

TASK = '''
"""Sums: numbers in, whether they add up to much out."""

import numpy as np

from attention_zoo.recipes.tasks.base import Task


class ToyTask(Task):
    facts = {"length": int}

    def add_arguments(self, parser):
        parser.add_argument("--times", type=float, default=1.0, metavar="X")

    def read(self, entry, card, args, out=None):
        rows = [[float(x) for x in text.split()] for text in args.text]
        return args.times * np.array(rows, "float32")[..., None]

    def input_of(self, card):
        return (None, card["length"], 1), False

    def explain(self, model, inputs, card, method="attention"):
        return Sums(inputs)


class Sums:
    """Stands for an explanation: each number by its share of the sum."""

    default_layer, method, note = "sum", "attention", ""

    def __init__(self, inputs):
        self.weights = {"sum": inputs[..., 0] / inputs.sum(axis=(1, 2))[:, None]}

    def to_text(self, layer):
        return " ".join(f"{x:.2f}" for x in self.weights[layer][0])

    def plot(self, layer):
        from matplotlib.figure import Figure

        figure, shares = Figure(), self.weights[layer][0]
        figure.subplots().bar(range(len(shares)), shares)
        return figure


TASK = ToyTask()
'''
PIPELINE = """
import keras
import numpy as np
import tensorflow as tf

from attention_zoo.recipes.tasks import pipeline

SIZES = {"train": 32, "validation": 8, "test": 8}


class Pipeline(pipeline.Pipeline):
    shows_attention = False

    def __init__(self, recipe, data_dir=None, smoke=False):
        super().__init__(recipe, data_dir, smoke)
        self.dataset, self.length = "sums/1.0.0", self.options["length"]

    def raw(self, split):
        rng = np.random.default_rng([*SIZES].index(split))
        inputs = rng.normal(size=(SIZES[split], self.length, 1)).astype("float32")
        return inputs, np.repeat(inputs.sum(axis=1)[:, None], 2, axis=1)

    def model_config(self):
        return {"lookback": self.length, "horizon": 2, "num_variates": 1}

    def batches(self, split, seed=None, first_pass=0):
        return tf.data.Dataset.from_tensor_slices(self.raw(split)).batch(8)

    def loss(self):
        return keras.losses.MeanSquaredError()

    def evaluate(self, model, split, sample=None):
        inputs, targets = self.raw(split)
        gap = np.asarray(model(inputs)) - targets
        return {"error": float((gap**2).mean())}

    def baselines(self):
        return {"zero": lambda: {"error": float((self.raw("test")[1] ** 2).mean())}}
"""
RECIPE = '''
"""A toy."""

from attention_zoo.recipes.core.recipe import Recipe

RECIPE = Recipe(
    name="toy_sums",
    model="attention_forecaster",
    dataset="sums",
    kind="toy",
    expected={"error": 9.0},
    config={"segment_length": 3, "step_length": 2, "units": 2, "attention": None},
    pipeline={"length": 6},
    batch_size=8,
    epochs=1,
)


def space(hp):
    return {}
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A folder of one kind and a folder of one recipe, beside those of the package."""
    folder = tmp_path / "more" / "tasks" / "toy"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "task.py").write_text(TASK)
    (folder / "pipeline.py").write_text(PIPELINE)
    recipes = tmp_path / "more" / "recipes"
    recipes.mkdir()
    (recipes / "toy_sums.py").write_text(RECIPE)
    for package, path in ((tasks, folder.parent), (attention_zoo.recipes, recipes)):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(path)])
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_folder_is_a_kind(toy, command, tmp_path):
    assert [*TASKS] == ["images", "series", "text", "toy", "translation"]
    assert TASKS["toy"].kind == "toy"
    assert "toy_sums" in list_recipes()
    out = tmp_path / "saved_models"
    assert _cli.main(["train", "toy_sums", "--smoke", "--out", str(out)]) == 0
    card = json.loads((out / "toy_sums" / "card.json").read_text(encoding="utf-8"))
    assert (card["kind"], card["length"]) == ("toy", 6)
    # The model card, from the common template and then from one of its own.
    readme = (out / "toy_sums" / "README.md").read_text(encoding="utf-8")
    assert f"| zero | {card['baselines']['zero']['error']:.4f} |" in readme
    assert "trained on `sums/1.0.0`: raw inputs in" in readme
    template = "attention_zoo.recipes.cards/card.md.jinja"
    (toy / "card.md.jinja").write_text(
        f'{{% extends "{template}" %}}{{% block heading %}}Sums{{% endblock %}}'
    )
    assert "## Sums\n" in render(card, get_recipe("toy_sums"))
    # The command.
    numbers = "1 2 3 4 5 6"
    code, printed, err = command("predict", "toy_sums", numbers, "--times", "2")
    assert (code, err) == (0, "")
    assert printed.count("[") == 4  # (1, 2, 1)
    code, printed, _ = command("explain", "toy_sums", numbers)
    assert (code, printed) == (0, "0.05 0.10 0.14 0.19 0.24 0.29\nexplanation.png\n")
    code, printed, _ = command("evaluate", "toy_sums")
    assert printed.splitlines()[0] == "toy_sums on sums/1.0.0, test"
    # The tables, where it has its own because its measure is its own.
    lines = tables.results([card]).splitlines()
    assert lines[0].startswith("| recipe | data | test error | no attention |")
    assert lines[2].startswith("| [toy_sums](saved_models/toy_sums/README.md) | `sums/")
    shutil.rmtree(out)


def test_an_unknown_kind_has_near_names():
    assert "toy" not in TASKS
    with pytest.raises(
        UserError, match="unknown kind of task 'image'. Did you mean im"
    ):
        TASKS["image"]
