"""`attention-zoo train`, `evaluate`, `predict`, `explain` and `export`."""

import functools
import importlib.util
import os
import pathlib
import shlex
import sys

from attention_zoo.interpret.calls import MethodError
from attention_zoo.interpret.registry import check_method
from attention_zoo.pretrained import find
from attention_zoo.recipes.cards.schema import read_card
from attention_zoo.recipes.cli import data, methods
from attention_zoo.recipes.core import config, files
from attention_zoo.recipes.core.errors import UserError, unknown
from attention_zoo.recipes.core.recipe import get_recipe
from attention_zoo.recipes.datasets import given, own
from attention_zoo.recipes.distributed import launcher, processes
from attention_zoo.recipes.engine import entries
from attention_zoo.recipes.engine.checkpoints import trained
from attention_zoo.recipes.engine.execution import Options
from attention_zoo.recipes.tasks import TASKS
from attention_zoo.recipes.tasks.base import need_tensorflow

TRAINING_NEEDS = ("tensorflow_datasets", "sklearn", "matplotlib")


def train(args):
    """Trains a recipe and prints the folder it wrote."""
    data.name_model(args)
    recipe = data.recipe_of(args)
    if args.config is not None:
        recipe = config.read_config(recipe, args.config)
    recipe = recipe.with_settings(args.set)
    if args.epochs is not None:
        recipe = recipe.replace(epochs=args.epochs)
    if args.seed < 0 or args.seeds < 1:
        raise UserError(
            "--seed must not be negative and --seeds must be positive, received "
            f"{args.seed} and {args.seeds}"
        )
    out = args.out or ("build/smoke" if args.smoke else "saved_models")
    seeds = range(args.seed, args.seed + args.seeds)
    options = launcher.check(Options.of(args), recipe)
    if args.freeze and options.on_jax:
        raise UserError("--freeze trains on TensorFlow: leave out --distribute")
    name, words = entries.name_of(recipe, options), train_command(args, options)
    if entries.check(out, name, recipe, options, args.smoke, words):
        print(f"{os.path.join(out, name)} is trained already")
        return 0
    for package in TRAINING_NEEDS:  # some are imported only at the end
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(name=package)
    if options.on_jax and not options.publish:
        if not processes.is_child():
            folder = entries.hidden_of(out, name)
            return launcher.launch(
                args.words, options, functools.partial(trained, recipe, seeds, folder)
            )
        from attention_zoo.recipes.engine import multiprocess

        multiprocess.train(
            args.words, recipe, seeds, args.data_dir, out, args.smoke, options
        )
        return 0
    if options.publish:
        processes.die_with_parent()
    need_tensorflow()
    from attention_zoo.recipes.engine import trainer

    given = (args.data_dir, out, args.smoke, words, options)
    print(trainer.train(recipe, seeds, *given))
    return 0


def train_command(args, options):
    """Returns the command for the card: what decides the result, and no paths."""
    words = ["attention-zoo", "train", args.recipe]
    words += data.words(args) if args.data else []
    words += ["--name", options.name] if options.name else []
    for option in ("seed", "seeds", "epochs"):
        value = getattr(args, option)
        if value not in (None, {"seed": 0, "seeds": 1}.get(option)):
            words += [f"--{option}", str(value)]
    if args.config is not None:
        words += ["--config", files.relative(args.config)]
    for assignment in args.set:
        words += ["--set", assignment]
    for flag in ("deterministic", "mixed_precision", "smoke"):
        words += [f"--{flag.replace('_', '-')}"] * getattr(args, flag)
    if args.jit is not None:
        words.append("--jit" if args.jit else "--no-jit")
    if options.distribute:
        words += ["--distribute", options.distribute]
    if options.num_processes is not None:
        words += ["--launch", str(options.num_processes)]  # whichever way it was
    for folder in ("profile", "tensorboard"):
        if getattr(args, folder):
            words += [f"--{folder}", files.relative(getattr(args, folder))]
    return shlex.join(words)


def evaluate(args):
    """Prints the test metrics of a trained model beside those of its card."""
    if args.write and not args.methods:
        raise UserError("--write is of --methods: give that too")
    entry = find(args.name)
    card = read_card(entry)
    if args.data is not None:
        return evaluate_on_own_data(entry, card, args)
    task, recipe = TASKS[card["kind"]], recipe_of(entry, card)
    need_tensorflow()
    model = task.load(entry, card)
    pipeline = task.pipeline(recipe, args.data_dir, card.get("smoke", False))
    if card.get("dataset") != pipeline.dataset:
        print(f"the card is about {card.get('dataset')}", file=sys.stderr)
    if args.methods:
        return methods.measure(entry, card, recipe, pipeline, model, args.write)
    print(f"{entry.name} on {pipeline.dataset}, {recipe.test_split}", flush=True)
    for name, value in pipeline.evaluate(model, "test").items():
        claim = card.get("metrics", {}).get(name)
        beside = "not in the card" if claim is None else f"card {claim:.4f}"
        print(f"{name}  measured {value:.4f}  {beside}")


