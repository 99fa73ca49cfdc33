"""The form of card.json, checked once when a card is read."""

import json

from attention_zoo.recipes.core.errors import UserError, one_line, unknown
from attention_zoo.recipes.core.recipe import get_recipe, list_recipes
from attention_zoo.recipes.tasks import TASKS

# A form is a type; `float` takes integers too. `[form]` is a list, a tuple a list of
# just these, `{str: form}` an object of any keys, and any other dict one of known
# fields, of which some may be missing.
FIELDS = {
    "name": str,
    "recipe": str,
    "kind": str,
    "model": str,
    "dataset": str,
    "source": {},
    "data_license": str,
    "smoke": bool,
    "seeds": [{str: float}],
    "published_seed": int,
    "metrics": {str: float},
    "baselines": {str: {}},
    "attention": {},
    "explanations": {
        "split": str,
        "inputs": int,
        "best": str,
        "methods": {str: {str: float}},
    },
    "parameters": int,
    "settings": {},
    "execution": {},
    "command": str,
    "sha256": str,
    "model_file_mb": float,
    "seconds": {str: float},
    "peak_memory_mb": {str: float},
    "single_prediction_ms": float,
    "hardware": {},
    "versions": {str: str},
    "date": str,
    "failed_steps": {str: str},
}
ENDS = ("", "_mean", "_std")
NAMES = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def read_card(entry, need_kind=True):
    """Returns the checked card of an `Entry`, with its `kind`.

    Args:
        entry: The `Entry`.
        need_kind: Whether a card of no known kind is refused.

    Raises:
        UserError: One line that names the field that is wrong.
    """
    place = entry.folder / "card.json"
    return check_card(entry.card, place, need_kind)


def check_card(card, place, need_kind=True):
    """Returns a card with its `kind`, or raises `UserError` for a wrong field.

    Args:
        card: The parsed card.
        place: What the error names, the path of the file.
        need_kind: Whether a card of no known kind, or without what the kind needs, is
            refused.
    """
    refuse(place, find_fault(card, FIELDS))
    metrics = {f"{k}{end}": float for k in card.get("metrics", {}) for end in ENDS}
    refuse(place, find_fault(card, {**metrics, "baselines": {str: metrics}}))
    card = {**card, "kind": card["kind"] if "kind" in card else derived_kind(card)}
    if card["kind"] in TASKS:
        task = TASKS[card["kind"]]
        refuse(place, find_fault(card, task.facts))
        missing = [key for key in task.needs if key not in card]
    else:
        missing = ["kind"]
    if need_kind and card["kind"] is not None and card["kind"] not in TASKS:
        raise UserError(f"{place}: {unknown('kind', card['kind'], TASKS)}")
    if need_kind and missing:
        raise UserError(f"{place}: the field {missing[0]} is missing")
    return card


def derived_kind(card):
    """Returns the kind of a card from before cards named it, or None.

    It is the kind of most of whose own fields the card has, or that of its recipe.
    """
    always = {task: task.facts.keys() - {*task.later} for task in TASKS.values()}
    fitting = [task for task, facts in always.items() if facts and facts <= card.keys()]
    if fitting:
        return max(fitting, key=lambda task: len(task.facts)).kind
    recipe = card.get("recipe")
    return get_recipe(recipe).kind if recipe in list_recipes() else None


def refuse(place, fault):
    """Raises `UserError` for what `find_fault` found, if anything."""
    if fault:
        name, value, form = fault
        raise UserError(
            f"{place}: the field {name} must be {in_words(form)}, received "
            f"{one_line(json.dumps(value), 60)}"
        )


def find_fault(value, form, name=""):
    """Returns name, value and form of the first field of another form, or None."""
    if isinstance(form, dict) and isinstance(value, dict):
        keys = value if str in form else [key for key in form if key in value]
        parts = [(value[k], form[str] if str in form else form[k], k) for k in keys]
    elif isinstance(form, list) and isinstance(value, list):
        parts = [(v, form[0], i) for i, v in enumerate(value)]
    elif isinstance(form, tuple) and isinstance(value, list):
        parts = [(v, f, i) for i, (v, f) in enumerate(zip(value, form, strict=False))]
        if len(value) != len(form):
            return name, value, form
    elif is_of(value, form):
        parts = []
    else:
        return name, value, form
    inner = (find_fault(v, f, f"{name}.{k}".lstrip(".")) for v, f, k in parts)
    return next(filter(None, inner), None)


def is_of(value, form):
    """Returns whether a value is of a type; an integer is a number too."""
    if isinstance(value, bool) or not isinstance(form, type):
        return isinstance(value, bool) and form is bool
    return isinstance(value, (int, float) if form is float else form)


def in_words(form):
    """Returns a form in words."""
    if isinstance(form, (list, tuple)):
        count = f" of {len(form)}" if isinstance(form, tuple) else ""
        return f"a list{count}, each of it {in_words(form[0])}"
    return "an object" if isinstance(form, dict) else NAMES[form]
