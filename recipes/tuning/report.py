"""What a search leaves behind: trials.csv, best.json, README.md and one sentence."""

import collections
import shlex

import pandas as pd

from attention_zoo.recipes.core import files
from attention_zoo.recipes.tuning.engines import free_parameters


class Progress:
    """Tells of trials as they end, and keeps the table up to date.

    Args:
        search: The `Search`.
        space: The `HyperParameters` of the whole space.
        ended: Number of trials that had ended before.
    """

    def __init__(self, search, space, ended):
        self._search, self._space = search, space
        self._told = {t.number for t in search.trials() if t.status != "running"}
        names = ", ".join(dict.fromkeys(p.name for p in free_parameters(space)))
        print(
            f"{search.recipe.name}: {search.tuner} search over {names}, "
            f"{search.wanted} trials of at most {search.recipe.epochs} epochs"
            + (f"; {ended} had ended" if ended else ""),
            flush=True,
        )

    def update(self):
        """Tells of the trials that have ended since the last time; returns all."""
        trials = [t for t in self._search.trials() if t.status != "running"]
        new = [trial for trial in trials if trial.number not in self._told]
        for trial in new:
            print(line(trial, trials, self._search.wanted), flush=True)
            self._told.add(trial.number)
        if new:
            write(self._search, self._space, trials)
        return trials


def told(trial):
    """Returns the metric of the score and its value, an error without a minus."""
    if trial.metric.startswith("-"):
        return f"{trial.metric[1:]} {-trial.score:.6g}"
    return f"{trial.metric} {trial.score:.6g}"


def best_of(trials):
    """Returns the best completed `Trial`, the first of equals, or None."""
    done = [trial for trial in trials if trial.status == "completed"]
    return max(done, key=lambda trial: trial.score, default=None)


def verdict(search, trials):
    """Returns in words whether the search beat the recipe's defaults."""
    best = best_of(trials)
    if best is None:
        return "No trial was completed."
    default = trials[0]
    pins = [f"{key}={search.recipe.settings()[key]}" for key in search.pinned]
    own = "the recipe's defaults" + (f" with {' '.join(pins)}" if pins else "")
    if default.status != "completed":
        return (
            f"Nothing to compare with: {own} (trial 0) are {default.status}. "
            f"Best: {told(best)} (trial {best.number})."
        )
    reference = f"{told(default)} (trial 0)"
    if best.number:
        return (
            f"The search beat {own}: {told(best)} (trial {best.number}) against "
            f"{reference}, better by {best.score - default.score:.3g}."
        )
    rest = best_of(trials[1:])
    if rest is None:
        return f"The search did not beat {own}: {reference} is all there is."
    return (
        f"The search did not beat {own}: {reference}; the best of the others is "
        f"{told(rest)} (trial {rest.number})."
    )


def line(trial, trials, wanted):
    """Returns what the terminal says when a trial has ended."""
    values = " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in trial.values.items()
        if not key.startswith("tuner/")
    )
    if trial.score is not None:
        best, s = best_of(trials), "s" * (trial.epochs != 1)
        how = "pruned at " * (trial.status == "pruned")
        said = f"{how}{told(trial)} in {trial.epochs} epoch{s}"
        said += f" (best so far: trial {best.number})" if best else ""
    else:
        said = f"{trial.status}: {trial.error}"
    return f"trial {trial.number}, {len(trials)} of {wanted}: {said}  {values}"


def write(search, space, trials):
    """Writes the table, the winner and the summary.

    Args:
        search: The `Search`.
        space: The `HyperParameters` of the whole space.
        trials: List of the `Trial`s that have ended.
    """
    names = list(dict.fromkeys(p.name for p in free_parameters(space)))
    files.write_text(search.folder / "trials.csv", table(trials, names))
    best = best_of(trials)
    if best is not None:
        settings = {key: search.recipe.settings()[key] for key in search.pinned}
        settings |= {"recipe": search.recipe.name, **best.settings}
        files.write_json(search.folder / "best.json", settings)
    files.write_text(search.folder / "README.md", summary(search, trials, best))


def table(trials, names):
    """Returns trials.csv: one row for each trial, one column for each parameter."""
    columns = ["trial", "status", *names, "score", "epochs", "seconds", "error"]
    rows = [trial.values | vars(trial) | {"trial": trial.number} for trial in trials]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")


SUMMARY = """\
# Tuning of {name}

{smoke}**{verdict}**

Tuner {tuner}, {ended} of {wanted} trials ({counts}), at most {epochs} epochs each, \
seed {seed}. Scores are of the best epoch on validation; the test split was not \
touched. Each trial is one training with one seed: a difference within the spread over \
seeds may be chance, and the best of many trials looks better than it is.

{command}`trials.csv` holds all trials, `parallel_coordinates.png` and \
`importance.png` show them, `state/` is for `--resume`.
"""


def summary(search, trials, best):
    """Returns README.md."""
    counts = collections.Counter(trial.status for trial in trials)
    config = shlex.quote(files.relative(search.folder / "best.json"))
    train = f"attention-zoo {shlex.join(search.training)} --config {config}"
    return SUMMARY.format(
        name=search.recipe.name,
        smoke="**A smoke search: the figures mean nothing.**\n\n" * search.smoke,
        verdict=verdict(search, trials),
        tuner=search.tuner,
        ended=len(trials),
        wanted=search.wanted,
        counts=", ".join(f"{count} {status}" for status, count in counts.items()),
        epochs=search.recipe.epochs,
        seed=search.seed,
        command=f"```sh\n{train}\n```\n\n" if best is not None else "",
    )
