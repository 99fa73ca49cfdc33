"""Gradients by the automatic differentiation of whichever backend runs."""

import keras
from keras import ops


def gradient(function, x):
    """Returns the gradient of a function's sum.

    Args:
        function: Function of a float tensor that returns a tensor.
        x: Float array.

    Returns:
        A NumPy array in the shape of `x`.
    """
    backend = keras.backend.backend()
    x = ops.convert_to_tensor(x)
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            total = ops.sum(function(x))
        found = tape.gradient(total, x, unconnected_gradients="zero")
        found = tf.convert_to_tensor(found)
    elif backend == "jax":
        import jax

        found = jax.grad(lambda x: ops.sum(function(x)))(x)
    else:
        import torch

        with torch.enable_grad():
            x = x.detach().requires_grad_()
            total = ops.sum(function(x))
            (found,) = torch.autograd.grad(total, [x], allow_unused=True)
        found = torch.zeros_like(x) if found is None else found
    return ops.convert_to_numpy(found)


def inner_gradients(function, x):
    """Returns tensors within a function, and the gradient of its sum for each.

    Args:
        function: Function of a float tensor `x` that returns a tensor and a list of
            tensors that this one was computed from.
        x: Float array that the tensors depend on.

    Returns:
        Two lists of NumPy arrays: the tensors, and gradients in their shapes. The
        gradient is zero for a tensor that the result was not computed from.
    """
    backend = keras.backend.backend()
    x = ops.convert_to_tensor(x)
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            result, inner = function(x)
            total = ops.sum(result)
        found = tape.gradient(total, inner, unconnected_gradients="zero")
    elif backend == "jax":
        inner, found = _jax_inner_gradients(function, x)
    else:
        import torch

        with torch.enable_grad():
            result, inner = function(x.detach().requires_grad_())
            found = inner and torch.autograd.grad(
                ops.sum(result), inner, allow_unused=True
            )
        found = [
            torch.zeros_like(tensor) if one is None else one
            for tensor, one in zip(inner, found, strict=True)
        ]
    return [ops.convert_to_numpy(t) for t in inner], [
        ops.convert_to_numpy(one) for one in found
    ]


def _jax_inner_gradients(function, x):
    """Adds to each inner tensor a zero where it arises, and differentiates by these."""
    import jax
    from jax.extend.core import Literal

    closed = jax.make_jaxpr(function)(x)
    jaxpr = closed.jaxpr
    result, *wanted = jaxpr.outvars

    def run(added):
        values = dict(zip(jaxpr.constvars, closed.consts, strict=True))
        values[jaxpr.invars[0]] = x

        def read(var):
            return var.val if isinstance(var, Literal) else values[var]

        for equation in jaxpr.eqns:
            params = equation.primitive.get_bind_params(equation.params)
            functions = []
            if isinstance(params, tuple):  # of earlier versions
                functions, params = params
            inputs = [read(var) for var in equation.invars]
            outputs = equation.primitive.bind(*functions, *inputs, **params)
            if not equation.primitive.multiple_results:
                outputs = [outputs]
            for var, value in zip(equation.outvars, outputs, strict=True):
                values[var] = value + added[var] if var in added else value
        return ops.sum(read(result)), [read(var) for var in wanted]

    zeros = {
        var: ops.zeros(var.aval.shape, var.aval.dtype)
        for var in wanted
        if not isinstance(var, Literal)
    }
    keys = list(zeros)

    def from_list(added):
        return run(dict(zip(keys, added, strict=True)))

    grads, inner = jax.grad(from_list, has_aux=True)(list(zeros.values()))
    found = dict(zip(keys, grads, strict=True))
    return inner, [found[var] for var in wanted]
