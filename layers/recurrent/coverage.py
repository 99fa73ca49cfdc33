"""Coverage attention: what earlier queries looked at counts for the next one."""

import keras
from keras import ops

from attention_zoo.layers.core.parts import serialize_part
from attention_zoo.layers.core.validation import check_number, check_positive_integer
from attention_zoo.layers.recurrent.stepwise import StepwiseAttention, check_not_random


def coverage_overlap(weights, state):
    """Returns how much each query looks where was looked before, `(B, Tq)`.

    Args:
        weights: `a`, tensor `(B, Tq, Tv)`.
        state: Tensor `(B, Tv)`, the coverage before the first query.

    Returns:
        `sum_j min(a_ij, c_ij)`, where `c_i` is the sum of the weights before `i`.
    """
    covered = ops.cumsum(weights, axis=1) - weights + ops.expand_dims(state, 1)
    return ops.sum(ops.minimum(weights, covered), axis=-1)


@keras.saving.register_keras_serializable("attention_zoo")
class CoverageAttention(StepwiseAttention):
    """Additive attention that knows how much each key was looked at so far.

    1. Coverage `c_i = sum of a_t for t < i`, shape `(B, Tv)` at each query.
    2. Scores `v' tanh(W q_i + V k_j + w c_ij + b)`.
    3. Weights `a_i`: the normalizer over the keys, shape `(B, Tq, Tv)`.
    4. Output: the weighted sum of the values, shape `(B, Tq, Dv)`.
    5. Loss: `loss_weight` times `sum_j min(a_ij, c_ij)`, the mean over unpadded queries
       and then over the batch, is added to the model's, in training and evaluation as
       regularizers are. It makes repetition cost.

    The state (see `StepwiseAttention`) is the coverage, zeros before the first query.
    The weight beside those of the additive score is `coverage_kernel` `(units,)`, w
    above; a single query has nothing to train it with. The paper trains without
    coverage first and adds it for the last steps.

    Args:
        units: Integer. Width of the hidden layer.
        loss_weight: Number of at least 0. Defaults to `1.0`, the paper's.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"` or `"top_k"`: random
            ops are not supported inside the loop. Defaults to `"softmax"`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights; the
            state keeps what was dropped. Defaults to `0.0`.
        window: Integer or pair of integers `(left, right)`. Query `i` sees keys
            `i - left` to `i + right`. Defaults to `None`: all keys.
        seed: Integer. Seed of dropout. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.
        state: Tensor of shape `(B, Tv)`, to go on from where earlier queries ended.
            Defaults to `initial_state`.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    query, value = np.ones((2, 3, 5), "float32"), np.ones((2, 7, 11), "float32")
    layer = layers.CoverageAttention(units=13, loss_weight=0.5)
    output, weights = layer(query, value, return_attention_scores=True)
    assert output.shape == (2, 3, 11) and weights.shape == (2, 3, 7)
    ```

    References:
        - See et al. 2017, https://arxiv.org/abs/1704.04368
    """

    def __init__(
        self,
        units,
        loss_weight=1.0,
        normalizer="softmax",
        dropout=0.0,
        window=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, units=units)
        check_number(owner, minimum=0, loss_weight=loss_weight)
        self._set_parts("additive", normalizer, units, dropout, window, seed=seed)
        check_not_random(owner, self._normalizer)
        self.loss_weight = loss_weight

    def build(self, query_shape, value_shape, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.coverage_kernel = self.add_weight(
            name="coverage_kernel", shape=(self.units,), initializer="glorot_uniform"
        )

    def initial_state(self, batch, length, mask=None):
        return ops.zeros((batch, length), dtype="float32")

    def _advance(self, row, keys, state, mask):
        kernel = ops.cast(self.coverage_kernel, keys.dtype)
        covered = ops.expand_dims(ops.cast(state, keys.dtype), -1) * kernel
        weights = self._weigh(row, keys + covered, mask)
        return weights, state + ops.cast(weights, state.dtype)

    def add_losses(self, weights, state, mask):
        if not self.loss_weight:
            return
        weights, state = ops.cast(weights, "float32"), ops.cast(state, "float32")
        overlap = coverage_overlap(weights, state)  # (B, Tq)
        seen = mask.seen(*ops.shape(weights)[1:])
        seen = ops.ones_like(overlap) if seen is None else ops.cast(seen, "float32")
        seen = ops.broadcast_to(seen, ops.shape(overlap))
        count = ops.maximum(ops.sum(seen, axis=1), 1)
        loss = ops.mean(ops.sum(overlap * seen, axis=1) / count)
        self.add_loss(self.loss_weight * loss)

    def get_config(self):
        config = {
            "units": self.units,
            "loss_weight": self.loss_weight,
            "normalizer": serialize_part(self.normalizer),
            "dropout": self.dropout,
            "window": self.window,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
