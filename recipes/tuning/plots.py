"""The pictures of a search: parallel_coordinates.png and importance.png."""

import warnings

import numpy as np
from keras_tuner.engine.hyperparameters import Choice

from attention_zoo.recipes.core import files as _files
from attention_zoo.recipes.tuning.report import FEW, best_of
from attention_zoo.recipes.tuning.search import free_parameters

LEAST = 5  # trials below which a forest says nothing
ABSENT = -1.0  # stands for a parameter that a trial does not have


def draw(search, space, found):
    """Writes both pictures.

    Args:
        search: The `Search`.
        space: The `HyperParameters` of the whole space.
        found: List of `Record`s.
    """
    done = [record for record in found if record.status == "completed"]
    parameters = free_parameters(space)
    epochs = sorted({record.epochs for record in done})
    if len(epochs) > 1 and "epochs" not in {p.name for p in parameters}:
        parameters.append(Choice("epochs", epochs))  # as Hyperband dealt them out
        for record in done:
            record.values = {**record.values, "epochs": record.epochs}
    axes = {p.name: Axis(p, done) for p in parameters}
    with _files.replacing(search.folder / "parallel_coordinates.png") as path:
        parallel_coordinates(search, list(axes.values()), found, done).savefig(path)
    with _files.replacing(search.folder / "importance.png") as path:
        importance(search, list(axes.values()), done).savefig(path)


class Axis:
    """A parameter as a vertical axis: where its values lie, from 0 to 1.

    Args:
        parameter: keras-tuner's parameter.
        done: List of completed `Record`s.
    """

    def __init__(self, parameter, done):
        self.name = parameter.name
        given = [r.values[self.name] for r in done if self.name in r.values]
        named = any(isinstance(value, (bool, str)) for value in given)
        if named or type(parameter).__name__ in ("Choice", "Boolean"):
            self.ticks = sorted({*getattr(parameter, "values", ()), *given})
            self._log = False
        else:
            self._log = getattr(parameter, "sampling", "") == "log"
            low = min([parameter.min_value, *given])
            high = max([parameter.max_value, *given])
            middle = (low * high) ** 0.5 if self._log else (low + high) / 2
            self.ticks = [low, middle, high]
        self._named = named or type(parameter).__name__ in ("Choice", "Boolean")

    def place(self, value):
        """Returns the height of a value."""
        if self._named:
            return self.ticks.index(value) / max(1, len(self.ticks) - 1)
        low, high = self.ticks[0], self.ticks[-1]
        if self._log:
            low, high, value = np.log([low, high, value])
        return float((value - low) / (high - low)) if high > low else 0.5

    def label(self, value):
        """Returns how a tick is written."""
        return f"{value:.3g}" if isinstance(value, float) else str(value)


def _figure(*size):
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", dpi=110)
    return figure, figure.subplots()


def parallel_coordinates(search, axes, found, done):
    """Returns the figure with one line for each completed trial."""
    from matplotlib import colormaps

    figure, plot = _figure(2 + 1.7 * len(axes), 4.2)
    scores = [record.score for record in done]
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    best, columns = best_of(done), np.arange(len(axes) + 1)
    for record in sorted(done, key=lambda record: record.score):
        share = (record.score - low) / (high - low) if high > low else 0.5
        heights = [
            axis.place(record.values[axis.name])
            if axis.name in record.values
            else np.nan
            for axis in axes
        ]
        plot.plot(
            columns,
            [*heights, share],
            color="black" if record is best else colormaps["viridis"](share),
            linewidth=2.5 if record is best else 1.2,
            linestyle="--" if record.number == 0 else "-",
            label=_label(record, best),
        )
    ticks = [(axis.name, [(axis.place(v), axis.label(v)) for v in axis.ticks])
             for axis in axes]  # fmt: skip
    metric = best.metric if best else "score"
    ends = [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]
    ticks.append((metric, ends if high > low else [(0.5, f"{low:.4g}")]))
    for column, (_, marks) in enumerate(ticks):
        plot.axvline(column, color="0.6", linewidth=0.8, zorder=0)
        for height, text in marks:
            plot.annotate(text, (column, height), (3, 2), textcoords="offset points",
                          fontsize=7, color="0.3")  # fmt: skip
    plot.set_xticks(columns, [name for name, _ in ticks])
    plot.set_yticks([])
    plot.set_xlim(-0.2, len(axes) + 0.45)
    missing = len(found) - len(done)
    plot.set_title(
        f"{search.recipe.name}, {search.tuner}: {len(done)} trials"
        + (f" ({missing} without a score are not drawn)" if missing else ""),
        fontsize=10,
    )
    if any(record is best or record.number == 0 for record in done):
        plot.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2,
                    frameon=False, fontsize=8)  # fmt: skip
    return figure


def _label(record, best):
    if record.number == 0:
        return "defaults (trial 0)" + (", the best" if record is best else "")
    return f"best (trial {record.number})" if record is best else None


def importance(search, axes, done):
    """Returns the figure with the permutation importance of each parameter."""
    figure, plot = _figure(7.5, 1.8 + 0.4 * len(axes))
    plot.set_title(
        f"{search.recipe.name}: which parameter decides the score", fontsize=10
    )
    scores = np.array([record.score for record in done])
    if len(done) < LEAST or np.ptp(scores) == 0:
        reason = (
            "all scores are equal"
            if len(done) >= LEAST
            else f"{len(done)} completed trials are too few, {LEAST} the least"
        )
        plot.text(0.5, 0.5, f"Not measured: {reason}.", ha="center", va="center")
        plot.set_axis_off()
        return figure
    mean, spread, fit = forest_importance(columns_of(axes, done), scores)
    order = np.argsort(mean)
    plot.barh(
        [axes[i].name for i in order], mean[order], xerr=spread[order], color="C0"
    )
    plot.set_xlabel(
        "Loss of R² when the parameter is shuffled (mean and spread of 30 shuffles):\n"
        "permutation importance of scikit-learn's random forest on "
        f"{len(done)} trials, out-of-bag R² {fit:.2f}"
        + ("\nFew trials: take it for a hint." if len(done) < FEW else "")
        + ("\nThe forest predicts no better than the mean." if fit <= 0 else ""),
        fontsize=8,
    )
    return figure


def columns_of(axes, done):
    """Returns the array `(trials, parameters)` of the places on the axes."""
    return np.array(
        [
            [
                axis.place(record.values[axis.name])
                if axis.name in record.values
                else ABSENT
                for axis in axes
            ]
            for record in done
        ]
    )


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
