"""What several pipelines share: predictions of many inputs, the mean correlation."""

import numpy as np
import tensorflow as tf


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
