"""Training: seeds, the twin without attention, baselines, then one publication."""

import dataclasses
import os

import keras

import attention_zoo
from attention_zoo.kernels.lstm import bidirectional_layers
from attention_zoo.recipes.cards import card as _card
from attention_zoo.recipes.cards import plots as _plots
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import load_pipeline
from attention_zoo.recipes.engine import callbacks as _callbacks
from attention_zoo.recipes.engine import checkpoints as _checkpoint
from attention_zoo.recipes.engine import publishing as _export
from attention_zoo.recipes.engine.callbacks import BestEpoch
from attention_zoo.recipes.engine.execution import Options

TWIN = _checkpoint.TWIN
USUAL = Options()


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
    memory: int = 0  # peak in MB

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


def train(
    recipe,
    seeds=(0,),
    data_dir=None,
    out="saved_models",
    smoke=False,
    command="",
    options=USUAL,
):
    """Trains a recipe and publishes its folder, whole or not at all.

    The epoch and the published seed are picked on validation. The test split is
    measured at the end, once for each model. A killed training leaves checkpoints in
    a hidden folder beside the entry, which the publication removes.

    Args:
        recipe: The `Recipe`.
        seeds: Sequence of integers; model and twin are trained with each.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        out: Folder that the entry is written into.
        smoke: Whether to train on a handful of generated examples.
        command: The command line, for the card.
        options: The `Options`, how the training is carried out.

    Returns:
        The path of the published folder.
    """
    _export.check_target(out, recipe.name)  # before the work, not after it
    options.prepare(recipe, seeds[0])
    pipeline = load_pipeline(recipe, data_dir, smoke)
    kept = _checkpoint.Checkpoints(
        _checkpoint.folder_of(out, recipe.name),
        fingerprint(recipe, pipeline, seeds, options),
        options.resume,
        handed_over=options.publish,
    )
    with kept.telling():
        runs, twins = fit_all(recipe, pipeline, seeds, options, kept)
        baselines = measure_all(recipe, pipeline, runs, twins, kept)
        best = max(runs, key=lambda run: run.score)
        core = build(recipe, pipeline, best)
        servable = pipeline.servable(core)
        again = {"starts": kept.starts} if kept.starts > 1 else {}
        card = {
            "recipe": recipe.name,
            "kind": recipe.kind,
            "model": recipe.model,
            "dataset": pipeline.dataset,
            "smoke": smoke,
            **{name: getattr(pipeline, name) for name in recipe.task.facts},
            **_card.over_seeds(runs),
            "published_seed": best.seed,
            "metrics": best.test,
            "baselines": baselines,
            "attention": pipeline.attention_report(servable),
            "parameters": core.count_params(),
            "settings": recipe.settings(),
            "execution": options.facts() | again,
            "command": command,
        }
        # Opened late: a killed training leaves its checkpoints behind and no more.
        with _export.publication(out, recipe.name) as folder:
            write_files(folder, pipeline, servable, runs, twins)
            memory = max(run.memory for run in runs)
            card |= _card.measurements(folder, pipeline.examples(1)[0], memory)
            card["seconds"]["total"] = round(kept.seconds, 1)
            _card.write(folder, card, recipe)
    kept.close()
    return os.path.join(out, recipe.name)


def fit_all(recipe, pipeline, seeds, options, kept):
    """Returns the `Run`s of the model and of its twin without attention."""
    runs = [fit(recipe, pipeline, seed, "model", options, kept) for seed in seeds]
    if recipe.config.get("attention") is None:
        return runs, []
    bare = recipe.replace(attention=None)
    return runs, [fit(bare, pipeline, seed, TWIN, options, kept) for seed in seeds]


def measure_all(recipe, pipeline, runs, twins, kept):
    """Measures all on the test split, and returns the baselines' metrics."""
    baselines = measure_baselines(pipeline, kept)
    print("measuring the test split ...", flush=True)
    if twins:
        measure_test(recipe.replace(attention=None), pipeline, twins)
        baselines[TWIN] = _card.over_seeds(twins)
    measure_test(recipe, pipeline, runs)
    return baselines


def fingerprint(recipe, pipeline, seeds, options):
    """Returns all that decides the result of a training: see `Checkpoints`."""
    return {
        "recipe": recipe.name,
        "data": pipeline.dataset,
        "seeds": list(seeds),
        "settings": recipe.settings(),
        "versions": _card.versions(),
        "execution": options.facts(),
    }


