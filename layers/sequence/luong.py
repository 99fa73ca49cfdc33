"""Luong attention: global, local on the diagonal, local around a predicted place."""

import keras
from keras import ops

from attention_zoo.layers.core.parts import serialize_part
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.validation import check_choice, check_optional_integers
from attention_zoo.layers.sequence.scored import ScoredParts

ALIGNMENTS = ("global", "local_m", "local_p")
DEFAULT_WINDOW = 10  # the paper's D


def predict_positions(query, kernel, scale, lengths):
    """Returns `p_t = S sigmoid(v' tanh(W h_t))`, shape `(B, Tq)`.

    Args:
        query: Tensor `(B, Tq, Dq)`.
        kernel: W, tensor `(Dq, Dq)`.
        scale: v, tensor `(Dq,)`.
        lengths: S, tensor `(B, 1)`, the number of unpadded source positions.
    """
    hidden = ops.tanh(ops.matmul(query, kernel))
    logits = ops.squeeze(ops.matmul(hidden, ops.expand_dims(scale, -1)), -1)
    return lengths * ops.sigmoid(logits)


def gaussian_window(positions, places, window):
    """Returns the Gaussian around each predicted position, and where it is cut off.

    Args:
        positions: p_t, tensor `(B, Tq)`.
        places: s of each source position, tensor `(B, Tv)`.
        window: D, a number; the standard deviation is D / 2.

    Returns:
        `exp(-(s - p_t)^2 / (2 (D / 2)^2))`, and whether `|s - p_t| <= D`, each
        `(B, Tq, Tv)`.
    """
    distance = ops.expand_dims(places, 1) - ops.expand_dims(positions, -1)
    closeness = ops.exp(-2 * ops.square(distance / window))
    return closeness, ops.abs(distance) <= window


class _Reweighted:
    """A normalizer whose weights are multiplied by fixed numbers afterwards."""

    def __init__(self, normalizer, factor):
        self.normalizer = normalizer
        self.factor = factor
        self.normalize_weights = normalizer.normalize_weights
        self.draw_seed = normalizer.draw_seed

    def apply(self, scores, *args, **kwargs):
        weights = self.normalizer.apply(scores, *args, **kwargs)
        return weights * ops.cast(self.factor, weights.dtype)


