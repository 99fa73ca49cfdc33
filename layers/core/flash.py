"""Softmax over dot products in blocks of queries, with its gradient written out.

What blocks are asked for most often. Recomputing the weights and leaving the rest to
automatic differentiation passes over the `Tq x Tv` numbers several times more. The
formula of the gradient is that of Dao et al. 2022, https://arxiv.org/abs/2205.14135.
"""

import math

from keras import ops

from attention_zoo.layers.core.loops import pad_to, sequential_map, split_blocks
from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.normalizers import masked_softmax, widen


def dot_softmax(query, key, value, mask, rows, numbers=1):
    """Returns `softmax(q . k) v`, `rows` queries at a time.

    The leading axes are cut too: a sequence, or a head of it, is an item, and a block
    is the `rows` queries of some items.

    Args:
        query: Tensor `(B, Tq, D)`, or `(B, H, Tq, D)` if `mask.heads`.
        key: Tensor `(B, Tv, D)` or `(B, H, Tv, D)`.
        value: Tensor `(B, Tv, Dv)` or `(B, H, Tv, Dv)`.
        mask: An `AttentionMask`.
        rows: Number of queries in a block.
        numbers: Scores that a block may hold if it is to have more than one item.

    Returns:
        Output `(B, Tq, Dv)` or `(B, H, Tq, Dv)`.
    """
    outer, total = ops.shape(query)[:-2], ops.shape(query)[-2]
    count = (total + rows - 1) // rows
    heads = query.shape[1] if mask.heads else 1
    sizes = *outer, rows, ops.shape(key)[-2]
    group = _items_at_once(sizes, numbers)

    def gather(x):
        """`(B, H, T, D)` to `(groups, group, T, D)`."""
        return ops.reshape(x, (-1, group, *ops.shape(x)[-2:]))

    blocks = gather(pad_to(query, -2, count * rows))
    blocks = ops.reshape(blocks, (-1, group, count, rows, query.shape[-1]))
    blocks = ops.moveaxis(blocks, 2, 1)  # (groups, count, group, rows, D)
    masks = _cut_masks(mask, rows, count)

    def find_visible(given):
        return _Visible(mask, dict(zip(masks, given, strict=True)), heads)

    attended = _attended(find_visible)
    output = attended(blocks, gather(key), gather(value), *masks.values())
    output = ops.moveaxis(output, 1, 2)
    output = ops.reshape(output, (*outer, count * rows, value.shape[-1]))
    return output[..., :total, :]


def _attended(find_visible, known=None):
    """Returns a function of blocks of queries, keys, values and masks to outputs.

    The masks are arguments, for JAX takes none from the step of an outer loop. With
    `known` outputs nothing is computed but gradients: these need the outputs, and need
    them as a function of the inputs to be differentiated once more.
    """

    @ops.custom_gradient
    def attended(query, key, value, *masks):
        visible = find_visible(masks)
        output = _outputs(query, key, value, visible) if known is None else known
        kept = ops.stop_gradient(output)

        # TensorFlow and JAX hand over the output's gradient alone; PyTorch names it
        # and puts the arguments first.
        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            again = _attended(find_visible, kept)(query, key, value, *masks)
            found = _gradients(query, key, value, visible, again, upstream)
            return (*found, *(None for _ in masks))

        return (output if known is None else kept), gradient

    return attended


