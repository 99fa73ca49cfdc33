"""The options by which `train` takes own data, and the recipe that they make."""

import argparse
import dataclasses
import inspect
import pathlib

from attention_zoo.pretrained import find
from attention_zoo.recipes.cards.schema import read_card
from attention_zoo.recipes.core.config import checked
from attention_zoo.recipes.core.errors import UserError, unknown
from attention_zoo.recipes.core.files import relative
from attention_zoo.recipes.core.recipe import get_recipe, list_recipes
from attention_zoo.recipes.datasets import own
from attention_zoo.recipes.tasks import TASKS
from attention_zoo.registry import get_builder


def add_arguments(command):
    """Adds the options of own data to a parser: the common ones, then each kind's."""
    add = command.add_argument
    add_reading_arguments(
        command,
        "trains on your own files, folders or patterns, or on tfds:NAME; RECIPE may be "
        "the name of a model then",
    )
    add("--validation", nargs="+", metavar="FILE", help="your own validation split")
    add("--test", nargs="+", metavar="FILE", help="your own test split")
    add(
        "--split-seed",
        type=int,
        metavar="N",
        help="which rows are held out where no split is given (default: 0)",
    )
    add(
        "--show-examples",
        action="store_true",
        help="lets pictures show examples of your data, which may be private",
    )
    add_training_arguments(command)


def add_reading_arguments(command, text):
    """Adds the options that say how own data are read.

    Args:
        command: The parser.
        text: What `--data` is for.
    """
    add = command.add_argument
    add("--data", nargs="+", metavar="FILE", help=text)
    add("--label", metavar="COLUMN", help="the column of the classes")
    add(
        "--target",
        metavar="COLUMN",
        help="the column of the translations; of a series, what is forecast, e.g. "
        "OT,HUFL (default: all columns of numbers)",
    )
    add(
        "--split",
        metavar="COLUMN",
        help="the column that says train, validation or test (default: `split`)",
    )
    add("--delimiter", metavar="SIGN", help="between the columns of a CSV file")
    add("--encoding", metavar="NAME", help="of a CSV file (default: utf-8)")
    for task in TASKS.values():
        task.add_data_arguments(command)


def add_training_arguments(command):
    """Adds the options that decide how a model is trained on own data."""
    add = command.add_argument
    add(
        "--from",
        dest="start",
        metavar="ENTRY",
        help="starts from the weights of a trained model, whose head is replaced; "
        "RECIPE may be left out",
    )
    add(
        "--freeze",
        type=int,
        metavar="N",
        help="with --from: for N epochs the head alone is trained (default: 0)",
    )
    add(
        "--class-weight",
        choices=("balanced",),
        help="rare classes count as much as frequent ones",
    )


