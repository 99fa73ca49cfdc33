"""`explain` for images: a weight for each position or channel, and what hiding does."""

import dataclasses
import functools

import keras
import numpy as np

from attention_zoo.interpret.calls import only_input, predict_with_attention
from attention_zoo.interpret.image_maps import (
    map_sizes,
    patch_means,
    places_of_layers,
    reduce_record,
    shaded,
    token_grid,
    upsample,
)
from attention_zoo.interpret.image_methods import (
    ImageMethods,
    default_patch,
    draw_image,
)
from attention_zoo.interpret.methods.ranks import rank_correlation

MOST_DRAWN = 24  # images in a picture


@dataclasses.dataclass(frozen=True)
class ImageOcclusion:
    """What hiding one square patch at a time does to the predicted probability.

    Args:
        moves: Array `(B, P, Q)` over P rows and Q columns of patches: the predicted
            class's probability with the whole image, less its probability without the
            patch. Above zero the patch spoke for the class, below zero against it.
            `(B, 0, 0)` where the weights are of no positions.
        rank_correlation: Array `(B,)`: Spearman's correlation, over the patches of an
            image, of the size of the move with the mean attention weight. NaN where
            either is the same for all patches, or the weights are of no positions.
    """

    moves: np.ndarray
    rank_correlation: np.ndarray


