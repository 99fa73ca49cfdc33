"""`--config FILE`: the settings of a recipe from a JSON file."""

import json
import pathlib

from attention_zoo.recipes.core.errors import UserError, one_line, unknown
from attention_zoo.recipes.core.recipe import parse_value


def read_config(recipe, path):
    """Returns a recipe with the settings of a file applied.

    Args:
        recipe: The `Recipe`.
        path: A JSON file with one object from settings to values, as `tune` writes
            it. Its key `"recipe"`, if there, must name this recipe.
    """
    values = read_object(path)
    owner = values.pop("recipe", recipe.name)
    if owner != recipe.name:
        raise UserError(f"{path} is for the recipe {owner}, not for {recipe.name}")
    known, changes = recipe.settings(), {}
    for key, value in values.items():
        if key not in known:
            raise unknown(f"setting in {path}", key, known)
        try:
            changes[key] = checked(key, value, known[key])
        except UserError as error:
            message = str(error).replace("--set ", "setting ", 1)
            raise UserError(f"{path}: {message}") from None
    return recipe.replace(**changes) if changes else recipe


def read_object(path):
    """Returns the dict that a JSON file holds."""
    try:
        values = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {one_line(error)}") from None
    if not isinstance(values, dict):
        raise UserError(
            f"{path} must hold one JSON object, from settings to values, received "
            f"{one_line(repr(values), 60)}"
        )
    return values


def checked(key, value, current):
    """Returns a JSON value with the type of a setting, as `--set` checks it."""
    if isinstance(current, str) and not isinstance(value, str) and key != "attention":
        raise UserError(f"--set {key} takes a text (now {current}), received {value}")
    if value is None:
        return parse_value(key, "none", current)
    if isinstance(value, str):
        takes_text = key == "attention" or isinstance(current, str)
        return parse_value(key, value if takes_text else repr(value), current)
    return parse_value(key, repr(_tuples(value)), current)


def _tuples(value):
    """Returns a value with its lists as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
