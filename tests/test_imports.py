"""The arrows between the packages, read from the sources.

layers <- zoo <- recipes <- benchmarks and tests; never the other way, and never
sideways between two models or two recipes.
"""

import ast
import dataclasses
import functools
import importlib
import pathlib
import sys

import pytest
from support.fresh import run_fresh

import attention_zoo
from attention_zoo.registry import MODELS

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = {
    "layers": "attention_zoo.layers",
    "zoo": "attention_zoo",
    "recipes": "attention_zoo.recipes",
    "saved_models": "attention_zoo.saved_models",
}
# Only TensorFlow has strings, which words and subwords are made of, and kernels
# of an LSTM and of batch normalization.
ON_TENSORFLOW = (
    "attention_zoo.generation.tokenizers",
    "attention_zoo.kernels.lstm",
    "attention_zoo.kernels.batch_norm",
    "attention_zoo.models._text",
)
# Keras has no gradients of its own: one file asks whichever backend runs.
ON_EVERY_BACKEND = "attention_zoo.kernels.gradients"
# What comes with the project's own extras: imported only where it is needed.
HEAVY = {
    "PIL", "keras_tuner", "matplotlib", "rich", "sklearn", "tensorboard", "tensorflow",
    "tensorflow_datasets", "tokenizers", "sacrebleu",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Import:
    """One imported module, and whether importing the file is enough to import it."""

    module: str
    at_import: bool


@functools.cache
def imports_of(file):
    """Returns the `Import`s of a source file, names taken from a package included."""
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    late = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            late.update(id(inner) for inner in ast.walk(node) if inner is not node)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} is a relative import"
            modules = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        else:
            continue
        found += [Import(module, id(node) not in late) for module in modules]
    return found


def sources():
    """Returns `{module name: file}` of the whole distribution."""
    found = {}
    for folder, package in FOLDERS.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((package, *parts))] = file
    return found


SOURCES = sources()


def modules_in(folder):
    return [
        name for name, file in SOURCES.items() if file.is_relative_to(ROOT / folder)
    ]


def own_imports(name):
    """Returns the modules of this project that a module imports, wherever it does."""
    own = set()
    for found in imports_of(SOURCES[name]):
        parts = found.module.split(".")
        prefixes = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        own.add(next((p for p in prefixes if p in SOURCES), None))
    return own - {None, name}


def third_party(name, at_import=None):
    """Returns the top-level packages, outside Python and this project, it imports."""
    return {
        found.module.split(".")[0]
        for found in imports_of(SOURCES[name])
        if at_import is None or found.at_import == at_import
    } - {*sys.stdlib_module_names, "attention_zoo"}