class ImageExplanation(ImageMethods):
    """An `Explanation` of an image model.

    Attributes:
        weights: Dict from layer name to an array. A part of another layer is named
            after both, as in `"attention/spatial"`. `kind_of(name)` says what it holds:
            `"positions"`, `(B, h, w)`: the weight of each position of a map that covers
            the image, the mean over heads and over those positions that look.
            `"channels"`, `(B, C)`: a gate for each channel.
            `"branches"`, `(B, M)` or `(B, M, C)`: the share of each branch.
        attributions: Array `(B, H, W)` of what the method says of each pixel: for a
            signed method above 0 where it speaks for the predicted class. None for
            `"attention"`.
        inputs: Array `(B, H, W, C)` of pixels.

    Example:

    ```python
    model = attention_zoo.create(
        "cbam_resnet", num_classes=3, input_shape=(8, 8, 1), depth=8
    )
    pixels = np.random.randint(0, 256, (2, 8, 8, 1))
    explanation = attention_zoo.explain(model, pixels)
    assert explanation.kind_of(explanation.default_layer) == "positions"
    assert explanation.maps().shape == (2, 8, 8)
    ```
    """

    needs = "weights of positions, of channels or of branches"

    takes = "images (B, H, W, C)"
    methods = (
        "attention",
        "rollout",
        "flow",
        "value_norm",
        "attention_x_gradient",
        "gradient",
        "gradient_x_input",
        "integrated_gradients",
        "occlusion",
        "grad_cam",
    )

    @staticmethod
    def accepts(model, inputs=None):
        tensor = only_input(model, inputs)
        return tensor is not None and len(tensor.shape) == 4

    @classmethod
    def of(cls, model, inputs, class_names=None, vocabulary=None, method="attention"):
        if vocabulary is not None:
            raise ValueError(
                "`explain` takes a `vocabulary` for token ids alone, and "
                f"{model.name!r} takes images. Received: vocabulary={vocabulary!r}"
            )
        images = _checked(model, inputs)
        batch = keras.ops.convert_to_tensor(images)
        predictions, records = predict_with_attention(model, batch)
        places = places_of_layers(model)
        named: dict = {}
        for record in records.values():
            place, _ = places.get(id(record.layer), (record.layer_name, None))
            name, count = place, 1
            while name in named:
                count += 1
                name = f"{place}_{count}"
            named[name] = record
        return cls(
            model,
            images,
            predictions=predictions,
            records=named,
            class_names=None if class_names is None else list(class_names),
            method=method,
        )

    def __init__(self, model, inputs, **kwargs):
        self.inputs = inputs
        self._kinds: dict = {}
        mask = np.ones(inputs.shape[:3], bool)
        super().__init__(model, mask=mask, **kwargs)

    def _named_weights(self):
        places = places_of_layers(self.model)
        size, known = self.inputs.shape[1:3], map_sizes(places)
        grid_of = functools.partial(token_grid, image_size=size, known=known)
        found = {}
        for name, record in self.records.items():
            _, owner = places.get(id(record.layer), (name, None))
            reduced = None if owner is None else reduce_record(owner, record, grid_of)
            if reduced is not None:
                self._kinds[name], found[name] = reduced
        return found

    @property
    def default_layer(self):
        """The layer shown unless another is named.

        It is the last one with weights of positions, a learned one where there is one;
        else the last of all.
        """
        maps = [name for name in self.weights if self.kind_of(name) == "positions"]
        learned = [n for n in maps if self._score_of(n) is not None]
        return (learned or maps or list(self.weights))[-1]

    def _score_of(self, name):
        return getattr(self.records[name].layer, "score", "")

    def kind_of(self, layer_name):
        """Returns `"positions"`, `"channels"` or `"branches"`."""
        return self._kinds[layer_name]

    def maps(self, layer_name=None, interpolation="bilinear"):
        """Returns the weights of positions in the size of the images.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`.
            interpolation: `"bilinear"` or `"nearest"`: what a pixel takes from the
                cells of the layer's map. Defaults to `"bilinear"`.

        Returns:
            A float array `(B, H, W)`.

        Raises:
            ValueError: If the layer's weights are not of positions.
        """
        layer_name = layer_name or self.default_layer
        weights = self.weights_of(layer_name)
        if self.kind_of(layer_name) != "positions":
            raise ValueError(
                "`maps` expects a layer with weights of positions. Received: "
                f"layer_name={layer_name!r}, whose weights are of "
                f"{self.kind_of(layer_name)}"
            )
        if interpolation not in ("bilinear", "nearest"):
            raise ValueError(
                "Invalid value for argument `interpolation`. Expected 'bilinear' or "
                f"'nearest'. Received: interpolation={interpolation!r}"
            )
        return upsample(weights, self.inputs.shape[1:3], interpolation)

    def to_text(self, layer_name=None, count=5):
        """Returns the verdict on each image with its map, or its heaviest channels.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`.
            count: Integer, how many channels or branches. Defaults to `5`.
        """
        if not self._shows_attention(layer_name):
            lines = []
            for b, found in enumerate(self.attributions):
                lines.append(f"{b + 1}. {self.verdict(b)}")
                lines += [f"   {line}" for line in shaded(found)]
            return "\n".join(lines)
        layer_name = layer_name or self.default_layer
        kind, lines = self.kind_of(layer_name), []
        for b, weights in enumerate(self._flat(layer_name)):
            lines.append(f"{b + 1}. {self.verdict(b)}")
            if kind == "positions":
                lines += [f"   {line}" for line in shaded(weights)]
                continue
            best = np.argsort(-weights, kind="stable")[:count]
            one = {"channels": "channel", "branches": "branch"}[kind]
            lines.append("   " + ", ".join(f"{one} {i} {weights[i]:.3f}" for i in best))
        return "\n".join(lines)

    def _flat(self, layer_name):
        """Returns maps `(B, h, w)`, or one weight a channel or branch, `(B, M)`."""
        weights = self.weights_of(layer_name)
        if self.kind_of(layer_name) == "branches" and weights.ndim == 3:
            return weights.mean(axis=2)
        return weights

    def plot(self, layer_name=None, max_inputs=MOST_DRAWN):
        """Draws images, their maps over them, and the gates of channels.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`. Beside it
                stands a layer of the other form, of the same block where it has one.
            max_inputs: Integer, how many images. Defaults to `24`.

        Returns:
            A matplotlib `Figure`.
        """
        from matplotlib.figure import Figure

        if not self._shows_attention(layer_name):
            return self._plot_attributions(max_inputs)
        layer_name = layer_name or self.default_layer
        self.weights_of(layer_name)
        heat, bars = self._pair(layer_name)
        shown = min(len(self), max_inputs)
        widths = [1] + [1] * (heat is not None) + [1.8] * (bars is not None)
        figure = Figure(
            figsize=(2.4 * sum(widths), 2.4 * shown + 0.4), layout="constrained"
        )
        grid = figure.subplots(shown, len(widths), squeeze=False, width_ratios=widths)
        maps = None if heat is None else self.maps(heat)
        for b, row in enumerate(grid):
            for axes in row[: 1 + (heat is not None)]:
                draw_image(axes, self.inputs[b])
            if maps is not None:
                row[1].imshow(maps[b], cmap="inferno", alpha=0.6)
            if bars is not None:
                gates = self._flat(bars)[b]
                row[-1].bar(range(len(gates)), gates, width=1, color="C1")
                row[-1].tick_params(labelsize=7)
                row[-1].set_xlabel(f"{self.kind_of(bars)} of {bars}", fontsize=7)
            titled = row[1] if maps is not None else row[0]
            titled.set_title(self.verdict(b), fontsize=9, parse_math=False)
            if maps is not None:
                low, high = self.weights[heat][b].min(), self.weights[heat][b].max()
                titled.set_xlabel(f"{low:.3g} to {high:.3g}", fontsize=7)
        figure.suptitle(f"attention weights of {heat or bars}", fontsize=9)
        return figure

    def _pair(self, layer_name):
        """Returns the layers whose map and whose bars are drawn; None where none is."""
        is_map = self.kind_of(layer_name) == "positions"
        others = [n for n in self.weights if (self.kind_of(n) == "positions") != is_map]
        block = layer_name.rpartition("/")[0]
        near = [n for n in others if block and n.rpartition("/")[0] == block]
        other = (near or others or [None])[-1]
        return (layer_name, other) if is_map else (other, layer_name)

    def occlusion(self, layer_name=None, patch=None, batch_size=64):
        """Hides each square patch in turn and predicts again.

        A patch is hidden by the mean colour of its own image, which gives away no shape
        and suits things on black as well as on white
        ([Zeiler and Fergus, 2014](https://arxiv.org/abs/1311.2901) hide it by grey).
        Nothing is hidden where the layer's weights are of channels or branches.

        Args:
            layer_name: A key of `weights`, for the correlation. Defaults to
                `default_layer`.
            patch: Integer, height and width of a patch in pixels. Defaults to a seventh
                of the shorter side of the image.
            batch_size: Integer, images per call of the model. Defaults to `64`.

        Returns:
            An `ImageOcclusion`.

        Raises:
            ValueError: If `patch` is not a positive integer.
        """
        layer_name = layer_name or self.default_layer
        self.weights_of(layer_name)
        if self.kind_of(layer_name) != "positions":
            nothing = np.zeros((len(self), 0, 0), dtype="float32")
            return ImageOcclusion(nothing, np.full(len(self), np.nan))
        if patch is None:
            patch = default_patch(self.inputs.shape[1:3])
        if not isinstance(patch, int) or patch < 1:
            raise ValueError(
                "Invalid value for argument `patch`. Expected a positive integer. "
                f"Received: patch={patch!r}"
            )
        seen = patch_means(self.maps(layer_name, "nearest"), patch)  # (B, P, Q)
        moves = self._moves(patch, batch_size)
        correlation = [
            rank_correlation(np.abs(move).ravel(), weights.ravel())
            for move, weights in zip(moves, seen, strict=True)
        ]
        return ImageOcclusion(moves, np.asarray(correlation))


def _checked(model, inputs):
    """Returns images as an array of the dtype that the model takes."""
    images = np.asarray(inputs)
    tensor = only_input(model, inputs)
    expected = tuple(tensor.shape)
    if None in expected[1:]:
        raise ValueError(
            "`explain` expects an image model with an input of a known size. "
            f"Received: model={model.name!r} with an input of shape {expected}"
        )
    if images.ndim != 4 or images.shape[1:] != expected[1:]:
        raise ValueError(
            f"`explain` expects the inputs of {model.name!r} of shape {expected}. "
            f"Received: inputs.shape={images.shape}"
        )
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    converted = images.astype(dtype)
    if "float" not in dtype and (converted != images).any():
        raise ValueError(
            f"`explain` expects the inputs of {model.name!r} as raw pixels of dtype "
            f"{dtype}. Received: inputs of dtype {images.dtype} from {images.min()} to "
            f"{images.max()}"
        )
    return converted
