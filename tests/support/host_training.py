"""A small training on several processes, with what it is compared with.

`PROGRAM` is `attention-zoo`, and so are the processes that it starts. Those that train
do so three times: whole, resumed after the first epoch, and process 0 on its own device
alone. The histories go into the file `HOSTS_SEEN`.
"""

import json
import os
import sys

from support.fresh import TESTS

PROGRAM = (
    sys.executable,
    "-u",
    "-c",
    f"import sys; sys.path.insert(0, {TESTS!r}); import conftest\n"
    "from support import host_training\n"
    "sys.exit(host_training.main())",
)
SETTINGS = (
    *("ema=0.9", "dropout=0.3", "batch_size=120", "clip_norm=0.05"),
    *("attention=none", "max_length=16"),  # no twin, and one shape to compile
)


def main():
    """Runs the command, with a tiny model where it trains or publishes."""
    from attention_zoo.recipes.cli import main as cli
    from attention_zoo.recipes.distributed import processes

    processes.PROGRAM = PROGRAM
    if processes.is_child():
        from support import killed_training

        from attention_zoo.recipes.engine import trainer

        killed_training.prepare()
        if "--publish" not in sys.argv:
            trainer.fit_all = more_than_once(trainer.fit_all)
    return cli.main()


MEET = (*PROGRAM[:-1], PROGRAM[-1].replace("main()", "meet()"))


def meet():
    """Meets the other processes as a training does, and does not train."""
    from attention_zoo.recipes.cli import main as cli
    from attention_zoo.recipes.core.errors import UserError
    from attention_zoo.recipes.distributed import hosts
    from attention_zoo.recipes.engine.execution import Options

    args = cli.parse(sys.argv[1:])
    options = hosts.connect(Options.of(args))
    facts = {"settings": {"set": args.set}, "execution": options.facts()}

    def claim():
        if args.epochs == 7:
            raise UserError("no such folder")

    with hosts.ending_all(options.num_processes):
        hosts.agreed(claim, facts)
        raise UserError("all have met")


def more_than_once(fit_all):
    """Returns `fit_all` with other trainings of the model."""
    from attention_zoo.recipes.distributed import devices
    from attention_zoo.recipes.engine import trainer
    from attention_zoo.recipes.engine.execution import Options

    class Alone(Options):
        def parts(self):
            return devices.Parts(1)

    def fit(recipe, pipeline, seeds, options, kept):
        first = options.process_id == 0
        kept.finish = lambda *record: None
        whole = trainer.fit(recipe, pipeline, 0, "model", options, kept)
        del kept.finish
        if first:
            os.remove(kept.folder / "model-seed0-epoch2.npz")
        runs, twins = fit_all(recipe, pipeline, seeds, options, kept)
        if first:
            alone = trainer.fit(recipe, pipeline, 0, "model", Alone(jit=True))
            seen = [run.history for run in (alone, whole, runs[0])]
            with open(os.environ["HOSTS_SEEN"], "w", encoding="utf-8") as file:
                json.dump(seen, file)
        return runs, twins

    return fit


# === One model on two devices ===


def split_model():
    """Trains a small model whole and split; prints histories and what was split."""
    import keras
    import numpy as np

    import attention_zoo
    from attention_zoo.recipes.distributed import sharding

    rng = np.random.default_rng(0)
    ids, targets = rng.integers(0, 11, (12, 5)), rng.normal(size=(12, 3))
    histories, split = [], []
    for how in (None, "model_parallel"):
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        if how:
            sharding.activate(how)
        inputs = keras.Input((5,), dtype="int32")
        x = keras.layers.Embedding(11, 8)(inputs)
        x = attention_zoo.layers.MultiHeadAttention(num_heads=2, key_dim=4)(x, x)
        x = keras.layers.Dropout(0.3)(keras.layers.Flatten()(x))
        model = keras.Model(inputs, keras.layers.Dense(3)(x))
        model.compile(keras.optimizers.AdamW(0.01, use_ema=True), "mse")
        fitted = model.fit(ids, targets, batch_size=6, epochs=2, verbose=0)
        histories.append(fitted.history["loss"])
        for v in model.trainable_variables + model.optimizer.variables:
            if how and not v.value.is_fully_replicated:
                split.append([v.path, v.shape])
    print(json.dumps([histories, split]))
