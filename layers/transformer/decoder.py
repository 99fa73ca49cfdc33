"""The transformer's decoder block, whole sequences at once or step by step."""

import keras
from keras import ops

from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.validation import check_rank
from attention_zoo.layers.transformer.base import TransformerBlock


@keras.saving.register_keras_serializable("attention_zoo")
class TransformerDecoderBlock(TransformerBlock):
    """Causal self-attention, attention to an encoder, and a feed-forward layer.

    Normalized after (`normalize_first=False`, as in the paper), or before each
    sublayer:

    1. `x = norm(x + attention(x))`, or `x + attention(norm(x))`, `(B, Tq, D)`.
    2. `x = norm(x + attention(x, value))`, or `x + attention(norm(x), value)`.
    3. `x = norm(x + feed(x))`, or `x + feed(norm(x))`.

    Without a `value` there is no second step: a block of a decoder-only model.
    Arguments `position` and `window` in `attention` are for the self-attention alone.
    Masked positions give zeros. `record_attention` sees the weights, as those of the
    sublayers `self_attention` and `cross_attention`.

    Args:
        intermediate_dim: Integer. Width of the feed-forward layer.
        num_heads: Integer. Number of heads.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights and to
            the output of each sublayer. Defaults to `0.0`.
        activation: String or callable. Activation of the feed-forward layer.
            Defaults to `"relu"`.
        layer_norm_epsilon: Float. Added to the variance in the normalizations.
            Defaults to `1e-6`.
        kernel_initializer: Initializer of the kernels of attention and feed-forward
            layer. Defaults to `"glorot_uniform"`.
        normalize_first: Boolean. Whether the inputs of the sublayers are normalized
            instead of their sums. Defaults to `False`.
        key_dim: Integer. Width of each head. Defaults to `None`, which stands for
            `D / num_heads`.
        use_gate: Boolean. Whether the feed-forward layer is gated, as in GLU and
            SwiGLU; see `FeedForward`. Defaults to `False`.
        attention: Dict of further arguments of `MultiHeadAttention`, such as
            `{"position": "rotary", "block_size": "auto"}`. Defaults to `None`.
        seed: Integer. Seed of the dropout. Defaults to `None`.

    Call arguments:
        query: Tensor of shape `(B, Tq, D)`.
        value: Tensor of shape `(B, Tv, Dv)`, the encoder's output. Defaults to `None`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether position `i` of the query sees positions up to
            `i` only. Defaults to `True`.

    Returns:
        Output of shape `(B, Tq, D)`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    Decoding step by step gives what the whole sequence gives:

    ```python
    block = layers.TransformerDecoderBlock(64, num_heads=8)
    target = np.random.rand(2, 3, 16).astype("float32")
    encoded = np.random.rand(2, 5, 16).astype("float32")
    whole = block(target, encoded)

    cache = block.initial_cache(2, 3, encoded)
    for index in range(3):
        output, cache = block.step(target[:, index : index + 1], cache, index)
        np.testing.assert_allclose(output[:, 0], whole[:, index], atol=1e-5)
    ```

    References:
        - Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
        - Normalized first: Xiong et al. 2020, https://arxiv.org/abs/2002.04745
    """

    call_inputs = ("query", "value")
    call_masks = ("query_mask", "value_mask")
    call_options = ("use_causal_mask",)
    needs_value = False

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        *,
        dropout=0.0,
        activation="relu",
        layer_norm_epsilon=1e-6,
        kernel_initializer="glorot_uniform",
        normalize_first=False,
        key_dim=None,
        use_gate=False,
        attention=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            intermediate_dim,
            num_heads,
            dropout=dropout,
            activation=activation,
            layer_norm_epsilon=layer_norm_epsilon,
            kernel_initializer=kernel_initializer,
            normalize_first=normalize_first,
            key_dim=key_dim,
            use_gate=use_gate,
            attention=attention,
            seed=seed,
            **kwargs,
        )

    def build(self, query_shape, value_shape=None):
        shape = tuple(query_shape)
        check_rank(type(self).__name__, 3, query=shape)
        attend = self._make_attention("self_attention", shape[-1])
        self._attend, *self._attend_rest = self._build_sublayer(attend, shape, shape)
        self._attend_value = None
        if value_shape is not None:
            only = {"position": None, "window": None}
            attend = self._make_attention("cross_attention", shape[-1], **only)
            parts = self._build_sublayer(attend, shape, tuple(value_shape))
            self._attend_value, *self._attend_value_rest = parts
        self._feed, *self._feed_rest = self._build_sublayer(
            self._make_feed_forward(), shape
        )
        self.built = True

    def _run(self, x, attend, attend_value, training):
        """Runs the sublayers, with the two attentions as functions of `x`."""
        x = self._residual(x, attend, *self._attend_rest, training)
        if self._attend_value is not None:
            x = self._residual(x, attend_value, *self._attend_value_rest, training)
        return self._residual(x, self._feed, *self._feed_rest, training)

    def call(
        self,
        query,
        value=None,
        query_mask=None,
        value_mask=None,
        training=None,
        use_causal_mask=True,
    ):
        check_rank(type(self).__name__, 3, query=query.shape)
        self._check_value(value)

        x, query_mask = self._prepare(query, "query_mask", query_mask)
        if value is not None:
            value, value_mask = self._prepare(value, "value_mask", value_mask)

        def attend(x):
            return self._attend(
                x,
                x,
                query_mask=query_mask,
                value_mask=query_mask,
                training=training,
                use_causal_mask=use_causal_mask,
            )

        def attend_value(x):
            return self._attend_value(
                x,
                value,
                query_mask=query_mask,
                value_mask=value_mask,
                training=training,
            )

        x = self._run(x, attend, attend_value, training)
        return zero_padding(x, query_mask)

    def initial_cache(self, batch_size, max_length, value=None, value_mask=None):
        """Returns the cache that `step` starts from, a dict of tensors, batch first.

        Args:
            batch_size: Integer. Number of rows.
            max_length: Integer. Number of steps that the cache has room for.
            value: Tensor `(B, Tv, Dv)`, the encoder's output; projected once, here.
            value_mask: Boolean tensor `(B, Tv)`. Defaults to `None`.

        Returns:
            Dict of tensors, whose keys are the block's own affair.

        Raises:
            ValueError: If the block was built with a `value` and gets none, or the
                other way round.
        """
        self._check_value(value)
        cache = {"query": self._attend.initial_cache(batch_size, max_length)}
        if value is not None:
            value, value_mask = self._prepare(value, "value_mask", value_mask)
            cache["value"] = self._attend_value.cache_of(value)
            if value_mask is not None:
                cache["value_mask"] = value_mask
        return cache

    def step(self, query, cache, index, query_mask=None, return_attention_scores=False):
        """Runs the next steps of a sequence.

        Args:
            query: Tensor `(B, n, D)`, steps `index` to `index + n - 1`; `n` is 1 when
                decoding and more when a prompt is read.
            cache: Dict from `initial_cache` or from the last call. To reorder rows, as
                a beam search does, take rows of every tensor in it.
            index: Integer or integer tensor of shape `()`, at most `max_length - n`.
            query_mask: Boolean tensor `(B, max_length)` of all steps, False where the
                prompt has padding. Defaults to `None`.
            return_attention_scores: Boolean. Whether the weights of the attention to
                the encoder, `(B, H, n, Tv)`, are returned too.

        Returns:
            Output `(B, n, D)`, the cache, and with `return_attention_scores` the
            weights, None for a block without a `value`.
        """
        own, weights = cache["query"], None

        def attend(x):
            nonlocal own
            output, own = self._attend.step(x, own, index, query_mask)
            return output

        def attend_value(x):
            nonlocal weights
            result = self._attend_value.attend_cache(
                x,
                cache["value"],
                cache.get("value_mask"),
                return_attention_scores=return_attention_scores,
            )
            if return_attention_scores:
                result, weights = result
            return result

        x = ops.cast(query, self.compute_dtype)
        output = self._run(x, attend, attend_value, False)
        cache = {**cache, "query": own}
        return (output, cache, weights) if return_attention_scores else (output, cache)

    def _check_value(self, value):
        """Raises `ValueError` unless `value` is there as it was at `build`."""
        built = self._attend_value is not None
        if built != (value is not None):
            received = value if value is None else f"a tensor of shape {value.shape}"
            raise ValueError(
                f"`{type(self).__name__}` was built {'with' if built else 'without'} a "
                "`value` and expects the same in each call. "
                f"Received: value={received}"
            )

    def compute_output_shape(self, query_shape, value_shape=None):
        return query_shape