def _items_at_once(sizes, numbers):
    """Returns how many items of `rows` queries and `length` keys a block has.

    Args:
        sizes: The leading axes, `rows` and `length`.
        numbers: Scores that a block of more than one item may hold.
    """
    if all(isinstance(size, int) for size in sizes):
        *outer, rows, length = sizes
        items, most = math.prod(outer), max(1, numbers // (rows * length))
        return max(n for n in range(1, items + 1) if items % n == 0 and n <= most)
    sizes = ops.stack(sizes)
    items, most = ops.prod(sizes[:-2]), numbers // ops.prod(sizes[-2:])
    group = ops.arange(1, items + 1, dtype="int32")
    fits = ops.logical_and(items % group == 0, group <= most)
    return ops.max(ops.where(fits, group, 1))


def _cut_masks(mask, rows, count):
    """Returns by name what `_Visible` needs of `mask`, in blocks where it has rows."""
    masks = {"start": ops.convert_to_tensor(mask.start, dtype="int32")}
    if mask.query_mask is not None:
        masks["query_mask"] = split_blocks(mask.query_mask, -1, rows, count)
    if mask.key_mask is not None:
        masks["key_mask"] = mask.key_mask
    if mask.attention_mask is not None:
        masks["attention_mask"] = mask.attention_mask
        if mask.attention_mask.shape[-2] != 1:
            masks["attention_mask"] = split_blocks(mask.attention_mask, -2, rows, count)
        else:
            masks["attention_mask"] = ops.expand_dims(mask.attention_mask, 0)
    return masks


class _Visible:
    """The mask of any block, `(group, rows, Tv)`, of what `_cut_masks` returned."""

    def __init__(self, mask, given, heads):
        self._mask, self._given, self._heads = mask, given, heads

    def __call__(self, items, block, rows, length):
        """Returns the mask of the `items` `(group,)` in `block`, or None."""
        if self._mask.empty:
            return None
        sequences, heads = items // self._heads, items % self._heads

        def take(name):
            """`(group, ...)` of a mask `(B, ...)` or `(B, H, ...)`."""
            mask = self._given.get(name)
            if mask is None:
                return None
            if name != "key_mask":
                mask = mask[0 if mask.shape[0] == 1 else block]
            rows = ops.zeros_like(sequences) if mask.shape[0] == 1 else sequences
            if name != "attention_mask" or not self._mask.heads:
                return ops.take(mask, rows, axis=0)
            few = mask.shape[1]
            mask = ops.reshape(mask, (-1, *ops.shape(mask)[2:]))
            return ops.take(mask, rows * few + (heads if few > 1 else 0), axis=0)

        mask = AttentionMask(
            take("query_mask"),
            take("key_mask"),
            take("attention_mask"),
            causal=self._mask.causal,
            window=self._mask.window,
            start=self._given["start"],
        )
        return mask.rows(rows, length, start=block * rows)


def _weights(query, key_columns, visible):
    """Returns the weights `(group, rows, Tv)` in at least float32."""
    return masked_softmax(widen(ops.matmul(query, key_columns)), visible)


def _transpose(x):
    return ops.swapaxes(x, -2, -1)


def _items(group, size):
    """Returns the numbers of the items in `group`."""
    return group * size + ops.arange(size, dtype="int32")


def _outputs(query, key, value, visible):
    """Returns the outputs `(groups, count, group, rows, Dv)`."""
    _, count, size, rows, _ = ops.shape(query)
    length, width = ops.shape(value)[-2:]

    def one_group(blocks, group):
        own, turned, items = value[group], _transpose(key[group]), _items(group, size)

        def one_block(block, index):
            weights = _weights(block, turned, visible(items, index, rows, length))
            return ops.matmul(ops.cast(weights, own.dtype), own)

        like = ops.zeros((size, rows, width), dtype=value.dtype)
        return sequential_map(one_block, like, blocks)

    like = ops.zeros((count, size, rows, width), dtype=value.dtype)
    return sequential_map(one_group, like, query)


def _gradients(query, key, value, visible, output, upstream):
    """Returns the gradients for `query`, `key` and `value`.

    With weights `P = softmax(S)`, output `O = P V` and its gradient `dO`:
    `dV = P' dO`, `dP = dO V'`, `dS = P (dP - sum(dO O))`, `dQ = dS K`, `dK = dS' Q`.
    """
    _, count, size, rows, width = ops.shape(query)
    length = ops.shape(value)[-2]
    # One column more, for `dO V' - sum(dO O)` to be one product.
    mean = ops.sum(widen(output) * widen(upstream), axis=-1, keepdims=True)
    upstream = ops.concatenate([upstream, ops.cast(-mean, upstream.dtype)], axis=-1)
    both = ops.concatenate([query, ops.cast(upstream, query.dtype)], axis=-1)

    def one_group(blocks, group):
        own, values, items = key[group], value[group], _items(group, size)
        values = ops.concatenate([values, ops.ones_like(values[..., :1])], axis=-1)
        key_columns, value_columns = _transpose(own), _transpose(values)

        # A queue: the first block leaves, its gradient goes to the end. A step needs
        # the one before, or TensorFlow would start on ten of them at once.
        def one_block(index, carry):
            queue, by_key, by_value = carry
            block, by_output = queue[0, ..., :width], queue[0, ..., width:]
            weights = _weights(block, key_columns, visible(items, index, rows, length))
            by_weight = widen(ops.matmul(by_output, value_columns))
            by_score = ops.cast(weights * by_weight, key.dtype)
            done = ops.concatenate([ops.matmul(by_score, own), by_output], axis=-1)
            weights = ops.cast(weights, value.dtype)
            return (
                ops.concatenate([queue[1:], ops.expand_dims(done, 0)], axis=0),
                by_key + widen(ops.matmul(_transpose(block), by_score)),
                by_value + widen(ops.matmul(_transpose(by_output), weights)),
            )

        sums = (widen(ops.zeros_like(x)) for x in (key_columns, value_columns))
        start = (blocks, *sums)
        by_query, by_key, by_value = ops.fori_loop(0, count, one_block, start)
        by_query, by_value = by_query[..., :width], by_value[..., :-1, :]
        return (
            by_query,
            ops.cast(_transpose(by_key), key.dtype),
            ops.cast(_transpose(by_value), value.dtype),
        )

    like = tuple(
        ops.zeros(ops.shape(x)[1:], dtype=x.dtype) for x in (query, key, value)
    )
    return sequential_map(one_group, like, both)
