"""Forecasting: windows of one long series, and metrics as the literature has them."""

import functools

import keras
import numpy as np
import tensorflow as tf

import attention_zoo
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import loading as _data
from attention_zoo.recipes.tasks import pipeline
from attention_zoo.recipes.tasks.series import baselines
from attention_zoo.recipes.tasks.series.losses import LOSSES, HorizonError, HorizonLoss
from attention_zoo.recipes.tasks.series.reader import fill_gaps
from attention_zoo.recipes.tasks.series.smoke import SMOKE_VARIATES, generate
from attention_zoo.recipes.tasks.series.stamps import read_stamps
from attention_zoo.recipes.tasks.series.steps import Step, find_step
from attention_zoo.recipes.tasks.shared import dataset_of, mean_correlation, predict

SPLITS = ("train", "validation", "test")
START_SHARE = 0.01  # of a fresh head, where a linear skip is there already


class Pipeline(pipeline.Pipeline):
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

    Args:
        recipe: The `Recipe`.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        smoke: Whether to take a short generated series instead of the data.
    """

    def __init__(self, recipe, data_dir=None, smoke=False):
        super().__init__(recipe, data_dir, smoke)
        _check_options(**self.options)
        self.lookback = self.options["lookback"]
        self.horizons = list(self.options["horizons"])
        self.horizon = max(self.horizons)
        self.quantiles = recipe.config.get("quantiles")
        self.shows_attention = recipe.config.get("attention") is not None
        if smoke:
            self.dataset, self.variates = "generated/smoke", SMOKE_VARIATES
            dates, self.rows = generate(self.lookback, self.horizon)
        else:
            dates, self.rows = self._read(data_dir)
        self.step_seconds = self._step(dates).seconds
        self._fill()
        train = self.rows["train"].astype("float64")
        self.mean, self.deviation = train.mean(axis=0), train.std(axis=0)
        self.deviation[self.deviation == 0] = 1
        for name in SPLITS:
            if self.window_count(name, self.horizon) < 1:
                raise UserError(
                    f"the split {name} of '{self.dataset}' has {len(self.rows[name])} "
                    f"rows, too few for lookback {self.lookback} and horizon "
                    f"{self.horizon}"
                )

    # === Data ===

    def _read(self, data_dir):
        """Returns the time stamps, and `{split: (T, C) values}`, of the data set."""
        builder = _data.tfds_builder(self.recipe.dataset, data_dir)
        self.dataset = builder.info.full_name
        self.source = _data.source_of(builder)
        if self.source:
            self.variates = list(dict(builder.info.metadata)["facts"]["variates"])
        else:
            self.variates = _variates(builder)
        dates, rows = [], {}
        for name in SPLITS:
            columns = _data.read_columns(builder, getattr(self.recipe, f"{name}_split"))
            dates += [date.decode() for date in columns["date"]]
            if self.source:
                rows[name] = columns["values"]
            else:
                rows[name] = np.stack([columns[v] for v in self.variates], axis=-1)
        return dates, rows

    def _step(self, dates):
        """Returns the `Step` between time stamps, after a check that all are alike."""

        def place(row):
            return f"data set '{self.dataset}', row {row}"

        step = self.options.get("step")
        step = Step.parse(step) if step else None
        return find_step(read_stamps(dates, place), place, step)[0]

    def _fill(self):
        """Fills gaps, each split by itself, or refuses them."""
        gaps = {k: int(np.isnan(v).sum()) for k, v in self.rows.items()}
        self.interpolated = sum(gaps.values())
        if not self.interpolated:
            return
        if not self.options["interpolate"]:
            raise UserError(
                f"dataset '{self.dataset}' has gaps ({gaps}): --set interpolate=true "
                "fills them between their neighbours"
            )
        print(f"{self.dataset}: {self.interpolated} gaps filled", flush=True)
        for name, rows in self.rows.items():
            where = f"dataset '{self.dataset}', {name}"
            self.rows[name] = fill_gaps(rows, self.variates, where)

    def window_count(self, split, horizon):
        """Returns how many windows of a split hold a horizon whole."""
        before = 0 if split == "train" else self.lookback
        return len(self.rows[split]) + before - self.lookback - horizon + 1

    def windows(self, split):
        """Returns inputs `(N, L, C)` and targets `(N, H, C)`, standardised views.

        Targets are NaN behind the end of the split. There is a window wherever the
        shortest horizon fits.
        """
        rows = [self.rows[name] for name in SPLITS[: SPLITS.index(split) + 1]]
        first = 0 if split == "train" else sum(map(len, rows[:-1])) - self.lookback
        values = (np.concatenate(rows)[first:] - self.mean) / self.deviation
        beyond = np.full((self.horizon - min(self.horizons), values.shape[1]), np.nan)
        values = np.concatenate([values, beyond]).astype("float32")
        length = self.lookback + self.horizon
        view = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)
        view = view.transpose(0, 2, 1)  # (N, L + H, C)
        return view[:, : self.lookback], view[:, self.lookback :]

    def raw(self, split):
        inputs, targets = self.windows(split)
        return self._unscaled(inputs), self._unscaled(targets)

    def _unscaled(self, values):
        return (values * self.deviation + self.mean).astype("float32")

    def examples(self, count):
        """Returns raw test windows for a picture, spread over the split."""
        inputs, targets = self.windows("test")
        last = self.window_count("test", self.horizon) - 1
        picked = np.linspace(0, last, count).astype(int)
        return self._unscaled(inputs[picked]), self._unscaled(targets[picked])

    @property
    def output_names(self):
        return self.variates

    # === Training ===

    def model_config(self):
        return {
            "lookback": self.lookback,
            "horizon": self.horizon,
            "num_variates": len(self.variates),
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
        parts = self.windows("train"), self.windows("validation")
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
        """Returns the model from raw windows `(B, L, C)` to raw forecasts.

        Forecasts are `(B, H, C)`, or `(B, H, C, Q)` with quantiles, which rise.
        """
        scale = {"axis": 2, "mean": self.mean, "variance": self.deviation**2}
        scale = {k: v.tolist() if k != "axis" else v for k, v in scale.items()}
        standardise = keras.layers.Normalization(**scale, name="standardise")
        restore = keras.layers.Normalization(**scale, invert=True, name="restore")
        shape = (self.lookback, len(self.variates))
        series = keras.Input(shape, name="series")
        forecast = restore(core(standardise(series)))
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
        if sample:
            picked = np.linspace(0, len(inputs) - 1, sample).astype(int)
            inputs, targets = inputs[picked], targets[picked]
        takes_raw = any(layer.name == "standardise" for layer in model.layers)
        forecasts = predict(model, self._unscaled(inputs) if takes_raw else inputs)
        if not takes_raw and self.quantiles is not None:
            forecasts = np.sort(forecasts, axis=-1)  # as the published model does
        if takes_raw:
            axes = (-1,) if self.quantiles is None else (-1, 1)
            forecasts = forecasts - self.mean.reshape(axes)
            forecasts = (forecasts / self.deviation.reshape(axes)).astype("float32")
        if self.quantiles is None:
            return baselines.errors(forecasts, targets, self.horizons)
        middle = forecasts[..., list(self.quantiles).index(0.5)]
        return {
            **baselines.errors(middle, targets, self.horizons),
            **baselines.quantile_errors(
                forecasts, targets, self.horizons, self.quantiles
            ),
        }

    def baselines(self):
        test = self.windows("test")
        season = min(self.options["season"], self.lookback)
        return {
            "seasonal_naive": lambda: baselines.measure_seasonal_naive(
                test, self.horizons, season
            ),
            "linear": lambda: baselines.measure_linear(
                self._linear, test, self.horizons
            ),
        }

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


# === Checks ===


def _check_options(
    lookback, horizons, share, loss, season, interpolate, linear_start, step=""
):
    """Raises `UserError` for values outside their range."""
    for name, value in (("lookback", lookback), ("season", season)):
        if value < 1:
            raise UserError(f"{name} must be positive, received {value}")
    whole = all(isinstance(h, int) and h > 0 for h in horizons)
    if not horizons or not whole or sorted(set(horizons)) != list(horizons):
        raise UserError(f"horizons must be rising positive integers: {horizons}")
    if not 0 < share <= 1:
        raise UserError(f"share must be above 0 and at most 1, received {share}")
    if loss not in LOSSES:
        raise UserError(f"loss must be one of {', '.join(LOSSES)}, received {loss}")
    if not isinstance(interpolate, bool):
        raise UserError(f"interpolate must be true or false, received {interpolate}")


def _variates(builder):
    """Returns the names of the numeric features, after a check that there are any."""
    features = builder.info.features
    names = [
        name
        for name, feature in features.items()
        if feature.shape == () and feature.np_dtype in (np.float32, np.float64)
    ]
    if "date" not in features or not names:
        raise UserError(
            f"dataset '{builder.name}' does not fit this recipe: it takes a feature "
            f"date and numbers, and this data set has {', '.join(features)}"
        )
    return names
