"""The command `attention-zoo`: its arguments, and errors in one line.

Exit codes: 0, 2 for anything the user can put right (one line on stderr), 130 for
Ctrl-C. The other modules of this folder hold the commands themselves.
"""

import argparse
import functools
import os
import re
import sys

from attention_zoo import __version__
from attention_zoo.pretrained import PretrainedError
from attention_zoo.recipes.cli import (
    commands,
    data,
    methods,
    places,
    show,
    translate,
    tune,
)
from attention_zoo.recipes.core.errors import UserError, one_line, unknown
from attention_zoo.recipes.engine.execution import Options
from attention_zoo.recipes.tasks import TASKS


class Parser(argparse.ArgumentParser):
    """A parser that knows its options; its errors become the one line of `main`."""

    options: tuple = ()

    def add_argument(self, *names, **more):
        action = super().add_argument(*names, **more)
        self.options += tuple(action.option_strings)
        return action

    def error(self, message):
        raise UserError(message)


def main(argv=None):
    """Runs the command and returns its exit code.

    Args:
        argv: List of arguments. Defaults to those of the process.
    """
    if hasattr(sys.stdout, "reconfigure"):  # names of files may hold any byte
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        args = parse(sys.argv[1:] if argv is None else list(argv))
        code = args.run(args) or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:  # the reader of our output went away, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UserError, PretrainedError) as error:
        return _fail(one_line(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in ("", "attention_zoo"):
            raise
        return _fail(
            f"this needs the package '{package}': pip install 'attention-zoo[recipes]'"
        )
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror}{place}" if error.strerror else one_line(error))


def _fail(message, code=2):
    print(f"attention-zoo: error: {message}", file=sys.stderr)
    return code


def parse(argv):
    """Returns the parsed arguments, with the command's function as `run`."""
    parser, parsers = make_parser()
    word = next((word for word in argv if not word.startswith("-")), None)
    if word is not None and word not in parsers:
        raise unknown("command", word, parsers)
    for option in (word for word in argv if re.fullmatch("--[^=]+=--", word)):
        raise UserError(f"{option.removesuffix('=--')} takes a value, received '--'")
    args, surplus = parser.parse_known_args(argv)
    options = [word for word in surplus if word.startswith("-") and " " not in word]
    if options:
        known = parsers[args.command].options
        raise unknown(f"option of {args.command}", options[0].split("=")[0], known)
    if surplus and not isinstance(getattr(args, "text", None), list):
        raise UserError(f"{args.command} takes no further argument '{surplus[0]}'")
    if surplus:
        args.text += surplus  # texts behind options, which argparse leaves
    args.words, args.parse = list(argv), parse
    return args


def make_parser():
    """Returns the parser and the dict of the commands' own parsers."""
    parser = Parser(
        prog="attention-zoo",
        description="Keras 3 attention models: look, train, evaluate, predict, export.",
        allow_abbrev=False,
    )
    version = f"attention-zoo {__version__}"
    parser.add_argument("--version", action="version", version=version)
    added = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, summary, *arguments) in COMMANDS.items():
        command = added.add_parser(
            name, help=summary, description=summary, allow_abbrev=False
        )
        command.set_defaults(run=run)
        for add in arguments:
            add(command)
    return parser, added.choices


def argument(*names, **options):
    """Returns a function that adds an argument to a command's parser."""

    def add(command):
        command.add_argument(*names, **options)

    return add


def switch(name, text):
    """Returns a function that adds an option without a value."""
    return argument(name, action="store_true", help=text)


def folder(name, text):
    """Returns a function that adds an option that takes a folder."""
    return argument(name, metavar="DIR", help=text)


def add_task_options(command):
    """Adds the options of all kinds of tasks."""
    for task in TASKS.values():
        task.add_arguments(command)


