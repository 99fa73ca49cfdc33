"""Training: seeds, the twin without attention, baselines, then one publication."""

import csv
import dataclasses
import os
import time

import keras

import attention_zoo
from attention_zoo.recipes import _card, _export, _plots
from attention_zoo.recipes._errors import UserError
from attention_zoo.recipes._recipe import load_pipeline

TWIN = "no_attention"


@dataclasses.dataclass
class Run:
    """One finished training: a seed, its best epoch and that epoch's weights."""

    seed: int
    epoch: int
    score: tuple
    weights: list
    history: list
    seconds: float
    test: dict = dataclasses.field(default_factory=dict)

    def summary(self):
        """Returns what the card says of this run."""
        best = self.history[self.epoch - 1]
        kept = {k: v for k, v in best.items() if k.startswith("val_")}
        return {
            "seed": self.seed,
            "epoch": self.epoch,
            **self.test,
            **kept,
            "seconds": round(self.seconds, 1),
        }


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch that scored best on validation.

    Args:
        score: Function from an epoch's logs to a comparable value.
    """

    def __init__(self, score):
        super().__init__()
        self.score = score
        self.best: tuple = ()
        self.epoch = 0
        self.weights: list = []

    def on_epoch_end(self, epoch, logs=None):
        score = self.score(logs)
        if not self.epoch or score > self.best:
            self.best, self.epoch = score, epoch + 1
            self.weights = self.model.get_weights()


def train(
    recipe, seeds=(0,), data_dir=None, out="saved_models", smoke=False, command=""
):
    """Trains a recipe and publishes its folder, whole or not at all.

    The epoch and the published seed are picked on validation. The test split is
    measured at the end, once for each model.

    Args:
        recipe: The `Recipe`.
        seeds: Sequence of integers; model and twin are trained with each.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        out: Folder that the entry is written into.
        smoke: Whether to train on a handful of generated examples.
        command: The command line, for the card.

    Returns:
        The path of the published folder.
    """
    start = time.monotonic()
    _export.check_target(out, recipe.name)  # before the work, not after it
    pipeline = load_pipeline(recipe, data_dir, smoke)
    runs = [fit(recipe, pipeline, seed, "model") for seed in seeds]
    training_memory = _card.peak_memory_mb()
    twins = []
    if recipe.config.get("attention") is not None:
        bare = recipe.replace(attention=None)
        twins = [fit(bare, pipeline, seed, TWIN) for seed in seeds]
    baselines = measure_baselines(pipeline)
    print("measuring the test split ...", flush=True)
    if twins:
        measure_test(bare, pipeline, twins)
        baselines[TWIN] = _card.over_seeds(twins)
    measure_test(recipe, pipeline, runs)
    best = max(runs, key=lambda run: run.score)
    core = build(recipe, pipeline, best)
    servable = pipeline.servable(core)
    card = {
        "recipe": recipe.name,
        "model": recipe.model,
        "dataset": pipeline.dataset,
        "smoke": smoke,
        **{name: getattr(pipeline, name) for name in pipeline.FACTS},
        **_card.over_seeds(runs),
        "published_seed": best.seed,
        "metrics": best.test,
        "baselines": baselines,
        "attention": pipeline.attention_report(servable),
        "parameters": core.count_params(),
        "settings": recipe.settings(),
        "command": command,
    }
    # Opened late: a killed training leaves nothing behind.
    with _export.publication(out, recipe.name) as folder:
        write_files(folder, pipeline, servable, runs, twins)
        card |= _card.measurements(folder, pipeline.examples(1)[0], training_memory)
        card["seconds"]["total"] = round(time.monotonic() - start, 1)
        _card.write(folder, card, recipe)
    return os.path.join(out, recipe.name)


def write_files(folder, pipeline, servable, runs, twins):
    """Writes history, pictures and both saved forms of the model.

    Args:
        folder: The folder to write into.
        pipeline: The pipeline with the data.
        servable: The model that is published.
        runs: List of `Run`s of the model.
        twins: List of `Run`s of the twin without attention.
    """
    write_history(folder / "history.csv", runs, twins)
    _plots.curves(folder / "curves.png", runs, twins)
    if pipeline.shows_attention:
        inputs, _ = pipeline.examples(6)
        names = getattr(pipeline, pipeline.FACTS[0])
        _plots.attention(folder / "attention.png", servable, inputs, names)
    _export.write_models(servable, folder, pipeline.raw("test")[0][:64])


def measure_baselines(pipeline):
    """Returns the test metrics of the pipeline's baselines, by name."""
    measured = {}
    for name, measure in pipeline.baselines().items():
        print(f"baseline {name} ...", flush=True)
        measured[name] = measure()
    return measured


