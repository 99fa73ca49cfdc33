"""card.json, and the model card README.md that is rendered from it."""

import datetime
import hashlib
import importlib.metadata
import importlib.resources
import json
import os
import platform
import subprocess
import sys
import tempfile

import numpy as np

from attention_zoo.recipes.cards.measure import peak_memory_mb
from attention_zoo.recipes.tasks.images import card as _card_images
from attention_zoo.recipes.tasks.series import card as _card_series
from attention_zoo.recipes.tasks.translation import card as _card_translation

__all__ = ["measurements", "over_seeds", "peak_memory_mb", "render", "write"]

OTHER_KINDS = {"series": _card_series, "translation": _card_translation}
PACKAGES = ("attention-zoo", "keras", "tensorflow", "tensorflow-datasets", "numpy")


def over_seeds(runs):
    """Returns mean, sample standard deviation and each seed's figures.

    Args:
        runs: List of `Run`s with their test metrics.
    """
    result: dict = {"seeds": [run.summary() for run in runs]}
    for key in runs[0].test:
        values = [run.test[key] for run in runs]
        result[f"{key}_mean"] = float(np.mean(values))
        if len(values) > 1:
            result[f"{key}_std"] = float(np.std(values, ddof=1))
    return result


def measurements(folder, example, training_memory):
    """Returns what the card says about files, time, memory and the machine.

    Args:
        folder: The entry, with both models written.
        example: A batch of one raw input.
        training_memory: Peak memory of the training process in MB.
    """
    content = (folder / "model.keras").read_bytes()
    prediction = measure_prediction(folder / "saved_model", example)
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "model_file_mb": round(len(content) / 1e6, 2),
        "seconds": {},
        "peak_memory_mb": {
            "training": training_memory,
            "single_prediction": prediction["peak_memory_mb"],
        },
        "single_prediction_ms": prediction["ms"],
        "hardware": hardware(),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def measure_prediction(saved_model, example):
    """Returns time and peak memory of one prediction, in a fresh process."""
    script = importlib.resources.files("attention_zoo.recipes.cards") / "measure.py"
    with (
        tempfile.TemporaryDirectory() as scratch,
        importlib.resources.as_file(script) as program,
    ):
        file = os.path.join(scratch, "example.npy")
        np.save(file, np.array([_plain(value) for value in example]))
        done = subprocess.run(
            [sys.executable, "-P", str(program), str(saved_model), file],
            check=True,
            capture_output=True,
            text=True,
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def _plain(value):
    return value.encode() if isinstance(value, str) else value


def hardware():
    """Returns processor, cores and memory, as far as the system tells."""
    processor = platform.processor() or platform.machine()
    memory = None
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":")[1] for line in file if line.startswith("model name")
            ]
        processor = names[0].strip() if names else processor
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        memory = round(pages * size / 1024**3)
    cores = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count()
    )
    return {"processor": processor, "cores": cores, "memory_gb": memory}


