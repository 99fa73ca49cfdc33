"""The mask contract: which positions a query may see, for all rows or a block."""

from keras import ops

from attention_zoo.layers.core.inputs import broadcast_mask
from attention_zoo.layers.core.validation import check_mask, is_integer


def check_window(owner, window):
    """Returns `window` as `(left, right)`, or None; raises on anything else."""
    if window is None:
        return None
    pair = (window, window) if is_integer(window) else window
    valid = (
        isinstance(pair, (tuple, list))
        and len(pair) == 2
        and all(is_integer(w) and w >= 0 for w in pair)
        and (not is_integer(window) or window > 0)
    )
    if not valid:
        raise ValueError(
            f"Invalid value for argument `window` of `{owner}`. Expected None, a "
            "positive integer, or a pair (left, right) of integers of at least 0. "
            f"Received: window={window!r}"
        )
    return tuple(pair)


def zero_padding(x, mask):
    """Returns `x` with zeros where `mask`, of its leading axes, is False."""
    if mask is None:
        return x
    for _ in x.shape[len(mask.shape) :]:
        mask = ops.expand_dims(mask, -1)
    return ops.where(mask, x, ops.zeros_like(x))


def padding_mask(owner, name, mask, x):
    """Returns a mask of `x` `(B, T, ...)` as boolean `(B, T)`, or None.

    A mask of shape `(1, T)` or `(B, 1)` is broadcast.

    Args:
        owner: Name of the layer, for messages.
        name: Name of the argument, for messages.
        mask: Boolean or integer tensor, or None.
        x: Tensor of shape `(B, T, ...)`.

    Raises:
        ValueError: If the mask is of another dtype or shape.
    """
    mask = check_mask(owner, name, mask, tuple(x.shape[:2]))
    return broadcast_mask(mask, x)


class AttentionMask:
    """Everything that limits what a query sees, evaluated for any block of rows.

    A key at position `j` is visible to the query at position `i` when all of these
    hold: `query_mask[i]`, `key_mask[j]`, `attention_mask[i, j]`, `j <= i` if `causal`,
    and `i - left <= j <= i + right` with a window. What is not given limits nothing.

    Args:
        query_mask: Boolean tensor `(B, Tq)` or None.
        key_mask: Boolean tensor `(B, Tv)` or None.
        attention_mask: Boolean tensor `(B, Tq, Tv)` or None; `(B, H, Tq, Tv)` too
            where `heads` is True.
        causal: Boolean.
        window: Pair `(left, right)` or None.
        heads: Whether scores have a head axis, `(B, H, Tq, Tv)`.
        start: Position of the first query, which may be a tensor: in step-wise decoding
            the query is one row from the middle.
    """

    def __init__(
        self,
        query_mask=None,
        key_mask=None,
        attention_mask=None,
        causal=False,
        window=None,
        heads=False,
        start=0,
    ):
        self.query_mask = query_mask
        self.key_mask = key_mask
        if heads and attention_mask is not None and len(attention_mask.shape) == 3:
            attention_mask = ops.expand_dims(attention_mask, 1)
        self.attention_mask = attention_mask
        self.causal = causal
        self.window = window
        self.heads = heads
        self.start = start

    @property
    def empty(self):
        """Whether nothing is hidden from anyone."""
        given = (self.query_mask, self.key_mask, self.attention_mask, self.window)
        return all(g is None for g in given) and not self.causal

    def rows(self, size, length, start=0, query_mask=None, attention_mask=None):
        """Returns the mask of `size` rows that begin at row `start`, or None.

        Args:
            size: Number of query rows.
            length: Number of keys `Tv`.
            start: Position of the first row.
            query_mask: The block's rows of `query_mask`; the whole by default.
            attention_mask: The block's rows of `attention_mask`; the whole by default.

        Returns:
            Boolean tensor that broadcasts to `(B, size, Tv)`, or to
            `(B, H, size, Tv)` with heads; None when nothing is hidden.
        """
        query_mask = self.query_mask if query_mask is None else query_mask
        attention_mask = (
            self.attention_mask if attention_mask is None else attention_mask
        )
        parts = []
        if query_mask is not None:
            parts.append(self._lift(ops.expand_dims(query_mask, -1)))
        if self.key_mask is not None:
            parts.append(self._lift(ops.expand_dims(self.key_mask, -2)))
        if attention_mask is not None:
            parts.append(attention_mask)
        if self.causal or self.window is not None:
            parts.append(self._band(size, length, start + self.start))
        mask = None
        for part in parts:
            mask = part if mask is None else ops.logical_and(mask, part)
        return mask

    def seen(self, size, length):
        """Returns which of `size` queries see any key, `(B, Tq)` or `(B, 1)`.

        None stands for all. With heads, one head that sees is enough. The cost is
        linear in memory where there is no `attention_mask`.
        """
        if self.attention_mask is not None:
            seen = ops.any(self.rows(size, length), axis=-1)
            return ops.any(seen, axis=1) if self.heads else seen
        seen = None
        if self.window is not None or (self.causal and self.key_mask is not None):
            seen = self._seen_in_band(size, length)
        elif self.key_mask is not None:
            seen = ops.any(self.key_mask, axis=-1, keepdims=True)
        if seen is None or self.query_mask is None:
            return self.query_mask if seen is None else seen
        return ops.logical_and(self.query_mask, seen)

    def _seen_in_band(self, size, length):
        """Returns whether a key is present in each query's band, `(B, Tq)`."""
        present = self.key_mask
        if present is None:
            present = ops.ones((1, length), dtype="bool")
        counts = ops.cumsum(ops.cast(present, "int32"), axis=1)
        counts = ops.pad(counts, [[0, 0], [1, 0]])  # (B, Tv + 1), keys before j
        i = ops.arange(size, dtype="int32") + self.start
        low, high = ops.zeros_like(i), ops.zeros_like(i) + length
        if self.window is not None:
            low, high = i - self.window[0], i + self.window[1] + 1
        if self.causal:
            high = ops.minimum(high, i + 1)
        low = ops.minimum(ops.maximum(low, 0), length)
        high = ops.minimum(ops.maximum(high, low), length)
        return ops.take(counts, high, axis=1) > ops.take(counts, low, axis=1)

    def _lift(self, mask):
        return ops.expand_dims(mask, 1) if self.heads else mask

    def _band(self, size, length, start):
        i = ops.expand_dims(ops.arange(size, dtype="int32") + start, -1)  # (size, 1)
        j = ops.expand_dims(ops.arange(length, dtype="int32"), 0)  # (1, Tv)
        conditions = []
        if self.causal:
            conditions.append(j <= i)
        if self.window is not None:
            left, right = self.window
            conditions += [j >= i - left, j <= i + right]
        band = conditions[0]
        for condition in conditions[1:]:
            band = ops.logical_and(band, condition)
        return self._lift(ops.expand_dims(band, 0))
