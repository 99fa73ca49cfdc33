"""What must hold of a layer that was drawn at random, one check a promise.

`check(problem, names)` runs some of `CHECKS`. A layer may refuse arguments or inputs by
a `ValueError` in Keras's form, which is `Refused` here; any other error is a fault.
"""

import dataclasses
import json
import pathlib
import tempfile

import keras
import numpy as np
from keras import ops
from support.check_layer import first, loss_and_gradients, run, shake, to_numpy

BACKEND = keras.config.backend()
# Tolerance by dtype; the weights of what jumps (top-k, a choice) are let off elsewhere.
TOLERANCE = {"float32": 2e-5, "mixed_float16": 3e-2, "bfloat16": 1.5e-1}
# They choose by scores, so that rounding may choose another.
JUMPS = ("hardmax", "top_k", "gumbel_softmax")
CHOOSING = ("hard_attention", "monotonic_attention", "prob_sparse_attention")


class Refused(Exception):
    """The layer says in one line that it does not take this."""


def refusals(function, *arguments, **more):
    """Calls a function, with an error in Keras's form as `Refused`."""
    try:
        return function(*arguments, **more)
    except ValueError as error:
        if "Received" in str(error) or "received" in str(error):
            raise Refused(str(error)) from error
        raise


def call(layer, problem, inputs=None, masks=None, **options):
    """Returns the output of the problem's layer, arrays replaced where given."""
    given = {**problem.inputs, **(inputs or {})}
    given |= problem.masks if masks is None else masks
    options = {**problem.options, **options}
    if "attention_mask" in options:
        given["attention_mask"] = options.pop("attention_mask")
    return run(layer, given, **options)


