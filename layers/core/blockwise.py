"""Attention over any score, normalizer and mask: all at once, or in blocks of queries.

In blocks, each block of rows is computed on its own and computed again in the backward
pass, so that memory grows with `Tq + Tv` and not with `Tq x Tv`. Values are the same.
The idea is Rabe and Staats 2021, https://arxiv.org/abs/2112.05682; here blocks are rows
only, so that it is exact for every normalizer.
"""

import itertools
import math

import keras
from keras import ops

from attention_zoo.layers.core.flash import dot_softmax
from attention_zoo.layers.core.fused import (
    fits_kernel,
    fused_attention,
    has_kernel,
    note_path,
)
from attention_zoo.layers.core.loops import minimum, recomputed_map, split_blocks
from attention_zoo.layers.core.validation import is_integer

BLOCK_NUMBERS = 2**22  # floats that "auto" lets one block of pairs hold, 16 MiB


class GivenSeed(keras.random.SeedGenerator):
    """A seed that is a tensor, so that a recomputed block draws the same numbers."""

    def __init__(self, seed):
        self._seed = seed
        self._initial_seed = 0  # PyTorch's dropout ignores a generator without one

    def next(self, ordered=True):
        return self._seed


class PreparedKeys:
    """A score whose keys are projected already."""

    def __init__(self, score):
        self.project_query = score.project_query
        self.compare_weights = score.compare_weights
        self.compare = score.compare
        self.pairwise_width = score.pairwise_width
        self.compares_by_dot = score.compares_by_dot

    def project_key(self, key):
        return key


def check_block_size(owner, block_size):
    """Raises `ValueError` unless `block_size` is None, `"auto"` or positive."""
    if block_size is None or block_size == "auto":
        return
    if is_integer(block_size) and block_size > 0:
        return
    raise ValueError(
        f"Invalid value for argument `block_size` of `{owner}`. Expected None, 'auto' "
        f"or a positive integer. Received: block_size={block_size!r}"
    )


