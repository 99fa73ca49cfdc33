"""A trained forecaster, by a smoke run: its card, its files, CSV files through it."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from support.fresh import run_fresh

import attention_zoo
from attention_zoo.recipes.cards import card as _card
from attention_zoo.recipes.cli import main as _cli
from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.engine import trainer as _run

RECIPE = "attention_forecaster_climate"
VARIATES = ["load", "heat", "wind"]
LOOKBACK = 104


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("smoke")
    arguments = ["train", RECIPE, "--smoke", "--epochs", "1", "--out", str(out)]
    assert _cli.main(arguments) == 0
    return out / RECIPE


@pytest.fixture(scope="module")
def card(trained):
    return json.loads((trained / "card.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model(trained):
    return attention_zoo.load(trained)


@pytest.fixture
def entry(trained, tmp_path, monkeypatch):
    """A copy of the entry in `saved_models` of an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(trained, tmp_path / "saved_models" / RECIPE)


@pytest.fixture(scope="module")
def pipeline():
    return _recipe.load_pipeline(_recipe.get_recipe(RECIPE), smoke=True)


def draw(count=LOOKBACK):
    values = np.random.default_rng(1).normal(10, 3, (count, 3))
    return values.round(3).astype("float32")


def write(path, values, start="2024-01-01T00:00:00", step=3600):
    stamps = np.datetime64(start) + np.arange(len(values)) * np.timedelta64(step, "s")
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["date", *VARIATES])
        for stamp, row in zip(stamps, values, strict=True):
            writer.writerow([str(stamp).replace("T", " "), *(f"{v:.3f}" for v in row)])


# === What training writes ===


def test_the_card(trained, card, model, pipeline):
    for name in ("README.md", "history.csv", "curves.png", "attention.png"):
        assert (trained / name).stat().st_size > 100
    assert card["variates"] == VARIATES
    assert (card["lookback"], card["horizons"]) == (LOOKBACK, [13, 52])
    assert card["step_seconds"] == 3600
    assert card["interpolated"] == 0
    assert card["parameters"] == model.count_params()
    assert {*card["baselines"]} == {"seasonal_naive", "linear", "no_attention"}
    assert card["metrics"] == pytest.approx(pipeline.evaluate(model, "test"), rel=1e-3)
    for h in (13, 52):
        for metric in ("mse", "mae", "pinball", "coverage"):
            key = f"{metric}_{h}"
            assert card[f"{key}_mean"] == card["metrics"][key]
            assert f"{key}_mean" in card["baselines"]["no_attention"]
        assert card["baselines"]["linear"][f"mse_{h}"] > 0
    assert card["attention"]["parts"] == "lags"
    assert card["attention"]["rank_correlation_windows"] > 0


def test_the_readme(trained, card):
    readme = (trained / "README.md").read_text(encoding="utf-8")
    assert readme == _card.render(card, _recipe.get_recipe(RECIPE))
    rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", readme, re.MULTILINE))
    for name, row in {card["model"]: card, **card["baselines"]}.items():
        keys = ["mse_13", "mae_13", "mse_52", "mae_52"]
        figures = [row.get(f"{k}_mean", row.get(k)) for k in keys]
        assert rows[name] == " | ".join(f"{figure:.3f}" for figure in figures)
    attention = card["attention"]
    for said in (
        "## Test error at look-back 104",
        "the last 104 values of load, heat, wind in, 1 hour apart, the next 52 out",
        f"{card['metrics']['coverage_13']:.1%} at 13",
        "(aimed at: 80%)",
        "`seasonal_naive` repeats the last 52 values",
        f"moves without it: {attention['rank_correlation']:.2f} (mean over",
        "the figures mean nothing",
        card["command"],
    ):
        assert said in readme, said
    assert "±" not in readme


def test_several_seeds_and_gaps_in_the_readme(card):
    runs = [
        _run.Run(seed, 1, (0,), [], [{"val_loss": 0.5}], 11.0, {"mse_13": mse})
        for seed, mse in enumerate([0.5, 0.75, 0.7])
    ]
    several = _card.over_seeds(runs)
    card = {**card, **several, "interpolated": 59, "attention": {}}
    readme = _card.render(card, _recipe.get_recipe(RECIPE))
    assert "| attention_forecaster | 0.650 ± 0.132 |" in readme
    assert "59 values that the data lack were put on a line" in readme
    assert "Means over 3 seeds" in readme
    assert "attention.png" not in readme


