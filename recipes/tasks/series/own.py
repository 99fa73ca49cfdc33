"""Own series as a data set, and the defaults of a model that is trained on one."""

import dataclasses

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import Recipe
from attention_zoo.recipes.datasets import own, tables
from attention_zoo.recipes.tasks.series import reader
from attention_zoo.recipes.tasks.series.steps import Step, find_step

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
READING = ("time", "id", "time_zone", "time_format")
OPTIONS = (
    ("--time", "COLUMN", "series: the column of time stamps; none counts the rows"),
    ("--id", "COLUMN", "series: the column that tells several series apart"),
    ("--time-zone", "NAME", "series: of stamps without an offset"),
    ("--time-format", "FORM", "series: of stamps, e.g. '%%d.%%m.%%Y %%H:%%M'"),
)  # fmt: skip


def add_arguments(parser):
    """Adds the options of series to a parser."""
    add = parser.add_argument
    for name, metavar, text in OPTIONS:
        add(name, metavar=metavar, help=text)
    for name, text in (
        ("--interpolate", "series: fill gaps and absent rows between neighbours"),
        ("--sort", "series: bring rows into the order of their time stamps"),
    ):
        add(name, action="store_true", default=None, help=text)
    add("--lookback", type=int, metavar="N", help="series: steps that a model sees")
    add(
        "--horizon",
        type=int,
        nargs="+",
        metavar="N",
        help="series: steps that it forecasts, one number or several",
    )


def options(args):
    """Returns the dict of the options that decide what is read."""
    names = (*READING, "target", "interpolate", "sort", "lookback", "horizon")
    return {name: getattr(args, name, None) for name in names}


def reading(given):
    """Returns the `reader.Options` of a dict of options."""
    target = given.get("target")
    if isinstance(target, str):
        target = [name.strip() for name in target.split(",")]
    return reader.Options(
        **{name: given.get(name) for name in READING},
        target=tuple(target) if target else None,
        interpolate=bool(given.get("interpolate")),
        sort=bool(given.get("sort")),
    )


# === Reading ===


def read(request):
    """Returns the `Records` of a series: its rows, each with its part."""
    if request.tfds_name:
        raise UserError(
            "series are read from files: train a recipe with --set dataset=NAME for a "
            "TFDS data set"
        )
    given = request.options
    lookback, horizons = given.get("lookback"), given.get("horizon")
    horizons = [horizons] if isinstance(horizons, int) else horizons
    check_windows(lookback, horizons)
    least = (lookback or 1) + max(horizons or [1])
    pieces: list = []
    for part, data in request.given():
        files = tables.find_files(data) if own.is_words(data) else [data]
        if len(files) != 1:
            raise UserError(
                f"a series is one file, received {len(files)}: the long form has "
                "several series in one file"
            )
        variates = pieces[0][1].variates if pieces else None
        rows = least if not pieces else 2
        pieces.append(
            (
                part,
                reader.read_series(
                    files[0], variates, rows, None, reading(given), False
                ),
            )
        )
    first = pieces[0][1]
    values = np.concatenate([series.values for _, series in pieces])
    stamps = first.stamps.joined([series.stamps for _, series in pieces[1:]])
    if len(pieces) > 1:
        find_step(stamps, lambda i: f"the files together, row {i + 1}", first.step)
    dates = stamps.regular_texts(first.step)
    parts = _parts([(part, len(series.values)) for part, series in pieces])
    known = {
        "variates": list(first.variates),
        "rows": int(np.sum(np.array(parts) == "train")),
        "step": str(first.step),
        "lookback": lookback,
        "horizons": sorted({*horizons}) if horizons else None,
        "interpolate": bool(np.isnan(values).any()),
    }
    return own.Records(
        example=lambda i: {"date": dates[i], "values": values[i]},
        features=lambda: _features(len(first.variates)),
        parts=parts,
        place=lambda i: f"row {i + 1}",
        columns=(first.time, *first.variates),
        facts=lambda rows: known,
        notes=_notes(pieces),
        split_by="one after the other in time",
    )


def _features(count):
    import tensorflow_datasets as tfds

    values = tfds.features.Tensor(shape=(count,), dtype=np.float32)
    return tfds.features.FeaturesDict({"date": tfds.features.Text(), "values": values})


def _notes(pieces):
    """Returns lines on what was found, filled and not taken."""
    first = pieces[0][1]
    shown = ", ".join(first.variates[:8])
    more = len(first.variates) - 8
    notes = [
        f"a row every {first.step.words} by the column {first.time}; "
        f"{len(first.variates)} variates: {shown}{f' and {more} more' * (more > 0)}"
    ]
    filled = sum(series.filled for _, series in pieces)
    if filled:
        notes.append(f"{filled:,} empty cells will be filled between their neighbours")
    return notes + [note for _, series in pieces for note in series.notes]


