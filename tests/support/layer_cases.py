"""Collects the `CASES` of every test module of a layer."""

import functools
import importlib.util
import pathlib

FOLDER = pathlib.Path(__file__).parents[1] / "layers"
SHARED = {
    "test_arguments",
    "test_promises",
    "test_random",
    "test_saved_layers",
    "test_stateful",
    "test_weight_options",
}


@functools.cache
def all_cases():
    """Returns the cases of all modules `tests/layers/**/test_*.py`, names unique."""
    cases = []
    for path in sorted(FOLDER.rglob("test_*.py")):
        if path.stem in SHARED:
            continue
        spec = importlib.util.spec_from_file_location(f"cases_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        cases += getattr(module, "CASES", [])
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), "two cases have one name"
    return cases
