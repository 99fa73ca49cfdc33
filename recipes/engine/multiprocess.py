"""Training on JAX, in one or several processes that the launcher has started.

Every process makes the same global batches and feeds the rows of its devices. JAX sums
gradients, losses and metrics over all. Process 0 alone writes and prints; in the end it
becomes a process on TensorFlow, which publishes.
"""

import contextlib
import os
import sys

import jax

from attention_zoo.recipes.core.recipe import load_pipeline
from attention_zoo.recipes.distributed import hosts, launcher, processes
from attention_zoo.recipes.engine import checkpoints, entries, publishing, trainer
from attention_zoo.recipes.engine.splits import check_splits


def train(words, recipe, seeds, data_dir, out, smoke, options):
    """Trains all runs of a recipe, which stay in the folder of its checkpoints.

    Called in every process with the same arguments but `options.process_id`. Process 0
    then publishes, in another program: it does not return.
    """
    processes.die_with_parent()
    hide_gpus_from_tensorflow()
    options.prepare(recipe, seeds[0])
    pipeline = load_pipeline(recipe, data_dir, smoke)
    check_splits(pipeline)  # what is missing shows now
    pipeline.batches("train", seed=0)
    name = entries.name_of(recipe, options)
    options = hosts.connect(options)  # now, as JAX waits for no one later on
    first, count = not options.process_id, options.num_processes or 1

    def claim():
        hosts.check_devices(recipe, options)
        if first:
            publishing.check_target(out, name)
        return first and checkpoints.Checkpoints(
            entries.hidden_of(out, name),
            trainer.fingerprint(recipe, pipeline, seeds, options),
            options.resume,
        )

    facts = trainer.fingerprint(recipe, pipeline, seeds, options) | {"smoke": smoke}
    with contextlib.ExitStack() as stack:
        if not first:
            silence = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        with hosts.ending_all(count):
            own = hosts.agreed(claim, facts)
        with hosts.ending_all(count, own):
            kept = hosts.BroadcastCheckpoints(own)
            trainer.fit_all(recipe, pipeline, seeds, options, kept)
            jax.distributed.shutdown()
    if first:
        hand_over(words, options)


def hand_over(words, options):
    """Becomes a process on TensorFlow that publishes the trained runs."""
    sys.stdout.flush()
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    if options.coordinator == launcher.AUTO:
        words = [*words, "--num-processes", str(options.num_processes)]
    program = [*processes.PROGRAM, *words, "--publish"]
    os.execve(program[0], program, environment)


def hide_gpus_from_tensorflow():
    """Leaves all memory of the GPUs to JAX."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
