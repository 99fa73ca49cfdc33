"""Columns beside what is forecast: seen up to now, or known over the horizon."""

import json
import re
import shlex

import keras
import numpy as np
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import load_pipeline
from attention_zoo.recipes.datasets import own
from attention_zoo.recipes.engine import trainer
from attention_zoo.recipes.tasks.series import baselines, boosting, defaults, reader
from attention_zoo.recipes.tasks.series import own as own_series
from attention_zoo.recipes.tasks.series.task import TASK

COUNT, LOOKBACK, HORIZONS = 700, 11, (2, 5)


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covariates")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def table(count=COUNT, ahead=0):
    """Noise `promo`, sales that are the promo of the day before, and a weather."""
    promo = np.random.default_rng(7).normal(size=count + ahead)
    weather = np.random.default_rng(8).normal(size=count)
    rows = []
    for i in range(count + ahead):
        day = np.datetime64("2024-01-01") + i
        seen = f"{50 + 10 * promo[i - 1]:.4f},{weather[i]:.4f}" if i < count else ","
        rows.append(f"{day},{seen},{promo[i]:.4f}")
    return rows


def write(name, rows, header="date,sales,weather,promo"):
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join([header, *rows]) + "\n")
    return name


def read(name, **options):
    return own_series.read(own.Request([name], options=options))


def pipeline_of(folder, name, model="inverted_transformer", **options):
    options = {"lookback": LOOKBACK, "horizon": [*HORIZONS], **options}
    found = own.prepare(TASK, own.Request([name], options=options), folder / "tfds")
    recipe = defaults.recipe_for(model, found.facts)
    recipe = recipe.replace(dataset=found.name, dropout=0.0, width=32)
    return load_pipeline(recipe, str(folder / "tfds"))


@pytest.fixture(scope="module")
def pipeline(folder):
    return pipeline_of(
        folder, write("x.csv", table(ahead=9)), known="promo", past="weather"
    )


# === Reading ===


