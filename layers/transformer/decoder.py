"""The transformer's decoder block, whole sequences at once or step by step."""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_rank
from attention_zoo.layers.sequence.attention import empty_padding
from attention_zoo.layers.transformer.encoder import TransformerBlock


@keras.saving.register_keras_serializable("attention_zoo")
class TransformerDecoderBlock(TransformerBlock):
    """Causal self-attention, attention to an encoder, and a feed-forward layer.

    Each with residual and normalization, as in `TransformerEncoderBlock`. Without a
    `value` there is no second attention: a block of a decoder-only model. Arguments
    `position` and `window` in `attention` are for the self-attention alone.

    Decoding step by step gives what the whole sequence gives:

    ```python
    cache = block.initial_cache(batch_size, max_length, value)
    for index in range(max_length):
        output, cache = block.step(inputs[:, index : index + 1], cache, index)
    ```

    Args: As in `TransformerEncoderBlock`.

    Call arguments:
        query: Tensor of shape `(B, Tq, D)`.
        value: Tensor of shape `(B, Tv, Dv)`, the encoder's output. Defaults to `None`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        training: Boolean.
        use_causal_mask: Whether position `i` of the query sees positions up to `i`
            only. Defaults to `True`.

    Returns:
        Output of shape `(B, Tq, D)`.

    Reference: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
    """

    needs_value = False

    def build(self, query_shape, value_shape=None):
        shape = tuple(query_shape)
        check_rank(type(self).__name__, 3, query=shape)
        attend = self._attention("self_attention", shape[-1])
        self._attend, *self._attend_rest = self._part(attend, shape, shape)
        self._attend_value = None
        if value_shape is not None:
            only = {"position": None, "window": None}
            attend = self._attention("cross_attention", shape[-1], **only)
            parts = self._part(attend, shape, tuple(value_shape))
            self._attend_value, *self._attend_value_rest = parts
        self._feed, *self._feed_rest = self._part(self._feed_forward(), shape)
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

        x = empty_padding(query, query_mask)
        x = self._run(x, attend, attend_value, training)
        return empty_padding(x, query_mask)

    def initial_cache(self, batch_size, max_length, value=None, value_mask=None):
        """Returns the cache that `step` starts from, a dict of tensors, batch first.

        Args:
            batch_size: Number of rows.
            max_length: Number of steps there is room for.
            value: Tensor `(B, Tv, Dv)`, the encoder's output; projected once, here.
            value_mask: Boolean tensor `(B, Tv)`. Defaults to `None`.
        """
        self._check_value(value)
        cache = {"query": self._attend.initial_cache(batch_size, max_length)}
        if value is not None:
            value = ops.cast(value, self.compute_dtype)
            value = empty_padding(value, value_mask)
            cache["value"] = self._attend_value.cache_of(value)
            if value_mask is not None:
                cache["value_mask"] = ops.cast(value_mask, "bool")
        return cache

    def step(self, query, cache, index, query_mask=None, return_attention_scores=False):
        """Runs the next steps of a sequence.

        Args:
            query: Tensor `(B, n, D)`, steps `index` to `index + n - 1`; `n` is 1 when
                decoding and more when a prompt is read.
            cache: Dict from `initial_cache` or from the last call. To reorder rows, as
                a beam search does, take rows of every tensor in it.
            index: Integer or integer tensor of shape `()`.
            query_mask: Boolean tensor `(B, max_length)` of all steps, False where the
                prompt has padding. Defaults to `None`.
            return_attention_scores: Whether the weights of the attention to the
                encoder, `(B, H, n, Tv)`, are returned too.

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

    def compute_mask(self, query, previous_mask=None):
        if isinstance(previous_mask, (list, tuple)):
            return previous_mask[0]
        return previous_mask

    def compute_output_shape(self, query_shape, value_shape=None):
        return query_shape
