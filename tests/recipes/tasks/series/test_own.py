"""Own series: the data set, defaults that follow it, one training and a forecast."""

import csv
import io
import json

import numpy as np
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import own
from attention_zoo.recipes.tasks.series import defaults
from attention_zoo.recipes.tasks.series import own as own_series
from attention_zoo.recipes.tasks.series.steps import Step
from attention_zoo.recipes.tasks.series.task import in_full

MODELS = (
    "attention_forecaster",
    "autocorrelation_forecaster",
    "inverted_transformer",
    "patch_transformer",
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, count=100, start="2024-01-01", step="h", holes=()):
    stamps = np.datetime64(start) + np.arange(count) * np.timedelta64(1, step)
    rows = [
        f"{stamp},{1e8 + i},{'' if i in holes else np.sin(i / 3):.5}"
        for i, stamp in enumerate(stamps)
    ]
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join(["date,load,heat", *rows]) + "\n")
    return name


def read(*data, validation=(), test=(), **options):
    request = own.Request([*data], validation, test, options=options)
    return own_series.read(request)


def test_splits_follow_each_other():
    records = read(write("x.csv"))
    assert records.parts == ["train"] * 70 + ["validation"] * 10 + ["test"] * 20
    example = records.example(71)
    assert example["date"] == "2024-01-03 23:00:00"
    assert example["values"].tolist() == [np.float32(1e8 + 71), np.float32(-0.99452)]
    assert records.facts(None) == {
        "variates": ["load", "heat"],
        "past": [],
        "known": [],
        "series": 0,
        "rows": 70,
        "step": "3600 s",
        "lookback": None,
        "horizons": None,
        "interpolate": False,
    }
    assert records.notes[0] == (
        "a row every 1 hour by the column date; 2 variates: load, heat"
    )


def test_given_splits_and_gaps():
    write("a.csv", 30)
    write("b.csv", 10, "2024-01-02T06", holes=(3,))
    records = read("a.csv", test=["b.csv"], interpolate=True, horizon=3, lookback=4)
    assert records.parts.count("test") == 10
    assert records.parts[:30] == ["train"] * 26 + ["validation"] * 4
    assert np.isnan(records.example(33)["values"][1])
    assert records.facts(None)["interpolate"] is True
    assert records.facts(None)["horizons"] == [3]
    write("late.csv", 10, "2024-01-02T07")
    with pytest.raises(UserError, match="the files together, row 31: the time stamp"):
        read("a.csv", test=["late.csv"])
    with pytest.raises(UserError, match="a series is one file, received 2"):
        read("a.csv", "b.csv")
    with pytest.raises(UserError, match="a.csv has 30 rows, 31 are needed"):
        read("a.csv", lookback=28, horizon=[1, 3])
    with pytest.raises(UserError, match="--horizon must be positive, received 0"):
        read("a.csv", horizon=[0])


@pytest.mark.parametrize("lookback", [None, 7, 24, 30, 96])
@pytest.mark.parametrize("model", MODELS)
def test_defaults_suit_the_models(model, lookback):
    facts = {"rows": 700, "step": "3600 s", "lookback": lookback, "horizons": [2, 5]}
    config = defaults.recipe_for(model, facts).settings()
    length = config["lookback"]
    assert length == (lookback or 96)
    if model == "patch_transformer":
        assert (
            length % config["stride"] == config["patch_length"] % config["stride"] == 0
        )
        assert config["patch_length"] <= length
    if model == "attention_forecaster":
        assert length % config["segment_length"] == 0
        assert length // config["segment_length"] >= 2
    if model == "autocorrelation_forecaster":
        assert config["trend_length"] % 2 == 1


def test_seasons():
    steps = ("3600 s", "900 s", "86400 s", "604800 s", "1 month", "3 month", "1 row")
    seasons = [defaults.season_of(Step.parse(step)) for step in steps]
    assert seasons == [24, 96, 7, 52, 12, 4, 12]


def test_numbers_are_told_in_full():
    told = ["162972350", "0.1", "-0.00001", "1e-06", "3e+30", "0"]
    assert [in_full(float(text)) for text in told] == told


@pytest.mark.slow
def test_training_and_forecasting(command, folder):
    write("x.csv", 80, step="M", start="2018-01", holes=(5,))
    small = [f"--set={x}" for x in ("width=4", "num_layers=1", "quantiles=(.1,.5,.9)")]
    small += ["--set=linear_start=false"]
    arguments = ["--data", "x.csv", "--lookback", "8", "--horizon", "2", "3"]
    arguments += ["--interpolate", "--epochs", "1", "--data-dir", "tfds"]
    code, out, err = command("train", "patch_transformer", *arguments, *small)
    assert code == 0, err
    assert "80 rows: train 56, validation 8, test 16 (one after the other" in out
    assert "a row every 1 month by the column date" in out
    card = json.loads((folder / "saved_models" / "x" / "card.json").read_text())
    assert card["settings"]["step"] == "1 month"
    assert (card["variates"], card["interpolated"]) == (["load", "heat"], 1)
    assert card["attention"]["parts"] == "lags"
    assert "1 month apart" in (folder / "saved_models" / "x" / "README.md").read_text()
    code, out, err = command("predict", "x", "x.csv", "--interpolate")
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["date"] for row in rows] == ["2024-09", "2024-10", "2024-11"]
    for row in rows:
        assert row["load_0.1"] <= row["load_0.5"] <= row["load_0.9"]
        assert (
            float(row["heat_0.1"]) <= float(row["heat_0.5"]) <= float(row["heat_0.9"])
        )
