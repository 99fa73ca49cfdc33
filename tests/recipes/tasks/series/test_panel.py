"""Several series in one file, each with a span, splits and windows of its own."""

import json
import pathlib

import numpy as np
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import load_pipeline
from attention_zoo.recipes.datasets import own
from attention_zoo.recipes.tasks.series import defaults, windows
from attention_zoo.recipes.tasks.series import own as own_series
from attention_zoo.recipes.tasks.series.task import TASK

SPANS = {"a": (1, 40, 1.0), "b": (9, 50, 100.0), "tiny": (2, 5, 1.0)}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name="long.csv", spans=None, header="unique_id,ds,y"):
    """Writes series: `scale * (day + 0.5 * (day % 3))` from a first day on."""
    rows = []
    for title, (first, count, scale) in (spans or SPANS).items():
        for day in range(first, first + count):
            stamp = np.datetime64("2024-01-01") + day
            rows.append(f"{title},{stamp},{scale * (day + 0.5 * (day % 3))}")
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join([header, *rows]) + "\n")
    return name


def read(*data, **options):
    return own_series.read(own.Request([*data], options=options))


def pipeline_of(folder, *data, model="patch_transformer", settings=(), **options):
    request = own.Request([*data], options=options)
    found = own.prepare(TASK, request, folder / "tfds")
    recipe = defaults.recipe_for(model, found.facts).replace(**dict(settings))
    recipe = recipe.replace(dataset=found.name)
    return load_pipeline(recipe, str(folder / "tfds"))


def test_each_series_is_split_by_its_own_end():
    records = read(write(), lookback=6, horizon=3)
    assert records.parts == [
        *["train"] * 28, *["validation"] * 4, *["test"] * 8,
        *["train"] * 35, *["validation"] * 5, *["test"] * 10,
    ]  # fmt: skip
    assert records.dropped == {"series shorter than 9 rows: tiny": 1}
    example = records.example(40)
    assert (example["series"], example["date"]) == ("b", "2024-01-10 00:00:00")
    assert example["values"].tolist() == [900.0]
    assert records.place(40) == "series b, 2024-01-10 00:00:00"
    assert records.columns == ("unique_id", "ds", "y")
    facts = records.facts(None)
    assert (facts["series"], facts["rows"], facts["variates"]) == (2, 31, ["y"])
    assert records.notes[0] == (
        "2 series, told apart by unique_id, each cut into its own windows"
    )


def test_windows_never_cross_from_one_series_into_another(folder):
    pipeline = pipeline_of(folder, write(), lookback=6, horizon=3)
    assert pipeline.series == 2
    counts = [pipeline.window_count(split, 3) for split in windows.SPLITS]
    assert counts == [20 + 27, 2 + 3, 6 + 8]
    day = {"a": np.arange(1, 41.0), "b": np.arange(9, 59.0)}
    values = {k: (d + 0.5 * (d % 3)) * SPANS[k][2] for k, d in day.items()}
    ends = {"a": (28, 32, 40), "b": (35, 40, 50)}
    for number, split in enumerate(windows.SPLITS):
        expected = []
        for name, limits in ends.items():
            start = max(6, ([0, *limits])[number])
            for now in range(start, limits[number] - 2):
                expected.append(values[name][now - 6 : now + 3])
        inputs, targets = pipeline.raw(split)
        whole = np.concatenate([inputs, targets], axis=1)[..., 0]
        np.testing.assert_allclose(whole, expected, rtol=1e-5)
    inputs, _ = pipeline.windows("train")
    for name, part in (("a", inputs[:20]), ("b", inputs[20:])):
        train = values[name][: ends[name][0]]
        scaled = (train[:6] - train.mean()) / train.std()
        np.testing.assert_allclose(part[0, :, 0], scaled, rtol=1e-4)


def test_series_that_a_setting_makes_too_short_are_named_once(folder, capsys):
    data = write(spans=SPANS | {"short": (1, 12, 1.0)})
    pipeline = pipeline_of(folder, data, lookback=6, horizon=3)
    assert pipeline.series == 3
    pipeline = pipeline_of(
        folder, data, lookback=6, horizon=3, settings={"lookback": 12}.items()
    )
    assert pipeline.series == 2
    assert "left out: 1 series shorter than 15 rows: short\n" in capsys.readouterr().out
    assert pipeline.source["dropped"] == {
        "series shorter than 9 rows: tiny": 1,
        "series shorter than 15 rows: short": 1,
    }


