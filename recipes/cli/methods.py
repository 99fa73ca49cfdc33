"""`attention-zoo evaluate NAME --methods`: the card's table of methods, measured again.

Nothing is trained: the table of a model from before there was one is added like this.
"""

import json
import pathlib

from attention_zoo.interpret.calls import MethodError
from attention_zoo.interpret.choice import table_of
from attention_zoo.pretrained import CARD_FILE
from attention_zoo.recipes.cards import card as cards
from attention_zoo.recipes.cards import explanations, plots
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.files import replacing, write_text


def add_arguments(command):
    """Adds the options to the parser of `evaluate`."""
    command.add_argument(
        "--methods",
        action="store_true",
        help="measures how faithful each method of explanation is, instead",
    )
    command.add_argument(
        "--write",
        action="store_true",
        help="with --methods, writes the table into the model's card",
    )


def measure(entry, card, recipe, pipeline, model, write=False):
    """Prints how faithful each method of explanation is to a trained model.

    Args:
        entry: The `Entry`.
        card: Its checked card.
        recipe: Its `Recipe`.
        pipeline: The pipeline with the data.
        model: The model.
        write: Whether card.json, README.md and attention.png are written anew.
    """
    try:
        found = explanations.report(pipeline, model)
    except MethodError as error:
        raise UserError(f"{entry.name}: {error}") from None
    if not found:
        raise UserError(
            f"{entry.name}: models of the kind {card['kind']} have one method alone"
        )
    print(f"{found['inputs']} inputs of the {found['split']} split")
    print(table_of(found["methods"], found.get("best")))
    if write:
        print(write_card(entry, card, recipe, pipeline, model, found))


def write_card(entry, card, recipe, pipeline, model, found):
    """Writes the table into an entry and returns the path of its card."""
    folder = pathlib.Path(str(entry.folder))
    raw, told = dict(entry.card), {}
    for key, value in raw.items():
        if key != "explanations":
            told[key] = value
        if key == "attention":
            told["explanations"] = found
    told.setdefault("explanations", found)
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    rendered = cards.render({**card, **told}, recipe)
    if pipeline.shows_attention and recipe.show_examples:
        inputs, _ = pipeline.examples(6)
        method = explanations.method_of(told)
        with replacing(folder / "attention.png") as scratch:
            plots.attention(scratch, model, inputs, pipeline.output_names, method)
    for name, content in (("README.md", rendered), (CARD_FILE, text)):
        write_text(folder / name, content)
    return folder / CARD_FILE
