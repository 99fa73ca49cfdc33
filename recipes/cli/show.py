"""`attention-zoo list` and `show`: nothing heavy is imported for them."""

import csv
import fnmatch
import inspect
import itertools
import json
import re
import sys

import attention_zoo
from attention_zoo import layers
from attention_zoo.layers.registry import FAMILIES, attention_class
from attention_zoo.pretrained import PretrainedError, find
from attention_zoo.recipes.cards.schema import read_card
from attention_zoo.recipes.core.errors import UserError, unknown
from attention_zoo.recipes.core.recipe import describe, get_recipe, list_recipes
from attention_zoo.registry import get_builder


def list_all(args):
    """Prints the names that match a pattern, a line of text beside each."""
    known = layers_by_family() if args.layers else names_by_kind()
    rows = [
        {"name": name, "kind": kind, "description": described[name]()}
        for kind, described in known.items()
        for name in fnmatch.filter(described, args.pattern)
    ]
    if not rows:
        names = [name for described in known.values() for name in described]
        raise unknown("layer" if args.layers else "name", args.pattern, {*names})
    if args.json and args.csv:
        raise UserError("--json and --csv exclude each other")
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif args.csv:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        print_rows(rows)


def print_rows(rows):
    """Prints names and descriptions under a heading for each kind."""
    for kind, found in itertools.groupby(rows, key=lambda row: row["kind"]):
        group = list(found)
        print(kind if group[0] is rows[0] else f"\n{kind}")
        width = max(len(row["name"]) for row in group)
        for row in group:
            print(f"  {row['name']:{width}}  {row['description']}".rstrip())


def names_by_kind():
    """Returns `{kind: {name: function that describes it}}` of what is not a layer."""
    return {
        "models": {
            name: lambda name=name: summary(get_builder(name))
            for name in attention_zoo.list_models()
        },
        "recipes": {
            name: lambda name=name: first_line(describe(name))
            for name in list_recipes()
        },
        "trained models": {
            name: lambda name=name: "; ".join(card_lines(name)[:2])
            for name in attention_zoo.list_pretrained()
        },
    }


def layers_by_family():
    """Returns `{family: {name: function that describes it}}` of the layers."""
    return {
        family: {
            name: lambda name=name: summary(attention_class(name))
            for name in layers.list_attentions(family=family)
        }
        for family in FAMILIES
    }


def show(args):
    """Prints what is known of a name, be it one kind of thing or several."""
    sections = [
        lines
        for describe in (show_model, show_recipe, show_trained, show_layer)
        if (lines := describe(args.name)) is not None
    ]
    if not sections:
        by_kind = (*names_by_kind().values(), layers_by_class())
        raise unknown("name", args.name, {name for names in by_kind for name in names})
    print("\n\n".join("\n".join(lines) for lines in sections))


def show_model(name):
    """Returns lines on a model of the zoo: signature, summary, arguments."""
    if name not in attention_zoo.list_models():
        return None
    builder = get_builder(name)
    text = inspect.getdoc(builder) or ""
    arguments = re.search(r"^Args:\n.*?(?=^\S|\Z)", text, re.DOTALL | re.MULTILINE)
    return [
        f"model {name}{inspect.signature(builder)}",
        "",
        summary(builder),
        "",
        arguments[0].rstrip() if arguments else "",
    ]


def show_recipe(name):
    """Returns lines on a recipe: what is known of it, model, data, settings."""
    if name not in list_recipes():
        return None
    recipe = get_recipe(name)
    settings = recipe.settings()
    width = max(map(len, settings))
    return [
        f"recipe {name}: {recipe.model} on {recipe.dataset}",
        "",
        describe(name).rstrip(),
        "",
        "Settings (train --set KEY=VALUE):",
        *(f"    {key:{width}}  {value}" for key, value in settings.items()),
    ]


def show_trained(name):
    """Returns lines on a trained model, by its name or its folder."""
    try:
        entry = find(name)
    except PretrainedError:
        return None
    return [f"trained model {entry.name} in {entry.folder}", ""] + [
        f"    {line}" for line in card_lines(name)
    ]


def card_lines(name):
    """Returns the main facts of an entry's card, one a line; score and data first."""
    try:
        card = read_card(find(name), need_kind=False)
    except (PretrainedError, UserError) as error:
        return [f"unusable: {error}"]
    lines, metrics = [], card.get("metrics", {})
    if metrics:
        lines.append(f"test {_figures(metrics)}")
    if "dataset" in card:
        smoke = ", a smoke run: the figures mean nothing" if card.get("smoke") else ""
        lines.append(f"{card['dataset']}{smoke}")
    if len(card.get("seeds", [])) > 1:
        lines.append(f"{_scores(card, metrics)} over {len(card['seeds'])} seeds")
    for baseline, row in card.get("baselines", {}).items():
        lines.append(f"beside it: {baseline}, {_scores(row, metrics)}")
    for step, why in card.get("failed_steps", {}).items():
        lines.append(f"failed after the training: {step} ({why})")
    for key, form in {
        "parameters": "{:,} parameters",
        "model_file_mb": "{} MB",
        "single_prediction_ms": "{} ms for one prediction",
        "data_license": "license of the data: {}",
        "date": "trained on {}",
        "command": "{}",
    }.items():
        if key in card:
            lines.append(form.format(card[key]))
    return lines


def _scores(row, metrics):
    """Returns each mean with its spread, or the plain metrics of one measurement."""
    means = {key: value for key, value in row.items() if key.endswith("_mean")}
    if not means:
        return _figures({k: v for k, v in row.items() if k in metrics})
    texts = []
    for key, value in means.items():
        name = key.removesuffix("_mean")
        spread = row.get(f"{name}_std")
        texts.append(f"{name} {value:.4f}" + (f" ± {spread:.4f}" if spread else ""))
    return ", ".join(texts)


def _figures(metrics):
    return ", ".join(f"{key} {value:.4f}" for key, value in metrics.items())


def show_layer(name):
    """Returns lines on an attention layer, by its factory name or its class."""
    known = layers_by_class()
    if name not in known:
        return None
    cls = known[name]
    signature = str(inspect.signature(cls.__init__)).replace("(self, ", "(", 1)
    return [f"layer {cls.__name__}{signature}", "", inspect.getdoc(cls) or ""]


def layers_by_class():
    """Returns `{name: class}` of the layers, under both of their names."""
    names = layers.list_attentions()
    classes = {name: attention_class(name) for name in names}
    return {**{cls.__name__: cls for cls in classes.values()}, **classes}


def summary(documented):
    """Returns the first line of a docstring, without its full stop."""
    return first_line(inspect.getdoc(documented) or "")


def first_line(text):
    """Returns the first line of a text, without its full stop."""
    return text.partition("\n")[0].rstrip(".")
