"""Attention over chosen axes of a tensor, as attention over sequences.

The axes that are attended to become one axis of positions, and those that are not
become part of the batch.
"""

import math

from keras import ops

from attention_zoo.layers.core.recording import pause_recording, record, recording
from attention_zoo.layers.core.validation import check_mask, is_integer


def check_axes(owner, axes):
    """Returns the argument `attention_axes` as a tuple, or None; raises otherwise."""
    if axes is None:
        return None
    given = (axes,) if is_integer(axes) else axes
    listed = isinstance(given, (tuple, list)) and len(given) > 0
    if not listed or not all(is_integer(axis) for axis in given):
        raise ValueError(
            f"Invalid value for argument `attention_axes` of `{owner}`. Expected None, "
            f"an integer or a list of integers. Received: attention_axes={axes!r}"
        )
    return tuple(given)


def attended_axes(owner, axes, rank):
    """Returns the attended axes of inputs of a rank, in order; None stands for all."""
    if axes is None:
        return tuple(range(1, rank - 1))
    found = sorted(axis if axis >= 0 else rank + axis for axis in axes)
    if len({*found}) < len(found) or not all(0 < axis < rank - 1 for axis in found):
        raise ValueError(
            f"`{owner}` expects `attention_axes` between the batch and the features of "
            f"inputs of rank {rank}. Received: attention_axes={axes}"
        )
    return tuple(found)


class Axes:
    """How inputs `(B, ..., D)` become sequences `(B N, T, D)`, and back.

    Args:
        owner: Name of the layer, for messages.
        axes: Tuple of attended axes, or None for all.
        query_shape: Shape of the query.
        value_shape: Shape of the value.
        key_shape: Shape of the key.
    """

    def __init__(self, owner, axes, query_shape, value_shape, key_shape):
        shapes = tuple(query_shape), tuple(value_shape), tuple(key_shape)
        if len({len(shape) for shape in shapes}) > 1 or len(shapes[0]) < 3:
            self._refuse(owner, "of one rank of at least 3", shapes)
        rank = len(shapes[0])
        self.owner = owner
        self.axes = attended_axes(owner, axes, rank)
        self.free = tuple(a for a in range(1, rank - 1) if a not in self.axes)
        places = zip(*(shape[:-1] for shape in shapes[1:]), strict=True)
        if not all(_agree(a, b) for a, b in places):
            self._refuse(owner, "with all dimensions but the last equal", shapes)
        outer = [[shape[a] for a in (0, *self.free)] for shape in shapes[:2]]
        if not all(_agree(a, b) for a, b in zip(*outer, strict=True)):
            self._refuse(owner, "of one size along the axes not attended to", shapes)

    def _refuse(self, owner, expected, shapes):
        names = ("query", "value", "key")
        received = (f"{n}.shape={s}" for n, s in zip(names, shapes, strict=True))
        raise ValueError(
            f"The shapes of `query`, `value` and `key` must be equal where `{owner}` "
            f"needs them so. Expected `value` and `key` {expected}. "
            f"Received: {', '.join(received)}"
        )

    @property
    def plain(self):
        """Whether inputs are sequences as they are."""
        return self.axes == (1,) and not self.free

    def fold_shape(self, shape):
        """Returns the shape `(B N, T, D)` of what has a shape `(B, ..., D)`."""
        shape = tuple(shape)
        parts = ([shape[a] for a in (0, *self.free)], [shape[a] for a in self.axes])
        known = (None if None in part else math.prod(part) for part in parts)
        return (*known, shape[-1])

    def fold(self, x):
        """Returns `x` `(B, ..., D)` as sequences `(B N, T, D)`."""
        order = (0, *self.free, *self.axes)
        shape = ops.shape(x)
        x = ops.transpose(x, (*order, len(x.shape) - 1))
        length = math.prod(shape[a] for a in self.axes)
        return ops.reshape(x, (-1, length, x.shape[-1]))

    def fold_padding(self, name, mask, x):
        """Returns a mask `(B, ...)` of the inputs `x` as `(B N, T)`, or None."""
        mask = check_mask(self.owner, name, mask, tuple(x.shape[:-1]))
        if mask is None:
            return None
        mask = ops.broadcast_to(mask, ops.shape(x)[:-1])
        return self.fold(ops.expand_dims(mask, -1))[..., 0]

    def fold_pairs(self, mask, query, value, heads):
        """Returns an `attention_mask` as `(B N, 1 or H, Tq, Tv)`, or None.

        Its last axes are those attended to, of the query and of the value; before them
        come what there is of batch, free axes and heads, as for Keras's layer.
        """
        if mask is None:
            return None
        mask = ops.convert_to_tensor(mask)
        sizes, lengths = ops.shape(query), ops.shape(value)
        pairs = [x[a] for x in (sizes, lengths) for a in self.axes]
        outer = [sizes[a] for a in (0, *self.free)]
        while len(mask.shape) < len(outer) + 1 + len(pairs):
            mask = ops.expand_dims(mask, -len(pairs) - 1)
        static = [query.shape[a] for a in (0, *self.free)] + [heads]
        static += [x.shape[a] for x in (query, value) for a in self.axes]
        mask = check_mask(self.owner, "attention_mask", mask, tuple(static))
        many = mask.shape[len(outer)]
        mask = ops.broadcast_to(mask, (*outer, many, *pairs))
        count = len(self.axes)
        lengths = math.prod(pairs[:count]), math.prod(pairs[count:])
        return ops.reshape(mask, (-1, many, *lengths))

    def unfold_shape(self, query_shape, width):
        """Returns the shape of an output whose last axes have the sizes `width`."""
        return (*tuple(query_shape)[:-1], *width)

    def unfold(self, output, query):
        """Returns an output `(B N, T, ...)` with the axes of the query."""
        sizes, width = ops.shape(query), tuple(output.shape[2:])
        order = (0, *self.free, *self.axes)
        output = ops.reshape(output, (*(sizes[a] for a in order), *width))
        back = [order.index(a) for a in range(len(order))]
        return ops.transpose(output, (*back, *range(len(back), len(output.shape))))

    def unfold_weights(self, weights, query, value):
        """Returns weights `(B N, H, Tq, Tv)` as `(B, ..., H, Tq..., Tv...)`."""
        sizes, lengths = ops.shape(query), ops.shape(value)
        outer = [sizes[a] for a in (0, *self.free)]
        pairs = [x[a] for x in (sizes, lengths) for a in self.axes]
        return ops.reshape(weights, (*outer, weights.shape[1], *pairs))

    def weights_shape(self, query_shape, value_shape, heads):
        """Returns the shape of the weights."""
        outer = [query_shape[a] for a in (0, *self.free)]
        pairs = [s[a] for s in (query_shape, value_shape) for a in self.axes]
        return (*outer, heads, *pairs)


