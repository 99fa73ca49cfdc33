"""card.json, and the model card README.md that is rendered from it by Jinja."""

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

from attention_zoo.recipes.cards.explanations import method_of
from attention_zoo.recipes.core.recipe import get_recipe
from attention_zoo.recipes.datasets.licenses import NOT_STATED, commercial

TEMPLATE = "card.md.jinja"
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


def measurements(folder, pipeline, training_memory, steps):
    """Returns what the card says about files, time, memory and the machine.

    Args:
        folder: The entry, with the model written.
        pipeline: The pipeline, for the raw input of one prediction.
        training_memory: Peak memory of the training process in MB.
        steps: The `Steps`.
    """
    content = (folder / "model.keras").read_bytes()

    def measure():
        return measure_prediction(folder / "saved_model", pipeline.examples(1)[0])

    memory, facts = {"training": training_memory}, {}
    prediction = steps.run("single_prediction", measure)
    if prediction is not None:
        memory["single_prediction"] = prediction["peak_memory_mb"]
        facts["single_prediction_ms"] = prediction["ms"]
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "model_file_mb": round(len(content) / 1e6, 2),
        "seconds": {},
        "peak_memory_mb": memory,
        **facts,
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
        rows = [x.encode() if isinstance(x, str) else x for x in example]
        np.save(file, np.array(rows))
        done = subprocess.run(
            [sys.executable, "-P", str(program), str(saved_model), file],
            capture_output=True,
            text=True,
        )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise RuntimeError(f"it ended with {done.returncode}: {' '.join(last)[:160]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


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


def write(folder, card, recipe, steps):
    """Writes README.md and card.json, which names the steps that failed."""

    def write_readme():
        noted = card | ({"failed_steps": steps.failed} if steps.failed else {})
        (folder / "README.md").write_text(render(noted, recipe), encoding="utf-8")

    steps.run("readme", write_readme)
    if steps.failed:
        card["failed_steps"] = steps.failed
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (folder / "card.json").write_text(text, encoding="utf-8")


def render(card, recipe):
    """Returns the model card as Markdown.

    It is made from the template of the recipe's kind of task, or from the common one
    where the kind has none.

    Args:
        card: The card.
        recipe: The `Recipe`.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(read_template),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    name = f"{recipe.task.package}/{TEMPLATE}"
    if read_template(name) is None:
        name = f"attention_zoo.recipes.cards/{TEMPLATE}"
    template = environment.get_template(name)
    own = get_recipe(recipe.name).dataset if recipe.synthetic else None
    return template.render(
        card=card,
        recipe=recipe,
        task=recipe.task,
        name=card.get("name", card["recipe"]),
        failed=card.get("failed_steps", {}),
        method=method_of(card),
        synthetic=card["dataset"].split("/")[0] == own,
        commercial=commercial(card.get("data_license", NOT_STATED)),
    )


def read_template(name):
    """Returns the template `package/file`, or None where there is no such file."""
    package, _, file = name.partition("/")
    found = importlib.resources.files(package) / file
    return found.read_text(encoding="utf-8") if found.is_file() else None