def write_files(folder, pipeline, servable, runs, twins):
    """Writes history, pictures and both saved forms of the model.

    Args:
        folder: The folder to write into.
        pipeline: The pipeline with the data.
        servable: The model that is published.
        runs: List of `Run`s of the model.
        twins: List of `Run`s of the twin without attention.
    """
    _export.write_history(folder / "history.csv", runs, twins)
    _plots.curves(folder / "curves.png", runs, twins)
    if pipeline.shows_attention:
        inputs, _ = pipeline.examples(6)
        names = pipeline.output_names
        _plots.attention(folder / "attention.png", servable, inputs, names)
    pipeline.draw(folder, runs, twins)
    _export.write_models(servable, folder, pipeline.raw("test")[0][:64])


def measure_baselines(pipeline, kept):
    """Returns the test metrics of the pipeline's baselines, by name.

    Args:
        pipeline: The pipeline with the data.
        kept: The `Checkpoints`, which keep what is measured.
    """
    found = kept.load("baselines")
    measured = found[0] if found else {}
    for name, measure in pipeline.baselines().items():
        if name not in measured:
            print(f"baseline {name} ...", flush=True)
            measured[name] = measure()
            kept.save("baselines", measured)
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


def fit(recipe, pipeline, seed, label, options=USUAL, kept=None, callbacks=()):
    """Trains one model from scratch, or from its last checkpoint on.

    Args:
        recipe: The `Recipe`.
        pipeline: The pipeline with the data.
        seed: Integer; the same seed gives the same numbers.
        label: What to call the model on the terminal.
        options: The `Options`.
        kept: The `Checkpoints`. None keeps none.
        callbacks: Sequence of further callbacks of Keras.

    Returns:
        The `Run`.
    """
    name, title = f"{label}-seed{seed}", f"{recipe.name}: {label}, seed {seed}"
    finished = kept.load_finished(name) if kept else None
    if options.publish and not finished:
        raise UserError(f"the run {name} is not in {kept.folder}, which cannot be read")
    if finished:
        print(f"{title}, trained already")
        facts, arrays = finished
        weights = _callbacks.numbered(arrays, "best")
        return Run(weights=weights, **facts | {"score": tuple(facts["score"])})
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    history, keeper = _callbacks.History(), BestEpoch(pipeline.score)
    with options.scope():
        model = compiled(recipe, pipeline, options)
    print(f"{title}, {model.count_params():,} parameters")
    average = [_callbacks.Averages()] if recipe.ema else []
    backup = _callbacks.Backup(kept, name, model, history, keeper)
    done = backup.resume()
    if done:
        print(f"going on after epoch {done}", flush=True)
        for callback in average:
            callback.resume()
    loggers = options.loggers(name)
    callbacks = [history, *average, keeper, *callbacks, *loggers, backup]
    if done < recipe.epochs:
        training, validation = batches(pipeline, seed, done, options, history)
        model.fit(
            training,
            validation_data=validation,
            initial_epoch=done,
            epochs=recipe.epochs,
            callbacks=callbacks,
            shuffle=False,  # the pipeline shuffles
            verbose=1 if os.isatty(1) else 2,
        )
    best = seed, keeper.epoch, keeper.best, keeper.weights
    run = Run(*best, history.rows, **backup.cost())
    if kept:
        facts = dict(vars(run))
        arrays = _callbacks.name_arrays("best", facts.pop("weights"))
        kept.finish(name, facts, arrays)
    return run


def compiled(recipe, pipeline, options):
    """Returns a fresh model, ready to be trained, its optimizer built."""
    model = build(recipe, pipeline)
    pipeline.initialise(model)
    if options.compiles(pipeline):
        for layer in bidirectional_layers(model):
            layer.use_fused = False  # XLA has no such kernel
    steps = len(pipeline.batches("train", seed=0)) * recipe.epochs
    model.compile(
        optimizer=make_optimizer(recipe, steps, options.optimizer()),
        loss=pipeline.loss(),
        metrics=pipeline.metrics(),
        jit_compile=options.compiles(pipeline),
    )
    model.optimizer.build(model.trainable_variables)
    return model


def batches(pipeline, seed, done, options, history):
    """Returns the batches of training and validation, in parts for each device.

    Args:
        pipeline: The pipeline with the data.
        seed: Integer, of the order.
        done: Number of epochs that are trained already.
        options: The `Options`.
        history: The run's `History`, which knows the epoch.
    """
    parts, validation = options.parts(), pipeline.batches("validation")
    if parts is None:
        return pipeline.batches("train", seed=seed, first_pass=done), validation
    from attention_zoo.recipes.distributed import devices as _distribute

    def make_pass(number):
        return pipeline.batches("train", seed=seed, first_pass=number)

    return (
        _distribute.training_batches(make_pass, history, parts),
        _distribute.validation_batches(validation, parts),
    )


def make_optimizer(recipe, steps, kind=keras.optimizers.AdamW):
    """Returns AdamW on a cosine with a linear warm-up.

    Args:
        recipe: The `Recipe`.
        steps: Number of steps of the whole training.
        kind: AdamW's class, for one device or for several.
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
    optimizer = kind(
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
