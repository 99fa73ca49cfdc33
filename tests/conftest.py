"""Binds `attention_zoo` to this checkout, whatever else is installed."""

import gc
import importlib.util
import inspect
import os
import pathlib
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tests compile much and compute little. TensorFlow reads these flags too.
if os.environ.get("KERAS_BACKEND") == "jax":
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    )
ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = {
    "attention_zoo": "zoo",
    "attention_zoo.layers": "layers",
    "attention_zoo.recipes": "recipes",
    "attention_zoo.saved_models": "saved_models",
}


class CheckoutFinder:
    """Finds the mapped packages in this checkout before anything installed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        folder = PACKAGES.get(name)
        if folder is None or not (ROOT / folder / "__init__.py").exists():
            return None
        return importlib.util.spec_from_file_location(
            name,
            ROOT / folder / "__init__.py",
            submodule_search_locations=[str(ROOT / folder)],
        )


# What a test uses, by name, that takes long: functions, fixtures, whole modules.
LONG = {
    *("fit", "train", "train_on_batch", "smoke", "trained"),
    *("run_fresh", "subprocess", "start_command", "killed", "launched"),
    *("test_benchmarks", "test_packaging", "test_hosts", "test_workers", "test_tune"),
}


if "attention_zoo" in sys.modules:
    raise ImportError("attention_zoo was imported before tests/conftest.py ran")
sys.meta_path.insert(0, CheckoutFinder)


@pytest.fixture(scope="session")
def root():
    """The checkout's folder."""
    return ROOT


def pytest_addoption(parser):
    parser.addoption(
        "--quick",
        action="store_true",
        help="the first variant of each test, without training or other processes",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keeps a module on one worker, whatever way of sharing is asked for."""
    from support.scheduling import ByModule

    return ByModule(config, log)


def pytest_collection_finish():
    """What lives until the end is no garbage, and is not looked through for any."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leaves out tests.

    With `--quick`, the first variant of each test runs and the first case of each class
    keeps its promises; what takes long is left out.
    On JAX, where compiling takes seconds, the first variant of each test runs, and
    beside the promises none of the layers in subfolders.
    """
    if config.getoption("quick"):
        kept = {}
        for item in items:
            if not takes_long(item):
                kind = item.nodeid.split("[")[0]
                if is_promise(item):
                    kind = item.callspec.params["case"].cls
                kept.setdefault(kind, item)
        keep(kept.values(), config, items)
    elif os.environ.get("KERAS_BACKEND") == "jax":
        first: dict = {}
        few = any(is_promise(item) for item in items)
        for item in items:
            if is_promise(item):
                first[item.nodeid] = item
            elif not few or item.path.parent.name not in ("series", "vision"):
                first.setdefault(item.nodeid.split("[")[0], item)
        keep(first.values(), config, items)


def keep(wanted, config, items):
    """Deselects all items but the wanted ones."""
    kept = {id(item) for item in wanted}
    config.hook.pytest_deselected(items=[i for i in items if id(i) not in kept])
    items[:] = [item for item in items if id(item) in kept]


def takes_long(item):
    """Returns whether a test trains, starts processes or is marked as slow."""
    function = inspect.unwrap(item.function)
    used = {*function.__code__.co_names, *item.fixturenames}
    long = used & LONG or item.get_closest_marker("slow")
    return bool(long) or item.module.__name__.rsplit(".", 1)[-1] in LONG


def is_promise(item):
    return item.module.__name__.rsplit(".", 1)[-1] == "test_promises"
