"""What a search leaves behind: trials.csv, best.json, README.md and one sentence."""

import csv
import dataclasses
import io
import json
import shlex

from attention_zoo.recipes.cli import commands as _commands
from attention_zoo.recipes.core import files as _files
from attention_zoo.recipes.tuning.search import free_parameters

FEW = 30  # trials that say little of which parameter matters
STATUS = {"COMPLETED": "completed", "FAILED": "failed"}


@dataclasses.dataclass
class Record:
    """One trial as the table shows it.

    Args:
        number: Integer; 0 is the recipe's defaults.
        status: `"completed"`, `"diverged"`, `"failed"` or `"unfinished"`.
        values: Dict of its hyperparameters.
        settings: Dict of the settings that it changed.
        score: The validation score of its best epoch, or None.
        metric: Name of the score.
        epochs: How many epochs it trained.
        seconds: How long it took.
        error: Why it failed.
    """

    number: int
    status: str
    values: dict
    settings: dict
    score: float | None = None
    metric: str = "score"
    epochs: int | None = None
    seconds: float | None = None
    error: str = ""

    def told(self):
        """Returns the metric of the score and its value, an error without a minus."""
        score = self.score or 0.0
        if self.metric.startswith("-"):
            return f"{self.metric[1:]} {-score:.6g}"
        return f"{self.metric} {score:.6g}"


def records(search, oracle):
    """Returns the `Record`s of all trials, in order."""
    ended = set(oracle.end_order)
    trials = list(oracle.trials.values())
    found = [_record(search, trial, trial.trial_id in ended) for trial in trials]
    return sorted(found, key=lambda record: record.number)


def _record(search, trial, ended):
    number = int(trial.trial_id)
    settings = search.settings_of(number, trial.hyperparameters.values)
    status = STATUS[trial.status] if ended else "unfinished"
    record = Record(number, status, trial.hyperparameters.values, settings)
    if status == "completed":
        record.score = trial.score
        metrics = trial.metrics
        record.epochs = int(metrics.get_last_value("epochs"))
        record.seconds = metrics.get_last_value("seconds")
    elif status == "failed":
        said = (trial.message or "").strip().splitlines()
        record.error = said[-1] if said else "failed on its worker"
    file = search.state / f"trial_{number}.json"
    if status != "unfinished" and file.exists():  # exact, and with the error
        result = json.loads(file.read_text(encoding="utf-8"))
        if (result["status"] == "completed") == (status == "completed"):
            for key in ("status", "score", "metric", "epochs", "seconds", "error"):
                setattr(record, key, result.get(key, getattr(record, key)))
    return record


def best_of(found):
    """Returns the best completed `Record`, the first of equals, or None."""
    done = [record for record in found if record.status == "completed"]
    return max(done, key=lambda record: record.score, default=None)


def verdict(search, found):
    """Returns in words whether the search beat the recipe's defaults."""
    best = best_of(found)
    if best is None:
        return "No trial was completed."
    default = found[0]
    pins = [f"{key}={search.recipe.settings()[key]}" for key in search.pinned]
    own = "the recipe's defaults" + (f" with {' '.join(pins)}" if pins else "")
    if default.status != "completed":
        return (
            f"Nothing to compare with: {own} (trial 0) are {default.status}. "
            f"Best: {best.told()} (trial {best.number})."
        )
    reference = f"{default.told()} (trial 0)"
    if best.number:
        return (
            f"The search beat {own}: {best.told()} (trial {best.number}) against "
            f"{reference}, better by {best.score - default.score:.3g}."
        )
    rest = best_of(found[1:])
    if rest is None:
        return f"The search did not beat {own}: {reference} is all there is."
    return (
        f"The search did not beat {own}: {reference}; the best of the others is "
        f"{rest.told()} (trial {rest.number})."
    )


def line(record, found, wanted):
    """Returns what the terminal says when a trial has ended."""
    values = " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in record.values.items()
        if not key.startswith("tuner/")
    )
    if record.status == "completed":
        best = best_of(found)
        epochs = f"{record.epochs} epoch{'s' * (record.epochs != 1)}"
        told = f"{record.told()} in {epochs} (best so far: trial {best.number})"
    else:
        told = f"{record.status}: {record.error}"
    ended = sum(other.status != "unfinished" for other in found)
    return f"trial {record.number}, {ended} of {wanted}: {told}  {values}"


def write(search, space, found):
    """Writes the table, the winner and the summary.

    Args:
        search: The `Search`.
        space: The `HyperParameters` of the whole space.
        found: List of `Record`s.
    """
    names = dict.fromkeys(parameter.name for parameter in free_parameters(space))
    _files.write_text(search.folder / "trials.csv", table(found, list(names)))
    best = best_of(found)
    if best is not None:
        settings = {key: search.recipe.settings()[key] for key in search.pinned}
        settings |= best.settings
        owner = {"recipe": search.recipe.name}
        _files.write_json(search.folder / "best.json", {**owner, **settings})
    _files.write_text(search.folder / "README.md", summary(search, found))


def table(found, names):
    """Returns trials.csv: one row for each trial, one column for each parameter."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["trial", "status", *names, "score", "epochs", "seconds", "error"])
    for record in found:
        values = [record.values.get(name, "") for name in names]
        cost = [record.epochs, record.seconds, record.error]
        row = [record.number, record.status, *values, record.score, *cost]
        writer.writerow(["" if cell is None else cell for cell in row])
    return out.getvalue()


def summary(search, found):
    """Returns README.md."""
    best, recipe = best_of(found), search.recipe
    counts = {s: sum(r.status == s for r in found) for s in (r.status for r in found)}
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    lines = [
        f"# Tuning of {recipe.name}",
        "",
        *(["**A smoke search: the figures mean nothing.**", ""] * search.smoke),
        f"**{verdict(search, found)}**",
        "",
        f"Tuner {search.tuner}, {len(found)} of {search.trials} trials ({told}), at "
        f"most {recipe.epochs} epochs each, seed {search.seed}. Scores are of the best "
        "epoch on validation; the test split was not touched. Each trial is one "
        "training with one seed: a difference within the spread over seeds may be "
        "chance, and the best of many trials looks better than it is.",
        "",
    ]
    if best is not None:
        file = shlex.quote(_commands.relative(search.folder / "best.json"))
        lines += [
            "```sh",
            f"attention-zoo train {recipe.name} --config {file}",
            "```",
            "",
        ]
    return "\n".join(
        [
            *lines,
            "`trials.csv` holds all trials, `parallel_coordinates.png` and "
            "`importance.png` show them, `state/` is for `--resume`.",
            "",
        ]
    )
