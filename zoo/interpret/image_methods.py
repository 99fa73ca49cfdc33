"""What each method says of an image, and images with patches hidden."""

import keras
import numpy as np

from attention_zoo.interpret.base import Explanation
from attention_zoo.interpret.calls import (
    MethodError,
    by_gradient,
    class_probabilities,
    needs_weights,
    predict_batch,
)
from attention_zoo.interpret.features import Features, class_score, last_map
from attention_zoo.interpret.image_maps import (
    patch_means,
    relative,
    token_grid,
    upsample,
)
from attention_zoo.interpret.methods.attention_x_gradient import (
    attention_times_gradient,
)
from attention_zoo.interpret.methods.grad_cam import grad_cam
from attention_zoo.interpret.methods.through_layers import THROUGH_LAYERS
from attention_zoo.interpret.value_inputs import norms_of_records

PATCHES = 7  # along the shorter side of an image, which `occlusion` hides in turn


class ImageMethods(Explanation):
    """The methods of `ImageExplanation`, which says what its arguments are."""

    inputs: np.ndarray

    def maps(self, layer_name=None, interpolation="bilinear"):
        """Returns the weights of positions in the size of the images."""
        raise NotImplementedError

    def _attributions(self):
        size = self.inputs.shape[1:3]
        if self.method == "occlusion":
            patch = default_patch(size)
            moves = self._moves(patch, 64)
            return np.repeat(np.repeat(moves, patch, 1), patch, 2)[
                :, : size[0], : size[1]
            ]
        if self.method in THROUGH_LAYERS:
            layers, grid = self._token_layers([r.weights for r in self._mixing()])
            needs_weights(self, layers)
            return self._from_tokens(THROUGH_LAYERS[self.method], grid, layers)
        if self.method == "value_norm":
            return self._value_norms()
        features = self._features()
        if self.method == "attention_x_gradient":
            weights, gradients = features.attention_gradients(
                lambda layer, _: layer in [r.layer for r in self._mixing()]
            )
            layers, grid = self._token_layers(weights)
            gradients, _ = self._token_layers(gradients)
            needs_weights(self, layers, gradients)
            return self._from_tokens(attention_times_gradient, grid, layers, gradients)
        if self.method == "grad_cam":
            return upsample(grad_cam(features.values, features.gradient()), size)
        baseline = features.values.mean(axis=(1, 2), keepdims=True)
        return by_gradient(self.method, features, baseline)

    def _value_norms(self):
        """Returns the norms of the last attention among patches, in their size."""
        records = self._mixing()
        inputs = keras.ops.convert_to_tensor(self.inputs)
        norms = norms_of_records(self.model, inputs, records)
        layers, grid = self._token_layers([one for one in norms if one is not None])
        needs_weights(self, layers)
        size, extra = grid
        rows = layers[-1]
        found = rows[:, 0] if extra else rows.mean(axis=1)
        return upsample(found[:, extra:].reshape(-1, *size), self.inputs.shape[1:3])

    def _features(self):
        """Returns the `Features` by which this method takes its gradient."""
        batch = keras.ops.convert_to_tensor(self.inputs)
        score = class_score(self.predictions.argmax(axis=-1))
        if self.method == "grad_cam":
            layer = last_map(self.model, batch)
            if layer is None:
                raise MethodError(
                    "method='grad_cam' expects a model with a map (B, h, w, C) inside. "
                    f"Received: model={self.model.name!r}"
                )
            kind = (type(layer),)
            return Features(self.model, batch, score, kind, lambda own, _: own is layer)
        if self.inputs.dtype.kind == "f":
            return Features(self.model, self.inputs, score)
        kinds = (keras.layers.Rescaling, keras.layers.Normalization)
        features = Features(self.model, batch, score, kinds)
        if features.values is None:
            raise MethodError(
                f"method={self.method!r} expects a model of whole pixels to begin with "
                "a `Rescaling` or `Normalization` layer, at whose output the gradient "
                f"is taken. Received: model={self.model.name!r}"
            )
        return features

    def _mixing(self):
        """Returns the records that are no map of gates `(B, h, w)` themselves."""
        return [
            record
            for name, record in self.records.items()
            if name not in self.weights
            or self.weights[name].shape != record.weights.shape
        ]

    def _token_layers(self, layers):
        """Returns attention `(B, H, N, N)` among patches, and the `(h, w)` of these."""
        found, grid = [], None
        for weights in layers:
            if weights.ndim not in (3, 4) or weights.shape[-2] != weights.shape[-1]:
                continue
            for extra in (0, 1):
                fits = token_grid(weights.shape[-1] - extra, self.inputs.shape[1:3], [])
                if fits is not None and len(weights) == len(self):
                    grid = (fits, extra)
                    found.append(weights)
                    break
        count = found[-1].shape[-1] if found else 0
        return [one for one in found if one.shape[-1] == count], grid

    def _from_tokens(self, method, grid, *layers):
        """Returns what a method says of patches, in the size of the images."""
        size, extra = grid
        mask = np.ones((len(self), size[0] * size[1] + extra), bool)
        if extra:  # the answer is read off a class token, the first of all
            pooling = np.zeros(mask.shape)
            pooling[:, 0] = 1
            layers = tuple([*one, pooling] for one in layers)
        found = method(*layers, mask)[:, extra:].reshape(-1, *size)
        return upsample(found, self.inputs.shape[1:3])

    def _part_scores(self, layer_name):
        if self._shows_attention(layer_name):
            scores = self.maps(layer_name, "nearest")
        else:
            scores = self.attributions
        patch = default_patch(self.inputs.shape[1:3])
        return list(patch_means(scores, patch).reshape(len(self), -1))

    def _part_outputs(self, index, keep, batch_size):
        height, width = self.inputs.shape[1:3]
        patch = default_patch((height, width))
        image, best = self.inputs[index], int(self.predictions[index].argmax())
        rows = -(-height // patch)
        grey = self._grey()[index]
        found = []
        for start in range(0, len(keep), batch_size):
            part = keep[start : start + batch_size].reshape(
                -1, rows, -(-width // patch)
            )
            part = np.repeat(np.repeat(part, patch, 1), patch, 2)[:, :height, :width]
            hidden = np.where(part[..., None], image, grey).astype(image.dtype)
            outputs = class_probabilities(predict_batch(self.model, hidden))
            found.append(outputs[:, best])
        return np.concatenate(found)

    def _grey(self):
        """Returns the mean colour `(B, C)` of each image."""
        grey = self.inputs.mean(axis=(1, 2))
        return grey.round() if self.inputs.dtype.kind in "iu" else grey

    def _moves(self, patch, batch_size):
        """Returns by how much the probability falls without each patch, `(B, P, Q)`."""
        height, width = self.inputs.shape[1:3]
        grey = self._grey()
        places = [
            (b, top, left)
            for b in range(len(self))
            for top in range(0, height, patch)
            for left in range(0, width, patch)
        ]
        moves = []
        for start in range(0, len(places), batch_size):
            part = places[start : start + batch_size]
            rows = [b for b, _, _ in part]
            hidden = self.inputs[rows]
            for image, (b, top, left) in zip(hidden, part, strict=True):
                image[top : top + patch, left : left + patch] = grey[b]
            outputs = class_probabilities(predict_batch(self.model, hidden))
            whole = self.predictions[rows]
            best = whole.argmax(axis=-1)[:, None]
            fall = np.take_along_axis(whole - outputs, best, axis=-1)
            moves.append(fall[:, 0])
        grid = (-(-height // patch), -(-width // patch))
        return np.concatenate(moves).reshape(len(self), *grid)

    def _plot_attributions(self, max_inputs):
        """Draws images, and beside them what the method says of their pixels."""
        from matplotlib.figure import Figure

        shown = min(len(self), max_inputs)
        figure = Figure(figsize=(4.8, 2.4 * shown + 0.4), layout="constrained")
        for b, row in enumerate(figure.subplots(shown, 2, squeeze=False)):
            for axes in row:
                draw_image(axes, self.inputs[b])
            found = self.attributions[b]
            top = max(np.abs(found).max(), 1e-12)
            signed = {"cmap": "PuOr_r", "vmin": -top, "vmax": top}
            style = signed if found.min() < 0 else {"cmap": "inferno"}
            row[1].imshow(found, alpha=0.7, **style)
            row[1].set_title(self.verdict(b), fontsize=9, parse_math=False)
        figure.suptitle(self.method, fontsize=9)
        return figure


def default_patch(size):
    """Returns the height of the squares that `occlusion` hides, for a size `(H, W)`."""
    return max(1, min(size) // PATCHES)


def draw_image(axes, image):
    """Draws an image `(H, W, C)`, in colour where it has three channels."""
    grey = image.shape[-1] != 3
    pixels = image.mean(axis=-1) if grey else image
    whole = image.dtype.kind in "iu"
    if not grey and not whole:
        pixels = relative(pixels)
    limits = {"vmin": 0, "vmax": 255} if whole else {}
    axes.imshow(pixels, cmap="gray" if grey else None, **limits)
    axes.set_xticks([])
    axes.set_yticks([])
