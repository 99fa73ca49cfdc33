"""The input pipeline alone against the training step that it feeds.

    python -m benchmarks inputs [--only RECIPE] [--rounds N] [--smoke]

A round iterates over a whole pass of a recipe's training batches, with nobody using
them, and then trains on some of them. `ours_ms` is a batch of the pipeline, `other_ms`
a step. What is done once, before the first pass, is not in it. Recipes whose data are
not prepared are left out.
"""

import time

from benchmarks import _method

STEPS = 8  # of training in a round


def one_pass(dataset, steps):
    """Iterates over a pass; returns its seconds a batch, and some of its batches."""
    kept, every = [], max(len(dataset) // steps, 1)
    start = time.perf_counter()
    for number, batch in enumerate(dataset):
        if number % every == 0:
            kept.append(batch)
    return (time.perf_counter() - start) / len(dataset), kept[:steps]


def training(model, batches):
    """Trains on batches; returns the seconds a step."""
    start = time.perf_counter()
    for batch in batches:
        model.train_on_batch(*batch)
    return (time.perf_counter() - start) / len(batches)


def race(name, options):
    """Returns the row of one recipe; none where its data are not there."""
    from attention_zoo.recipes.core.errors import UserError
    from attention_zoo.recipes.core.recipe import get_recipe, load_pipeline
    from attention_zoo.recipes.engine import trainer

    recipe = get_recipe(name)
    try:
        pipeline = load_pipeline(recipe, smoke=options.smoke)
    except UserError as error:
        print(f"left out: {error}")
        return []
    pipeline.initialise = lambda model: None  # word vectors take minutes to count
    model = trainer.compiled(recipe, pipeline, trainer.USUAL)
    dataset = pipeline.batches("train", seed=0)
    seconds = {"pipeline": [], "step": []}
    for number in range(options.rounds + 1):
        alone, batches = one_pass(dataset, STEPS)
        step = training(model, batches)
        if number:  # the first round reads, traces and compiles
            seconds["pipeline"].append(alone)
            seconds["step"].append(step)
    row = {
        "recipe": name,
        "batch": recipe.batch_size,
        "batches": len(dataset),
        **_method.compare(seconds["pipeline"], seconds["step"]),
    }
    return [row]


main = _method.Race(
    "inputs",
    __doc__,
    race,
    (
        "attention_lstm_reviews",
        "attention_lstm_imdb",
        "cbam_resnet_fashion_mnist",
        "attention_forecaster_etth1",
        "inverted_transformer_etth1",
        "rnn_translator_dates",
        "transformer_translator_multi30k",
    ),
    smoke=("attention_lstm_reviews",),
    title="The input pipeline alone against the training step",
    rounds=5,
)
