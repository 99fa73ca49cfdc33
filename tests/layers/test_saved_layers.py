"""Saved models of all layers open in fresh processes, on every backend, and agree."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from support.check_layer import built_layer, functional_model, to_numpy
from support.layer_cases import all_cases

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow",
    reason="the run on TensorFlow opens its models on all backends",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of models with their inputs and outputs, one of each case."""
    folder = tmp_path_factory.mktemp("models")
    for case in all_cases():
        model = functional_model(built_layer(case), case)
        fed = {**case.draw(seed=3), **case.draw_masks()}
        np.savez(folder / f"{case.name}.npz", **fed)
        np.save(folder / f"{case.name}.npy", to_numpy(model(fed)))
        model.save(folder / f"{case.name}.keras")
    return folder


def opened_on(backend):
    """The cases opened on a backend: of each class two on JAX, which compiles each."""
    cases = all_cases()
    if backend != "jax":
        return cases
    first, last = ({case.cls: case for case in part} for part in (cases[::-1], cases))
    return [case for case in cases if case in (first[case.cls], last[case.cls])]


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_models_open_in_a_fresh_process(backend, folder, root):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    names = [case.name for case in opened_on(backend)]
    result = subprocess.run(
        [sys.executable, root / "tests" / "support" / "open_models.py", folder, *names],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["backend"] == backend
    assert sorted(report["distances"]) == sorted(names)
    far = {name: d for name, d in report["distances"].items() if not d <= 1e-5}
    assert not far
