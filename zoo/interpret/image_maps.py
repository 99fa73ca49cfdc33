"""What the attention weights of an image model are of: positions, channels, branches.

Shapes: `B` images, `h` rows and `w` columns of a map with `C` channels, `N` tokens,
which are the patches of an image row by row.
"""

import keras
import numpy as np

from attention_zoo.interpret.features import all_layers

SHADES = " .:-=+*#%@"  # of `shaded`, from light to heavy
MOST_CELLS = 28  # rows or columns of a map in `shaded`


# === From a record to its place in the model ===


def places_of_layers(model):
    """Returns where each layer of a model stands, parts of layers included.

    Returns:
        Dict from the `id` of a layer to its name, as in `"attention/spatial"`, and the
        layer of the graph that it is or is a part of.
    """
    places: dict = {}
    for layer in all_layers(model):
        if hasattr(layer, "output") and not _is_graph(layer):
            _add_places(places, layer, layer.name, layer)
    return places


def _is_graph(layer):
    """Returns whether a layer is a model whose own layers stand in the graph."""
    return isinstance(layer, keras.Sequential) or hasattr(layer, "operations")


def _add_places(places, layer, name, owner):
    if id(layer) not in places:
        places[id(layer)] = name, owner
        for part in layer._flatten_layers(include_self=False, recursive=False):
            _add_places(places, part, f"{name}/{part.name}", owner)


def map_sizes(places):
    """Returns the `(h, w)` of the maps in a graph, each once, in order.

    Args:
        places: As `places_of_layers` returns it.
    """
    sizes: dict = {}
    for _, owner in places.values():
        for tensor in keras.tree.flatten(owner.output):
            if len(tensor.shape) == 4:
                sizes[tuple(tensor.shape[1:3])] = None
    return [size for size in sizes if None not in size]


def reduce_record(owner, record, grid_of):
    """Returns kind and weights of a record, or None where they fit no image.

    Args:
        owner: The layer of the graph that the record's layer is, or is a part of.
        record: The `AttentionRecord`.
        grid_of: The argument of `reduce_token_weights`.
    """
    weights = np.asarray(record.weights, dtype="float32")
    for tensor in keras.tree.flatten(owner.input):
        shape = tuple(tensor.shape)
        if getattr(owner, "data_format", None) == "channels_first":
            shape = (shape[0], *shape[2:], shape[1])
        reduced = None
        if len(shape) == 4:
            reduced = reduce_map_weights(record.layer, weights, shape)
        elif len(shape) == 3:
            reduced = reduce_token_weights(record.layer, weights, shape, grid_of)
        if reduced is not None:
            return reduced
    return None


def reduce_map_weights(layer, weights, shape):
    """Reduces what a layer used on a map.

    A position that is looked at from others has the mean over heads and over those who
    look; an element-wise gate its mean over channels. A layer that knows maps says how
    by its `reduce_weights`; the weights of others are read by their shape.

    Args:
        layer: The layer.
        weights: Array as the layer recorded it.
        shape: The map's `(B, h, w, C)`.

    Returns:
        A pair: `"positions"` with an array `(B, h, w)`, of a pooled map where the layer
        pools; `"channels"` with `(B, C)`; `"branches"` with `(B, M)` or `(B, M, C)`; or
        None when the weights are of something else.
    """
    size, channels = tuple(shape[1:3]), shape[3]
    inner = weights.shape[1:]
    if inner == (1, 1, channels):  # a single position tells channels apart alone
        return "channels", weights[:, 0, 0]
    if hasattr(layer, "reduce_weights"):
        reduced = layer.reduce_weights(weights, size)
        return None if reduced is None else (layer.weights_are, reduced)
    if inner == (channels,):
        return "channels", weights
    if inner in _pooled_sizes(*size):
        return "positions", weights
    if len(inner) == 3 and inner[2] in (1, channels):
        return "positions", weights.mean(axis=3)
    if len(inner) > 1 and inner[-2] in (1, size[0] * size[1]):
        for pooled in _pooled_sizes(*size):
            if pooled[0] * pooled[1] == inner[-1]:
                return "positions", _mean_over_queries(weights).reshape(-1, *pooled)
    return None


