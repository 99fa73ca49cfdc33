"""The promises that every attention layer keeps, as one checker over cases.

A test module of a layer lists `CASES`; `test_promises.py` runs `check_layer` on each,
and `test_saved_layers.py` opens each in fresh processes on all backends.
"""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

BACKEND = keras.config.backend()


@dataclasses.dataclass(frozen=True)
class Case:
    """One layer with its inputs, and the formula it must agree with.

    Attributes:
        name: Name of the case, unique among all.
        cls: Class of the layer.
        config: Constructor arguments.
        inputs: Argument name -> shape, in call order; a different prime each dimension.
        formula: `formula(weights, inputs, masks)` in float64 NumPy, written from the
            paper; `weights` and `inputs` map names to arrays, `masks` maps names to
            boolean arrays or is empty. Returns the output, or (output, scores).
        masks: Names of the padding masks the layer takes: `"mask"` belongs to the first
            input, `"x_mask"` to input `x`.
        scores: Shape of the returned attention scores; None if the layer returns none.
        empty_is_zero: Whether a row of padding throughout gives a zero output.
        dynamic: Axes of the inputs that may be unknown, beside the batch.
        tolerance: Allowed distance from the formula in float32.
        call: Further call arguments.
        int_inputs: Names of the inputs that hold integers below 5.
        unread: Names of the inputs whose content the layer does not look at.
        jumps: Whether the layer chooses one position, so that rounding may choose
            another: low precision is then checked for being finite only.
    """

    name: str
    cls: type
    config: dict
    inputs: dict
    formula: Callable | None = None
    masks: tuple = ()
    scores: tuple | None = None
    empty_is_zero: bool = True
    dynamic: tuple = (1,)
    tolerance: float = 1e-5
    call: dict = dataclasses.field(default_factory=dict)
    int_inputs: tuple = ()
    unread: tuple = ()
    jumps: bool = False

    def __str__(self):
        return self.name

    def make(self, **config):
        return self.cls(**{"name": "layer", **self.config, **config})

    def draw(self, seed=0):
        """Returns random inputs by name."""
        rng = np.random.default_rng(seed)
        return {
            name: rng.integers(0, 5, shape)
            if name in self.int_inputs
            else rng.normal(size=shape).astype("float32")
            for name, shape in self.inputs.items()
        }

    def input_of(self, mask):
        """Returns the name of the input that the mask called `mask` belongs to."""
        return next(iter(self.inputs)) if mask == "mask" else mask.removesuffix("_mask")

    def draw_masks(self, empty_row=False):
        """Returns padding masks by name: the last two steps of row 0 are padding,
        and with `empty_row` all of row 1."""
        masks = {}
        for name in self.masks:
            batch, length = self.inputs[self.input_of(name)][:2]
            mask = np.ones((batch, length), bool)
            mask[0, -2:] = False
            if empty_row:
                mask[1] = False
            masks[name] = mask
        return masks


def to_numpy(x):
    x = keras.tree.map_structure(
        lambda t: np.asarray(ops.convert_to_numpy(ops.cast(t, "float32"))), x
    )
    return tuple(x) if isinstance(x, list) else x


def named_weights(layer, dtype="float64"):
    """Returns name -> array; a sublayer's weights are called `sublayer/weight`."""
    prefix = f"{layer.name}/"
    return {
        w.path.split(prefix, 1)[-1]: ops.convert_to_numpy(w).astype(dtype)
        for w in layer.weights
        if "seed_generator" not in w.path
    }


def shake(layer, seed=1):
    """Moves every weight off its initial value, so that no zero or one hides a bug."""
    rng = np.random.default_rng(seed)
    for w in layer.trainable_weights:
        w.assign(ops.convert_to_numpy(w) + 0.3 * rng.normal(size=w.shape))


def symbolic(inputs):
    """Returns a `KerasTensor` for each array of a dict."""
    return {
        name: keras.KerasTensor(x.shape, "int32" if x.dtype.kind == "i" else "float32")
        for name, x in inputs.items()
    }


def built_layer(case, **config):
    """Returns the case's layer, called symbolically and with shaken weights."""
    layer = case.make(**config)
    layer(**symbolic(case.draw()), **case.call)
    shake(layer)
    return layer


def run(layer, inputs, **call):
    """Returns what `layer` gives on a dict of arrays, as NumPy arrays.

    JAX compiles the call as a whole: eagerly it compiles every operation for every
    shape, which takes many times longer.

    Args:
        layer: A built layer.
        inputs: Dict of arrays, masks included.
        **call: Arguments that are no arrays.
    """
    if BACKEND != "jax":
        return to_numpy(layer(**inputs, **call))
    return to_numpy(_stateless(layer, **call)(*_state(layer), dict(inputs)))


