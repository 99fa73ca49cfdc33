"""From vectors to heads and back by an `EinsumDense`, as one product of matrices.

TensorFlow's einsum makes the gradient of the kernel sequence by sequence and adds these
up. The layers keep Keras's own dense layers all the same: their weights have the names
that Keras gives them, and they can be adapted (LoRA) and quantized as usual.
"""

import math

from keras import ops


def split_heads(dense, x):
    """Returns `x` `(B, T, D)` as heads `(B, H, T, K)`, by a kernel `(D, H, K)`."""
    if dense.quantization_mode or dense.activity_regularizer is not None:
        return ops.transpose(dense(x), (0, 2, 1, 3))
    width, *out = dense.kernel.shape
    return ops.transpose(_product(dense, x, width, out), (0, 2, 1, 3))


def join_heads(dense, x):
    """Returns heads `x` `(B, H, T, K)` as `(B, T, ...)`, by a kernel `(H, K, ...)`."""
    if dense.quantization_mode or dense.activity_regularizer is not None:
        return dense(x)
    heads, width, *out = dense.kernel.shape
    return _product(dense, ops.transpose(x, (0, 2, 1, 3)), heads * width, out)


def _product(dense, x, width, out):
    """Returns the sums over the last `width` numbers of each row, `(B, T, *out)`."""
    batch, rows = ops.shape(x)[:2]
    kernel = ops.convert_to_tensor(dense.kernel, dtype=dense.compute_dtype)
    x = ops.reshape(ops.cast(x, dense.compute_dtype), (-1, width))
    x = ops.matmul(x, ops.reshape(kernel, (width, math.prod(out))))
    if dense.bias is not None:
        # Of rank 2: Keras's `add` takes `(H, 1)` for a bias along T where T is H.
        x = ops.add(x, ops.reshape(ops.cast(dense.bias, x.dtype), (-1,)))
    return dense.activation(ops.reshape(x, (batch, rows, *out)))