def choose_block_size(block_size, query, key, pairwise_width, apart=False):
    """Returns the rows of a block, or None where one piece does.

    Args:
        block_size: None, an integer, or `"auto"`.
        query: Tensor `(..., Tq, Dq)`.
        key: Tensor `(..., Tv, Dk)`.
        pairwise_width: Numbers that the score holds per pair.
        apart: Whether a block may have minimum leading axes, as in `dot_softmax`.
    """
    rows, length = query.shape[-2], key.shape[-2]
    if 0 in tuple(query.shape):
        return None
    if block_size == "auto":
        outer = math.prod(d or 1 for d in query.shape[:-2])
        per_row = (length or 2048) * pairwise_width
        # A block also adds to the gradients of all keys, as wide as the key is.
        fewest = max(8, key.shape[-1] // pairwise_width)
        block_size = max(fewest, BLOCK_NUMBERS // (per_row * outer))
        if apart and (rows is None or rows > block_size):
            return max(fewest, BLOCK_NUMBERS // per_row)
    if block_size is None or (rows is not None and rows <= block_size):
        return None
    return block_size


def attend(
    query,
    key,
    value,
    score,
    normalizer,
    mask,
    dropout=0.0,
    seed_generator=None,
    training=False,
    block_size=None,
    need_weights=True,
    bias=None,
    bias_weights=(),
    flash=None,
):
    """Returns the attention output, and the weights where they are there.

    Args:
        query: Tensor `(..., Tq, Dq)`.
        key: Tensor `(..., Tv, Dk)`.
        value: Tensor `(..., Tv, Dv)`.
        score: A built `Score`.
        normalizer: A built `Normalizer`.
        mask: An `AttentionMask`.
        dropout: Share of the weights that is dropped in training.
        seed_generator: `keras.random.SeedGenerator` for dropout.
        training: Boolean.
        block_size: None, an integer, or `"auto"`.
        need_weights: Whether the weights are wanted: they have `Tq x Tv` entries, so
            that blocks would save nothing, and all is computed at once.
        bias: Function `bias(start, rows, length, *bias_weights)`, added to the scores
            `(..., rows, Tv)` of the `rows` queries that begin at position `start`.
            Defaults to `None`: nothing.
        bias_weights: Tensors that `bias` needs.
        flash: Boolean. Whether the backend's flash kernel must be used, or its kernel
            must not. Defaults to `None`: where it is the better way.

    Raises:
        ValueError: If `flash` is True and no kernel computes this attention.

    Returns:
        Output `(..., Tq, Dv)`, and weights `(..., Tq, Tv)` or None.
    """
    query, key = score.project_query(query), score.project_key(key)
    dropout = dropout if training else 0.0
    written = fits_kernel(score, normalizer, mask, query, dropout, need_weights, bias)
    if takes_kernel(written, query, value, mask, block_size, flash):
        note_path("fused")
        return fused_attention(query, key, value, mask, flash), None
    # Copies are tensors; TensorFlow's recomputation would count a variable that is an
    # argument twice, as an argument and as a variable that was read.
    weights = tuple(ops.copy(w) for w in score.compare_weights())
    shape = tuple(ops.copy(w) for w in normalizer.normalize_weights())
    rest = tuple(ops.copy(w) for w in bias_weights)
    operands = (key, value, *weights, *shape, *rest)
    counts = len(weights), len(shape), len(rest)

    def evaluate(query, key, value, *given, start, mask, drop_seed, draw_seed):
        weights, shape, rest = _unflatten(given, counts)
        scores = score.compare(query, key, *weights)
        if bias is not None:
            added = bias(start, *ops.shape(scores)[-2:], *rest)
            scores = scores + ops.cast(added, scores.dtype)
        result = normalizer.apply(scores, mask, shape, training, draw_seed)
        if dropout:
            result = keras.random.dropout(result, dropout, seed=drop_seed)
        return ops.matmul(result, value), result

    def at_once(draw=None):
        return evaluate(
            query,
            *operands,
            start=mask.start,
            mask=mask.rows(ops.shape(query)[-2], ops.shape(key)[-2]),
            drop_seed=seed_generator,
            draw_seed=draw,
        )

    rows = None
    if not need_weights:
        width = score.pairwise_width
        rows = choose_block_size(block_size, query, key, width, apart=written)
    draw = normalizer.draw_seed() if training else None
    if rows is None:
        note_path("whole")
        return at_once(draw)

    note_path("blocks" if written else "recomputed")
    if written:
        if block_size == "auto":
            rows = minimum(rows, ops.shape(query)[-2])
        return dot_softmax(query, key, value, mask, rows, BLOCK_NUMBERS), None
    seeds = (
        seed_generator.next() if dropout else None,
        None if draw is None else draw.next(),
    )
    return _in_blocks(evaluate, query, operands, mask, seeds, rows), None


def takes_kernel(fits, query, value, mask, block_size, flash):
    """Returns whether the backend's kernel is taken.

    Args:
        fits: What `fits_kernel` returned.
        query: Tensor `(..., Tq, D)`.
        value: Tensor `(..., Tv, Dv)`.
        mask: An `AttentionMask`.
        block_size: None, an integer, or `"auto"`.
        flash: None, True or False, as in `attend`.

    Raises:
        ValueError: If `flash` is True and the kernel does not compute this attention.
    """
    if flash and (not fits or keras.backend.backend() == "tensorflow"):
        raise ValueError(
            "No flash kernel computes this attention. Expected softmax over dot "
            "products without dropout, a bias or returned weights, on JAX or PyTorch. "
            f"Received: flash_attention=True, backend={keras.backend.backend()!r}"
        )
    if flash is None and keras.config.is_flash_attention_enabled() is False:
        return False
    if not fits or flash is False:
        return False
    return bool(flash) or has_kernel(query, value, mask, block_size is not None)


def _in_blocks(evaluate, query, operands, mask, seeds, rows):
    """Maps `evaluate` over blocks of `rows` queries, recomputed for the gradients."""
    total = ops.shape(query)[-2]
    count = (total + rows - 1) // rows
    length = ops.shape(operands[0])[-2]
    masks = {}
    if mask.query_mask is not None:
        masks["query_mask"] = split_blocks(mask.query_mask, -1, rows, count)
    attention_mask = mask.attention_mask
    if attention_mask is not None and attention_mask.shape[-2] != 1:
        masks["attention_mask"] = split_blocks(attention_mask, -2, rows, count)

    def one_block(block, index):
        own = {name: blocks[index] for name, blocks in masks.items()}
        visible = mask.rows(rows, length, start=index * rows, **own)

        # Everything with a gradient is an argument: TensorFlow's recomputation
        # gives none to what a function merely closes over.
        def recomputed(query, *operands):
            drop_seed, draw_seed = (
                None if s is None else GivenSeed(shift_seed(s, index)) for s in seeds
            )
            return evaluate(
                query,
                *operands,
                start=mask.start + index * rows,
                mask=visible,
                drop_seed=drop_seed,
                draw_seed=draw_seed,
            )[0]

        return keras.remat(recomputed)(block, *operands)

    value = operands[1]
    blocks = split_blocks(query, -2, rows, count)
    like = (*ops.shape(value)[:-2], rows, value.shape[-1])
    like = ops.zeros(like, dtype=value.dtype)
    output = recomputed_map(one_block, like, blocks)  # (count, ..., rows, Dv)
    output = ops.moveaxis(output, 0, -3)
    shape = ops.shape(output)
    output = ops.reshape(output, (*shape[:-3], shape[-3] * rows, shape[-1]))
    return output[..., :total, :]


def _unflatten(items, counts):
    """Returns `items` as one tuple for each of `counts`."""
    items = iter(items)
    return tuple(tuple(itertools.islice(items, count)) for count in counts)


def shift_seed(seed, index, prime=15_485_863):
    """Returns the seed of part `index`; far from that of the next call.

    Keras counts calls in the second number, and PyTorch is given the sum of both.
    """
    shift = ops.convert_to_tensor(index, dtype="int32") * prime
    return seed + ops.cast(ops.stack([ops.zeros_like(shift), shift]), seed.dtype)
