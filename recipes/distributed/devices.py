"""Batches in parts for several devices, and TensorFlow's MirroredStrategy.

The global batch stays the recipe's: each device gets an equal part of it.
"""

import functools
import typing

import keras
import numpy as np
import tensorflow as tf

from attention_zoo.recipes.core.errors import UserError


class Parts(typing.NamedTuple):
    """How a global batch is shared out.

    Args:
        devices: Number of devices of all processes; each gets an equal part.
        process: This process's place among them.
        processes: Number of processes; each feeds the rows of its devices.
    """

    devices: int
    process: int = 0
    processes: int = 1

    def rows(self, count):
        """Returns what this process feeds of `count` rows, which divide: a slice."""
        own = count // self.processes
        return slice(self.process * own, (self.process + 1) * own)


@functools.cache
def mirrored():
    """Returns the strategy for all GPUs, or for all logical CPUs without a GPU."""
    strategy = tf.distribute.MirroredStrategy()
    count = strategy.num_replicas_in_sync
    print(f"mirrored on {count} device{'s' * (count != 1)}", flush=True)
    return strategy


def check_batch(recipe, devices, what="devices"):
    """Raises `UserError` for a batch that has no equal parts for the devices."""
    size = recipe.batch_size
    if size % devices:
        raise UserError(
            f"batch_size {size} does not divide among {devices} {what}: give "
            f"--set batch_size={-(-size // devices) * devices}"
        )


class AdamW(keras.optimizers.AdamW):
    """AdamW that clips the gradient of the global batch, as on one device.

    Keras clips the part of each device before it adds the parts. Here the parts are
    added and clipped first; each device then gives Keras its share of the result.
    """

    def __init__(self, *arguments, global_clipnorm=None, **options):
        super().__init__(*arguments, **options)
        self.largest_norm = global_clipnorm

    def apply(self, grads, trainable_variables=None):
        context = tf.distribute.get_replica_context()
        if context is not None and self.largest_norm:
            grads = [tf.convert_to_tensor(grad) for grad in grads]
            grads = context.all_reduce("sum", grads)
            grads, _ = tf.clip_by_global_norm(grads, self.largest_norm)
            grads = [grad / context.num_replicas_in_sync for grad in grads]
        return super().apply(grads, trainable_variables)


def training_batches(make_pass, history, parts):
    """Returns training batches that have equal parts for all devices.

    Keras may draw batches before the first epoch too, so the pass is that of the epoch
    that runs, and not counted. Of the odd batch of a pass, the rows that do not divide
    are left out; fewer rows than devices are repeated.

    Args:
        make_pass: Function from the number of a pass to its dataset.
        history: The run's `History`, which knows the epoch.
        parts: The `Parts`.
    """

    def one_pass():
        for batch in make_pass(history.epoch):
            count = len(tf.nest.flatten(batch)[0])
            devices = parts.devices
            rows = np.arange(max(count // devices, 1) * devices) % count
            rows = rows[parts.rows(len(rows))]
            yield tf.nest.map_structure(
                lambda part, own=rows: tf.gather(part, own), batch
            )

    first = make_pass(0)
    signature = tf.nest.map_structure(
        lambda spec: tf.TensorSpec((None, *spec.shape[1:]), spec.dtype),
        first.element_spec,
    )
    dataset = tf.data.Dataset.from_generator(one_pass, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(first)))


def validation_batches(batches, parts):
    """Returns batches with equal parts, of which a few rows are there twice.

    A device with no rows stops Keras; the test split is measured on one device.
    """

    def fill(*batch):
        count = tf.shape(tf.nest.flatten(batch)[0])[0]
        rows = tf.range(-(-count // parts.devices) * parts.devices) % count
        rows = rows[parts.rows(tf.shape(rows)[0])]
        return tf.nest.map_structure(functools.partial(tf.gather, indices=rows), batch)

    return batches.map(fill)