def edges_of(name):
    """Returns the own modules that a module names: of `from a import b` b or else a."""
    found = set()
    for node in ast.walk(ast.parse(SOURCES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(f if f in SOURCES else node.module for f in full)
    return found & set(SOURCES) - {name}


def circles():
    """Returns the sets of modules that import each other, late imports included.

    That Python imports a package before its modules is not a circle.
    """
    edges = {name: edges_of(name) for name in SOURCES}
    reached: dict = {}
    for name in SOURCES:
        queue, reached[name] = [name], set()
        while queue:
            new = edges[queue.pop()] - reached[name]
            reached[name] |= new
            queue += new
    found = {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in SOURCES
        if name in reached[name]
    }
    return sorted(map(sorted, found))


def test_no_modules_import_each_other():
    assert circles() == []


def test_the_registry_knows_no_layer():
    core = set(modules_in("layers/core"))
    assert own_imports("attention_zoo.layers.registry") <= core


@pytest.mark.parametrize("name", modules_in("layers"))
def test_layers_ask_classes_and_no_names(name):
    """What a layer is stands on its class: no signature, no class name is read."""
    text = SOURCES[name].read_text(encoding="utf-8")
    assert "del config[" not in text
    assert "__name__ ==" not in text
    assert "__name__ in" not in text
    # The one checks constructors, the other binds calls of layers of any package.
    binds = ("core.validation", "core.recording_keras")
    if name not in {f"attention_zoo.layers.{module}" for module in binds}:
        assert "inspect" not in {found.module for found in imports_of(SOURCES[name])}


@pytest.mark.parametrize("name", modules_in("layers"))
def test_layers_need_layers_keras_and_numpy_alone(name):
    assert third_party(name) <= {"keras", "numpy"}
    assert own_imports(name) <= set(modules_in("layers"))


@pytest.mark.parametrize("name", modules_in("zoo"))
def test_the_zoo_needs_layers_keras_and_numpy_alone(name):
    assert third_party(name, at_import=True) <= {"keras", "numpy"}
    late = {"tensorflow"} if name in ON_TENSORFLOW else set()
    if name == "attention_zoo.remote":  # asked for files, it takes those that load them
        late = {"pooch", "huggingface_hub"}
    if name == "attention_zoo.interpret.methods.flow":  # says how to install it
        late = {"scipy"}
    if name == ON_EVERY_BACKEND:
        late = {"tensorflow", "jax", "torch"}
    assert third_party(name) <= {"keras", "numpy", "matplotlib", *late}
    allowed = {*modules_in("layers"), *modules_in("zoo")}
    assert own_imports(name) <= allowed


@pytest.mark.parametrize("name", modules_in("recipes"))
def test_recipes_need_nothing_from_benchmarks_or_tests(name):
    assert not third_party(name) & {"benchmarks", "tests", "conftest", "fresh"}
    assert own_imports(name) <= set(SOURCES)


def test_no_model_imports_another():
    models = {target.split(":")[0] for target in MODELS.values()}
    for model in models:
        assert not own_imports(model) & models, model


def recipe_modules():
    return [
        name
        for name in modules_in("recipes")
        if SOURCES[name].parent == ROOT / "recipes"
        and not SOURCES[name].name.startswith("_")
    ]


def test_no_recipe_imports_another():
    assert "attention_zoo.recipes.attention_lstm_imdb" in recipe_modules()
    for recipe in recipe_modules():
        assert not own_imports(recipe) & set(recipe_modules()), recipe


def test_the_command_starts_without_heavy_imports():
    """Follows what the command and its `list` import, down to third parties."""
    queue, seen = ["attention_zoo.recipes.cli.main", *recipe_modules()], set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        assert not third_party(name, at_import=True) & HEAVY, name
        for found in imports_of(SOURCES[name]):
            if found.at_import and found.module in SOURCES:
                queue.append(found.module)
    assert "attention_zoo.recipes.cli.main" in seen


def test_imports_in_a_fresh_process():
    late = sorted(HEAVY - {"tensorflow"})  # Keras itself imports TensorFlow
    program = f"""
import sys
def loaded(*more):
    wanted = [*{late}, *more]
    return [name for name in wanted if name in sys.modules]
import keras
before = set(loaded("attention_zoo.recipes"))
import attention_zoo
assert set(loaded("attention_zoo.recipes")) == before, loaded()
import attention_zoo.recipes.cli.main
assert set(loaded()) == before, loaded()
keys = keras.saving.get_custom_objects()
assert "attention_zoo>AttentionPooling" in keys, sorted(keys)
"""
    run_fresh(program, KERAS_BACKEND="tensorflow")


@pytest.mark.parametrize("folder", ["zoo", "layers", "recipes"])
def test_a_folder_under_its_own_name_is_refused(folder, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    with pytest.raises(ImportError, match="attention_zoo"):
        importlib.import_module(folder)
    assert folder not in sys.modules


def test_no_path_is_derived_from_the_source_files():
    for name, file in SOURCES.items():
        assert "__file__" not in file.read_text(encoding="utf-8"), name


def test_no_name_shadows_a_module():
    """What a package offers under the name of one of its modules is that module."""
    for name in SOURCES:
        package, _, module = name.rpartition(".")
        if not package or module.startswith("_"):
            continue
        held = vars(sys.modules.get(package, object)).get(module)
        assert held is None or held is sys.modules.get(name), name


def test_public_functions_have_names_of_their_own():
    """`attention_zoo.explain` is in no module `explain`; `create` makes the models."""
    modules = {name.rpartition(".")[2] for name in modules_in("zoo")}
    modules -= {"features"}  # one of `interpret`, which hides nothing of the package
    offered = {name for name in attention_zoo.__all__ if name != "layers"}
    assert not offered & modules


# Private names of other packages that have no public form.
PRIVATE = {
    "_exit": "os: ends a process whose peers on JAX are lost, without waiting for them",
    "_flatten_layers": "Keras: the layers inside a layer; only models list theirs",
    "_data_dir_root": "TFDS: the folder that `data_dir` was given as",
    "tensorflow.python.framework": "whether a graph is being traced",
    "tensorflow.python.ops": "whether XLA will compile the graph that is being traced",
}


def test_no_private_api_of_other_packages():
    """A name with an underscore that is used is also defined in this project."""
    trees = {file: ast.parse(file.read_text("utf-8")) for file in code()}
    defined, used = set(PRIVATE), []
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                defined.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined.add(node.id)
            elif isinstance(node, ast.Attribute):
                known = isinstance(node.ctx, ast.Store)
                defined.update({node.attr} if known else ())
                used += [] if known else [(file, node.lineno, node.attr)]
        for found in imports_of(file):
            top, *parts = found.module.split(".")
            if top not in ("attention_zoo", "benchmarks", "__future__"):
                private = [p for p in parts if p[0] == "_" or p in ("src", "python")]
                known = found.module.startswith(tuple(PRIVATE))
                assert known or not private, f"{file} imports {found.module}"
    for file, line, name in used:
        private = name[0] == "_" and not (name.startswith("__") and name[-2:] == "__")
        assert not private or name in defined, f"{file}:{line} uses {name}"


def code():
    """Returns the files of what is shipped and of the benchmarks."""
    return [*SOURCES.values(), *sorted((ROOT / "benchmarks").glob("*.py"))]


@pytest.mark.parametrize("folder", ["layers", "zoo", "recipes", "benchmarks"])
def test_no_file_is_long(folder):
    for file in (ROOT / folder).rglob("*.py"):
        assert len(file.read_text("utf-8").splitlines()) <= 350, file


def test_a_module_stays_on_one_worker():
    """Its fixtures are made once; the promises need none, and fill the end."""
    unit_of = pytest.importorskip("support.scheduling").unit_of
    assert unit_of("tests/a/test_b.py::test_c[1::2]") == "tests/a/test_b.py"
    promises = [f"tests/layers/test_promises.py::test_promises[{i}]" for i in "ab"]
    assert [unit_of(name) for name in promises] == promises