def test_both_saved_forms_in_processes_of_their_own(trained, model, tmp_path):
    inputs = np.stack([draw(), 100 + 2 * draw()])
    np.savez(tmp_path / "x.npz", inputs=inputs, outputs=model(inputs, training=False))
    program = """
import numpy as np
stored = np.load(sys.argv[2])
import keras, attention_zoo
model = keras.models.load_model(sys.argv[1] + "/model.keras")
outputs = model(stored["inputs"], training=False)
np.testing.assert_allclose(outputs, stored["outputs"], rtol=1e-5)
assert "attention_zoo.recipes" not in sys.modules
"""
    run_fresh(program, trained, tmp_path / "x.npz")
    program = """
import sys
sys.modules["attention_zoo"] = sys.modules["keras"] = None
import numpy as np, tensorflow as tf
stored = np.load(sys.argv[2])
served = tf.saved_model.load(sys.argv[1] + "/saved_model")
outputs = served.serve(tf.constant(stored["inputs"]))
np.testing.assert_allclose(outputs, stored["outputs"], rtol=1e-5)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, trained, tmp_path / "x.npz"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_linear_start_and_no_attention(capsys):
    recipe = _recipe.get_recipe("inverted_transformer_etth1").replace(
        attention=None, lookback=16, horizons=(3, 5), epochs=1, width=8
    )
    pipeline = _recipe.load_pipeline(recipe, smoke=True)
    core = _run.build(recipe, pipeline)
    pipeline.initialise(core)
    assert not pipeline.shows_attention
    assert pipeline.attention_report(pipeline.servable(core)) == {}


# === Commands ===


def test_predict(command, entry, model):
    values = draw(LOOKBACK + 20)
    write("x.csv", values)
    code, out, err = command("predict", RECIPE, "x.csv")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 52
    assert rows[0]["date"] == "2024-01-06 04:00:00"  # an hour after the last row
    assert rows[-1]["date"] == "2024-01-08 07:00:00"
    names = [f"{name}_{level}" for name in VARIATES for level in (0.1, 0.5, 0.9)]
    assert list(rows[0]) == ["date", *names]
    expected = np.asarray(model(values[None, -LOOKBACK:], training=False))[0]
    told = [[float(row[name]) for name in names] for row in rows]
    np.testing.assert_allclose(told, expected.reshape(52, 9), rtol=1e-4)


def test_gaps_are_counted(command, refused, entry):
    values = draw()
    values[3, 1] = values[50:52, 0] = np.nan
    write("x.csv", values)
    assert "x.csv, line 5: column heat is empty, as are 2 more" in refused(
        "predict", RECIPE, "x.csv"
    )
    code, out, err = command("predict", RECIPE, "x.csv", "--interpolate")
    assert (code, err) == (0, "x.csv: 3 empty cells filled\n")
    assert len(out.splitlines()) == 53


def test_explain(command, entry, model):
    values = draw()
    write("x.csv", values)
    code, out, _ = command("explain", RECIPE, "x.csv", "--out", "seen.png")
    assert code == 0
    explanation = attention_zoo.explain(model, values[None], class_names=VARIATES)
    note = "method attention: its methods are not measured"
    assert out == f"{note}\n{explanation.to_text()}\nseen.png\n"
    with open("seen.png", "rb") as picture:
        assert picture.read(4) == b"\x89PNG"
    assert "in 52 steps: load " in out


def test_evaluate(command, entry, card):
    code, out, err = command("evaluate", RECIPE)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{RECIPE} on generated/smoke, test"
    assert lines[1].startswith("mse_13  measured ")
    for line in lines[1:]:
        name, _, measured, _, claim = line.split()
        assert float(measured) == pytest.approx(float(claim), abs=2e-3)
        assert float(claim) == pytest.approx(card["metrics"][name], abs=1e-4)


def test_list_and_show(command, entry):
    _, out, _ = command("list", RECIPE)
    assert f"{RECIPE}  test mse_13 " in out
    _, out, _ = command("show", RECIPE)
    assert re.search(r"beside it: linear, mse_13 0\.\d+, mse_52", out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "there is no file none.csv"),
        (["short.csv"], "short.csv has 103 rows, 104 are needed"),
        (
            ["slow.csv"],
            "slow.csv has a row every 1 day, the model was trained",
        ),
        (["short.csv", "slow.csv"], f"{RECIPE} takes one CSV file, received 2"),
    ],
)
def test_files_are_refused(refused, entry, tmp_path, arguments, message):
    write("short.csv", draw(LOOKBACK - 1))
    write("slow.csv", draw(), step=86400)
    for name in ("predict", "explain"):
        assert message in refused(name, RECIPE, *arguments)
    assert not list(tmp_path.glob("*.png"))


def test_a_forecast_that_is_not_finite_is_refused(refused, entry):
    write("x.csv", np.full((LOOKBACK, 3), 3e38, "float32"))
    message = refused("predict", RECIPE, "x.csv")
    assert message.startswith("x.csv: the values are so far from those of the training")


def test_no_file(refused, entry):
    assert "takes one CSV file, received 0" in refused("predict", RECIPE)


def test_a_bad_file_in_a_process_of_its_own(start_command, entry):
    write("x.csv", draw())
    with open("x.csv", encoding="utf-8") as file:
        text = file.read().replace("load,heat", "load,heta")
    with open("x.csv", "w", encoding="utf-8") as file:
        file.write(text)
    process = start_command("predict", RECIPE, "x.csv", cwd=entry.parents[1])
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, b"")
    assert err.decode().splitlines()[-1] == (
        "attention-zoo: error: x.csv has no column heat: unknown column 'heat'. Did "
        "you mean heta or date?"
    )
    assert b"Traceback" not in err


def test_keras_alone_knows_no_text(refused, entry):
    """A forecaster is no text model, whatever it is given."""
    assert "there is no file a film" in refused("predict", RECIPE, "a film")
    assert keras.config.backend() == "tensorflow"