def _parts(pieces):
    """Returns the part of each row: as given, the rest one after the other."""
    named = {part: count for part, count in pieces if part}
    missing = [part for part in SHARES if part not in named]
    total = next(count for part, count in pieces if not part)
    whole = sum(SHARES[part] for part in missing)
    parts: list = []
    for part in missing[1:]:
        parts += [part] * round(total * SHARES[part] / whole)
    open_rows = ["train"] * (total - len(parts)) + parts
    return open_rows + [part for part, count in pieces if part for _ in range(count)]


def check_windows(lookback, horizons):
    """Raises `UserError` for a look-back or horizons that are none."""
    if lookback is not None and lookback < 1:
        raise UserError(f"--lookback must be positive, received {lookback}")
    if horizons is not None and min(horizons) < 1:
        raise UserError(f"--horizon must be positive, received {min(horizons)}")


# === Defaults ===


def recipe_for(model, facts):
    """Returns the `Recipe` of a model on an own series."""
    step = Step.parse(facts.get("step") or "3600 s")
    rows, season = facts.get("rows", 10000), season_of(step)
    horizons = facts.get("horizons") or [max(1, min(season, rows // 20))]
    lookback = facts.get("lookback") or _lookback(season, horizons[-1], rows)
    season = min(season, lookback)
    windows = max(1, rows - lookback - horizons[-1])
    batch = 32 if windows < 4000 else 128
    steps = -(-windows // batch)
    return Recipe(
        name=model,
        model=model,
        dataset="",
        kind="series",
        expected={},
        config=_config(model, lookback, season) | {"quantiles": None},
        pipeline={
            "lookback": lookback,
            "horizons": tuple(horizons),
            "share": 1.0,
            "loss": "mse",
            "season": season,
            "interpolate": bool(facts.get("interpolate", False)),
            "linear_start": model in ("patch_transformer", "inverted_transformer"),
            "step": str(step),
        },
        train_split="train",
        validation_split="validation",
        test_split="test",
        batch_size=batch,
        epochs=min(20, max(3, round(1000 / steps))),
        learning_rate=1e-3,
        ema=0.98 if steps >= 100 else 0.9,
    )


def adapted(recipe, facts):
    """Returns a recipe with what the options say, and the step of the series."""
    given = {"interpolate": facts["interpolate"], "step": facts["step"]}
    if facts.get("lookback"):
        given["lookback"] = facts["lookback"]
    if facts.get("horizons"):
        given["horizons"] = tuple(facts["horizons"])
    return dataclasses.replace(recipe, pipeline={**recipe.pipeline, **given})


def season_of(step):
    """Returns how many steps make the nearest season: a day, week or year."""
    if step.unit == "row":
        return 12
    if step.unit == "business_day":
        return 5
    if step.unit.startswith("month"):
        return max(1, round(12 / step.size))
    for period in (86400, 7 * 86400, 365.25 * 86400):
        if step.size <= period / 4:
            return round(period / step.size)
    return 12


def _lookback(season, horizon, rows):
    """Returns a look-back of some seasons and horizons that leaves windows to train."""
    wanted = max(4 * horizon, min(4 * season, 336), 16)
    wanted = min(wanted, max(8, rows // 4))
    return max(2, wanted // 8 * 8)


def _config(model, lookback, season):
    """Returns the arguments of a model that follow look-back and season."""
    divisors = [d for d in range(1, lookback + 1) if lookback % d == 0]
    stride = max(d for d in divisors if d <= max(1, min(8, lookback // 6)))
    segment = max((d for d in divisors[:-1] if d <= max(2, season)), default=1)
    trend = min(25, lookback)
    heads = {"num_heads": 4, "dropout": 0.2}
    return {
        "attention_forecaster": {
            "segment_length": segment,
            "step_length": max(1, season),
            "units": 16,
            "attention": "bahdanau_attention",
            "dropout": 0.1,
        },
        "autocorrelation_forecaster": {
            "num_layers": 1,
            "width": 16,
            "trend_length": trend - (trend % 2 == 0),
            "attention": "auto_correlation",
            **heads,
        },
        "inverted_transformer": {
            "num_layers": 1,
            "width": 64,
            "attention": "multi_head_attention",
            "use_skip": True,
            **heads,
        },
        "patch_transformer": {
            "patch_length": min(2 * stride, lookback),
            "stride": stride,
            "num_layers": 2,
            "width": 16,
            "attention": "multi_head_attention",
            "use_skip": True,
            **heads,
        },
    }[model]
