"""The pictures of a search: parallel_coordinates.png and importance.png."""

import warnings

import numpy as np
import pandas as pd

from attention_zoo.recipes.core import files
from attention_zoo.recipes.tuning.report import best_of

FEW = 30  # trials that say little of which parameter matters
LEAST = 5  # trials below which a forest says nothing
ABSENT = -1.0  # stands for a parameter that a trial does not have


def draw(search, space, trials):
    """Writes both pictures.

    Args:
        search: The `Search`.
        space: The `HyperParameters` of the whole space.
        trials: List of the `Trial`s that have ended.
    """
    done = [trial for trial in trials if trial.status == "completed"]
    heights, ticks = places(space, done)
    for name, figure in (
        ("parallel_coordinates", parallel_coordinates(search, done, heights, ticks)),
        ("importance", importance(search, done, heights)),
    ):
        with files.replacing(search.folder / f"{name}.png") as path:
            figure.savefig(path)


def places(space, done):
    """Returns where values lie on the axis of their parameter, from 0 to 1.

    Args:
        space: The `HyperParameters` of the whole space.
        done: List of completed `Trial`s.

    Returns:
        Two dicts by the name of the parameter: arrays `(trials,)`, NaN where a trial
        does not have it, and dicts from labels to heights.
    """
    heights, ticks = {}, {}
    logs = {p.name for p in space.space if getattr(p, "sampling", "") == "log"}
    rows = pd.DataFrame([{"epochs": t.epochs} | t.values for t in done], dtype=object)
    for name in dict.fromkeys([*(p.name for p in space.space), "epochs"]):
        given = sorted(rows[name].dropna().unique()) if name in rows else []
        if len(given) < 2:
            continue
        few, words = len(given) <= 4, isinstance(given[0], (bool, str))
        scaled = np.array(range(len(given)) if few or words else given, float)
        if name in logs and not few:
            scaled = np.log(scaled)
        at = dict(zip(given, (scaled - scaled[0]) / np.ptp(scaled), strict=True))
        heights[name] = rows[name].map(at).to_numpy(float)
        shown = given if few or words else [given[0], given[-1]]
        label = "{:.3g}".format if isinstance(given[0], float) else str
        ticks[name] = {label(value): at[value] for value in shown}
    return heights, ticks


def _figure(*size):
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", dpi=110)
    return figure, figure.subplots()


def parallel_coordinates(search, done, heights, ticks):
    """Returns the figure with one line for each completed trial."""
    from matplotlib import colormaps

    figure, plot = _figure(2 + 1.7 * len(heights), 4.2)
    scores, best = np.array([trial.score for trial in done]), best_of(done)
    metric = best.metric if best else "score"
    if done:
        shares = (scores - scores.min()) / (np.ptp(scores) or 1)
        ends = {f"{scores.min():.4g}": 0.0, f"{scores.max():.4g}": shares.max()}
        heights, ticks = {**heights, metric: shares}, {**ticks, metric: ends}
    for i in np.argsort(scores):
        trial, label = done[i], None
        if trial.number == 0:
            label = "defaults (trial 0)" + ", the best" * (trial is best)
        elif trial is best:
            label = f"best (trial {trial.number})"
        plot.plot(
            [column[i] for column in heights.values()],
            color="black" if trial is best else colormaps["viridis"](shares[i]),
            linewidth=2.5 if trial is best else 1.2,
            linestyle="--" if trial.number == 0 else "-",
            label=label,
        )
    for column, marks in enumerate(ticks.values()):
        plot.axvline(column, color="0.6", linewidth=0.8, zorder=0)
        for text, height in marks.items():
            plot.annotate(text, (column, height), (3, 2), textcoords="offset points",
                          fontsize=7, color="0.3")  # fmt: skip
    plot.set_xticks(range(len(ticks)), list(ticks))
    plot.set_yticks([])
    title = f"{search.recipe.name}, {search.tuner}: {len(done)} completed trials"
    plot.set_title(title, fontsize=10)
    if any(line.get_label()[0] != "_" for line in plot.get_lines()):
        plot.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2,
                    frameon=False, fontsize=8)  # fmt: skip
    return figure


def importance(search, done, heights):
    """Returns the figure with the permutation importance of each parameter."""
    figure, plot = _figure(7.5, 1.8 + 0.4 * len(heights))
    title = f"{search.recipe.name}: which parameter decides the score"
    plot.set_title(title, fontsize=10)
    scores = np.array([trial.score for trial in done])
    if len(done) < LEAST or np.ptp(scores) == 0 or not heights:
        reason = f"{len(done)} completed trials are too few, {LEAST} the least"
        if len(done) >= LEAST:
            reason = "all scores are equal"
        plot.text(0.5, 0.5, f"Not measured: {reason}.", ha="center", va="center")
        plot.set_axis_off()
        return figure
    columns = np.nan_to_num(np.stack(list(heights.values()), axis=1), nan=ABSENT)
    mean, spread, fit = forest_importance(columns, scores)
    order = np.argsort(mean)
    names = np.array(list(heights))
    plot.barh(names[order], mean[order], xerr=spread[order], color="C0")
    plot.set_xlabel(
        "Loss of R² when the parameter is shuffled (mean and spread of 30 shuffles):\n"
        "permutation importance of scikit-learn's random forest on "
        f"{len(done)} trials, out-of-bag R² {fit:.2f}"
        + ("\nFew trials: take it for a hint." if len(done) < FEW else "")
        + ("\nThe forest predicts no better than the mean." if fit <= 0 else ""),
        fontsize=8,
    )
    return figure


def forest_importance(inputs, scores):
    """Returns importance and its spread for each column, and the out-of-bag R².

    Args:
        inputs: Array `(trials, parameters)`.
        scores: Array `(trials,)`.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    forest = RandomForestRegressor(100, oob_score=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a trial may be in every tree's bag
        forest.fit(inputs, scores)
    result = permutation_importance(
        forest, inputs, scores, n_repeats=30, random_state=0
    )
    return result.importances_mean, result.importances_std, forest.oob_score_
