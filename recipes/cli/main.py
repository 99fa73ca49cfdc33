"""The command `attention-zoo`: its arguments, and errors in one line.

Exit codes: 0, 2 for anything the user can put right (one line on stderr), 130 for
Ctrl-C. The commands themselves are in `_show.py` and `_commands.py`.
"""

import argparse
import os
import sys

from attention_zoo import __version__
from attention_zoo.pretrained import PretrainedError
from attention_zoo.recipes.cli import commands as _commands
from attention_zoo.recipes.cli import show as _show
from attention_zoo.recipes.cli import translate as _translate
from attention_zoo.recipes.cli import tune as _tune
from attention_zoo.recipes.core.errors import UserError, one_line, unknown
from attention_zoo.recipes.distributed import launcher as _launch
from attention_zoo.recipes.tasks import TASKS


class Parser(argparse.ArgumentParser):
    """A parser whose errors become the one line of `main`."""

    def error(self, message):
        raise UserError(message)


def main(argv=None):
    """Runs the command and returns its exit code.

    Args:
        argv: List of arguments. Defaults to those of the process.
    """
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
    parser, commands = make_parser()
    word = next((word for word in argv if not word.startswith("-")), None)
    if word is not None and word not in commands:
        raise unknown("command", word, commands)
    args, surplus = parser.parse_known_args(argv)
    options = [word for word in surplus if word.startswith("-") and " " not in word]
    if options:
        actions = commands[args.command]._option_string_actions
        raise unknown(f"option of {args.command}", options[0].split("=")[0], actions)
    if surplus and not isinstance(getattr(args, "text", None), list):
        raise UserError(f"{args.command} takes no further argument '{surplus[0]}'")
    if surplus:
        args.text += surplus  # texts behind options, which argparse leaves
    args.words = list(argv)
    return args


def make_parser():
    """Returns the parser and the dict of the commands' own parsers."""
    parser = Parser(
        prog="attention-zoo",
        description="Keras 3 attention models: look, train, evaluate, predict, export.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"attention-zoo {__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        _list,
        _show_,
        _train,
        _tune_,
        _evaluate,
        _predict,
        _translate_,
        _explain,
        _export,
    ):
        add(commands)
    return parser, commands.choices


def _command(commands, name, run, summary):
    added = commands.add_parser(
        name, help=summary, description=summary, allow_abbrev=False
    )
    added.set_defaults(run=run)
    return added


def _add_entry(command):
    command.add_argument(
        "name", metavar="NAME", help="a trained model, by its name or its folder"
    )


def _add_data_dir(command):
    command.add_argument(
        "--data-dir", metavar="DIR", help="TFDS data directory (default: TFDS's own)"
    )


def _add_task_options(command):
    for task in TASKS.values():
        task.add_arguments(command)


def _list(commands):
    command = _command(
        commands, "list", _show.list_all, "Models, recipes and trained models."
    )
    command.add_argument("pattern", nargs="?", default="*", metavar="PATTERN")
    command.add_argument(
        "--layers", action="store_true", help="the attention layers, by family, instead"
    )


def _show_(commands):
    command = _command(
        commands,
        "show",
        _show.show,
        "What is known of a model, a recipe, a trained model or a layer.",
    )
    command.add_argument("name", metavar="NAME")


def _train(commands):
    command = _command(
        commands,
        "train",
        _commands.train,
        "Trains a recipe and writes its folder, whole or not at all.",
    )
    command.add_argument("recipe", metavar="RECIPE")
    command.add_argument("--seed", type=int, default=0, metavar="N")
    command.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="how many, from --seed on"
    )
    command.add_argument("--epochs", type=int, metavar="N")
    command.add_argument(
        "--config",
        metavar="FILE.json",
        help="settings of the recipe, as `tune` writes them; --set comes after it",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="changes a setting of the recipe; `show RECIPE` lists them",
    )
    command.add_argument(
        "--smoke",
        action="store_true",
        help="a run on a handful of generated examples: no download, no result",
    )
    command.add_argument(
        "--out",
        metavar="DIR",
        help="where the recipe's folder goes (default: saved_models, or build/smoke "
        "with --smoke)",
    )
    _add_data_dir(command)
    _add_execution(command)


def _add_execution(command):
    """Adds how a training is carried out: the fields of `Options`."""
    command.add_argument(
        "--resume",
        action="store_true",
        help="goes on from the last checkpoint of a training that did not end",
    )
    command.add_argument(
        "--deterministic", action="store_true", help="the same bits in every run"
    )
    command.add_argument(
        "--mixed-precision",
        action="store_true",
        help="trains in float16 on a GPU, in bfloat16 elsewhere",
    )
    command.add_argument(
        "--jit",
        action=argparse.BooleanOptionalAction,
        help="whether XLA compiles the training (default: as the recipe's data do)",
    )
    command.add_argument(
        "--distribute",
        choices=["mirrored", "data_parallel", "model_parallel"],
        metavar="HOW",
        help="mirrored: on all devices of this machine, by TensorFlow; data_parallel: "
        "on those of one or several processes, by JAX; the global batch is the same; "
        "model_parallel: weights split among the devices of one process, by JAX",
    )
    _launch.add_arguments(command)
    command.add_argument(
        "--profile", metavar="DIR", help="a TensorBoard trace of a few steps"
    )
    command.add_argument("--tensorboard", metavar="DIR", help="TensorBoard logs")


def _tune_(commands):
    command = _command(
        commands,
        "tune",
        _tune.tune,
        "Searches the space of a recipe and writes the winner as a config.",
    )
    _tune.add_arguments(command)
    _add_data_dir(command)


def _evaluate(commands):
    command = _command(
        commands,
        "evaluate",
        _commands.evaluate,
        "Measures a trained model on its test split again, beside its card.",
    )
    _add_entry(command)
    _add_data_dir(command)


def _predict(commands):
    command = _command(
        commands,
        "predict",
        _commands.predict,
        "Prints class and probability of each text or image, or a forecast as CSV.",
    )
    _add_entry(command)
    command.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help="a text (default: each line of stdin), FILE.csv for a forecaster, or "
        "FILE.png for an image model (or .jpg, several)",
    )
    _add_task_options(command)


def _translate_(commands):
    command = _command(
        commands,
        "translate",
        _translate.translate,
        "Prints the translation of each text: a line in, a line out.",
    )
    _translate.add_arguments(command)


def _explain(commands):
    command = _command(
        commands,
        "explain",
        _commands.explain,
        "Shades words, images, the past of a series or both sides of a translation by "
        "attention, here and in a picture.",
    )
    _add_entry(command)
    command.add_argument(
        "text",
        nargs="+",
        metavar="TEXT",
        help="a text, FILE.csv for a forecaster, or FILE.png for an image model (or "
        ".jpg, several)",
    )
    _add_task_options(command)
    command.add_argument(
        "--out",
        default="explanation.png",
        metavar="FILE.png",
        help="the picture (default: explanation.png)",
    )
    command.add_argument(
        "--layer", metavar="NAME", help="an attention layer (default: the last one)"
    )


def _export(commands):
    command = _command(
        commands,
        "export",
        _commands.export,
        "Writes the SavedModel that plain TensorFlow serves.",
    )
    _add_entry(command)
    command.add_argument(
        "--out",
        metavar="DIR",
        help="the SavedModel's folder (default: saved_models/NAME/saved_model)",
    )
    command.add_argument(
        "--jit",
        action="store_true",
        help="let XLA compile it when it is first called: slow then, fast afterwards",
    )


if __name__ == "__main__":
    sys.exit(main())