def versions():
    """Returns the versions of Python and of the packages that matter."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write(folder, card, recipe):
    """Writes card.json and README.md."""
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (folder / "card.json").write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(render(card, recipe), encoding="utf-8")


def render(card, recipe):
    """Returns the model card as Markdown."""
    introduction, results, use, figures = _introduction, _results, _use, _figures
    if recipe.kind in OTHER_KINDS:
        own = OTHER_KINDS[recipe.kind]
        introduction, results = own.introduction, own.results
        use, figures = own.use, own.figures
    elif recipe.kind == "images":
        use, figures = _card_images.use, _card_images.figures
    return "\n".join(
        [
            f"# {card['recipe']}",
            "",
            *introduction(card),
            *_warnings(card, recipe),
            *results(card),
            *use(card),
            *_cost(card),
            *figures(card),
        ]
    )


def _introduction(card):
    return [
        f"The model `{card['model']}` trained on `{card['dataset']}`: raw inputs in, "
        f"probabilities of {', '.join(card['classes'])} out. "
        f"{card['parameters']:,} parameters, {card['model_file_mb']} MB.",
        "",
    ]


def _warnings(card, recipe):
    lines = []
    if card["smoke"]:
        lines += [
            "**A smoke run on a handful of examples: the figures mean nothing.**",
            "",
        ]
    if recipe.synthetic:
        lines += [
            f"**{recipe.dataset} is synthetic**, generated text: the figures say what "
            "the model can learn, not how it does on real text.",
            "",
        ]
    return lines


def _results(card):
    several = len(card["seeds"]) > 1
    lines = ["## Test accuracy", ""]
    if several:
        lines += ["| | mean | spread | seeds |", "| --- | --- | --- | --- |"]
    else:
        lines += ["| | accuracy |", "| --- | --- |"]
    for name, row in {card["model"]: card, **card["baselines"]}.items():
        cells = [name, f"{row.get('accuracy_mean', row.get('accuracy')):.4f}"]
        if several:
            cells.append(f"{row['accuracy_std']:.4f}" if "accuracy_std" in row else "")
            seeds = [f"{run['accuracy']:.4f}" for run in row.get("seeds", [])]
            cells.append(", ".join(seeds))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_winners(card), _selection(card, several), ""]
    if "image_shape" in card:
        return [*lines, *_card_images.correlation(card)]
    return [*lines, *_marked(card["attention"]), *_correlation(card["attention"])]


def _winners(card):
    """Returns which baselines are more accurate than the model."""
    own = card["accuracy_mean"]
    accuracy = {
        name: row.get("accuracy_mean", row.get("accuracy"))
        for name, row in card["baselines"].items()
    }
    better = [f"`{n}` ({a:.4f})" for n, a in accuracy.items() if a > own]
    if not better:
        return []
    return [f"**More accurate than the model ({own:.4f}): {', '.join(better)}.**", ""]


def _selection(card, several):
    """Returns how the published model was picked, and what the twin is."""
    seed = card["published_seed"]
    if several:
        published = (
            f"`model.keras` is seed {seed}, the best on validation: test accuracy "
            f"{card['metrics']['accuracy']:.4f}. Epoch and seed were picked on "
            "validation, the test split was measured at the end. The spread is the "
            "standard deviation over seeds."
        )
    else:
        published = (
            f"One seed was trained, {seed}; how far others would lie from it was not "
            "measured. The epoch was picked on validation, the test split was "
            "measured at the end."
        )
    if "no_attention" in card["baselines"]:
        twin = "with the mean over the words in place of attention"
        if "image_shape" in card:
            twin = "without attention"
        published += f" `no_attention` is the same model {twin}."
    return published


def _marked(attention):
    if "marked_mass" not in attention:
        return []
    return [
        f"Of the attention, {attention['marked_mass']:.1%} falls on the words that "
        f"decide the label (on {attention['marked_texts']} test texts); uniform "
        f"weights would put {attention['uniform_mass']:.1%} there.",
        "",
    ]


def _correlation(attention):
    if attention.get("rank_correlation") is None:
        return []
    return [
        "Spearman's correlation of a word's attention with how far the prediction "
        f"moves without the word: {attention['rank_correlation']:.2f} (mean over "
        f"{attention['rank_correlation_texts']} test texts).",
        "",
    ]


def _use(card):
    name = card["recipe"]
    return [
        "## Use",
        "",
        "```python",
        "import attention_zoo",
        "import keras",
        "",
        f'model = keras.models.load_model("saved_models/{name}/model.keras")',
        'model(keras.ops.convert_to_tensor(["all in all the film was good"]))',
        "```",
        "",
        "```",
        f'attention-zoo predict {name} "all in all the film was good"',
        f"attention-zoo export {name}    # a SavedModel for plain TensorFlow",
        card["command"] + "    # trains it again",
        "```",
        "",
    ]


def _cost(card):
    memory, machine = card["peak_memory_mb"], card["hardware"]
    seconds = np.mean([run["seconds"] for run in card["seeds"]])
    return [
        "## Cost",
        "",
        f"Measured on {machine['processor']}, {machine['cores']} "
        f"core{'s' * (machine['cores'] != 1)}.",
        "",
        "| | peak memory | time |",
        "| --- | --- | --- |",
        f"| training | {memory['training']} MB | {seconds:.0f} s a seed, "
        f"{card['seconds']['total']:.0f} s for the whole command with baselines |",
        f"| one prediction | {memory['single_prediction']} MB | "
        f"{card['single_prediction_ms']} ms, the median of 50 |",
        "",
        "The prediction is of one raw input through the SavedModel, in a process of "
        "its own with TensorFlow alone, whose memory is included.",
        "",
    ]


def _figures(card):
    return [
        "## Pictures",
        "",
        "![Accuracy and loss by epoch](curves.png)",
        "",
        "![Six test examples, words shaded by attention](attention.png)",
        "",
    ]
