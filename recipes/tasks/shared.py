"""What pipelines share: passes, predictions of many inputs, the mean correlation."""

import itertools

import numpy as np
import tensorflow as tf


def dataset_of(make_pass, shapes, steps, seed, first_pass=0):
    """Returns a `tf.data` dataset whose passes draw anew, each in its own way.

    Args:
        make_pass: Function from a NumPy generator, or None for evaluation, to an
            iterable of batches.
        shapes: `tf.TensorSpec`s of a batch.
        steps: Number of batches of a pass.
        seed: Integer that decides with the number of the pass what it draws, or None.
        first_pass: Number of the first pass.
    """
    passes = itertools.count(first_pass)

    def one_pass():
        yield from make_pass(
            None if seed is None else np.random.default_rng([seed, next(passes)])
        )

    dataset = tf.data.Dataset.from_generator(one_pass, output_signature=shapes)
    return dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(4)


def predict(model, inputs, batch_size=256):
    """Returns the outputs for an array of inputs of one shape, in their order."""
    (given,) = model.inputs
    step = tf.function(
        lambda batch: model(batch, training=False),
        input_signature=[tf.TensorSpec(given.shape, given.dtype)],
    )
    parts = range(0, len(inputs), batch_size)
    return np.concatenate(
        [step(tf.constant(inputs[i : i + batch_size])).numpy() for i in parts]
    )


def mean_correlation(occlusion, inputs):
    """Returns what a card says of attention and occlusion.

    Args:
        occlusion: What an `Explanation` returns; its `rank_correlation` is NaN where
            none is defined.
        inputs: What the inputs are, in the plural.

    Returns:
        Dict of `rank_correlation`, the mean or None, and `rank_correlation_<inputs>`,
        over how many.
    """
    defined = occlusion.rank_correlation
    defined = defined[np.isfinite(defined)]
    return {
        "rank_correlation": float(defined.mean()) if len(defined) else None,
        f"rank_correlation_{inputs}": len(defined),
    }
