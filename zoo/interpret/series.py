"""`explain` for series: a weight for each lag or variate, and what hiding it does."""

import dataclasses

import keras
import numpy as np

from attention_zoo.interpret.calls import (
    call_with_attention,
    only_input,
    predict_batch,
)
from attention_zoo.interpret.series_parts import (
    MOST_PARTS,
    SeriesMethods,
    lags_correlation,
    pairs_correlation,
    without_steps,
    without_variate,
)

CAPTIONS = {
    "lags": "steps before the forecast",
    "variates": "variate that is looked at",
    "features": "feature of the encoder",
}


@dataclasses.dataclass(frozen=True)
class SeriesOcclusion:
    """What hiding one part of a window at a time does to the forecast.

    Args:
        moves: Array `(B, C, P)`: how far the forecast of a variate moves, as the mean
            over its steps of the absolute change, in standard deviations of the
            variate's window, when part `p` is hidden: a stretch of time or a variate.
        rank_correlation: Array `(B,)`: Spearman's correlation of the moves with the
            attention weights. Over lags it is the mean over variates, over variates it
            runs over all pairs of two. NaN where either is the same for all.
    """

    moves: np.ndarray
    rank_correlation: np.ndarray


class SeriesExplanation(SeriesMethods):
    """An `Explanation` of a forecaster, over `L` steps of `C` variates.

    Attributes:
        weights: Dict from layer name to an array. `kind_of(name)` says what it holds:
            `"lags"`, `(B, C, L)`: the weight of each step of the window, for each
            variate, the mean over heads and queries; what a layer gives a longer
            segment is spread over its steps. Auto-correlation's weight of a delay
            stands at the step that the delay moves to the window's end.
            `"variates"`, `(B, C, C)`: how much each variate, a row, looks at each.
            `"features"`, `(B, C, F)`: weights of features of the model's own.
        attributions: Array `(B, L, C)` of what the method says of each step of each
            variate: the effect on the mean forecast over steps and variates; for
            `"occlusion"`, which hides all variates at once, how far the forecast moves.
            None for `"attention"`.
        inputs: Array `(B, L, C)`.

    Example:

    ```python
    model = attention_zoo.create(
        "inverted_transformer", lookback=8, horizon=5, num_variates=3, num_layers=1
    )
    windows = np.random.rand(2, 8, 3)
    explanation = attention_zoo.explain(model, windows, ["load", "wind", "sun"])
    assert explanation.kind_of(explanation.default_layer) == "variates"
    assert explanation.weights_of().shape == (2, 3, 3)
    ```
    """

    takes = "series (B, L, C)"
    methods = (
        "attention",
        "gradient",
        "gradient_x_input",
        "integrated_gradients",
        "occlusion",
    )

    @staticmethod
    def accepts(model, inputs=None):
        tensor = only_input(model, inputs)
        if tensor is None:
            return False
        return "float" in tensor.dtype and len(tensor.shape) == 3

    @classmethod
    def of(cls, model, inputs, class_names=None, vocabulary=None, method="attention"):
        inputs = np.asarray(inputs, dtype="float32")
        expected = only_input(model, inputs).shape
        fits = inputs.ndim == 3 and all(
            e in (None, g) for e, g in zip(expected, inputs.shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"`explain` expects the inputs of {model.name!r} of shape {expected}. "
                f"Received: inputs.shape={inputs.shape}"
            )
        batch = keras.ops.convert_to_tensor(inputs)
        predictions, records = call_with_attention(model, batch)
        return cls(
            model,
            inputs,
            predictions=predictions,
            records=records,
            class_names=None if class_names is None else list(class_names),
            method=method,
        )

    def __init__(self, model, inputs, **kwargs):
        self.inputs = inputs
        self._kinds: dict = {}
        self._tokens: dict = {}
        super().__init__(model, mask=np.ones(inputs.shape[:2], bool), **kwargs)
        if self.class_names is None:
            self.class_names = [f"variate {c}" for c in range(inputs.shape[2])]

    def _named_weights(self):
        found = {}
        for name, record in self.records.items():
            reduced = self._reduce(name, record)
            if reduced is not None:
                found[name] = reduced
        return found

    def _reduce(self, name, record):
        """Returns a layer's weights by lag, variate or feature, or None."""
        weights = np.asarray(record.weights, dtype="float32")
        rows, steps, variates = self.inputs.shape
        square = (rows, *weights.shape[1:2], variates, variates)
        if weights.shape == square:
            self._kinds[name] = "variates"
            return weights.mean(axis=1)
        weights_are = getattr(record.layer, "weights_are", None)
        if len(weights) != rows * variates or weights_are == "frequencies":
            return None
        if weights.ndim == 2 and weights_are in (None, "features"):
            self._kinds[name] = "features"
            return weights.reshape(rows, variates, -1)
        weights = weights.mean(axis=tuple(range(1, weights.ndim - 1)))  # (B * C, T)
        tokens = weights.shape[-1]
        if tokens > steps:
            return None
        if weights_are == "lags":
            weights = np.roll(weights, -1, axis=-1)  # delay 0 is the last step itself
        self._kinds[name], self._tokens[name] = "lags", tokens
        token = np.arange(steps) * tokens // steps  # of each step
        spread = weights / np.bincount(token)
        return spread[:, token].reshape(rows, variates, steps)

    def kind_of(self, layer_name):
        """Returns `"lags"`, `"variates"` or `"features"`: what the weights are of."""
        return self._kinds[layer_name]

    def verdict(self, index):
        """Returns the last value and the last forecast of one input as a string."""
        ends = self.predictions[index][-1]
        if ends.ndim == 2:
            ends = ends[:, ends.shape[1] // 2]
        words = [
            f"{name} {last:.4g} to {end:.4g}"
            for name, last, end in zip(
                self.class_names, self.inputs[index, -1], ends, strict=True
            )
        ]
        steps = len(self.predictions[index])
        return f"in {steps} steps: {', '.join(words)}"

    def to_text(self, layer_name=None, count=5):
        """Returns the verdict on each input and the heaviest parts, as plain lines.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`.
            count: Integer, how many parts of each variate. Defaults to `5`.
        """
        (kind, shown), lines = self._shown(layer_name), []
        for b, weights in enumerate(shown):
            lines.append(f"{b + 1}. {self.verdict(b)}")
            for name, row in zip(self.class_names, weights, strict=True):
                best = np.argsort(-np.abs(row), kind="stable")[:count]
                told = [f"{self._part(kind, i)} {row[i]:.3f}" for i in best]
                lines.append(f"   {name}: {', '.join(told)}")
        return "\n".join(lines)

    def _shown(self, layer_name):
        """Returns the kind and the array `(B, C, P)` of what is shown."""
        if not self._shows_attention(layer_name):
            return "lags", self.attributions.transpose(0, 2, 1)
        layer_name = layer_name or self.default_layer
        return self.kind_of(layer_name), self.weights_of(layer_name)

    def _part(self, kind, index):
        """Returns what one weight belongs to, in words."""
        if kind == "lags":
            return f"{self.inputs.shape[1] - index} back"
        if kind == "variates":
            return self.class_names[index]
        return f"feature {index}"

    def plot(self, layer_name=None, max_inputs=3):
        """Draws windows with their forecasts, and maps of lags or of variates.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`.
            max_inputs: Integer, how many inputs. Defaults to `3`.

        Returns:
            A matplotlib `Figure`.
        """
        from matplotlib.figure import Figure

        kind, weights = self._shown(layer_name)
        signed = weights.min() < 0
        top = max(float(np.abs(weights).max()), 1e-12)
        limits = {"vmin": -top if signed else 0, "vmax": top if signed else None}
        shown = min(len(self), max_inputs)
        figure = Figure(figsize=(11, 2.9 * shown + 0.3), layout="constrained")
        grid = figure.subplots(shown, 2, squeeze=False)
        for b, (lines, heat) in enumerate(grid[:shown]):
            self._draw_series(lines, b)
            steps = weights.shape[-1]
            extent = None
            if kind == "lags":
                extent = (-steps - 0.5, -0.5, len(weights[b]) - 0.5, -0.5)
            image = heat.imshow(
                weights[b],
                aspect="auto",
                cmap="PuOr_r" if signed else "Oranges",
                interpolation="nearest",
                **limits,
                extent=extent,
            )
            heat.set_yticks(range(len(self.class_names)), self.class_names, fontsize=8)
            if kind == "variates":
                names = self.class_names
                heat.set_xticks(range(len(names)), names, fontsize=8)
            heat.set_xlabel(CAPTIONS[kind], fontsize=8)
            figure.colorbar(image, ax=heat)
        grid[0, 0].set_title("window, and forecast dashed; scaled", fontsize=9)
        title = self.method
        if self._shows_attention(layer_name):
            title = f"attention weights of {layer_name or self.default_layer}"
        grid[0, 1].set_title(title, fontsize=9)
        return figure

    def _draw_series(self, axes, index):
        """Draws the variates of one input above each other, forecasts dashed."""
        window, forecast = self.inputs[index], self.predictions[index]
        level, scale = window.mean(axis=0), window.std(axis=0) + 1e-6
        after = np.arange(len(forecast))
        for c, name in enumerate(self.class_names):
            before = (window[:, c] - level[c]) / scale[c] / 6 - c
            axes.plot(np.arange(-len(window), 0), before, color=f"C{c}", linewidth=0.7)
            ahead = (forecast[:, c] - level[c]) / scale[c] / 6 - c
            if ahead.ndim == 2:
                axes.fill_between(
                    after, ahead[:, 0], ahead[:, -1], color=f"C{c}", alpha=0.2
                )
                ahead = ahead[:, ahead.shape[1] // 2]
            axes.plot(after, ahead, "--", color=f"C{c}", linewidth=0.7)
            axes.text(-len(window), 0.25 - c, name, fontsize=7, color=f"C{c}")
        axes.axvline(0, color="0.6", linewidth=0.7)
        axes.set_yticks([])

    def occlusion(self, layer_name=None, batch_size=64):
        """Hides each part in turn and predicts again.

        A stretch of time is hidden by a straight line between its neighbours, in all
        variates at once; a variate by its mean over the window.

        Args:
            layer_name: A key of `weights`, for the correlation. Defaults to
                `default_layer`.
            batch_size: Integer, windows per call of the model. Defaults to `64`.

        Returns:
            A `SeriesOcclusion`.

        Raises:
            ValueError: If the layer's weights are of no part of the window.
        """
        layer_name = layer_name or self.default_layer
        weights, kind = self.weights_of(layer_name), self.kind_of(layer_name)
        if kind == "features":
            raise ValueError(
                "`occlusion` expects a layer with weights of lags or of variates. "
                f"Received: layer_name={layer_name!r}, whose weights are of features"
            )
        if kind == "variates":
            hidden = [without_variate(self.inputs, c) for c in range(weights.shape[2])]
        else:
            edges = self._edges(layer_name)
            hidden = [
                without_steps(self.inputs, start, end)
                for start, end in zip(edges[:-1], edges[1:], strict=True)
            ]
            weights = np.add.reduceat(weights, edges[:-1], axis=-1)
        moves = self._moves(hidden, batch_size)
        correlate = pairs_correlation if kind == "variates" else lags_correlation
        found = [correlate(m, w) for m, w in zip(moves, weights, strict=True)]
        return SeriesOcclusion(moves, np.asarray(found))

    def _edges(self, layer_name):
        """Returns where the stretches of time begin, and the end of the last."""
        steps = self.inputs.shape[1]
        count = min(self._tokens[layer_name], MOST_PARTS)
        return np.ceil(np.arange(count + 1) * steps / count).astype(int)

    def _moves(self, hidden, batch_size):
        """Returns how far the forecasts move, `(B, C, P)`."""
        scale = self.inputs.std(axis=1) + 1e-6  # (B, C)
        moves = []
        for inputs in hidden:
            parts = range(0, len(inputs), batch_size)
            outputs = np.concatenate(
                [predict_batch(self.model, inputs[i : i + batch_size]) for i in parts]
            )
            gap = np.abs(outputs - self.predictions)
            gap = gap.mean(axis=(1, 3)) if gap.ndim == 4 else gap.mean(axis=1)
            moves.append(gap / scale)
        return np.stack(moves, axis=-1)