def parsed(words):
    """Returns the options of own data in words, parsed by themselves."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def recipe_of(args):
    """Returns the `Recipe` that the arguments name, on own data if they give some."""
    if args.data is None:
        unset = {**vars(parsed([]))}
        given = [o for o in unset if getattr(args, o) != unset[o]]
        if given:
            option = option_of(given[0])
            raise UserError(f"--{option} is of own data: give --data FILE too")
        return named_recipe(args.recipe)
    if args.smoke:
        raise UserError("--smoke trains on generated examples: leave out --data")
    task, base = task_and_recipe(args.recipe)
    more = training_options(args, task)
    request = own.Request(
        data=args.data,
        validation=args.validation or (),
        test=args.test or (),
        split_seed=args.split_seed or 0,
        options=task.data_options(args),
    )
    found = own.prepare(task, request, args.data_dir)
    return on_own_data(task, base, args.recipe, found, more, args.show_examples)


def name_model(args):
    """Fills in the model that `--from` names, where there is no recipe.

    Raises:
        UserError: Where neither is given, or both are of different models.
    """
    if args.start is None:
        if args.recipe is None:
            raise UserError(
                "the following argument is required: RECIPE, the name of a recipe or "
                "of a model"
            )
        return
    model = read_card(find(args.start)).get("model")
    if args.recipe is None:
        args.recipe = model
    _, recipe = task_and_recipe(args.recipe)
    wanted = recipe.model if recipe else args.recipe
    if wanted != model:
        raise UserError(f"--from {args.start} is a model {model}, not {wanted}")


def training_options(args, task):
    """Returns the dict of the options given that decide how a model is trained."""
    given = {k: getattr(args, k) for k in ("start", "freeze", "class_weight")}
    given = {key: value for key, value in given.items() if value is not None}
    for key in given:
        if key not in task.training_options:
            raise UserError(f"models of the kind {task.kind} take no {option_of(key)}")
    if "freeze" in given and ("start" not in given or given["freeze"] < 0):
        raise UserError(
            "--freeze takes a number of epochs and needs --from ENTRY, received "
            f"{given['freeze']}{'' if 'start' in given else ' without it'}"
        )
    return given


def option_of(key):
    """Returns the option that sets an argument."""
    return "from" if key == "start" else key.replace("_", "-")


def named_recipe(name):
    """Returns the recipe of a name, or says what to do with that of a model."""
    task = next((task for task in TASKS.values() if name in task.models), None)
    if name in list_recipes() or task is None:
        return get_recipe(name)
    recipes = [r for r in list_recipes() if get_recipe(r).model == name]
    raise UserError(
        f"{name} is a model: give it --data FILE, or train one of its recipes: "
        f"{', '.join(recipes)}"
    )


def task_and_recipe(name):
    """Returns the `Task` of a model or of a recipe, and the recipe or None."""
    for task in TASKS.values():
        if name in task.models:
            return task, None
    if name in list_recipes():
        recipe = get_recipe(name)
        return recipe.task, recipe
    models = {model for task in TASKS.values() for model in task.models}
    raise unknown("model or recipe", name, {*models, *list_recipes()})


def on_own_data(task, base, model, found, more=(), show_examples=False):
    """Returns a `Recipe` on own data.

    Args:
        task: The `Task`.
        base: The recipe whose settings are taken, or None for those that follow the
            data.
        model: Name of the model, where there is no recipe.
        found: The `OwnData`.
        more: Dict of `training_options`.
        show_examples: Whether examples may be in pictures.
    """
    if base is None:
        recipe = task.recipe_for(model, found.facts)
    else:
        recipe = task.adapted(base, found.facts)
    more = dict(more)
    if "start" in more:
        recipe = like_entry(recipe, read_card(find(more["start"])))
    recipe = dataclasses.replace(
        recipe,
        pipeline=recipe.pipeline | more,
        name=found.title,
        dataset=found.name,
        train_split="train",
        validation_split="validation",
        test_split="test",
        expected={},
        synthetic=False,
        show_examples=show_examples or not found.private,
    )
    if base is None:
        told = ", ".join(f"{k} {v}" for k, v in chosen(recipe).items())
        print(f"settings that follow the data: {told}", flush=True)
    return recipe


def like_entry(recipe, card):
    """Returns a recipe whose model has the arguments of a trained one."""
    settings, known = card.get("settings", {}), recipe.settings()
    builder = inspect.signature(get_builder(recipe.model)).parameters
    config = {k: v for k, v in settings.items() if k in builder}
    kept = {k: settings[k] for k in {"vocabulary_size"} & settings.keys() & {*known}}
    pipeline = recipe.pipeline | kept
    for key in kept:
        config.pop(key, None)
    return dataclasses.replace(
        recipe, config={**recipe.config, **config}, pipeline=pipeline
    )


def chosen(recipe):
    """Returns the settings that people ask for first."""
    names = (*recipe.pipeline, "units", "batch_size", "epochs", "learning_rate")
    settings = recipe.settings()
    return {name: settings[name] for name in names if name in settings}


def recipe_of_card(card):
    """Returns the recipe of an entry on own data, without its settings."""
    task = TASKS[card["kind"]]
    base = None if card["model"] in task.models else get_recipe(card["recipe"])
    recipe = base or task.recipe_for(card["model"], {})
    return dataclasses.replace(recipe, name=card["recipe"], synthetic=False)


def words(args, tell=relative):
    """Returns the options of own data: for the card without folders of this machine.

    Args:
        args: The parsed arguments.
        tell: Function from a path to what is told of it.
    """
    told = []
    for option in ("data", "validation", "test"):
        if getattr(args, option):
            told += [f"--{option}", *map(tell, getattr(args, option))]
    options = [*TASKS[task_and_recipe(args.recipe)[0].kind].data_options(args)]
    for option in dict.fromkeys([*options, "split_seed"]):
        value = getattr(args, option, None)
        if value is not None:
            values = value if isinstance(value, (list, tuple)) else [value]
            told += [f"--{option.replace('_', '-')}"]
            told += [str(v) for v in values if v is not True]  # a flag has no value
    for key in ("start", "freeze", "class_weight"):
        if getattr(args, key) is not None:
            told += [f"--{option_of(key)}", tell(str(getattr(args, key)))]
    return told + ["--show-examples"] * args.show_examples


def train(model, given, columns, settings, show_examples, seeds, where, options):
    """Trains on own data and returns the entry: see `attention_zoo.recipes.train`.

    Args:
        model: Name of a model or of a recipe.
        given: Dict of `data`, `validation` and `test`.
        columns: Dict of what the options of own data say, e.g. `text`.
        settings: Dict of the settings to change.
        show_examples: Whether examples may be in pictures.
        seeds: Sequence of integers.
        where: Dict of `data_dir` and `out`.
        options: Dict of fields of `Options`.
    """
    from attention_zoo.recipes.engine import entries, trainer
    from attention_zoo.recipes.engine.execution import Options

    options = Options(**options)
    args = parsed([])
    for key in columns:
        if key not in vars(args):
            raise unknown("argument of train", key, vars(args))
    vars(args).update(columns, recipe=model)
    name_model(args)
    task, base = task_and_recipe(args.recipe)
    request = own.Request(
        **given, split_seed=args.split_seed or 0, options=task.data_options(args)
    )
    found = own.prepare(task, request, where["data_dir"])
    more = training_options(args, task)
    recipe = on_own_data(task, base, args.recipe, found, more, show_examples)
    now = recipe.settings()
    for key in settings:
        if key not in now:
            raise unknown("setting", key, now)
    values = {key: checked(key, value, now[key]) for key, value in settings.items()}
    recipe = recipe.replace(**values) if values else recipe
    name, told = entries.name_of(recipe, options), f"recipes.train({model!r}, ...)"
    if not entries.check(where["out"], name, recipe, options, command=told):
        trainer.train(recipe, seeds, **where, command=told, options=options)
    return find(pathlib.Path(where["out"]) / name)
