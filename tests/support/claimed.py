"""The committed entries, for the tests of what they claim."""

import json
import pathlib

import pytest

from attention_zoo.recipes.cards.schema import check_card
from attention_zoo.recipes.core.recipe import get_recipe, list_recipes

ENTRIES = pathlib.Path(__file__).resolve().parents[2] / "saved_models"


class Claimed:
    """One committed entry: its folder, its card and its recipe."""

    def __init__(self, name):
        self.folder = ENTRIES / name
        file = self.folder / "card.json"
        if not file.exists():
            pytest.skip(f"{name} is not committed yet")
        self.card = check_card(json.loads(file.read_text(encoding="utf-8")), file)
        self.recipe = get_recipe(name)


def names_of(*kinds):
    """Returns the names of the recipes of some kinds of task."""
    return [name for name in list_recipes() if get_recipe(name).kind in kinds]