def _state(layer):
    """Returns the values of a layer's trainable and non-trainable variables."""
    trainable = [v.value for v in layer.trainable_variables]
    return trainable, [v.value for v in layer.non_trainable_variables]


@functools.lru_cache(maxsize=8)
def _stateless(layer, **call):
    """Returns the compiled `(trainable, rest, inputs) -> output` of a layer on JAX."""
    import jax

    def compute(trainable, rest, inputs):
        return layer.stateless_call(trainable, rest, **inputs, **call)[0]

    return jax.jit(compute)


@functools.lru_cache(maxsize=8)
def _value_and_gradients(layer, **call):
    """Returns the compiled `(trainable, watched, rest, inputs) -> loss, gradients`."""
    import jax

    def compute(trainable, watched, rest, inputs):
        fed = {**inputs, **watched}
        return _loss_of(layer.stateless_call(trainable, rest, **fed, **call)[0])

    return jax.jit(jax.value_and_grad(compute, argnums=(0, 1)))


def first(output):
    return output[0] if isinstance(output, (tuple, list)) else output


def functional_model(layer, case, dynamic=True):
    """Returns a functional model around `layer`; masks come as extra inputs."""
    inputs, tensors = {}, {}
    for name, shape in case.inputs.items():
        free = [
            None if dynamic and axis in case.dynamic else size
            for axis, size in enumerate(shape)
        ]
        dtype = "int32" if name in case.int_inputs else "float32"
        tensors[name] = inputs[name] = keras.Input(free[1:], dtype=dtype, name=name)
    for name in case.masks:
        length = tensors[case.input_of(name)].shape[1]
        tensors[name] = inputs[name] = keras.Input((length,), dtype="bool", name=name)
    return keras.Model(inputs, first(layer(**tensors, **case.call)))


def _loss_of(output):
    output = ops.cast(first(output), "float32")
    size = np.prod(output.shape)
    weights = np.cos(np.arange(size, dtype="float32")).reshape(output.shape)
    weights = ops.convert_to_tensor(weights)
    return ops.sum(output * weights) + 0.5 * ops.sum(ops.square(output))


def loss_and_gradients(layer, inputs, wrt, **call):
    """Returns the loss, the weights' gradients and those of the inputs named in `wrt`.

    The loss weighs the output by fixed random numbers: a plain sum would hide
    gradients that cancel.
    """

    if not layer.trainable_weights and not wrt:
        return 0.0, [], []
    if BACKEND == "tensorflow":
        import tensorflow as tf

        inputs = {k: tf.convert_to_tensor(v) for k, v in inputs.items()}
        variables = [w.value for w in layer.trainable_weights]
        with tf.GradientTape() as tape:
            tape.watch([inputs[n] for n in wrt])
            loss = _loss_of(layer(**inputs, **call))
        found = tape.gradient(loss, [*variables, *(inputs[n] for n in wrt)])
        found = [None if g is None else tf.convert_to_tensor(g) for g in found]
    elif BACKEND == "jax":
        trainable, rest = _state(layer)
        watched = {n: ops.convert_to_tensor(inputs[n]) for n in wrt}
        others = {n: x for n, x in inputs.items() if n not in wrt}
        arrays = {n: x for n, x in call.items() if isinstance(x, np.ndarray)}
        options = {n: x for n, x in call.items() if n not in arrays}
        compute = _value_and_gradients(layer, **options)
        loss, grads = compute(trainable, watched, rest, {**others, **arrays})
        found = [*grads[0], *(grads[1][n] for n in wrt)]
    else:
        inputs = {k: ops.convert_to_tensor(v) for k, v in inputs.items()}
        for n in wrt:
            inputs[n] = inputs[n].detach().requires_grad_(True)
        layer.zero_grad()
        loss = _loss_of(layer(**inputs, **call))
        loss.backward()
        found = [w.value.grad for w in layer.trainable_weights]
        found += [inputs[n].grad for n in wrt]
    arrays = [None if g is None else to_numpy(g) for g in found]
    count = len(layer.trainable_weights)
    return float(to_numpy(loss)), arrays[:count], arrays[count:]