def test_scales():
    """Each series has its own, but for constants and for columns known ahead."""
    rng = np.random.default_rng(0)
    parts = [{"train": rng.normal(size=(count, 3)) * 7} for count in (5, 11)]
    parts[1]["train"][:, 1] = 0.1
    whole = np.concatenate([rows["train"] for rows in parts])
    mean, deviation = windows.scales_of(parts, 1)
    assert mean.shape == deviation.shape == (2, 1, 3)
    for i, rows in enumerate(parts):
        np.testing.assert_allclose(mean[i, 0, :2], rows["train"][:, :2].mean(axis=0))
        np.testing.assert_allclose(deviation[i, 0, 0], rows["train"][:, 0].std())
    np.testing.assert_allclose(mean[:, 0, 2], whole[:, 2].mean())
    np.testing.assert_allclose(deviation[:, 0, 2], whole[:, 2].std())
    np.testing.assert_allclose(deviation[0, 0, 1], parts[0]["train"][:, 1].std())
    np.testing.assert_allclose(deviation[1, 0, 1], whole[:, 1].std())


def test_faults():
    write(spans={"a": (1, 8, 1.0)})
    with pytest.raises(UserError, match="long.csv: no series of 1 has 9 rows"):
        read("long.csv", lookback=6, horizon=3)
    write()
    with pytest.raises(UserError, match="leave out --validation and --test"):
        own_series.read(own.Request(["long.csv"], test=["long.csv"]))
    faulty = pathlib.Path("x.csv")
    text = pathlib.Path("long.csv").read_text(encoding="utf-8")
    faulty.write_text(text.replace("a,2024-01-12,12.0", "a,2024-01-12,warm"))
    with pytest.raises(UserError, match="x.csv, line 12: column y holds 'warm'"):
        read("x.csv")
    faulty.write_text(text.replace("b,2024-01-12", "b,2024-01-11"))
    with pytest.raises(UserError, match=r"line 44: .* is not after .*\(series b\)"):
        read("x.csv")
    faulty.write_text(
        "".join(x for x in text.splitlines(True) if "2024-01-12" not in x)
    )
    with pytest.raises(UserError, match=r"comes 2 days after .*\(series b\)"):
        read("x.csv")
    with pytest.raises(UserError, match="no column unique_di: unknown column"):
        read("long.csv", id="unique_di")


def test_series_side_by_side_on_demand():
    write(spans={"a": (1, 40, 1.0), "b": (3, 40, 2.0)})
    records = read("long.csv", as_variates=True)
    assert records.facts(None)["variates"] == ["a", "b"]
    assert records.facts(None)["series"] == 0
    assert len(records.parts) == 38


@pytest.mark.slow
def test_training_and_forecasting(command, folder):
    small = [f"--set={x}" for x in ("width=4", "num_layers=1", "linear_start=false")]
    arguments = ["--data", write(), "--lookback", "6", "--horizon", "3"]
    arguments += ["--epochs", "1", "--data-dir", "tfds"]
    code, out, err = command("train", "patch_transformer", *arguments, *small)
    assert code == 0, err
    assert "left out: 1 series shorter than 9 rows: tiny" in out
    card = json.loads((folder / "saved_models" / "long" / "card.json").read_text())
    assert (card["series"], card["variates"]) == (2, ["y"])
    readme = (folder / "saved_models" / "long" / "README.md").read_text()
    assert "trained on 2 series" in readme
    assert "Left out: 1 series shorter than 9 rows: tiny." in readme
    assert "# columns unique_id, ds, y" in readme
    code, out, err = command("predict", "long", "long.csv")
    assert code == 2
    assert "long.csv: left out: 1 series shorter than 6 rows: tiny" in err
    rows = [line.split(",") for line in out.splitlines()]
    assert [row[:2] for row in rows] == [
        ["unique_id", "ds"],
        *[["a", f"2024-02-{day}"] for day in (11, 12, 13)],
        *[["b", f"2024-{day}"] for day in ("02-29", "03-01", "03-02")],
    ]
    assert all(1000 < float(row[2]) < 10000 for row in rows[4:])
