"""Step-wise decoding: keys and values are kept, and each step computes its own."""

from keras import ops

from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.recording import record, recording
from attention_zoo.layers.core.validation import is_integer


class StepByStep:
    """What `MultiHeadAttention` does one step at a time, equal to the whole at once."""

    def initial_cache(self, batch_size, max_length):
        """Returns the empty cache of `step`: a dict of tensors, batch first."""
        shape = (batch_size, self.num_kv_heads or self.num_heads, max_length)
        width = self.value_dim or self.key_dim
        return {
            "key": ops.zeros((*shape, self.key_dim), dtype=self.compute_dtype),
            "value": ops.zeros((*shape, width), dtype=self.compute_dtype),
        }

    def cache_of(self, value, key=None):
        """Returns the cache that holds the keys and values of whole sequences."""
        return {
            "key": self._heads(self._key_dense, value if key is None else key, 0),
            "value": self._heads(self._value_dense, value),
        }

    def step(self, inputs, cache, index, key_mask=None):
        """Causal self-attention of the next steps of a sequence, and the new cache.

        Args:
            inputs: Tensor `(B, n, D)`, steps `index` to `index + n - 1`; `n` is 1 when
                decoding and more when a prompt is read.
            cache: Dict from `initial_cache` or from the last call.
            index: Integer or integer tensor of shape `()`.
            key_mask: Boolean tensor `(B, max_length)`. Defaults to `None`.

        Returns:
            Output `(B, n, output_shape)`, as the whole sequence at once would give, and
            the cache. The output is NaN where a tensor `index` is beyond the cache.

        Raises:
            ValueError: If an integer `index` is beyond the cache.
        """
        count, length = ops.shape(inputs)[1], ops.shape(cache["key"])[2]
        sizes = (index, count, length)
        known = all(is_integer(size) for size in sizes)
        if known and not 0 <= index <= length - count:
            raise ValueError(
                f"`{type(self).__name__}` cannot step beyond the `max_length` of its "
                f"cache. Expected index + n <= max_length={length}. "
                f"Received: index={index}, n={count}"
            )
        own = {
            "key": self._heads(self._key_dense, inputs, index),
            "value": self._heads(self._value_dense, inputs),
        }
        at = index if known else ops.minimum(index, length - count)
        cache = {
            name: ops.slice_update(held, (0, 0, at, 0), ops.cast(own[name], held.dtype))
            for name, held in cache.items()
        }
        output = self.attend_cache(inputs, cache, key_mask, index, use_causal_mask=True)
        if not known:
            output = ops.where(index + count > length, float("nan"), output)
        return output, cache

    def attend_cache(
        self,
        query,
        cache,
        key_mask=None,
        index=0,
        use_causal_mask=False,
        return_attention_scores=False,
    ):
        """Returns the output `(B, n, output_shape)` of a query to a cache.

        Args:
            query: Tensor `(B, n, Dq)`, the steps from `index` on.
            cache: Dict from `cache_of` or `step`.
            key_mask: Boolean tensor `(B, Tv)`. Defaults to `None`.
            index: Integer or integer tensor of shape `()`. Defaults to `0`.
            use_causal_mask: Whether query `i` sees keys up to `i` only.
            return_attention_scores: Whether the weights `(B, H, n, Tv)` are returned
                too.
        """
        mask = AttentionMask(
            key_mask=key_mask,
            causal=use_causal_mask,
            window=self._window,
            heads=True,
            start=index,
        )
        output, weights = self._attend_heads(
            self._heads(self._query_dense, query, index),
            cache["key"],
            cache["value"],
            mask,
            False,
            return_attention_scores or recording(),
            self._gate(query),
        )
        if weights is not None:
            record(self, weights)
        output = ops.cast(output, self.compute_dtype)
        return (output, weights) if return_attention_scores else output
