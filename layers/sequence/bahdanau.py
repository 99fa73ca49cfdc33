"""Bahdanau attention."""

import keras

from attention_zoo.layers.core.parts import serialize_part
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.sequence.scored import ScoredAttention


@keras.saving.register_keras_serializable("attention_zoo")
class BahdanauAttention(ScoredAttention):
    """Additive attention, the first one: `s(q, k) = v' tanh(W1 q + W2 k + b)`.

    1. Scores `s(q_i, k_j)`, shape `(B, Tq, Tv)`.
    2. Weights: the normalizer over the keys that a query may see, shape `(B, Tq, Tv)`.
    3. Output: the weighted sum of the values, shape `(B, Tq, Dv)`.

    The query is a decoder's previous state, the value an encoder's states. Weights:
    `query_kernel` `(Dq, units)`, `key_kernel` `(Dk, units)`, `bias` `(units,)`, `scale`
    `(units,)`. `keras.layers.AdditiveAttention` is the same without W1, W2 and b.

    Args:
        units: Integer. Width of the hidden layer.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`. Defaults to `"softmax"`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        window: Integer or pair of integers `(left, right)`. Query `i` sees keys
            `i - left` to `i + right`. Defaults to `None`: all keys.
        block_size: Integer or `"auto"`. Number of queries evaluated at a time and
            recomputed in the backward pass, so that memory grows linearly with the
            length. The result is the same. Defaults to `None`: all at once.
        seed: Integer. Seed of dropout and of a random normalizer. Defaults to `None`.
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

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    state, encoded = np.ones((2, 1, 5), "float32"), np.ones((2, 7, 3), "float32")
    context = layers.BahdanauAttention(units=11)(state, encoded)
    assert context.shape == (2, 1, 3)
    ```

    References:
        - Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473
    """

    def __init__(
        self,
        units,
        normalizer="softmax",
        dropout=0.0,
        window=None,
        block_size=None,
        seed=None,
        **kwargs,
    ):
        check_positive_integer(type(self).__name__, units=units)
        super().__init__(**kwargs)
        self._set_parts(
            "additive", normalizer, units, dropout, window, block_size, seed
        )

    def get_config(self):
        config = {
            "units": self.units,
            "normalizer": serialize_part(self.normalizer),
            "dropout": self.dropout,
            "window": self.window,
            "block_size": self.block_size,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