def reduce_token_weights(layer, weights, shape, grid_of):
    """Reduces what a layer used on tokens, as `reduce_map_weights` does.

    Args:
        layer: The layer.
        weights: Array as the layer recorded it.
        shape: The tokens' `(B, N, C)`.
        grid_of: Function from a number of tokens to their `(h, w)` in the image, or
            None. A token more than a grid holds is a class token, the first of all.

    Returns:
        A pair of a kind and an array, or None.
    """
    tokens, channels = shape[1:]
    if hasattr(layer, "reduce_weights"):
        weights = layer.reduce_weights(weights, (tokens,))
        if weights is None or layer.weights_are != "positions":
            return None if weights is None else (layer.weights_are, weights)
    if weights.shape[-1] == tokens:
        weights = _mean_over_queries(weights)  # (B, N)
        for extra in (0, 1):
            grid = grid_of(tokens - extra)
            if grid is not None:
                return "positions", weights[:, extra:].reshape(-1, *grid)
    return ("channels", weights) if weights.shape[1:] == (channels,) else None


def token_grid(count, image_size, known):
    """Returns the rows and columns of `count` patches of an image, or None.

    Args:
        count: Number of patches.
        image_size: Height and width of the image.
        known: List of the `(h, w)` of the maps in the model. One of them with `count`
            positions is taken; without, the grid has the proportions of the image.
    """
    for size in known:
        if size[0] * size[1] == count:
            return size
    height, width = image_size
    rows = round((count * height / width) ** 0.5)
    if rows > 0 and rows * (rows * width) == count * height:
        return rows, count // rows
    return None


def upsample(maps, size, interpolation="bilinear"):
    """Returns maps `(B, h, w)` in another size, `(B, *size)`.

    Args:
        maps: Array.
        size: Height and width of an image that the maps cover wholly.
        interpolation: `"bilinear"`, between the middles of the cells, or `"nearest"`,
            the cell that a pixel lies in.
    """
    rows, columns = (
        _interpolation(small, large, interpolation)
        for small, large in zip(maps.shape[1:], size, strict=True)
    )
    return np.einsum("Hh,bhw,Ww->bHW", rows, maps, columns)


def patch_means(maps, patch):
    """Returns the means of maps `(B, H, W)` over squares of `patch` by `patch` pixels.

    Squares at the end of rows and columns are cut where the size does not divide.
    """
    for axis in (1, 2):
        starts = np.arange(0, maps.shape[axis], patch)
        counts = np.diff([*starts, maps.shape[axis]])
        shape = [1, 1, 1]
        shape[axis] = len(counts)
        maps = np.add.reduceat(maps, starts, axis=axis) / counts.reshape(shape)
    return maps


def relative(weights):
    """Returns weights from 0, the lightest, to 1, the heaviest; zeros if all equal."""
    low, high = weights.min(), weights.max()
    return (weights - low) / (high - low) if high > low else np.zeros_like(weights)


def shaded(weights):
    """Returns a map `(h, w)` as lines of characters, two for each cell."""
    low, high = weights.min(), weights.max()
    factor = -(-max(weights.shape) // MOST_CELLS)
    cells = relative(patch_means(weights[None], factor)[0])
    levels = np.minimum((cells * len(SHADES)).astype(int), len(SHADES) - 1)
    rows = ["".join(2 * SHADES[level] for level in row) for row in levels]
    edge = "+" + "-" * len(rows[0]) + "+"
    return [edge, *(f"|{row}|" for row in rows), f"{edge} {low:.3g} to {high:.3g}"]


def _mean_over_queries(weights):
    """Returns weights `(B, ..., N)` of N keys as their mean, `(B, N)`."""
    return weights.mean(axis=tuple(range(1, weights.ndim - 1)))


def _pooled_sizes(height, width):
    """Returns the sizes of a map that is pooled by a stride of 1, 2, ..."""
    strides = range(1, max(height, width) + 1)
    return [(-(-height // s), -(-width // s)) for s in strides]


def _interpolation(small, large, interpolation):
    """Returns the matrix `(large, small)` that resizes one axis."""
    middles = (np.arange(large) + 0.5) * small / large - 0.5
    if interpolation == "nearest":
        return np.eye(small, dtype="float32")[np.arange(large) * small // large]
    middles = middles.clip(0, small - 1)
    distance = np.abs(middles[:, None] - np.arange(small))
    return np.maximum(1 - distance, 0, dtype="float32")