def assert_close(problem, got, expected):
    """Asserts that two outputs agree, within what their dtype can say."""
    if problem.low and chooses(problem):
        return
    got, expected = keras.tree.flatten(got), keras.tree.flatten(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape, f"shapes {a.shape} and {b.shape}"
        scale = max(1.0, np.abs(b).max(initial=0))
        atol = TOLERANCE[problem.config["dtype"]] * scale
        np.testing.assert_allclose(a, b, atol=atol, rtol=0)


def chooses(problem):
    config = problem.config
    return problem.name in CHOOSING or config.get("normalizer") in JUMPS


def symbolic_call(layer, problem):
    """Calls a layer on symbols, which builds it: JAX's compiled call takes no other."""
    symbols = {
        name: keras.KerasTensor(x.shape, x.dtype.name)
        for name, x in {**problem.inputs, **problem.masks}.items()
    }
    options = dict(problem.options)
    if "attention_mask" in options:
        mask = options.pop("attention_mask")
        symbols["attention_mask"] = keras.KerasTensor(mask.shape, "bool")
    return layer(**symbols, **options)


def built(problem):
    """Returns the problem's layer, built and off its initial weights, and its output.

    The symbolic call has the shape and the dtype of the output.
    """
    layer = refusals(problem.make)
    spec = first(refusals(symbolic_call, layer, problem))
    refusals(call, layer, problem)
    shake(layer)
    output = call(layer, problem)
    assert all(np.isfinite(x).all() for x in keras.tree.flatten(output)), "not finite"
    assert tuple(spec.shape) == first(output).shape, "the symbolic shape differs"
    assert spec.dtype == layer.compute_dtype, "the symbolic dtype differs"
    return layer, output


def check_padding(problem, layer, output):
    """What padding holds reaches no output, and no gradient of a weight."""
    dirty = {name: x.copy() for name, x in problem.inputs.items()}
    for name, mask in problem.masks.items():
        if dirty[problem.input_of(name)].dtype.kind == "f":
            dirty[problem.input_of(name)][~mask] = problem.garbage
    got = first(call(layer, problem, dirty))
    assert np.isfinite(got).all(), "padding reaches an output"
    assert_close(problem, *(visible(problem, x) for x in (got, first(output))))
    given = {**dirty, **problem.masks}
    options = dict(problem.options)
    if "attention_mask" in options:
        given["attention_mask"] = options.pop("attention_mask")
    if not problem.masks:
        return
    _, weights, _ = loss_and_gradients(layer, given, (), **options)
    for weight in weights:
        assert weight is None or np.isfinite(weight).all(), "padding reaches a gradient"


def visible(problem, output):
    """Returns the output where its first input is no padding, if it has its axes."""
    for name, mask in problem.masks.items():
        fits = output.shape[: mask.ndim] == mask.shape and output.ndim > mask.ndim
        if fits and problem.input_of(name) == problem.first:
            return output[mask]
    return output


def check_rows(problem, layer, output):
    """A row's output is its own: of the rest of the batch, and of its size."""
    if problem.family == "graph":
        return
    rng = np.random.default_rng(problem.seed)
    others = {
        n: np.concatenate([x[:1], rng.normal(size=x[1:].shape).astype(x.dtype)])
        for n, x in problem.inputs.items()
    }
    got = call(layer, problem, others)
    assert_close(problem, first(got)[:1], first(output)[:1])
    if BACKEND != "jax":
        options = dict(problem.options)
        if "attention_mask" in options:
            options["attention_mask"] = options["attention_mask"][:1]
        alone = {n: x[:1] for n, x in problem.inputs.items()}
        masks = {n: x[:1] for n, x in problem.masks.items()}
        got = call(layer, problem, alone, masks, **options)
        assert_close(problem, first(got), first(output)[:1])


def check_integers(problem, layer, output):
    """Integers and booleans are the same numbers."""
    rng = np.random.default_rng(problem.seed)
    dtype = ("int64", "int32", "uint8", "bool")[problem.seed % 4]
    numbers = {
        n: rng.integers(0, 5, x.shape).astype(dtype)
        for n, x in problem.inputs.items()
        if x.dtype.kind == "f"
    }
    floats = {n: x.astype("float32") for n, x in numbers.items()}
    expected = call(layer, problem, floats)
    assert_close(problem, call(layer, problem, numbers), expected)


def check_empty(problem, layer, output):
    """A batch of no rows gives none."""
    if problem.family == "graph":
        nothing = {"edges": problem.inputs["edges"][:0]}
        masks = {n: m[:0] if n == "edges_mask" else m for n, m in problem.masks.items()}
        got = call(layer, problem, nothing, masks)
        assert first(got).shape == first(output).shape
        assert np.isfinite(first(got)).all()
        return
    nothing = {n: x[:0] for n, x in problem.inputs.items()}
    masks = {n: m[:0] for n, m in problem.masks.items()}
    options = dict(problem.options)
    if "attention_mask" in options:
        options["attention_mask"] = options["attention_mask"][:0]
    got = call(layer, problem, nothing, masks, **options)
    assert first(got).shape == (0, *first(output).shape[1:])


def check_saved(problem, layer, output):
    """The config holds what was accepted: through JSON, the layer computes alike."""
    config = layer.get_config()
    clone = type(layer).from_config(json.loads(json.dumps(config)))
    symbolic_call(clone, problem)  # what is built holds the shapes it was built on
    assert json.dumps(clone.get_config()) == json.dumps(config), "another config"
    clone.set_weights(layer.get_weights())
    assert_close(problem, call(clone, problem), output)


def check_file(problem, layer, output):
    """A model of the layer computes alike out of its file, masks among its inputs."""
    tensors = {
        name: keras.Input(x.shape[1:], dtype=x.dtype.name, name=name)
        for name, x in {**problem.inputs, **problem.masks}.items()
    }
    if problem.family == "graph" or "attention_mask" in problem.options:
        return
    model = keras.Model(tensors, first(layer(**tensors, **problem.options)))
    fed = {**problem.inputs, **problem.masks}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
    got = to_numpy(loaded(fed, training=False))
    assert_close(problem, got, first(output))


def check_time_distributed(problem, layer, output):
    """`TimeDistributed` gives each step what the layer gives, its mask with it."""
    if len(problem.inputs) > 1 or problem.family == "graph":
        return
    if set(problem.masks) - {"mask"} or set(problem.options) - {"training"}:
        return
    (x,), steps = problem.inputs.values(), 3
    rng = np.random.default_rng(problem.seed)
    x = np.stack([x, *rng.normal(size=(steps - 1, *x.shape))], axis=1).astype("float32")
    masks, dirty = problem.masks, x
    if masks:
        mask = np.stack([masks["mask"]] * steps, axis=1)
        mask[:, 1] = True
        masks = {"mask": mask}
        dirty = np.where(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x, 9.0)
    expected = [
        first(call(layer, problem, {problem.first: x[:, i]},
                   {n: m[:, i] for n, m in masks.items()}))
        for i in range(steps)
    ]  # fmt: skip
    wrapped = keras.layers.TimeDistributed(layer, dtype=layer.dtype_policy)
    more = {n: ops.convert_to_tensor(m) for n, m in masks.items()}
    got = to_numpy(wrapped(ops.convert_to_tensor(dirty.astype("float32")), **more))
    for i in range(steps):
        masks_of_step = {n: m[:, i] for n, m in masks.items()}
        step = dataclasses.replace(problem, masks=masks_of_step)
        assert_close(step, visible(step, got[:, i]), visible(step, expected[i]))


def check_scores(problem, layer, output):
    """With the weights comes the same output; padding has none of them."""
    if "return_attention_scores" not in type(layer).call_options:
        return
    got = call(layer, problem, return_attention_scores=True)
    assert_close(problem, got[0], first(output))
    assert all(np.isfinite(x).all() for x in keras.tree.flatten(got[1]))
    keys = problem.masks.get("value_mask")
    if keys is None and problem.family in ("self", "pooling"):
        keys = problem.masks.get("mask")
    weights = got[1]
    plain = type(layer).weights_are == "positions" and not isinstance(weights, tuple)
    if keys is None or not plain or weights.shape[-1] != keys.shape[1]:
        return
    hidden = np.broadcast_to(
        ~keys.reshape(len(keys), *[1] * (weights.ndim - 2), -1), weights.shape
    )
    assert (weights[hidden] == 0).all(), "a padded position has a weight"


def check_broadcast(problem, layer, output):
    """A mask with an axis of size 1 is for all of them."""
    if problem.family == "graph":
        return
    for name, mask in problem.masks.items():
        axis = problem.seed % mask.ndim
        small = mask.take([0], axis=axis)
        whole = np.broadcast_to(small, mask.shape)
        expected = call(layer, problem, masks={**problem.masks, name: whole})
        got = call(layer, problem, masks={**problem.masks, name: small})
        assert_close(problem, got, expected)


def check_causal(problem, layer, output):
    """With a causal mask, nothing that comes later reaches a step."""
    if not problem.options.get("use_causal_mask"):
        return
    if problem.name == "de_stationary_attention":
        return  # whose factors look at the whole value, as it says
    lengths = {x.shape[1] for x in problem.inputs.values()}
    if len(lengths) > 1 or first(output).shape[1:2] != (min(lengths),):
        return
    step = problem.seed % min(lengths)
    later = {n: x.copy() for n, x in problem.inputs.items()}
    for x in later.values():
        x[:, step + 1 :] = 7.0
    got = first(call(layer, problem, later))
    assert_close(problem, got[:, : step + 1], first(output)[:, : step + 1])


def check_hidden(problem, layer, output):
    """A key that `attention_mask` hides from every query changes nothing."""
    mask = problem.options.get("attention_mask")
    if mask is None or "value" not in problem.inputs:
        return
    step = problem.seed % mask.shape[2]
    mask = mask.copy()
    mask[:, :, step] = False
    changed = {n: x.copy() for n, x in problem.inputs.items() if n != "query"}
    for x in changed.values():
        x[:, step] = 100.0
    expected = first(call(layer, problem, attention_mask=mask))
    got = first(call(layer, problem, changed, attention_mask=mask))
    assert_close(problem, got, expected)


def check_training(problem, layer, output):
    """A step of training gives finite outputs and gradients."""
    if "training" not in problem.options:
        return
    if BACKEND == "torch" and problem.low and not problem.masks:
        return  # PyTorch has no gradient of some low-precision convolutions on a CPU
    given = {**problem.inputs, **problem.masks}
    options = {**problem.options, "training": True}
    if "attention_mask" in options:
        given["attention_mask"] = options.pop("attention_mask")
    floats = [n for n, x in problem.inputs.items() if x.dtype.kind == "f"]
    kept = layer.get_weights()
    loss, weights, grads = loss_and_gradients(layer, given, floats, **options)
    layer.set_weights(kept)  # a step moves the averages of batch normalisation
    assert np.isfinite(loss)
    if problem.config["dtype"] == "mixed_float16":
        return  # whose gradients overflow without the scaling of an optimizer
    for gradient in (*weights, *grads):
        assert gradient is None or np.isfinite(gradient).all(), "a gradient is NaN"


CHECKS = {
    name.removeprefix("check_"): function
    for name, function in dict(globals()).items()
    if name.startswith("check_")
}


def check(problem, names, seen):
    """Runs the checks of some names on a problem, and counts them in `seen`.

    Raises:
        Refused: If the layer refuses its arguments or inputs in one line.
    """
    layer, output = built(problem)
    for name in names:
        CHECKS[name](problem, layer, output)
        seen[name] += 1