class OverAxes:
    """What `MultiHeadAttention` does with inputs of more axes than a sequence has."""

    def _folding(self, query_shape, value_shape, key_shape):
        """Returns the `Axes` that are attended to, or None for plain sequences."""
        if self._axes is None and len(query_shape) == 3:
            return None
        shapes = query_shape, value_shape, key_shape
        axes = Axes(type(self).__name__, self._axes, *shapes)
        return None if axes.plain else axes

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        inputs = query, value, value if key is None else key
        masks = query_mask, value_mask, key_mask
        attend = super().call
        options = {"training": training, "use_causal_mask": use_causal_mask}
        axes = self._folding(*(x.shape for x in inputs))
        if axes is None:
            options["return_attention_scores"] = return_attention_scores
            return attend(query, value, key, *masks, attention_mask, **options)
        need_weights = return_attention_scores or recording()
        if len(axes.axes) > 1 and (use_causal_mask or self._window is not None):
            raise ValueError(
                f"`{type(self).__name__}` knows an order of positions along one axis. "
                "Expected one of `attention_axes` with a causal mask or a window. "
                f"Received: attention_axes={self.attention_axes}, of inputs of rank "
                f"{len(query.shape)}"
            )
        pairs = axes.fold_pairs(attention_mask, query, value, self.num_heads)
        masks = [
            axes.fold_padding(name, mask, x)
            for name, mask, x in zip(self.call_masks, masks, inputs, strict=True)
        ]
        folded = [axes.fold(x) for x in inputs[: 2 if key is None else 3]]
        folded += [None] * (3 - len(folded))
        with pause_recording():
            options["return_attention_scores"] = need_weights
            result = attend(*folded, *masks, pairs, **options)
        if not need_weights:
            return axes.unfold(result, query)
        weights = axes.unfold_weights(result[1], query, value)
        record(self, weights)
        output = axes.unfold(result[0], query)
        return (output, weights) if return_attention_scores else output

    def _check_shapes(self, query_shape, value_shape, key_shape):
        if self._folding(query_shape, value_shape, key_shape) is None:
            super()._check_shapes(query_shape, value_shape, key_shape)

    def compute_scores_shape(self, query_shape, value_shape):
        axes = self._folding(query_shape, value_shape, value_shape)
        if axes is None:
            return super().compute_scores_shape(query_shape, value_shape)
        return axes.weights_shape(query_shape, value_shape, self.num_heads)


def _agree(a, b):
    return a is None or b is None or a == b
