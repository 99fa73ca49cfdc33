"""`attention-zoo tune`: searches the space of a recipe, here or with workers."""

import argparse
import importlib.util
import json
import pathlib
import shlex
from typing import Any

from attention_zoo.recipes.cli import commands as _commands
from attention_zoo.recipes.core import files as _files
from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.core.errors import UserError

NEEDS = (*_commands.TRAINING_NEEDS, "keras_tuner", "tensorboard", "grpc")
NAMES = {  # of what a resumed search must not change
    "attention_zoo": "attention-zoo",
    "recipe": "the recipe",
    "tuner": "--tuner",
    "seed": "--seed",
    "smoke": "--smoke",
    "set": "--set",
    "space": "the space of the recipe",
    "settings": "the settings of the recipe",
}


def add_arguments(command):
    """Adds the arguments of `tune` to its parser."""
    command.add_argument("recipe", metavar="RECIPE")
    command.add_argument(
        "--tuner", choices=("random", "hyperband", "bayesian"), default="random"
    )
    command.add_argument("--trials", type=int, default=20, metavar="N")
    command.add_argument(
        "--max-epochs", type=int, metavar="N", help="default: the recipe's epochs"
    )
    command.add_argument("--seed", type=int, default=0, metavar="N")
    command.add_argument(
        "--resume", action="store_true", help="goes on with the search in the folder"
    )
    command.add_argument(
        "--workers", type=int, metavar="N", help="worker processes on this machine"
    )
    command.add_argument(
        "--train-best", action="store_true", help="trains the winner at the end"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="pins a setting of the recipe and takes it out of the space",
    )
    command.add_argument(
        "--smoke", action="store_true", help="trials on a handful of examples"
    )
    command.add_argument(
        "--out",
        metavar="DIR",
        help="where the search's folder goes (default: tuning, or build/smoke/tuning "
        "with --smoke)",
    )


def tune(args):
    """Searches, writes the folder of the search and says what was found."""
    check_numbers(args)
    recipe = _recipe.get_recipe(args.recipe).with_settings(args.set)
    if args.max_epochs is not None:
        recipe = recipe.replace(epochs=args.max_epochs)
    _commands.need_tensorflow()
    need_packages()
    from attention_zoo.recipes.tuning import search as _tune_search
    from attention_zoo.recipes.tuning import workers as _tune_workers

    role = _tune_workers.role()
    if role and args.workers:
        raise UserError(
            "--workers starts its own chief: unset KERASTUNER_TUNER_ID and the like"
        )
    out = args.out or ("build/smoke/tuning" if args.smoke else "tuning")
    search = _tune_search.Search(
        recipe=recipe,
        pinned=tuple(a.partition("=")[0].strip() for a in args.set),
        tuner=args.tuner,
        trials=args.trials,
        seed=args.seed,
        smoke=args.smoke,
        data_dir=args.data_dir,
        folder=pathlib.Path(out) / recipe.name,
    )
    if role and "chief" not in role[0]:
        _tune_workers.wait_for_chief(role[1])
        _tune_workers.work(_tune_search.Tuner(search), role[1])
        return None
    run(search, args, role)
    if args.train_best:
        return train_best(search, args)
    return None


def check_numbers(args):
    """Raises `UserError` for numbers out of range."""
    for name in ("trials", "max_epochs", "workers"):
        value = getattr(args, name)
        if value is not None and value < 1:
            option = name.replace("_", "-")
            raise UserError(f"--{option} must be positive, received {value}")
    if args.seed < 0:
        raise UserError(f"--seed must not be negative, received {args.seed}")


def need_packages():
    """Raises `UserError` for the first package that is not installed."""
    for package in NEEDS:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"this needs the package '{package}': "
                "pip install 'attention-zoo[recipes,tune]'"
            )


def run(search, args, role):
    """Runs a search in this process, or as the chief of workers."""
    from attention_zoo.recipes.tuning import report as _tune_report
    from attention_zoo.recipes.tuning import search as _tune_search
    from attention_zoo.recipes.tuning import workers as _tune_workers

    progress = Progress(search)
    tuner = _tune_search.Tuner(search, on_end=progress.update)
    progress.tuner = tuner
    resumed = check_folder(search, tuner.space, args.resume)
    chief = None
    if role or args.workers:
        address = role[1] if role else "127.0.0.1:0"
        chief = _tune_workers.Chief(tuner.oracle, address)
    else:
        tuner.data.of(search.recipe)
    busy = f"another process searches in {search.folder}"
    with _files.locked(search.state, busy):
        open_folder(search, tuner, resumed)
        progress.begin(resumed)
        search_all(search, tuner, chief, args, progress)
        found = progress.finish()
    if _tune_report.best_of(found) is None:
        raise UserError(
            f"none of {len(found)} trials was completed, see {search.folder}: "
            f"{found[0].error if found else 'there was none'}"
        )
    print(_tune_report.verdict(search, found))
    print(search.folder)


def search_all(search, tuner, chief, args, progress):
    """Runs all trials that have not ended."""
    try:
        if tuner.oracle.finished():
            print("all trials had been run", flush=True)
        elif chief is None:
            tuner.search()
            tuner.oracle.finished()  # raises what went wrong
        else:
            serve(search, chief, args, progress)
    except KeyboardInterrupt:
        print("stopped; the same command with --resume goes on", flush=True)
        raise