def build(recipe, pipeline, run=None):
    """Returns the core model, with the weights of a run if one is given."""
    config = {**recipe.config, **pipeline.model_config()}
    try:
        model = attention_zoo.create(recipe.model, **config)
    except ValueError as error:
        raise UserError(f"model {recipe.model}: {error}") from error
    if run is not None:
        model.set_weights(run.weights)
    return model


def fit(recipe, pipeline, seed, label):
    """Trains one model from scratch.

    Args:
        recipe: The `Recipe`.
        pipeline: The pipeline with the data.
        seed: Integer; the same seed gives the same numbers.
        label: What to call the model on the terminal.

    Returns:
        The `Run`.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = build(recipe, pipeline)
    pipeline.initialise(model)
    batches = pipeline.batches("train", seed=seed)
    model.compile(
        optimizer=make_optimizer(recipe, steps=len(batches) * recipe.epochs),
        loss=pipeline.loss(),
        metrics=pipeline.metrics(),
        jit_compile=pipeline.JIT_COMPILE,
    )
    print(f"{recipe.name}: {label}, seed {seed}, {model.count_params():,} parameters")
    keeper, clock = BestEpoch(pipeline.score), EpochClock()
    average = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if recipe.ema else []
    start = time.monotonic()
    history = model.fit(
        batches,
        validation_data=pipeline.batches("validation"),
        epochs=recipe.epochs,
        callbacks=[clock, *average, keeper],
        shuffle=False,  # the pipeline shuffles
        verbose=1 if os.isatty(1) else 2,
    ).history
    seconds = time.monotonic() - start
    rows = [
        {key: float(values[i]) for key, values in history.items()}
        | {"seconds": clock.seconds[i]}
        for i in range(recipe.epochs)
    ]
    return Run(seed, keeper.epoch, keeper.best, keeper.weights, rows, seconds)


class EpochClock(keras.callbacks.Callback):
    """Notes how long each epoch took, validation included."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(round(time.monotonic() - self._start, 2))


def make_optimizer(recipe, steps):
    """Returns AdamW on a cosine with a linear warm-up.

    Args:
        recipe: The `Recipe`.
        steps: Number of steps of the whole training.
    """
    warmup = int(recipe.warmup * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else recipe.learning_rate,
        decay_steps=max(1, steps - warmup),
        alpha=0.02,
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    averaging = {}
    if recipe.ema:
        averaging = {
            "use_ema": True,
            "ema_momentum": recipe.ema,
            "ema_overwrite_frequency": None,  # the averages stay beside the weights
        }
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm or None,
        **averaging,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def measure_test(recipe, pipeline, runs):
    """Fills in the test metrics of finished runs."""
    for run in runs:
        run.test = pipeline.evaluate(build(recipe, pipeline, run), "test")


def write_history(path, runs, twins):
    """Writes one row for each epoch of each run."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        keys = list(runs[0].history[0])
        writer.writerow(["model", "seed", "epoch", *keys])
        for label, group in (("model", runs), (TWIN, twins)):
            for run in group:
                for epoch, row in enumerate(run.history, start=1):
                    values = [f"{row[key]:.5g}" for key in keys]
                    writer.writerow([label, run.seed, epoch, *values])
