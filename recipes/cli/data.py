"""The options by which `train` takes own data, and the recipe that they make."""

import argparse
import dataclasses
import pathlib

from attention_zoo.pretrained import find
from attention_zoo.recipes.core.config import checked
from attention_zoo.recipes.core.errors import UserError, unknown
from attention_zoo.recipes.core.files import relative
from attention_zoo.recipes.core.recipe import get_recipe, list_recipes
from attention_zoo.recipes.datasets import own
from attention_zoo.recipes.tasks import TASKS


def add_arguments(command):
    """Adds the options of own data to a parser: the common ones, then each kind's."""
    add = command.add_argument
    add(
        "--data",
        nargs="+",
        metavar="FILE",
        help="trains on your own files, folders or patterns, or on tfds:NAME; RECIPE "
        "may be the name of a model then",
    )
    add("--validation", nargs="+", metavar="FILE", help="your own validation split")
    add("--test", nargs="+", metavar="FILE", help="your own test split")
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
    add(
        "--split-seed",
        type=int,
        metavar="N",
        help="which rows are held out where no split is given (default: 0)",
    )
    add("--delimiter", metavar="SIGN", help="between the columns of a CSV file")
    add("--encoding", metavar="NAME", help="of a CSV file (default: utf-8)")
    add(
        "--show-examples",
        action="store_true",
        help="lets pictures show examples of your data, which may be private",
    )
    for task in TASKS.values():
        task.add_data_arguments(command)


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
            option = given[0].replace("_", "-")
            raise UserError(f"--{option} is of own data: give --data FILE too")
        return named_recipe(args.recipe)
    if args.smoke:
        raise UserError("--smoke trains on generated examples: leave out --data")
    task, base = task_and_recipe(args.recipe)
    request = own.Request(
        data=args.data,
        validation=args.validation or (),
        test=args.test or (),
        split_seed=args.split_seed or 0,
        options=task.data_options(args),
    )
    found = own.prepare(task, request, args.data_dir)
    return on_own_data(task, base, args.recipe, found, args.show_examples)


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


def on_own_data(task, base, model, found, show_examples=False):
    """Returns a `Recipe` on own data.

    Args:
        task: The `Task`.
        base: The recipe whose settings are taken, or None for those that follow the
            data.
        model: Name of the model, where there is no recipe.
        found: The `OwnData`.
        show_examples: Whether examples may be in pictures.
    """
    if base is None:
        recipe = task.recipe_for(model, found.facts)
    else:
        recipe = task.adapted(base, found.facts)
    recipe = dataclasses.replace(
        recipe,
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


def words(args):
    """Returns the words of the command for the card: no folders of this machine."""
    told = []
    for option in ("data", "validation", "test"):
        if getattr(args, option):
            told += [f"--{option}", *map(relative, getattr(args, option))]
    options = [*TASKS[task_and_recipe(args.recipe)[0].kind].data_options(args)]
    for option in dict.fromkeys([*options, "split_seed"]):
        value = getattr(args, option, None)
        if value is not None:
            told += [f"--{option.replace('_', '-')}", str(value)]
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
    task, base = task_and_recipe(model)
    args = parsed([])
    for key in columns:
        if key not in vars(args):
            raise unknown("argument of train", key, vars(args))
    vars(args).update(columns)
    request = own.Request(
        **given, split_seed=args.split_seed or 0, options=task.data_options(args)
    )
    found = own.prepare(task, request, where["data_dir"])
    recipe = on_own_data(task, base, model, found, show_examples)
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
