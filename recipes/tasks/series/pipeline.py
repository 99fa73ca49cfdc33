"""Forecasting: windows of one long series, and metrics as the literature has them."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import attention_zoo
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series import baselines, boosting, scaling
from attention_zoo.recipes.tasks.series.checks import check_options
from attention_zoo.recipes.tasks.series.losses import HorizonError, HorizonLoss
from attention_zoo.recipes.tasks.series.rows import SeriesRows
from attention_zoo.recipes.tasks.series.smoke import SMOKE_VARIATES, generate
from attention_zoo.recipes.tasks.series.windows import SPLITS
from attention_zoo.recipes.tasks.shared import dataset_of, mean_correlation, predict

START_SHARE = 0.01  # of a fresh head, where a linear skip is there already


class Pipeline(SeriesRows):
    """A series of one TFDS dataset, in the form that training and export need.

    The data set has a feature `date` and scalars, the variates; its examples are rows
    in the order of time. Train, validation and test follow each other; the first window
    of a split looks back into the split before it, and no forecast leaves its own.
    Level and scale of the variates come from train alone. Every window of a split is
    used.

    One model forecasts the longest horizon, and its first steps are the forecast for
    the shorter ones. Targets behind the end of a split are NaN and count nowhere. The
    loss is the mean of the losses at each horizon.

    The recipe's `pipeline` dict holds `lookback` and `horizons` (steps), `share` (of
    the windows, drawn anew for each epoch), `loss` (one of `LOSSES`; with quantiles it
    is the pinball loss), `season` (steps that the naive baseline repeats),
    `interpolate` (whether gaps may be filled; their number is in the card) and
    `linear_start` (whether the model's layer `skip` is the linear baseline, fixed). Of
    own data it also holds `step`, what lies between two rows.

    Own data may have several series, each with a span and splits of its own: each is
    cut into its own windows and standardised by itself, and those with fewer rows than
    look-back and horizon are left out. They may also have columns that are seen up to
    now and not forecast, `past`, and such that are known over the horizon too, `known`:
    they stand behind the variates, and with `known` columns a window goes on over the
    horizon, where the other columns are not looked at.

    Args:
        recipe: The `Recipe`.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        smoke: Whether to take a short generated series instead of the data.
    """

    def __init__(self, recipe, data_dir=None, smoke=False):
        super().__init__(recipe, data_dir, smoke)
        check_options(**self.options)
        self.lookback, owners = self.options["lookback"], None
        self.horizons = list(self.options["horizons"])
        self.horizon = max(self.horizons)
        self.quantiles = recipe.config.get("quantiles")
        if smoke:
            self.dataset, self.variates = "generated/smoke", SMOKE_VARIATES
            dates, self.rows = generate(self.lookback, self.horizon)
        else:
            dates, self.rows, owners = self._read(data_dir)
        self.step_seconds = self._step(dates, owners).seconds
        self._divide(owners)
        self._fill()
        attends = recipe.config.get("attention") is not None
        # `explain` is for models that forecast all that they see.
        self.COMPARES_METHODS = not (self.past or self.known)
        self.shows_attention = attends and self.COMPARES_METHODS
        self._set_scales()
        for name in SPLITS:
            if self.window_count(name, self.horizon) < 1:
                raise UserError(
                    f"the split {name} of '{self.dataset}' has {len(self.rows[name])} "
                    f"rows, too few for lookback {self.lookback} and horizon "
                    f"{self.horizon}"
                )

    @property
    def output_names(self):
        return self.variates

    # === Training ===

    def model_config(self):
        return {
            "lookback": self.lookback,
            "horizon": self.horizon,
            "num_variates": len(self.variates),
            **({"num_past": len(self.past)} if self.past else {}),
            **({"num_known": len(self.known)} if self.known else {}),
        }

    def initialise(self, model):
        """Gives a model's linear skip the linear baseline, where the recipe wants it.

        The blocks then learn what the best linear forecast misses; at first their part
        of the sum is next to nothing.
        """
        if self.options["linear_start"]:
            kernel = np.repeat(self._linear.kernel, len(self.quantiles or "1"), axis=1)
            skip, head = model.get_layer("skip"), model.get_layer("head")
            skip.set_weights([kernel[:-1], kernel[-1]])
            skip.trainable = False  # it would only lose its ridge
            head.kernel.assign(START_SHARE * head.kernel)

    @functools.cached_property
    def _linear(self):
        """The linear baseline, fitted on train with ridges picked on validation."""
        parts = self.targets_seen("train"), self.targets_seen("validation")
        return baselines.LinearForecaster(self.horizons).fit(*parts)

    def loss(self):
        return HorizonLoss(self.horizons, self.options["loss"], self.quantiles)

    def metrics(self):
        return [HorizonError(self.horizons, self.quantiles, name="mse")]

    def score(self, logs):
        return (-logs["val_mse"],)

    def batches(self, split, seed=None, first_pass=0):
        """Returns batches of standardised windows, `(B, L, C)` and `(B, H, C)`.

        In training each pass draws `share` of the windows anew, whole batches of them.
        """
        inputs, targets = self.windows(split)
        size = self.recipe.batch_size if seed is not None else 256
        count = len(inputs)
        if seed is not None:
            size = min(size, count)
            count = max(1, int(self.options["share"] * count) // size) * size

        def one_pass(rng):
            order = np.arange(len(inputs))
            order = order if rng is None else rng.permutation(len(inputs))[:count]
            for start in range(0, count, size):
                rows = order[start : start + size]
                yield inputs[rows], targets[rows]

        batch = size if seed is not None else None
        shapes = (
            tf.TensorSpec((batch, *inputs.shape[1:]), "float32"),
            tf.TensorSpec((batch, *targets.shape[1:]), "float32"),
        )
        return dataset_of(one_pass, shapes, -(-count // size), seed, first_pass)

    # === The model that people load ===

    def servable(self, core):
        """Returns the model from raw windows `(B, L, D)` to raw forecasts.

        Forecasts are `(B, H, C)`, or `(B, H, C, Q)` with quantiles, which rise. With
        known columns a window is `(B, L + H, D)`.
        """
        columns = [*self.variates, *self.past, *self.known]
        steps = self.lookback + self.horizon * bool(self.known)
        series = keras.Input((steps, len(columns)), name="series")
        scale = scaling.by_window if self.series else scaling.by_training
        standardised, restore = scale(self, series)
        forecast = restore(core(standardised))
        if self.quantiles is not None:
            forecast = keras.ops.sort(forecast, axis=-1)  # they may cross
        return keras.Model(series, forecast, name=self.recipe.name)

    def evaluate(self, model, split, sample=None):
        """Returns MSE and MAE at each horizon, on standardised values.

        Args:
            model: A core model of standardised windows, or one that takes raw ones.
            split: `"validation"` or `"test"`.
            sample: Number of windows, spread evenly over the split. Defaults to all.

        Returns:
            Dict of `mse_<h>` and `mae_<h>`; for a model of quantiles also
            `pinball_<h>`, the mean loss over them, and `coverage_<h>`, the share of
            values between the outermost two.
        """
        inputs, targets = self.windows(split)
        takes_raw = any(layer.name == "standardise" for layer in model.layers)
        picked: Any = slice(None)
        if sample:
            picked = np.linspace(0, len(inputs) - 1, sample).astype(int)
        inputs, targets = inputs[picked], targets[picked]
        if takes_raw:
            inputs, _ = self._raw(split, picked)
        forecasts = predict(model, inputs)
        if not takes_raw and self.quantiles is not None:
            forecasts = np.sort(forecasts, axis=-1)  # as the published model does
        if takes_raw:
            forecasts = self._standardised(forecasts, split, picked)
        if self.quantiles is None:
            return baselines.errors(forecasts, targets, self.horizons)
        middle = forecasts[..., list(self.quantiles).index(0.5)]
        return {
            **baselines.errors(middle, targets, self.horizons),
            **baselines.quantile_errors(
                forecasts, targets, self.horizons, self.quantiles
            ),
        }

    def _standardised(self, forecasts, split, picked):
        """Returns raw forecasts of picked windows in the scale of the targets."""
        count = len(self.variates)
        mean, deviation = self._scales_of(split, picked, count)
        if self.quantiles is not None:
            mean, deviation = mean[..., None], deviation[..., None]
        return ((forecasts - mean) / deviation).astype("float32")

    def baselines(self):
        test = self.targets_seen("test")
        season = min(self.options["season"], self.lookback)
        found = {
            "seasonal_naive": lambda: baselines.measure_seasonal_naive(
                test, self.horizons, season
            ),
            "linear": lambda: baselines.measure_linear(
                self._linear, test, self.horizons
            ),
        }
        if self.past or self.known:
            found["gradient_boosting"] = lambda: boosting.measure(
                self.windows("train"), self.windows("test"), self.layout(), season
            )
        return found

    def layout(self):
        """Returns the `boosting.Layout` of the windows."""
        return boosting.Layout(
            self.lookback,
            self.horizons,
            len(self.variates),
            len(self.past),
            len(self.known),
        )

    def attention_report(self, servable, count=20):
        """Returns what is known about the attention on test windows.

        Args:
            servable: The model from raw windows.
            count: Number of windows.

        Returns:
            Dict of `rank_correlation`, the mean over `rank_correlation_windows` windows
            of Spearman's correlation between the weight of a part and how far the
            forecast moves when it is hidden, and `parts`, what is hidden: `"lags"` or
            `"variates"`. Empty for a model without attention.
        """
        if not self.shows_attention:
            return {}
        inputs, _ = self.examples(count)
        explanation = attention_zoo.explain(servable, inputs)
        if explanation.kind_of(explanation.default_layer) == "features":
            return {"rank_correlation": None, "parts": "features"}
        return {
            **mean_correlation(explanation.occlusion(), "windows"),
            "parts": explanation.kind_of(explanation.default_layer),
        }