ENTRY = argument(
    "name", metavar="NAME", help="a trained model, by its name or its folder"
)
DATA_DIR = folder("--data-dir", "TFDS data directory (default: TFDS's own)")
FILES = "FILE.csv for a forecaster, or FILE.png for an image model (or .jpg, several)"
COMMANDS: dict[str, tuple] = {
    "list": (
        show.list_all,
        "Models, recipes and trained models.",
        argument("pattern", nargs="?", default="*", metavar="PATTERN"),
        switch("--layers", "the attention layers, by family, instead"),
        switch("--json", "as JSON: each name with its kind and what it is"),
        switch("--csv", "as CSV: name, kind and what it is"),
    ),
    "show": (
        show.show,
        "What is known of a model, a recipe, a trained model or a layer.",
        argument("name", metavar="NAME"),
    ),
    "download": (
        places.download,
        "Brings the files of trained models here, so that no network is needed later.",
        places.add_arguments,
    ),
    "push": (
        places.push,
        "Copies a trained model to a folder or to hf://USER/REPOSITORY.",
        ENTRY,
        argument("target", metavar="TARGET", help="where it goes, as NAME/ in there"),
    ),
    "train": (
        commands.train,
        "Trains a recipe, or a model on your own data, and writes its folder, whole or "
        "not at all.",
        argument("recipe", nargs="?", metavar="RECIPE"),
        data.add_arguments,
        argument("--seed", type=int, default=0, metavar="N"),
        argument(
            "--seeds",
            type=int,
            default=1,
            metavar="N",
            help="how many, from --seed on",
        ),
        argument("--epochs", type=int, metavar="N"),
        argument(
            "--config",
            metavar="FILE.json",
            help="settings of the recipe, as `tune` writes them; --set comes after it",
        ),
        argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="changes a setting of the recipe; `show RECIPE` lists them",
        ),
        switch(
            "--smoke",
            "a run on a handful of generated examples: no download, no result",
        ),
        folder(
            "--out",
            "where the recipe's folder goes (default: saved_models, or build/smoke "
            "with --smoke)",
        ),
        DATA_DIR,
        Options.add_to,
    ),
    "tune": (
        tune.tune,
        "Searches the space of a recipe and writes the winner as a config.",
        tune.add_arguments,
        DATA_DIR,
    ),
    "evaluate": (
        commands.evaluate,
        "Measures a trained model on its test split again, beside its card, or on your "
        "own data.",
        ENTRY,
        functools.partial(
            data.add_reading_arguments,
            text="measures it on your own files instead, class by class",
        ),
        DATA_DIR,
        methods.add_arguments,
    ),
    "predict": (
        commands.predict,
        "Prints class and probability of each text or image, or a forecast as CSV.",
        ENTRY,
        argument(
            "text",
            nargs="*",
            metavar="TEXT",
            help=f"a text (default: each line of stdin), {FILES}",
        ),
        argument(
            "--text",
            dest="column",
            metavar="COLUMN",
            help="the column of the texts in a FILE.csv, .tsv, .jsonl or .parquet",
        ),
        argument(
            "--output",
            metavar="FILE",
            help="where the table with the predictions goes (.csv, .tsv or .jsonl)",
        ),
        switch("--resume", "goes on with a table whose prediction did not end"),
        add_task_options,
    ),
    "translate": (
        translate.translate,
        "Prints the translation of each text: a line in, a line out.",
        translate.add_arguments,
    ),
    "explain": (
        commands.explain,
        "Shades words, images, the past of a series or both sides of a translation by "
        "attention, here and in a picture.",
        ENTRY,
        argument("text", nargs="+", metavar="TEXT", help=f"a text, {FILES}"),
        add_task_options,
        argument(
            "--out",
            default="explanation.png",
            metavar="FILE.png",
            help="the picture (default: explanation.png)",
        ),
        argument(
            "--layer", metavar="NAME", help="an attention layer (default: the last one)"
        ),
        argument(
            "--method",
            default="auto",
            metavar="METHOD",
            help="auto (default: the most faithful by the card), attention, rollout, "
            "flow, value_norm, attention_x_gradient, gradient, gradient_x_input, "
            "integrated_gradients, occlusion, or grad_cam for images",
        ),
        argument("--html", metavar="FILE.html", help="a page to look at, too"),
    ),
    "export": (
        commands.export,
        "Writes the SavedModel that plain TensorFlow serves.",
        ENTRY,
        folder(
            "--out", "the SavedModel's folder (default: saved_models/NAME/saved_model)"
        ),
        switch(
            "--jit",
            "let XLA compile it when it is first called: slow then, fast afterwards",
        ),
    ),
}


if __name__ == "__main__":
    sys.exit(main())
