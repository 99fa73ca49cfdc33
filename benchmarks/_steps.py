"""Steps of a model that a race times: forward, or training, on each backend.

A step is a function without arguments that returns its results when they are there; it
is traced, and on JAX compiled, when it is made. A training step is a forward pass, the
mean of the squared output as the loss, and the gradients of the inputs and of the
weights; its results are the output, the gradients of the inputs and those of the
weights. No optimizer takes part.
"""

WHATS = ("forward", "training")


def draw(*shapes, seed=0):
    """Returns a float32 array of normal numbers for each shape, a list."""
    import numpy as np

    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def keras_step(model, arrays, what):
    """Returns a compiled step of a Keras model on the backend in use.

    Args:
        model: Functional `keras.Model` of one output; its inputs are a list or one.
        arrays: List of NumPy arrays, one for each input.
        what: `"forward"`, as at inference, or `"training"`.
    """
    import keras

    steps = {"tensorflow": _tensorflow_step, "jax": _jax_step}
    return steps[keras.backend.backend()](model, arrays, what)


def _tensorflow_step(model, arrays, what):
    import tensorflow as tf

    inputs = [tf.constant(array) for array in arrays]
    weights = [variable.value for variable in model.trainable_variables]

    @tf.function(autograph=False)
    def forward(*inputs):
        return [model(_packed(inputs), training=False)]

    @tf.function(autograph=False)
    def training(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = model(_packed(inputs), training=True)
            loss = tf.reduce_mean(tf.square(output))
        return [output, *tape.gradient(loss, [*inputs, *weights])]

    step = training if what == "training" else forward
    step.get_concrete_function(*inputs)
    return lambda: step(*inputs)


def _jax_step(model, arrays, what):
    import jax

    inputs = tuple(jax.device_put(array) for array in arrays)
    weights = [variable.value for variable in model.trainable_variables]
    state = [variable.value for variable in model.non_trainable_variables]

    def call(inputs, weights, training):
        return model.stateless_call(weights, state, _packed(inputs), training=training)

    def loss(inputs, weights):
        output, moved = call(inputs, weights, True)
        return (output**2).mean(), (output, moved)

    def training(inputs, weights):
        derive = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        (_, (output, moved)), (by_inputs, by_weights) = derive(inputs, weights)
        return [output, *by_inputs, *by_weights, *moved]

    def forward(inputs, weights):
        return [call(inputs, weights, False)[0]]

    step = jax.jit(training if what == "training" else forward)
    compiled = step.lower(inputs, weights).compile()
    return lambda: jax.block_until_ready(compiled(inputs, weights))


def torch_step(module, inputs, what):
    """Returns a step of a PyTorch module or function, as `keras_step` does."""
    import torch

    is_module = isinstance(module, torch.nn.Module)
    parameters = list(module.parameters()) if is_module else []

    def forward():
        if is_module:
            module.eval()
        with torch.inference_mode():
            return [module(*inputs)]

    def training():
        if is_module:
            module.train()
        watched = [x.detach().requires_grad_() for x in inputs]
        output = module(*watched)
        loss = output.square().mean()
        gradients = torch.autograd.grad(loss, [*watched, *parameters])
        return [output.detach(), *gradients]

    return training if what == "training" else forward


def _packed(inputs):
    """Returns one input as it is, several as a list."""
    return inputs[0] if len(inputs) == 1 else list(inputs)


def check_equal(ours, other, tolerance=1e-4, about=""):
    """Raises `AssertionError` where arrays differ, by the size of the largest element.

    Args:
        ours: List of arrays or tensors.
        other: List of arrays or tensors of the same shapes; the longer list is cut.
        tolerance: Float, of the largest element of each array.
        about: String, what is compared, for the message.
    """
    import numpy as np

    for i, pair in enumerate(zip(ours, other, strict=False)):
        one, two = (np.asarray(x) for x in pair)
        size = max(float(np.abs(two).max()), 1e-30)
        np.testing.assert_allclose(
            *(x / size for x in (one, two)),
            rtol=0,
            atol=tolerance,
            err_msg=f"{about}, result {i}",
        )
