"""The chunked and the recurrent form of an attention with a state equal the parallel
one."""

import keras
import numpy as np
import pytest
from support.check_layer import BACKEND, built_layer, run, to_numpy
from support.layer_cases import all_cases

from attention_zoo.layers.efficient.stateful import StatefulAttention

pytestmark = pytest.mark.skipif(BACKEND == "jax", reason="compiles each length")
CASES = [case for case in all_cases() if issubclass(case.cls, StatefulAttention)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_chunks_equal_the_whole(case):
    layer, x = built_layer(case), case.draw()["inputs"]
    whole = run(layer, {"inputs": x}, return_attention_scores=True)[0]
    for size in (1, 3):
        other = built_layer(case, chunk_size=size)
        other.set_weights(layer.get_weights())
        got = run(other, {"inputs": x})
        np.testing.assert_allclose(got, whole, atol=1e-5 * max(1, abs(whole).max()))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_steps_equal_the_whole(case):
    layer, x = built_layer(case), case.draw()["inputs"]
    state, found = layer.initial_state(2), []
    for t in range(x.shape[1]):
        output, state = layer.step(x[:, t], state)
        found.append(to_numpy(output))
    whole = run(layer, {"inputs": x})
    scale = max(1, abs(whole).max())
    np.testing.assert_allclose(np.stack(found, 1), whole, atol=1e-5 * scale)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_padding_in_front_is_as_if_it_were_not_there(case):
    layer, x = built_layer(case), case.draw()["inputs"]
    padded = np.concatenate([np.full((2, 3, 11), 9.0, "float32"), x], axis=1)
    mask = np.arange(10)[None] >= np.array([[3], [3]])
    got = run(layer, {"inputs": padded, "mask": mask})
    whole = run(layer, {"inputs": x})
    scale = max(1, abs(whole).max())
    np.testing.assert_allclose(got[:, 3:], whole, atol=2e-5 * scale)
    np.testing.assert_array_equal(got[:, :3], 0)


def test_a_layer_that_was_never_called_takes_a_step():
    layer = CASES[0].make()
    output, state = layer.step(np.ones((2, 11), "float32"))
    assert tuple(output.shape) == (2, 11)
    assert layer.built
    assert keras.tree.flatten(state)