def check_layer(case):
    """Runs the checks below on `case`.

    JAX, where compiling takes most of the time, runs the checks of values, masks and
    gradients, all compiled; PyTorch those of shapes, precision and scores as well. What
    a layer says of itself is the same code on every backend.
    """
    checks = [check_values, check_masks, check_gradients]
    if BACKEND != "jax":
        checks += [check_shapes, check_dtypes, check_scores]
    if BACKEND == "tensorflow":
        checks.append(check_compiled)
        check_config(case)
    layer = built_layer(case)  # one, since building takes longer than most checks
    for check in checks:
        check(case, layer)


def check_config(case):
    layer = case.make()
    config = layer.get_config()
    for key in case.config:
        assert key in config, f"get_config lacks the constructor's `{key}`"
        assert hasattr(layer, key), f"the argument `{key}` is not kept as an attribute"
    clone = case.cls.from_config(config)
    assert clone.get_config() == config
    whole = keras.saving.serialize_keras_object(layer)
    assert whole["registered_name"] == keras.saving.get_registered_name(case.cls)
    assert whole["registered_name"].startswith("attention_zoo>")
    restored = keras.saving.deserialize_keras_object(whole)
    assert type(restored) is case.cls
    assert restored.get_config() == config


def check_shapes(case, layer):
    """The symbolic shape is the eager shape, with known and unknown sizes."""
    inputs = case.draw()
    eager = to_numpy(first(layer(**inputs, **case.call)))
    spec = layer(**symbolic(inputs), **case.call)
    assert tuple(first(spec).shape) == eager.shape
    assert first(spec).dtype == layer.compute_dtype
    if case.scores is not None:
        spec = layer(**symbolic(inputs), return_attention_scores=True, **case.call)
        assert tuple(spec[1].shape) == case.scores
    model = functional_model(layer, case)
    fed = {**inputs, **{n: np.ones_like(m) for n, m in case.draw_masks().items()}}
    np.testing.assert_allclose(to_numpy(model(fed)), eager, atol=1e-5, rtol=1e-5)


def check_dtypes(case, layer):
    weights = layer.get_weights()
    reference = to_numpy(first(layer(**case.draw(), **case.call)))
    masks = case.draw_masks(empty_row=True)
    policies = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
    for policy in policies if BACKEND == "tensorflow" else policies[2:3]:
        layer = case.make(dtype=policy)
        output = first(layer(**case.draw(), **case.call))
        layer.set_weights(weights)
        output = first(layer(**case.draw(), **case.call))
        expected = policy.removeprefix("mixed_")
        assert keras.backend.standardize_dtype(output.dtype) == expected
        scale = 1 + np.abs(reference).max()
        wide = 0.15 if "b" in expected[:1] else 0.05
        if not case.jumps:
            np.testing.assert_allclose(to_numpy(output), reference, atol=wide * scale)
        hidden = to_numpy(first(layer(**case.draw(), **masks, **case.call)))
        assert np.isfinite(hidden).all(), f"{policy}: masks overflow"


def check_values(case, layer):
    """Values agree with the formula, without and with padding."""
    if case.formula is None:
        return
    weights, inputs = named_weights(layer), case.draw()
    wide = {k: x.astype("float64") for k, x in inputs.items()}
    settings = [{}] + ([case.draw_masks(), case.draw_masks(True)] if case.masks else [])
    for masks in settings:
        expected = case.formula(weights, wide, masks)
        options = dict(case.call)
        if case.scores is not None:
            options["return_attention_scores"] = True
        got = run(layer, {**inputs, **masks}, **options)
        if case.scores is not None:
            assert isinstance(expected, tuple), "the formula gives no scores"
            np.testing.assert_allclose(got[1], expected[1], atol=case.tolerance)
        got, expected = first(got), first(expected)
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(got, expected, atol=case.tolerance * scale)


def check_masks(case, layer):
    """Padding is invisible, whatever it holds, and an empty row gives zeros."""
    if not case.masks:
        return
    inputs, masks = case.draw(), case.draw_masks()
    floats = tuple(n for n in inputs if n not in case.int_inputs)
    clean = first(run(layer, {**inputs, **masks}, **case.call))
    for garbage in (np.nan,) if BACKEND == "jax" else (1e4, np.nan):
        dirty = {name: x.copy() for name, x in inputs.items()}
        for name, mask in masks.items():
            if dirty[case.input_of(name)].dtype.kind == "f":
                dirty[case.input_of(name)][~mask] = garbage
        got = first(run(layer, {**dirty, **masks}, **case.call))
        np.testing.assert_allclose(
            _unpadded(case, got), _unpadded(case, clean), atol=1e-6
        )
        _, weights, _ = loss_and_gradients(layer, dirty, floats, **masks, **case.call)
        assert all(np.isfinite(g).all() for g in weights), f"padding of {garbage}"
    empty = case.draw_masks(empty_row=True)
    got = first(run(layer, {**inputs, **empty}, **case.call))
    if case.empty_is_zero:
        np.testing.assert_array_equal(got[1], 0)
    assert np.isfinite(got).all()
    _, weights, grads = loss_and_gradients(layer, inputs, floats, **empty, **case.call)
    assert all(np.isfinite(g).all() for g in [*weights, *grads] if g is not None)
    _check_mask_handed_on(case, layer, got.shape)


