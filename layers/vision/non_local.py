"""The non-local block."""

import keras
from keras import ops

from attention_zoo.layers.core.blockwise import attend, check_block_size
from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.normalizers import get_normalizer
from attention_zoo.layers.core.scores import get_score
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._shared import (
    add_projections,
    count_positions,
    flatten_positions,
    mean_over_queries,
    reduced_channels,
    unflatten_positions,
)


@keras.saving.register_keras_serializable("attention_zoo")
class NonLocal(VisionLayer):
    """Every position attends to every position, and the result is added.

    1. `query`, `key`, `value`: 1 x 1 convolutions to `C / ratio` channels; the latter
       two on the map or, with `pool_size` above 1, max-pooled by it, M positions.
    2. Weights: softmax over the keys of `query . key`, unscaled, shape `(B, N, M)`.
    3. Output: the inputs plus a 1 x 1 convolution, `output`, of the weighted values,
       the inputs' shape.

    This is the paper's embedded Gaussian version. `output` starts at zero, so that the
    block starts as the identity; the paper has batch normalisation behind it, with a
    scale that starts at zero. `key` has no bias, which the softmax would cancel.

    Cost at 64 channels on a 32 x 32 map: 8,320 parameters, 150,994,944 FLOPs.

    Args:
        ratio: Integer. How many times fewer channels attend, rounded up. Defaults to
            `2`.
        pool_size: Integer. Max-pooling of keys and values along each axis. Defaults to
            `1`: none.
        block_size: Integer or `"auto"`. Number of queries evaluated at a time,
            recomputed in the backward pass, so that memory grows linearly; `"auto"`
            chooses it. Defaults to `None`: all at once.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the weights
        of shape `(B, N, M)`.

    Raises:
        ValueError: If the inputs have another rank, or if they have fewer channels than
            `ratio`.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.NonLocal(ratio=2, pool_size=2)
    output, weights = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert weights.shape == (2, 35, 12)
    ```

    References:
        - Wang et al. 2018, https://arxiv.org/abs/1711.07971
    """

    family = "spatial"

    def __init__(
        self, ratio=2, pool_size=1, block_size=None, data_format=None, **kwargs
    ):
        super().__init__(data_format=data_format, **kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, ratio=ratio, pool_size=pool_size)
        check_block_size(owner, block_size)
        self.ratio = ratio
        self.pool_size = pool_size
        self.block_size = block_size
        self._score = get_score("dot", None, owner, self.dtype_policy)
        self._normalizer = get_normalizer("softmax", owner, self.dtype_policy)

    def build_maps(self, shape):
        hidden = reduced_channels(type(self).__name__, shape[-1], self.ratio)
        add_projections(self, shape, hidden, hidden)
        self._output = keras.layers.Dense(
            shape[-1],
            kernel_initializer="zeros",
            dtype=self.dtype_policy,
            name="output",
        )
        self._output.build((*shape[:-1], hidden))
        self._score.build((shape[0], None, hidden))
        self._normalizer.build((shape[0], None, None))

    def _attend(self, x, need_weights):
        seen = x
        if self.pool_size > 1:
            seen = ops.max_pool(
                x,
                self.pool_size,
                self.pool_size,
                padding="same",
                data_format="channels_last",
            )
        result, weights = attend(
            flatten_positions(self._query(x)),
            flatten_positions(self._key(seen)),
            flatten_positions(self._value(seen)),
            self._score,
            self._normalizer,
            AttentionMask(),
            block_size=self.block_size,
            need_weights=need_weights,
        )
        return x + self._output(unflatten_positions(result, x)), weights

    def reduce_weights(self, weights, sizes):
        pooled = tuple(-(-n // self.pool_size) for n in sizes)
        return mean_over_queries(weights, pooled)

    def scores_shape(self, shape):
        pooled = [None if n is None else -(-n // self.pool_size) for n in shape[1:-1]]
        keys = count_positions((shape[0], *pooled, shape[-1]))
        return (shape[0], count_positions(shape), keys)

    def get_config(self):
        config = {
            "ratio": self.ratio,
            "pool_size": self.pool_size,
            "block_size": self.block_size,
        }
        return {**super().get_config(), **config}
