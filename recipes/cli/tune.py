"""`attention-zoo tune`: searches the space of a recipe, here or with workers."""

import argparse
import importlib.util
import pathlib

from attention_zoo.recipes.cli import commands, data
from attention_zoo.recipes.core import files
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.base import need_tensorflow

TUNERS = ("random", "hyperband", "bayesian")


def add_arguments(command):
    """Adds the arguments of `tune` to its parser."""
    add = command.add_argument
    add("recipe", nargs="?", metavar="RECIPE")
    data.add_arguments(command)
    add(
        "--engine",
        choices=("keras-tuner", "optuna"),
        default="keras-tuner",
        help="what picks values; optuna also stops hopeless trials",
    )
    add("--tuner", choices=TUNERS, help="of keras-tuner (default: random)")
    add("--trials", type=int, default=20, metavar="N")
    add("--max-epochs", type=int, metavar="N", help="default: the recipe's epochs")
    add("--seed", type=int, default=0, metavar="N")
    add("--resume", action="store_true", help="goes on with the search in the folder")
    add("--workers", type=int, metavar="N", help="worker processes on this machine")
    add(
        "--worker",
        metavar="NAME",
        help="takes part in the search that another process has begun in the folder",
    )
    add("--train-best", action="store_true", help="trains the winner at the end")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="pins a setting of the recipe and takes it out of the space",
    )
    add("--smoke", action="store_true", help="trials on a handful of examples")
    add(
        "--out",
        metavar="DIR",
        help="where the search's folder goes (default: tuning, or build/smoke/tuning "
        "with --smoke)",
    )


def tune(args):
    """Searches, writes the folder of the search and says what was found."""
    check(args)
    data.name_model(args)
    recipe = data.recipe_of(args).with_settings(args.set)
    if args.max_epochs is not None:
        recipe = recipe.replace(epochs=args.max_epochs)
    need_tensorflow()
    from attention_zoo.recipes.distributed import processes
    from attention_zoo.recipes.tuning.search import Search
    from attention_zoo.recipes.tuning.workers import Data, work

    out = args.out or ("build/smoke/tuning" if args.smoke else "tuning")
    search = Search(
        recipe=recipe,
        pinned=tuple(a.partition("=")[0].strip() for a in args.set),
        tuner="optuna" if args.engine == "optuna" else args.tuner or TUNERS[0],
        wanted=args.trials,
        seed=args.seed,
        smoke=args.smoke,
        data_dir=args.data_dir,
        folder=pathlib.Path(out) / recipe.name,
        named=args.recipe,
        words=tuple(data.words(args)) if args.data else (),
    )
    pipelines = Data(search)
    if args.worker is not None:
        processes.die_with_parent()
        search.join()
        pipelines.of(recipe)  # what is missing ends the worker before its first trial
        work(search, pipelines, args.worker)
        return
    space = search.engine().space
    search.check_folder(args.resume)
    if not args.workers:
        pipelines.of(recipe)
    busy = f"another process searches in {search.folder}"
    with files.locked(search.state, busy):
        run(search, space, pipelines, args)
    if args.train_best:
        train_best(search, args)


def check(args):
    """Raises `UserError` for arguments that do not fit, and for missing packages."""
    for name in ("trials", "max_epochs", "workers"):
        value = getattr(args, name)
        if value is not None and value < 1:
            option = name.replace("_", "-")
            raise UserError(f"--{option} must be positive, received {value}")
    if args.seed < 0:
        raise UserError(f"--seed must not be negative, received {args.seed}")
    if args.engine == "optuna" and args.tuner is not None:
        raise UserError(f"--tuner {args.tuner} is of keras-tuner: leave out --engine")
    needs = [*commands.TRAINING_NEEDS, "keras_tuner"]
    extra = "tune"
    if args.engine == "optuna":
        needs, extra = [*needs, "optuna"], "tune,optuna"
    for package in needs:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"this needs the package '{package}': "
                f"pip install 'attention-zoo[recipes,{extra}]'"
            )


def run(search, space, pipelines, args):
    """Runs all trials that have not ended, and writes what was found."""
    from attention_zoo.recipes.tuning import plots, report, workers

    ended = search.open()
    progress = report.Progress(search, space, ended)
    try:
        if ended >= search.wanted:
            print("all trials had been run", flush=True)
        elif args.workers:
            crew = workers.LocalWorkers(search, worker_command(args))
            crew.work(args.workers, progress.update)
        else:
            workers.work(search, pipelines, told=progress.update)
    except KeyboardInterrupt:
        print("stopped; the same command with --resume goes on", flush=True)
        raise
    trials = progress.update()
    plots.draw(search, space, trials)
    if report.best_of(trials) is None:
        raise UserError(
            f"none of {len(trials)} trials was completed, see {search.folder}: "
            f"{trials[0].error if trials else 'there was none'}"
        )
    print(report.verdict(search, trials))
    print(search.folder)


def worker_command(args):
    """Returns the arguments of `attention-zoo` for a worker of this machine."""
    words = ["tune", args.recipe]
    words += data.words(args, str) if args.data else []
    for name in ("engine", "tuner", "trials", "max_epochs", "seed", "data_dir", "out"):
        value = getattr(args, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for assignment in args.set:
        words += ["--set", assignment]
    return words + ["--smoke"] * args.smoke


def train_best(search, args):
    """Trains the winner as `train --config` does, into an entry of its own."""
    words = ["train", args.recipe, "--config", str(search.folder / "best.json")]
    words += data.words(args, str) if args.data else []
    words += ["--seed", str(args.seed), "--name", f"{search.recipe.name}_tuned"]
    if args.data_dir is not None:
        words += ["--data-dir", args.data_dir]
    training: argparse.Namespace = args.parse(words + ["--smoke"] * args.smoke)
    training.run(training)
