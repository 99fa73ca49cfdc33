"""Selective kernels."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.vision._base import BranchLayer
from attention_zoo.layers.vision._shared import (
    check_divisible,
    convolution,
    global_average,
)


def choose_branches(maps, logits):
    """Returns the maps weighed by softmax over the branches.

    Args:
        maps: Tensor `(B, ..., M, C)` of M branches.
        logits: Tensor `(B, M, C)`.

    Returns:
        Tensor `(B, ..., C)`, and weights `(B, M, C)`.
    """
    weights = ops.cast(ops.softmax(widen(logits), axis=1), maps.dtype)
    places = tuple(range(1, len(maps.shape) - 2))
    return ops.sum(maps * ops.expand_dims(weights, places), axis=-2), weights


@keras.saving.register_keras_serializable("attention_zoo")
class SelectiveKernel(BranchLayer):
    """Convolutions of several reaches, and each channel chooses between them.

    1. Split: `branches` 3 x 3 convolutions, the i-th dilated by i, each with batch
       normalisation and relu: `conv_0`, `norm_0`, ...; reaches 3, 5, 7, ...
    2. Fuse: the mean of each channel of their sum, `reduce` to
       `max(min_width, C / ratio)` units, batch normalisation and relu.
    3. Select: for each channel a softmax over the branches, shape
       `(B, branches, filters)`; `select` without bias.
    4. Output: the sum of the branches weighed so, shape `(B, H, W, filters)`.

    The paper's convolutions have 32 groups.

    Cost at 64 channels on a 32 x 32 map: 80,192 parameters, 151,007,232 FLOPs.

    Args:
        filters: Integer. Number of channels of the output. Defaults to `None`: as many
            as the inputs have.
        branches: Integer. Number of convolutions. Defaults to `2`.
        ratio: Integer. How many times narrower the hidden layer is. Defaults to `16`.
        min_width: Integer. Least width of the hidden layer. Defaults to `32`.
        groups: Integer. Groups of the convolutions; it must divide the channels and
            `filters`. Defaults to `1`.
        activation: String or function. Activation of branches and hidden layer.
            Defaults to `"relu"`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether batch normalisation takes the batch's statistics.

    Returns:
        Output of shape `(B, H, W, filters)`, and with `return_attention_scores=True`
        the weights of shape `(B, branches, filters)`.

    Raises:
        ValueError: If the inputs have another rank, or if `groups` does not divide the
            channels.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.SelectiveKernel(branches=2, min_width=3)
    output, weights = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert weights.shape == (2, 2, 8)
    ```

    References:
        - Li et al. 2019, https://arxiv.org/abs/1903.06586
    """

    def __init__(
        self,
        filters=None,
        branches=2,
        ratio=16,
        min_width=32,
        groups=1,
        activation="relu",
        data_format=None,
        **kwargs,
    ):
        super().__init__(filters=filters, data_format=data_format, **kwargs)
        check_positive_integer(
            type(self).__name__,
            branches=branches,
            ratio=ratio,
            min_width=min_width,
            groups=groups,
        )
        self.branches = branches
        self.ratio = ratio
        self.min_width = min_width
        self.groups = groups
        self.activation = keras.activations.get(activation)

    def build_maps(self, shape):
        policy = self.dtype_policy
        filters = self.filters or shape[-1]
        owner = type(self).__name__
        check_divisible(owner, shape[-1], groups=self.groups)
        check_divisible(owner, filters, groups=self.groups)
        self._convs, self._norms = [], []
        for i in range(self.branches):
            conv = convolution(
                len(shape) - 2,
                filters,
                3,
                policy,
                dilation_rate=i + 1,
                groups=self.groups,
                use_bias=False,
                name=f"conv_{i}",
            )
            norm = keras.layers.BatchNormalization(dtype=policy, name=f"norm_{i}")
            hand_on(self._weight_options, conv)
            conv.build(shape)
            norm.build((*shape[:-1], filters))
            self._convs.append(conv)
            self._norms.append(norm)
        hidden = max(self.min_width, -(-filters // self.ratio))
        self._reduce = keras.layers.Dense(
            hidden, use_bias=False, dtype=policy, name="reduce"
        )
        self._norm = keras.layers.BatchNormalization(dtype=policy, name="norm")
        self._select = keras.layers.Dense(
            self.branches * filters, use_bias=False, dtype=policy, name="select"
        )
        self._reduce.build((shape[0], filters))
        self._norm.build((shape[0], hidden))
        self._select.build((shape[0], hidden))

    def attend_maps(self, x):
        maps = [
            self.activation(norm(conv(x)))
            for conv, norm in zip(self._convs, self._norms, strict=True)
        ]
        maps = ops.stack(maps, axis=-2)  # (B, ..., branches, filters)
        hidden = self._norm(self._reduce(global_average(ops.sum(maps, axis=-2))))
        logits = self._select(self.activation(hidden))
        logits = ops.reshape(logits, (-1, self.branches, maps.shape[-1]))
        return choose_branches(maps, logits)

    def scores_shape(self, shape):
        return (shape[0], self.branches, self.filters or shape[-1])

    def get_config(self):
        config = {
            "branches": self.branches,
            "ratio": self.ratio,
            "min_width": self.min_width,
            "groups": self.groups,
            "activation": keras.activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}