def serve(search, chief, args, progress):
    """Serves the oracle, to workers of this machine or of a cluster."""
    from attention_zoo.recipes.tuning import workers as _tune_workers

    crew = None
    if args.workers:
        command = worker_command(args)
        logs = search.state / "logs"
        crew = _tune_workers.Crew(args.workers, command, chief.port, logs)
    else:
        print(f"the chief waits for workers on port {chief.port}", flush=True)
    chief.serve(progress.update, crew)


def worker_command(args):
    """Returns the arguments of `attention-zoo` for a worker of this machine."""
    words = ["tune", args.recipe, "--tuner", args.tuner, "--seed", str(args.seed)]
    words += ["--trials", str(args.trials)]
    for option in ("max_epochs", "data_dir", "out"):
        if getattr(args, option) is not None:
            words += [f"--{option.replace('_', '-')}", str(getattr(args, option))]
    for assignment in args.set:
        words += ["--set", assignment]
    return words + ["--smoke"] * args.smoke


class Progress:
    """Prints trials as they end and keeps the table up to date.

    Args:
        search: The `Search`.
    """

    def __init__(self, search):
        self._search = search
        self._told = 0
        self.tuner: Any = None

    def begin(self, resumed):
        """Says what is about to be searched."""
        search, oracle = self._search, self.tuner.oracle
        self._told = len(oracle.end_order)
        names = ", ".join(dict.fromkeys(p.name for p in self.tuner.space.space))
        print(
            f"{search.recipe.name}: {search.tuner} search over {names}, "
            f"{search.trials} trials of at most {search.recipe.epochs} epochs"
            + (f"; {self._told} had ended" if resumed else ""),
            flush=True,
        )

    def update(self):
        """Tells of the trials that have ended since the last time."""
        from attention_zoo.recipes.tuning import report as _tune_report

        order = list(self.tuner.oracle.end_order)
        found = _tune_report.records(self._search, self.tuner.oracle)
        by_number = {record.number: record for record in found}
        for trial_id in order[self._told :]:
            record = by_number[int(trial_id)]
            print(_tune_report.line(record, found, self._search.trials), flush=True)
        self._told = len(order)
        _tune_report.write(self._search, self.tuner.space, found)
        return found

    def finish(self):
        """Writes everything, the pictures too, and returns the records."""
        from attention_zoo.recipes.tuning import plots as _tune_plots

        found = self.update()
        _tune_plots.draw(self._search, self.tuner.space, found)
        return found


# === The folder ===


def check_folder(search, space, resume):
    """Returns whether there is a search to go on with; raises `UserError` if not so.

    Args:
        search: The `Search`.
        space: The `HyperParameters` of the whole space.
        resume: Whether `--resume` was given.
    """
    folder, file = search.folder, search.folder / "search.json"
    if folder.exists() and not file.exists() and any_content(folder):
        raise UserError(
            f"{folder} holds no search of attention-zoo: give another --out"
        )
    trials = number_of_trials(search)
    if not trials:
        if resume:
            print(f"nothing to resume in {folder}: a new search", flush=True)
        return False
    if not resume:
        raise UserError(
            f"{folder} holds {trials} trials: --resume goes on with them, another "
            "--out begins anew"
        )
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        before["space"], before["settings"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{file} cannot be read: give another --out") from None
    now = json.loads(json.dumps(search.fingerprint(space)))
    for key, name in NAMES.items():
        if before.get(key) != now[key]:
            what = difference(before.get(key), now[key])
            raise UserError(f"{name} has changed since the search in {folder}: {what}")
    return True


def any_content(folder):
    """Returns whether a folder holds anything but a search that never began."""
    if not folder.is_dir():
        return True
    return any(file.name != "state" for file in folder.iterdir())


def number_of_trials(search):
    """Returns how many trials the state of a folder holds."""
    file = search.state / "oracle.json"
    if not file.exists():
        return 0
    try:
        return len(json.loads(file.read_text(encoding="utf-8"))["trials"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{file} cannot be read: give another --out") from None


def difference(before, now):
    """Returns in words what differs between two values of a fingerprint."""
    if isinstance(before, list) and before and isinstance(before[0], dict):
        before = {part["config"]["name"]: part for part in before}
        now = {part["config"]["name"]: part for part in now}
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [k for k in {**before, **now} if before.get(k) != now.get(k)]
        if isinstance(before.get(keys[0], 0), dict):
            return ", ".join(keys)
        return ", ".join(f"{k} {before.get(k)}, now {now.get(k)}" for k in keys)
    return f"{before}, now {now}"


def open_folder(search, tuner, resumed):
    """Reads the state of a resumed search, or begins the folder of a new one."""
    if resumed:
        tuner.oracle.reload()
        tuner.oracle.verbose = 0
        return
    fingerprint = search.fingerprint(tuner.space)
    _files.write_json(search.folder / "search.json", fingerprint)


def train_best(search, args):
    """Trains the winner as `train --config` does and returns its exit code."""
    from attention_zoo.recipes.cli import main as _cli

    words = ["train", args.recipe, "--config", str(search.folder / "best.json")]
    words += ["--seed", str(args.seed)]
    if args.data_dir is not None:
        words += ["--data-dir", args.data_dir]
    words += ["--smoke"] * args.smoke
    print(shlex.join(["attention-zoo", *words]), flush=True)
    training: argparse.Namespace = _cli.parse(words)
    return training.run(training)
