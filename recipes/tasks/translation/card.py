"""The parts of a model card that a translator has in another form than a classifier."""

from attention_zoo.recipes.cards import figures as _figures
from attention_zoo.recipes.tasks.translation import scores as _scores

NAMES = {"bleu": "BLEU", "chrf": "chrF", "exact_match": "exact match"}


def introduction(card):
    """Returns what the model takes and gives."""
    source, target = card["languages"]
    return [
        f"The model `{card['model']}` trained on `{card['dataset']}`, from `{source}` "
        f"to `{target}`: raw sentences in, raw sentences out, beam search included. "
        "The subwords are in the graph, which needs nothing but plain TensorFlow. "
        f"{card['parameters']:,} parameters, {card['model_file_mb']} MB.",
        "",
    ]


def results(card):
    """Returns the tables of scores, and of BLEU by the source's length."""
    main = [key for key in NAMES if f"{key}_mean" in card]
    apart = card["settings"].get("apart_split")
    if apart:
        main.append(f"{card['metric']}_{apart}")
    titles = [name_of(key) for key in main]
    lines = [f"## Scores on `{card['settings']['test_split']}`", ""]
    lines += _table(card, main, titles)
    lines += [*winners(card), selection(card), ""]
    lines += [f"`{signature}`" + "\n" for signature in card["signatures"]]
    lengths = [f"bleu_{name}" for name in _scores.group_names()]
    if "bleu_mean" in card:
        names = [key[5:].replace("_up", " on").replace("_", " to ") for key in lengths]
        lines += ["BLEU by the length of the source, in words:", ""]
        lines += _table(card, lengths, names)
    return lines


def name_of(key):
    """Returns a metric's name for people."""
    known = next((k for k in NAMES if key == k or key.startswith(f"{k}_")), key)
    rest = key[len(known) + 1 :].replace("_", " ")
    return NAMES.get(known, known) + (f", {rest}" if rest else "")


def _table(card, keys, titles):
    lines = [f"| | {' | '.join(titles)} |", f"| --- |{' --- |' * len(keys)}"]
    for name, row in {card["model"]: card, **card["baselines"]}.items():
        cells = [figure(row, key) for key in keys]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return [*lines, ""]


def figure(row, key):
    """Returns one figure of a card or of one of its baselines, or nothing."""
    if row.get(f"{key}_mean", row.get(key)) is None:
        return ""
    return _figures.figure(row, key, 4 if key.startswith("exact_match") else 1)


def winners(card):
    """Returns which baselines score higher than the model."""
    key = card["metric"]
    better = [
        f"`{name}` ({figure(row, key)})"
        for name, row in card["baselines"].items()
        if row.get(f"{key}_mean", row.get(key)) > card[f"{key}_mean"]
    ]
    if not better:
        return []
    return [f"**Better than the model: {', '.join(better)}.**", ""]


def selection(card):
    """Returns how the published model was picked, and what the baselines are."""
    seed, key = card["published_seed"], card["metric"]
    if len(card["seeds"]) > 1:
        text = (
            f"Means over {len(card['seeds'])} seeds with their standard deviation; "
            f"`model.keras` is seed {seed}, the best on validation: "
            f"{name_of(key)} {figure(card['metrics'], key)}. Epoch and seed were "
            "picked on validation, test was measured at the end."
        )
    else:
        text = (
            f"One seed was trained, {seed}; how far others would lie from it was not "
            "measured. The epoch was picked on validation, test was measured at the "
            "end."
        )
    text += f" All models search with a beam of {card['settings']['beam_size']}."
    if "no_attention" in card["baselines"]:
        text += (
            " `no attention` is the same model without attention: its decoder has the "
            "encoder's last states alone."
        )
    return text + (
        " `nearest neighbour` gives the translation of the most similar training "
        "sentence, `copy` the source itself."
    )


def use(card):
    """Returns how to call the model."""
    name, example = card["recipe"], card["example"]
    return [
        "## Use",
        "",
        "```python",
        "import attention_zoo",
        "import keras",
        "",
        f'model = keras.models.load_model("saved_models/{name}/model.keras")',
        f'model(keras.ops.convert_to_tensor(["{example}"]))',
        "```",
        "",
        "```",
        f'attention-zoo translate {name} "{example}"',
        f'attention-zoo explain {name} "{example}"',
        f"attention-zoo export {name}    # a SavedModel for plain TensorFlow",
        card["command"] + "    # trains it again",
        "```",
        "",
    ]


def figures(card):
    """Returns the pictures."""
    lines = ["## Pictures", ""]
    if "bleu_mean" in card:
        lines += ["![BLEU by the length of the source](lengths.png)", ""]
    lines += ["![Loss and accuracy of tokens by epoch](curves.png)", ""]
    return [*lines, "![Test sentences and their alignments](attention.png)", ""]
