"""The parts of a model card that a forecaster has in another form than a classifier."""

from attention_zoo.recipes.cards.figures import figure


def introduction(card):
    """Returns what the model takes and gives."""
    span = _span(card["step_seconds"])
    horizons = card["horizons"]
    count = len(card["variates"])
    return [
        f"The model `{card['model']}` trained on `{card['dataset']}`: the last "
        f"{card['lookback']} values of {', '.join(card['variates'])} in, {span}, "
        f"the next {max(horizons)} out; raw values both. Its first steps are the "
        f"forecast for shorter horizons. {card['parameters']:,} parameters, "
        f"{card['model_file_mb']} MB, {count} variate{'s' * (count != 1)}.",
        "",
    ]


def results(card):
    """Returns the table of errors at each horizon, model and baselines."""
    horizons, digits = card["horizons"], _digits(card)
    lines = [
        f"## Test error at look-back {card['lookback']}",
        "",
        "Mean square and mean absolute error of standardised values, over every window "
        "of the test split; lower is better.",
        "",
        f"| | {' | '.join(f'MSE {h} | MAE {h}' for h in horizons)} |",
        f"| --- |{' --- | --- |' * len(horizons)}",
    ]
    for name, row in {card["model"]: card, **card["baselines"]}.items():
        cells = [
            figure(row, f"{metric}_{h}", digits)
            for h in horizons
            for metric in ("mse", "mae")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", *winners(card), *_quantiles(card), selection(card), ""]
    return [*lines, *correlation(card)]


def winners(card):
    """Returns which baselines have the lower mean square error, and where."""
    better = []
    for name, row in card["baselines"].items():
        at = [h for h in card["horizons"] if _mse(row, h) < _mse(card, h)]
        if at:
            better.append(f"`{name}` at {', '.join(map(str, at))}")
    if not better:
        return []
    return [f"**A lower MSE than the model: {'; '.join(better)}.**", ""]


def _mse(row, horizon):
    return row.get(f"mse_{horizon}_mean", row.get(f"mse_{horizon}"))


def selection(card):
    """Returns how the published model was picked, and what the baselines are."""
    seed, several = card["published_seed"], len(card["seeds"]) > 1
    horizons, d = card["horizons"], _digits(card)
    measured = "test was measured at the end"
    if several:
        text = (
            f"Means over {len(card['seeds'])} seeds with their standard deviation; "
            f"`model.keras` is seed {seed}, the best on validation, with MSE "
            f"{' '.join(figure(card['metrics'], f'mse_{h}', d) for h in horizons)}. "
            f"Epoch and seed were picked on validation, {measured}."
        )
    else:
        text = (
            f"One seed was trained, {seed}; how far others would lie from it was not "
            f"measured. The epoch was picked on validation, {measured}."
        )
    text += (
        " `seasonal_naive` repeats the last "
        f"{card['baselines']['seasonal_naive']['season']} values; `linear` is one "
        "linear layer on normalized windows, fitted in closed form."
    )
    if "no_attention" in card["baselines"]:
        text += " `no_attention` is the same model without attention."
    if card["interpolated"]:
        text += (
            f" {card['interpolated']} values that the data lack were put on a line "
            "between their neighbours."
        )
    return text


def correlation(card):
    """Returns how attention goes along with occlusion."""
    attention = card["attention"]
    if attention.get("rank_correlation") is None:
        return []
    what = {
        "lags": "a stretch of time and how far the forecast moves without it",
        "variates": "another variate and how far the forecast moves without it",
    }[attention["parts"]]
    return [
        f"Spearman's correlation of the attention to {what}: "
        f"{attention['rank_correlation']:.2f} (mean over "
        f"{attention['rank_correlation_windows']} test windows).",
        "",
    ]


def use(card):
    """Returns how to call the model."""
    name = card["recipe"]
    shape = f"(1, {card['lookback']}, {len(card['variates'])})"
    return [
        "## Use",
        "",
        "```python",
        "import attention_zoo",
        "import keras",
        "import numpy as np",
        "",
        f'model = keras.models.load_model("saved_models/{name}/model.keras")',
        f'model(np.ones({shape}, "float32"))  # raw values, oldest first',
        "```",
        "",
        "```",
        f"attention-zoo predict {name} FILE.csv    # columns date, "
        f"{', '.join(card['variates'])}",
        f"attention-zoo explain {name} FILE.csv",
        f"attention-zoo export {name}    # a SavedModel for plain TensorFlow",
        card["command"] + "    # trains it again",
        "```",
        "",
    ]


def figures(card):
    """Returns the pictures."""
    lines = ["## Pictures", "", "![Loss and error by epoch](curves.png)", ""]
    if card["attention"]:
        lines += ["![Test windows, forecasts and attention weights](attention.png)", ""]
    return lines


def _quantiles(card):
    """Returns the share of values between the outermost quantiles, if there are any."""
    found = [f"coverage_{h}" for h in card["horizons"]]
    if found[0] not in card["metrics"]:
        return []
    levels = card["settings"]["quantiles"]
    shares = ", ".join(
        f"{card['metrics'][key]:.1%} at {h}"
        for key, h in zip(found, card["horizons"], strict=True)
    )
    return [
        f"Between the quantiles {levels[0]} and {levels[-1]} lie {shares} "
        f"(aimed at: {levels[-1] - levels[0]:.0%}); MSE and MAE are the median's.",
        "",
    ]


def _digits(card):
    """Returns how many decimals tell the errors apart."""
    return 3 if card["metrics"][f"mse_{card['horizons'][0]}"] > 0.05 else 4


def _span(seconds):
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % size == 0:
            count = seconds // size
            return f"one {unit} apart" if count == 1 else f"{count} {unit}s apart"
    return f"{seconds} seconds apart"
