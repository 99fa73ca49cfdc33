"""Training: seeds, the twin without attention, baselines, then one publication."""

import dataclasses
import functools
import os

import keras

import attention_zoo
from attention_zoo.kernels.lstm import bidirectional_layers
from attention_zoo.recipes.cards import card
from attention_zoo.recipes.cards.explanations import report as faithfulness
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import load_pipeline
from attention_zoo.recipes.datasets.licenses import origin
from attention_zoo.recipes.engine import checkpoints, entries, publishing
from attention_zoo.recipes.engine.callbacks import (
    Averages,
    Backup,
    BestEpoch,
    History,
    name_arrays,
    numbered,
)
from attention_zoo.recipes.engine.execution import Options
from attention_zoo.recipes.engine.splits import check_splits
from attention_zoo.recipes.engine.steps import Steps, write_files

TWIN = checkpoints.TWIN
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
    a hidden folder beside the entry, which the publication removes. A step after the
    training that fails is named in the card, and its checkpoints stay.

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
    name = entries.name_of(recipe, options)
    publishing.check_target(out, name)  # before the work, not after it
    options.prepare(recipe, seeds[0])
    pipeline = load_pipeline(recipe, data_dir, smoke)
    check_splits(pipeline)
    facts = {k: getattr(pipeline, k) for k in recipe.task.facts}
    kept = checkpoints.Checkpoints(
        entries.hidden_of(out, name),
        fingerprint(recipe, pipeline, seeds, options),
        options.resume,
        handed_over=options.publish,
    )
    with kept.telling():
        pipeline.prepare(kept)
        runs, twins = fit_all(recipe, pipeline, seeds, options, kept)
        best = max(runs, key=lambda run: run.score)
        core = build(recipe, pipeline, best)
        servable = pipeline.servable(core)
        steps = Steps(kept)
        if kept.written:  # whatever becomes of the steps
            place = kept.folder / publishing.MODEL
            steps.run("copy", lambda: publishing.write_model(servable, place))
        baselines = measure_all(recipe, pipeline, runs, twins, steps)
        again = {"starts": kept.starts} if kept.starts > 1 else {}
        report = steps.run("attention", lambda: pipeline.attention_report(servable), {})
        found = {}
        if not smoke:
            found = steps.run("explanations", lambda: faithfulness(pipeline, servable))
        more = steps.run("report", lambda: pipeline.report(servable), {})
        record = {
            "name": name,
            "recipe": recipe.name,
            "kind": recipe.kind,
            "model": recipe.model,
            "dataset": pipeline.dataset,
            **steps.run("license", lambda: origin(pipeline, data_dir), {}),
            "smoke": smoke,
            **facts,
            **card.over_seeds(runs),
            "published_seed": best.seed,
            "metrics": best.test,
            "baselines": baselines,
            "attention": report,
            **({"explanations": found} if found else {}),
            **more,
            "parameters": core.count_params(),
            "settings": recipe.settings(),
            "execution": options.facts() | again,
            "command": command,
        }
        # Opened late: a killed training leaves its checkpoints behind and no more.
        with publishing.publication(out, name) as folder:
            entries.check(out, name, recipe, options, smoke)  # one that came meanwhile
            write_files(folder, pipeline, servable, runs, twins, steps, record)
            memory = max(run.memory for run in runs)
            record |= card.measurements(folder, pipeline, memory, steps)
            record["seconds"]["total"] = round(kept.seconds, 1)
            card.write(folder, record, recipe, steps)
            kept.note(entries.PUBLISHED, record["sha256"])
    place = os.path.join(out, name)
    steps.tell(place)
    if not steps.failed:
        kept.close()
    return place


def fit_all(recipe, pipeline, seeds, options, kept):
    """Returns the `Run`s of the model and of its twin without attention."""
    runs = [fit(recipe, pipeline, seed, "model", options, kept) for seed in seeds]
    if recipe.config.get("attention") is None:
        return runs, []
    bare = recipe.replace(attention=None)
    return runs, [fit(bare, pipeline, seed, TWIN, options, kept) for seed in seeds]


def measure_all(recipe, pipeline, runs, twins, steps):
    """Measures all on the test split, and returns the baselines' metrics."""
    baselines = {}
    for name, measure in steps.run("baselines", pipeline.baselines, {}).items():
        found = steps.run(name, functools.partial(announced, name, measure), keep=True)
        baselines |= {name: found} if found else {}
    print("measuring the test split ...", flush=True)
    bare = recipe.replace(attention=None) if twins else recipe
    for label, kind, group in ((TWIN, bare, twins), ("test", recipe, runs)):
        steps.run(label, functools.partial(measure_test, kind, pipeline, group))
        if label in steps.failed:
            for run in group:
                run.test = {}
        elif label == TWIN and twins:
            baselines[TWIN] = card.over_seeds(twins)
    return baselines


def announced(name, measure):
    """Returns what a baseline measures, after a line on the terminal."""
    print(f"baseline {name} ...", flush=True)
    return measure()


def fingerprint(recipe, pipeline, seeds, options):
    """Returns all that decides the result of a training: see `Checkpoints`."""
    return {
        "recipe": recipe.name,
        "data": pipeline.dataset,
        "seeds": list(seeds),
        "settings": recipe.settings(),
        "versions": card.versions(),
        "execution": options.facts(),
    }


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
        weights = numbered(arrays, "best")
        return Run(weights=weights, **facts | {"score": tuple(facts["score"])})
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    history, keeper = History(), BestEpoch(pipeline.score)
    with options.scope():
        model = compiled(recipe, pipeline, options)
    print(f"{title}, {model.count_params():,} parameters")
    average = [Averages()] if recipe.ema else []
    backup = Backup(kept, name, model, history, keeper)
    done = backup.resume()
    if done:
        print(f"going on after epoch {done}", flush=True)
        for callback in average:
            callback.resume()
    loggers = options.loggers(name)
    callbacks = [*callbacks, *pipeline.callbacks(model), *loggers, backup]
    callbacks = [history, *average, keeper, *callbacks]
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
        arrays = name_arrays("best", facts.pop("weights"))
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
    from attention_zoo.recipes.distributed import devices

    def make_pass(number):
        return pipeline.batches("train", seed=seed, first_pass=number)

    return (
        devices.training_batches(make_pass, history, parts),
        devices.validation_batches(validation, parts),
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