def _unpadded(case, output):
    """Returns the output at unpadded positions of the first input, if it has them."""
    name = next(iter(case.inputs))
    mask = {case.input_of(n): m for n, m in case.draw_masks().items()}.get(name)
    if mask is None or output.ndim < 3 or output.shape[:2] != mask.shape:
        return output
    return output[mask]


def _check_mask_handed_on(case, layer, shape):
    """A mask that comes with the first input leaves with an output of its length."""
    name, width = next(iter(case.inputs.items()))
    if shape[:2] != width[:2] or case.input_of(case.masks[0]) != name:
        return
    if len(width) != 3:  # no embedding makes such inputs
        return
    ids = keras.Input((width[1],), dtype="int32")
    embedded = keras.layers.Embedding(5, width[-1], mask_zero=True)(ids)
    others = {k: keras.Input(s[1:]) for k, s in case.inputs.items() if k != name}
    if name in case.int_inputs or set(others) & set(case.int_inputs):
        return
    output = first(layer(**{name: embedded}, **others, **case.call))
    assert getattr(output, "_keras_mask", None) is not None, "the mask is lost"


def check_scores(case, layer):
    """The scores returned are the ones recorded, and padding has exactly none."""
    from attention_zoo.layers import record_attention

    if case.scores is None:
        return
    inputs, masks = case.draw(), case.draw_masks()
    options = {**masks, **case.call}
    plain = to_numpy(first(layer(**inputs, **options)))
    output, scores = to_numpy(layer(**inputs, **options, return_attention_scores=True))
    assert scores.shape == case.scores
    # A kernel without weights may add up in another order.
    near = case.tolerance
    np.testing.assert_allclose(output, plain, rtol=near, atol=near / 10)
    with record_attention() as records:
        layer(**inputs, **options)
    own = [r for r in records if r.layer is layer]
    assert len(own) == 1, "the layer must record its weights once"
    np.testing.assert_array_equal(own[0].weights.astype("float32"), scores)


def check_gradients(case, layer):
    """Every weight gets a gradient, and every input too."""
    inputs = case.draw()
    floats = tuple(n for n in inputs if n not in case.int_inputs)
    _, weights, grads = loss_and_gradients(layer, inputs, floats, **case.call)
    for variable, gradient in zip(layer.trainable_weights, weights, strict=True):
        assert gradient is not None, f"no gradient reaches {variable.path}"
        assert np.isfinite(gradient).all(), variable.path
        # A softmax over dot products does not see what all keys share.
        zero = variable.path.endswith("key/bias")
        assert zero or np.abs(gradient).max() > 0, f"a zero gradient: {variable.path}"
    for name, gradient in zip(floats, grads, strict=True):
        if name in case.unread:
            continue
        assert gradient is not None, f"no gradient reaches input {name}"
        assert np.isfinite(gradient).all(), name


def check_compiled(case, layer):
    """Eager, graph and XLA agree, with masks."""
    fed = {**case.draw(), **case.draw_masks()}
    eager = to_numpy(first(layer(**fed, **case.call)))
    scale = max(1.0, np.abs(eager).max())
    for compiled, tolerance in _compilers(layer, case.call):
        got = to_numpy(compiled(fed))
        np.testing.assert_allclose(got, eager, atol=tolerance * scale, rtol=0)


def _compilers(layer, call):
    """Returns pairs of a compiled layer and its tolerance, as part of the scale.

    XLA orders sums in its own way, which depends on the processor, and the scores of
    shaken weights are so large that a softmax magnifies the difference.
    """
    import tensorflow as tf

    def compute(fed):
        return first(layer(**fed, **call))

    graph = tf.function(compute)
    xla = tf.function(lambda fed: graph(fed), jit_compile=True)  # of the same trace
    return [(graph, 1e-5), (xla, 1e-4)]