@keras.saving.register_keras_serializable("attention_zoo")
class LuongAttention(ScoredParts, QueryValueAttention):
    """Luong attention, with global or local alignment and the attentional vector.

    1. Scores of decoder state `h_t` and encoder state `h_s`, shape `(B, Tq, Tv)`.
    2. Weights `a_t`, shape `(B, Tq, Tv)`, over the positions `s` that `alignment` lets
       step `t` see. Both count from 0.
       - `"global"`: all of them.
       - `"local_m"`: `t - D <= s <= t + D`.
       - `"local_p"`: `p_t - D <= s <= p_t + D` around the predicted place
         `p_t = S sigmoid(v' tanh(W h_t))`, where S is the number of unpadded source
         positions; the weights are multiplied by `exp(-(s - p_t)^2 / (2 (D / 2)^2))`
         and so sum to less than 1.
    3. Context `c_t = sum_s a_t(s) h_s`, shape `(B, Tq, Dv)`.
    4. With `attention_units`, the attentional vector `tanh(Wc [c_t; h_t])`, shape
       `(B, Tq, attention_units)`, which takes the context's place as the output. A
       query with nothing to see has a context of 0; the vector is 0 only where the
       query is padding too.

    Weights beside the score's: with `"local_p"` `position_kernel` `(Dq, Dq)` and
    `position_scale` `(Dq,)`; `attention_kernel` `(Dv + Dq, attention_units)`.

    Args:
        score: String or `Score` layer. `"dot"`, `"scaled_dot"`, `"cosine"`,
            `"general"`, `"concat"`, `"additive"` or `"location"`; the paper's are
            `"dot"`, `"general"`, `"concat"` and `"location"`.
            Defaults to `"general"`.
        alignment: String. `"global"`, `"local_m"` (monotonic) or `"local_p"`
            (predictive). Defaults to `"global"`.
        window: Integer D, with the local alignments only. Defaults to `None`, which
            stands for the paper's 10 there.
        attention_units: Integer. Width of the attentional vector. Defaults to `None`:
            the output is the context.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`. Defaults to `"softmax"`.
        units: Integer. Width of the hidden layer of the scores `"concat"` and
            `"additive"`. Defaults to `None`: as wide as the key.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        block_size: Integer or `"auto"`. Number of queries evaluated at a time and
            recomputed in the backward pass, so that memory grows linearly with the
            length; not with `"local_p"`. Defaults to `None`: all at once.
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
        Output of shape `(B, Tq, Dv)` or `(B, Tq, attention_units)`, and with
        `return_attention_scores=True` the weights of shape `(B, Tq, Tv)`, dropout
        included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    states, encoded = np.ones((2, 3, 5), "float32"), np.ones((2, 7, 11), "float32")
    layer = layers.LuongAttention(alignment="local_m", window=2, attention_units=13)
    assert layer(states, encoded).shape == (2, 3, 13)
    ```

    References:
        - Luong et al. 2015, https://arxiv.org/abs/1508.04025
    """

    def __init__(
        self,
        score="general",
        alignment="global",
        window=None,
        attention_units=None,
        normalizer="softmax",
        units=None,
        dropout=0.0,
        block_size=None,
        seed=None,
        **kwargs,
    ):
        owner = type(self).__name__
        check_choice(owner, ALIGNMENTS, alignment=alignment)
        check_optional_integers(owner, window=window, attention_units=attention_units)
        if window is not None and alignment == "global":
            raise ValueError(
                f"`{owner}` takes `window` with alignment 'local_m' or 'local_p' only. "
                f"Received: alignment={alignment!r}, window={window!r}"
            )
        if block_size is not None and alignment == "local_p":
            raise ValueError(
                f"`{owner}` takes `block_size` with alignment 'global' or 'local_m' "
                f"only. Received: alignment={alignment!r}, block_size={block_size!r}"
            )
        super().__init__(**kwargs)
        distance = window or DEFAULT_WINDOW
        band = distance if alignment == "local_m" else None
        self._set_parts(score, normalizer, units, dropout, band, block_size, seed)
        self.alignment = alignment
        self.window = window
        self._distance = distance
        self.attention_units = attention_units

    def build(self, query_shape, value_shape, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        width = query_shape[-1]
        if self.alignment == "local_p":
            self.position_kernel = self.add_weight(
                name="position_kernel", shape=(width, width)
            )
            self.position_scale = self.add_weight(
                name="position_scale", shape=(width,), initializer="glorot_uniform"
            )
        if self.attention_units is not None:
            self.attention_kernel = self.add_weight(
                name="attention_kernel",
                shape=(value_shape[-1] + width, self.attention_units),
            )

    def _narrow(self, query, key, mask):
        """Limits `mask` to the windows around the predicted positions.

        Returns:
            The Gaussian around the positions, shape `(B, Tq, Tv)`.
        """
        if mask.key_mask is None:
            places = ops.cast(ops.arange(ops.shape(key)[1]), "float32")[None, :]
            lengths = ops.cast(ops.shape(key)[1], "float32")
        else:
            seen = ops.cast(mask.key_mask, "float32")
            places = ops.cumsum(seen, axis=1) - 1
            lengths = ops.sum(seen, axis=1, keepdims=True)
        positions = predict_positions(  # in float32, for which window to take
            *(
                ops.cast(x, "float32")
                for x in (query, self.position_kernel, self.position_scale)
            ),
            lengths,
        )
        closeness, near = gaussian_window(positions, places, self._distance)
        if mask.attention_mask is not None:
            near = ops.logical_and(near, mask.attention_mask)
        mask.attention_mask = near
        return closeness

    def _attend(self, query, value, key, mask, training, need_weights):
        normalizer = None
        if self.alignment == "local_p":
            factor = self._narrow(query, key, mask)
            normalizer = _Reweighted(self._normalizer, factor)
            need_weights = True
        output, weights = super()._attend(
            query, value, key, mask, training, need_weights, normalizer=normalizer
        )
        if self.attention_units is not None:
            both = ops.concatenate([output, query], axis=-1)
            output = ops.tanh(ops.matmul(both, self.attention_kernel))
        return output, weights

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        width = self.attention_units or value_shape[-1]
        return (*query_shape[:-1], width)

    def get_config(self):
        config = {
            "score": serialize_part(self.score),
            "alignment": self.alignment,
            "window": self.window,
            "attention_units": self.attention_units,
            "normalizer": serialize_part(self.normalizer),
            "units": self.units,
            "dropout": self.dropout,
            "block_size": self.block_size,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
