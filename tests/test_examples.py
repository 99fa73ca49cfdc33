"""Every example in a public docstring runs, and every public object has one."""

import doctest
import importlib
import inspect
import re
import textwrap

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo import layers
from attention_zoo.registry import MODELS

# Public, but in neither `attention_zoo.__all__` nor `attention_zoo.layers`.
MORE = """
attention_zoo.generation.beam_search.beam_search
attention_zoo.generation.search.greedy
attention_zoo.generation.search.sample
attention_zoo.interpret.base.Explanation
attention_zoo.interpret.base.position_weights
attention_zoo.interpret.images.ImageExplanation
attention_zoo.interpret.series.SeriesExplanation
attention_zoo.interpret.text.TextExplanation
attention_zoo.interpret.translation.TranslationExplanation
"""

# Their examples read strings, which only TensorFlow has.
NEED_STRINGS = {
    "SubwordDetokenizer",
    "SubwordTokenizer",
    "TranslationExplanation",
    "load",
    "predict",
    "translate_texts",
}

# These have no example yet. The list only ever shrinks: whoever writes one deletes the
# line, and leaves the comments, which keep the edits of different folders apart.
WITHOUT_EXAMPLE = """
# layers/
# layers/composite/
# layers/core/
AdditiveScore
AlibiBias
AttentionRecord
ConcatScore
CosineScore
DotScore
Entmax
Entmax15
GeneralScore
GumbelSoftmax
Hardmax
LocationScore
Normalizer
Position
RelativeBias
RotaryPosition
ScaledDotScore
Score
Sigmoid
Softmax
Sparsemax
TopK
# layers/efficient/
# layers/pooling/
# layers/recurrent/
NormedAdditiveScore
# layers/sequence/
# layers/series/
# layers/transformer/
# layers/vision/
# zoo/
# zoo/generation/
# zoo/interpret/
# zoo/kernels/
# zoo/models/
"""

# Examples that do not run yet; this list shrinks as well.
NOT_RUNNING = """
# layers/recurrent/
StepwiseAttention
# layers/sequence/
ReinforceLoss
# layers/series/
DeStationaryAttention
# layers/transformer/
# zoo/generation/
"""


def listed(names):
    return {line for line in names.splitlines() if line and not line.startswith("#")}


def public_objects():
    """Returns `{name: object}` of every public class and function."""
    found = {}
    for package in (attention_zoo, layers):
        names = getattr(package, "__all__", None) or sorted(vars(package))
        for name in names:
            value = getattr(package, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[name] = value
    for target in MODELS.values():
        module, name = target.split(":")
        found[name] = getattr(importlib.import_module(module), name)
    for target in MORE.split():
        module, name = target.rsplit(".", 1)
        found[name] = getattr(importlib.import_module(module), name)
    return found


PUBLIC = public_objects()


def own_docstring(value):
    """Returns the docstring of an object; that of a base class is not its own."""
    own = vars(value) if inspect.isclass(value) else {"__doc__": value.__doc__}
    return own.get("__doc__") or ""


def docstrings_of(value):
    """Yields the docstrings of an object and, for a class, of its public methods."""
    yield "", own_docstring(value)
    if not inspect.isclass(value):
        return
    for name, member in vars(value).items():
        if name.startswith("_"):
            continue
        member = getattr(member, "__func__", member)  # of a class or static method
        if inspect.isfunction(member) or isinstance(member, property):
            yield f".{name}", member.__doc__ or ""


def fences_of(docstring):
    """Returns the code of the `python` fences of a docstring."""
    found = re.findall(r"^( *)```python\n(.*?)^\1```", docstring, re.M | re.S)
    return [textwrap.dedent(code) for _, code in found]


def prompts_of(docstring, name):
    """Returns the examples with the interpreter's prompt, as a `DocTest`, or None."""
    plain = re.sub(r"^( *)```python\n(.*?)^\1```", "", docstring, flags=re.M | re.S)
    test = doctest.DocTestParser().get_doctest(plain, namespace(), name, None, 0)
    return test if test.examples else None


def namespace():
    """Returns the names that every example may use."""
    return {
        "attention_zoo": attention_zoo,
        "keras": keras,
        "layers": layers,
        "np": np,
        "ops": keras.ops,
    }


def has_example(value):
    """Returns whether the docstring of an object itself has an example."""
    docstring = inspect.cleandoc(own_docstring(value))
    return bool(fences_of(docstring)) or prompts_of(docstring, "") is not None


def all_examples():
    """Returns a `pytest.param` of object and docstring for each docstring of code."""
    found = []
    for owner, value in PUBLIC.items():
        for member, docstring in docstrings_of(value):
            docstring = inspect.cleandoc(docstring)
            name = owner + member
            if fences_of(docstring) or prompts_of(docstring, name):
                late = owner in listed(NOT_RUNNING)
                marks = [pytest.mark.xfail(reason="to be written")] if late else []
                found.append(pytest.param(owner, docstring, id=name, marks=marks))
    return found


@pytest.mark.parametrize(("owner", "docstring"), all_examples())
def test_an_example_runs(owner, docstring, tmp_path, monkeypatch):
    """In an empty folder; the fences of one docstring go on from each other."""
    if owner in NEED_STRINGS and keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow has strings")
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(1)
    names = namespace()
    for code in fences_of(docstring):
        exec(compile(code, f"<example of {owner}>", "exec"), names)
    test = prompts_of(docstring, owner)
    if test is not None:
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        output: list = []
        assert not runner.run(test, out=output.append).failed, "".join(output)


def test_every_public_object_has_an_example():
    lacking = {name for name, value in PUBLIC.items() if not has_example(value)}
    assert not lacking - listed(WITHOUT_EXAMPLE), (
        "write an `Example:` in a python fence"
    )


def test_the_list_of_objects_without_example_shrinks():
    done = {
        n for n in listed(WITHOUT_EXAMPLE) if n not in PUBLIC or has_example(PUBLIC[n])
    }
    assert not done, "delete these lines of WITHOUT_EXAMPLE"


def test_every_argument_is_written_out():
    """No public docstring sends the reader elsewhere for its arguments."""
    found = {
        owner
        for owner, value in PUBLIC.items()
        for _, docstring in docstrings_of(value)
        if "As in `" in docstring
    }
    assert not found, "write the arguments out, their types first"