def test_what_is_read(capsys):
    records = read(write("y.csv", table(30, 9)), known="promo", past=["weather"])
    facts = records.facts(None)
    assert (facts["variates"], facts["past"], facts["known"]) == (
        ["sales"],
        ["weather"],
        ["promo"],
    )
    assert len(records.parts) == 30
    day, sales, weather, promo = table(30)[17].split(",")
    assert records.example(17)["values"].tolist() == [
        np.float32(value) for value in (sales, weather, promo)
    ]
    assert records.columns == ("date", "sales", "weather", "promo")
    assert records.notes[1:] == [
        "known up to now, not forecast: weather",
        "known ahead, not forecast: promo",
        "9 rows behind the last value left out",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"known": "prom"},
            "no column prom: unknown column 'prom'. Did you mean promo",
        ),
        (
            {"known": "promo", "target": "sales,promo"},
            "the column promo is given by --target and by --known: it can be only one",
        ),
        (
            {"known": "promo", "past": "promo"},
            "the column promo is given by --past and by --known",
        ),
        ({"past": "date", "time": "date"}, "column date is given by --time and by"),
    ],
)
def test_faults(options, message):
    with pytest.raises(UserError, match=message) as refused:
        read(write("y.csv", table(30)), **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("column", [2, 3])
def test_gaps_in_covariates(column):
    rows = [row.split(",") for row in table(30, 9)]
    rows[4][column] = ""
    name = write("y.csv", [",".join(row) for row in rows])
    options = {"known": "promo", "past": "weather"}
    title = ("weather", "promo")[column - 2]
    with pytest.raises(UserError, match=f"y.csv, line 6: column {title} is empty"):
        read(name, **options)
    records = read(name, interpolate=True, **options)
    assert np.isnan(records.example(4)["values"][column - 1])
    assert "1 empty cells will be filled between their neighbours" in records.notes


def test_models_that_would_look_in_vain(folder):
    name = write("y.csv", table(200))
    with pytest.raises(UserError) as refused:
        pipeline_of(folder, name, "patch_transformer", past="weather")
    assert str(refused.value) == (
        "patch_transformer forecasts each variate from its own past alone, so that "
        "weather would change nothing: --past and --known are for inverted_transformer"
    )


def test_how_far_ahead_columns_are_known():
    options = reader.Options(target=("sales",), known=("promo",), past=("weather",))
    series = reader.read_series(write("y.csv", table(30, 9)), options=options)
    assert (series.ahead, len(series.values)) == (9, 39)
    rows = table(30, 9)
    rows[35] = rows[35].rpartition(",")[0] + ","  # the sixth row ahead
    series = reader.read_series(write("y.csv", rows), options=options)
    assert (series.ahead, len(series.values)) == (5, 35)


# === Windows and models ===


def test_windows(pipeline):
    """Inputs go on over the horizon; what is forecast is never beyond its split."""
    values = np.array([row.split(",")[1:] for row in table()], dtype=float)
    raw, targets = pipeline.raw("test")
    first = 560 - LOOKBACK
    assert raw.shape == (140 - 5 + 1, LOOKBACK + 5, 3)
    for i in (0, 7, 135):
        expected = values[first + i : first + i + LOOKBACK + 5]
        np.testing.assert_allclose(raw[i], expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(targets[i], expected[LOOKBACK:, :1], rtol=1e-4)
    assert pipeline.model_config() == {
        "lookback": LOOKBACK, "horizon": 5, "num_variates": 1,
        "num_past": 1, "num_known": 1,
    }  # fmt: skip
    seen, _ = pipeline.targets_seen("test")
    np.testing.assert_array_equal(seen, pipeline.windows("test")[0][:, :LOOKBACK, :1])


def test_the_future_of_other_columns_is_not_looked_at(pipeline):
    core = trainer.build(pipeline.recipe, pipeline)
    model = pipeline.servable(core)
    raw = pipeline.raw("test")[0][:3]
    before = np.asarray(model(raw))
    hidden = raw.copy()
    hidden[:, LOOKBACK:, :2] = np.nan
    np.testing.assert_array_equal(np.asarray(model(hidden)), before)
    for column, row in ((1, 3), (2, 3), (2, LOOKBACK + 4)):
        changed = raw.copy()
        changed[:, row, column] += 3
        assert np.abs(np.asarray(model(changed)) - before).max() > 1e-4
    measured = pipeline.evaluate(model, "test")
    assert measured == pytest.approx(pipeline.evaluate(core, "test"), rel=1e-4)


def fitted(pipeline, epochs=25):
    """Returns the test error of a model that is trained for a moment."""
    keras.utils.set_random_seed(1)
    core = trainer.build(pipeline.recipe, pipeline)
    inputs, targets = (np.array(x) for x in pipeline.windows("train"))
    whole = np.isfinite(targets).all(axis=(1, 2))
    core.compile(keras.optimizers.Adam(1e-2), loss="mse")
    core.fit(inputs[whole], targets[whole], batch_size=120, epochs=epochs, verbose=0)
    return pipeline.evaluate(core, "test")["mse_5"]


@pytest.mark.slow
def test_a_model_that_knows_what_decides_is_better_by_far(pipeline, folder):
    without = pipeline_of(folder, "x.csv", target="sales", interpolate=True)
    assert without.known == without.past == []
    blind, knowing = fitted(without, 3), fitted(pipeline)
    assert blind > 0.7  # of a variance of 1: the sales are noise to it
    assert knowing < blind / 4
    assert "gradient_boosting" not in without.baselines()


def test_trees_that_know_are_better_than_a_linear_forecast_by_far(pipeline):
    found = pipeline.baselines()
    assert found["gradient_boosting"]()["mse_5"] < found["linear"]()["mse_5"] / 4


def test_features_of_the_trees():
    layout = boosting.Layout(4, [3], 2, 1, 1)
    inputs = np.arange(7 * 4.0).reshape(1, 7, 4)  # variates 0 and 1, past 2, known 3
    x, level = boosting.features(inputs, layout, 2)
    assert x.shape == (2 * 3, 4 + 1 + 1 + 1 + 1 + 3)
    assert level.tolist() == [6, 6, 6, 7, 7, 7]
    lags = [-6, -2, 2, 6]
    assert x[1].tolist() == [*lags, 6, 1, 0, 14, 23, 19, 15]
    assert x[5].tolist() == [*lags, 2, 2, 1, 14, 27, 23, 19]


def test_trees_are_measured_as_the_rest(pipeline):
    test = pipeline.windows("test")
    found = boosting.measure(test, test, pipeline.layout(), 3)
    assert found["fitted_rows"] == len(test[0]) * 5
    zeros = baselines.errors(np.zeros_like(test[1]), test[1], HORIZONS)
    assert found["mse_2"] < zeros["mse_2"]


@pytest.mark.slow
def test_the_page_on_several_series_with_known_columns(command, folder, root):
    """docs/your-data.md, its section on several series."""
    text = (root / "docs" / "your-data.md").read_text(encoding="utf-8")
    text = text.split("### Several series")[1]
    (script,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    (block,) = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    exec(compile(script, "docs/your-data.md", "exec"), {})
    train, predict = (shlex.split(line)[1:] for line in block.splitlines())
    code, out, err = command(*train, "--data-dir", "tfds", "--set=width=8")
    assert code == 0, err
    assert "260 rows: train 182, validation 26, test 52 (each series one part" in out
    assert "14 rows behind the last value left out" in out
    entry = folder / "saved_models" / "sales"
    card = json.loads((entry / "card.json").read_text())
    assert (card["series"], card["variates"]) == (2, ["y"])
    assert (card["past"], card["known"]) == ([], ["promotion"])
    assert "failed_steps" not in card
    trees = card["baselines"]["gradient_boosting"]
    assert trees["mse_7"] < card["baselines"]["linear"]["mse_7"] / 2
    assert "--known promotion" in card["command"]
    readme = (entry / "README.md").read_text()
    assert "promotion is known ahead: the input goes on over the next 7 steps" in readme
    assert "| gradient_boosting |" in readme
    assert "# columns unique_id, ds, y, promotion" in readme
    code, out, err = command(*predict)
    assert code == 0, err
    rows = [line.split(",") for line in out.splitlines()]
    assert rows[0] == ["unique_id", "ds", "y"]
    assert [row[:2] for row in (rows[1], rows[7], rows[8], rows[14])] == [
        ["north", "2024-05-30"],
        ["north", "2024-06-05"],
        ["south", "2024-05-30"],
        ["south", "2024-06-05"],
    ]
    lines = (folder / "sales.csv").read_text().splitlines(True)
    (folder / "sales.csv").write_text("".join(lines[:-2]))
    code, out, err = command(*predict)
    assert (code, out) == (2, "")
    assert (
        "sales.csv, series south: the known columns promotion end 5 rows behind the "
        "last value, the model needs 7"
    ) in err
    code, out, err = command("explain", "sales", "sales.csv")
    assert (code, out) == (2, "")