def evaluate_on_own_data(entry, card, args):
    """Prints what a trained model makes of own data with the right answers.

    Options that are not given are those of the data that the model was trained on.
    """
    task, known = TASKS[card["kind"]], card.get("source", {}).get("options", {})
    asked = task.data_options(args)
    options = asked | known | {k: v for k, v in asked.items() if v is not None}
    request = own.Request(args.data, options=options, data_dir=args.data_dir)
    records = task.read_own(task.request_for(card, request))
    lines = task.evaluate_own(entry, card, records)
    title = given.names_of(given.file_facts(request))
    print(f"{entry.name} on {title}, {len(records.parts):,} rows", flush=True)
    for reason, count in records.dropped.items():
        if count:
            print(f"left out: {count:,} {reason}")
    for line in [*records.notes, *lines]:
        print(line)


def recipe_of(entry, card):
    """Returns the recipe of an entry, with the data that its card names."""
    if "recipe" not in card:
        raise UserError(f"the card in {entry.folder} does not name its recipe")
    settings = card.get("settings", {})
    named = {*TASKS[card["kind"]].data_settings}
    if "source" in card:
        recipe, named = data.recipe_of_card(card), {*settings}
    else:
        recipe = get_recipe(card["recipe"])
    known = recipe.settings()
    keys = named & settings.keys() & known.keys()
    try:
        values = {key: config.checked(key, settings[key], known[key]) for key in keys}
    except UserError as error:
        message = str(error).replace("--set ", "the setting ", 1)
        raise UserError(f"the card in {entry.folder}: {message}") from None
    return recipe.replace(**values)


def predict(args):
    """Prints what a trained model makes of the inputs of the command line.

    Returns 2 where an input had no prediction.
    """
    entry = find(args.name)
    card = read_card(entry)
    if args.resume and args.output is None:
        raise UserError("--resume goes on with a table: give --output FILE too")
    return TASKS[card["kind"]].predict(entry, card, args)


def explain(args):
    """Tells of the attention in the terminal and writes the picture."""
    entry, out = find(args.name), pathlib.Path(args.out)
    card = read_card(entry)
    task = TASKS[card["kind"]]
    if out.suffix.lower() != ".png":
        raise UserError(f"--out takes a file that ends in .png, received '{out}'")
    page = args.html and pathlib.Path(args.html)
    for path in filter(None, (out, page)):
        if not path.parent.is_dir():
            raise UserError(
                f"there is no folder {path.parent} to write {path.name} into"
            )
    method = "attention" if args.layer and args.method == "auto" else args.method
    try:
        check_method(method)
        inputs = task.read(entry, card, args, out)
        explanation = task.explain(task.load(entry, card), inputs, card, method)
    except MethodError as error:
        raise UserError(f"{entry.name}: {error}") from None
    layer = args.layer
    if explanation.method == "attention":
        layer = layer or explanation.default_layer
    if layer is not None and layer not in explanation.weights:
        raise unknown("attention layer", layer, explanation.weights)
    if explanation.note:
        print(explanation.note)
    task.tell(explanation, layer)
    write_picture(explanation.plot(layer), out)
    print(out)
    if page:
        try:
            explanation.save_html(page, layer)
        except OSError as error:
            raise UserError(f"cannot write {page}: {error.strerror}") from None
        print(page)


def write_picture(figure, path):
    """Writes a figure to a PNG file, whole or not at all."""
    from attention_zoo.recipes.cards import plots

    with files.replacing(path) as scratch:
        plots.save(figure, scratch)


def export(args):
    """Writes the SavedModel of an entry and prints its folder."""
    entry = find(args.name)
    out = pathlib.Path(args.out or f"saved_models/{entry.name}/saved_model")
    home, name = os.path.split(os.path.abspath(out))
    if not name:
        raise UserError(f"{out} is not a folder to write a SavedModel into")
    need_tensorflow()
    from attention_zoo.recipes.engine import publishing

    form = publishing.SAVED_MODEL
    publishing.check_target(home, name, form)
    model = entry.load()
    with publishing.publication(home, name, form) as folder:
        publishing.write_saved_model(model, folder, jit=args.jit)
    print(out)
