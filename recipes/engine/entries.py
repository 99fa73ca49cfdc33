"""The place of an entry: its name, and what stands there already. Nothing heavy."""

import json
import pathlib
import re

from attention_zoo.recipes.core.errors import UserError

PUBLISHED = "published"  # file beside the checkpoints: sha256 of the model they gave


def name_of(recipe, options):
    """Returns the name of the entry that a training publishes."""
    name = options.name
    if name is None:
        return recipe.name
    if not re.fullmatch(r"\w[\w.-]*", name) or name.endswith(".keras"):
        raise UserError(
            "--name takes letters, digits, _, - and ., it names a folder; received "
            f"'{name}'"
        )
    return name


def hidden_of(out, name):
    """Returns the folder of an entry's checkpoints, beside it."""
    return pathlib.Path(out) / f".training-{name}"


def check(out, name, recipe, options, smoke=False, command=""):
    """Raises `UserError` where a training would replace a model unasked.

    What a smoke run left is replaced, and so is, by `--resume`, what came out of the
    checkpoints that are to be resumed.

    Args:
        out: Folder of the entries.
        name: Name of the entry.
        recipe: The `Recipe`.
        options: The `Options`.
        smoke: Whether the training is a smoke run, which replaces no other.
        command: The command of the training, as its card would tell it.

    Returns:
        Whether just this training is published already, and nothing is left to do.
    """
    folder = pathlib.Path(out) / name
    card = read(folder)
    if card is None or card.get("smoke") is True:
        return False
    if smoke:
        raise UserError(
            f"{folder} holds a trained model, which --smoke does not replace: give "
            "another --out"
        )
    if options.force:
        return False
    hidden, failed = hidden_of(out, name), card.get("failed_steps")
    if options.resume or options.publish:
        if hidden.exists() and read_published(hidden) == card.get("sha256"):
            return False
        settings = json.loads(json.dumps(recipe.settings()))
        if not (hidden.exists() or failed) and (
            (card.get("command"), card.get("settings")) == (command, settings)
        ):
            return True
    raise UserError(
        f"{folder} holds a model {in_words(card, recipe)}: --name NEW trains another "
        f"beside it, --force replaces it{', --resume completes it' * bool(failed)}"
    )


def read(folder):
    """Returns the card of a folder, or None where there is no entry."""
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        return card if isinstance(card, dict) else {}
    except (FileNotFoundError, NotADirectoryError):
        return {} if (folder / "model.keras").exists() else None
    except (OSError, ValueError):
        return {}


def read_published(hidden):
    """Returns the sha256 of the model that checkpoints gave, or None."""
    try:
        return (hidden / PUBLISHED).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None


def in_words(card, recipe):
    """Returns by what training a card came about, as an error says it."""
    settings = card.get("settings")
    if not isinstance(settings, dict):
        return "of unknown settings"
    if card.get("recipe") != recipe.name:
        return f"of the recipe {card.get('recipe')}"
    now = json.loads(json.dumps(recipe.settings()))
    if settings.get("dataset") != now["dataset"]:
        return f"trained on {settings.get('dataset')}"
    return "trained with other settings" if settings != now else "trained already"
