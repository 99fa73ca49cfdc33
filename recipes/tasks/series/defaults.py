"""The defaults of a model that is trained on own series."""

import dataclasses

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import Recipe
from attention_zoo.recipes.tasks.series.steps import Step

TAKE_COVARIATES = ("inverted_transformer",)


def recipe_for(model, facts):
    """Returns the `Recipe` of a model on an own series."""
    check_covariates(model, facts)
    step = Step.parse(facts.get("step") or "3600 s")
    rows, season = facts.get("rows", 10000), season_of(step)
    horizons = facts.get("horizons") or [max(1, min(season, rows // 20))]
    lookback = facts.get("lookback") or _lookback(season, horizons[-1], rows)
    season = min(season, lookback)
    windows = max(1, rows - lookback - horizons[-1]) * max(1, facts.get("series", 0))
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
    check_covariates(recipe.model, facts)
    given = {"interpolate": facts["interpolate"], "step": facts["step"]}
    if facts.get("lookback"):
        given["lookback"] = facts["lookback"]
    if facts.get("horizons"):
        given["horizons"] = tuple(facts["horizons"])
    return dataclasses.replace(recipe, pipeline={**recipe.pipeline, **given})


def check_covariates(model, facts):
    """Raises `UserError` for columns that a model would look at in vain.

    A model of one variate at a time has the same forecast with and without them.
    """
    names = [*facts.get("past", ()), *facts.get("known", ())]
    if names and model not in TAKE_COVARIATES:
        raise UserError(
            f"{model} forecasts each variate from its own past alone, so that "
            f"{', '.join(names)} would change nothing: --past and --known are for "
            f"{' and '.join(TAKE_COVARIATES)}"
        )


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
