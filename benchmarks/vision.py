"""A training step of `CBAM` against the same block of plain Keras layers.

    python -m benchmarks vision [--smoke]

Both blocks have the same weights; their outputs, and the gradients of their inputs, are
checked to be equal first. A step is forward, backward (weights and inputs) and an
update by SGD, in a compiled function on TensorFlow, float32. The blocks take turns, and
each goes first in every other pair. Promised: a median of at most 1.15 of the plain
one's. Writes `benchmarks/results/vision.csv`; `make tables` shows it in
docs/choosing.md.
"""

import functools
import statistics

from benchmarks import _method

BATCH, PAIRS, WARM_UP = 64, 200, 10
SHAPES = [(28, 28, 32), (14, 14, 64)]
LIMIT = 1.15
FIELDS = [
    "block",
    "batch",
    "height",
    "width",
    "channels",
    "pairs",
    "keras_ms",
    "ours_ms",
    "pair_ratio_quartile_1",
    "pair_ratio_quartile_3",
]


def plain_block(shape, ratio=16, kernel_size=7):
    """Returns CBAM as a functional model of Keras's own layers, maps `(H, W, C)`."""
    import keras
    from keras import layers, ops

    channels = shape[-1]
    reduce = layers.Dense(channels // ratio, activation="relu", use_bias=False)
    expand = layers.Dense(channels, use_bias=False)
    inputs = keras.Input(shape)
    pooled = [
        layers.GlobalAveragePooling2D()(inputs),
        layers.GlobalMaxPooling2D()(inputs),
    ]
    gate = layers.Add()([expand(reduce(vector)) for vector in pooled])
    gate = layers.Reshape((1, 1, channels))(layers.Activation("sigmoid")(gate))
    x = layers.Multiply()([inputs, gate])
    mean, maximum = (f(x, axis=-1, keepdims=True) for f in (ops.mean, ops.max))
    gate = layers.Conv2D(
        1, kernel_size, padding="same", activation="sigmoid", use_bias=False
    )(layers.Concatenate()([mean, maximum]))
    return keras.Model(inputs, layers.Multiply()([x, gate]))


def make_blocks(shape):
    """Returns the two blocks with the same weights, a dict of models."""
    import keras

    from attention_zoo import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    blocks = {
        "keras": plain_block(shape),
        "ours": keras.Model(inputs, layers.CBAM()(inputs)),
    }
    blocks["keras"].set_weights(blocks["ours"].get_weights())
    return blocks


def training_step(block):
    """Returns a compiled step: maps to the loss, the output and the maps' gradient."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.SGD(0.01)
    optimizer.build(block.trainable_variables)
    weights = [variable.value for variable in block.trainable_variables]

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = block(x, training=True)
            loss = tf.reduce_mean(tf.square(output))
        gradient, *gradients = tape.gradient(loss, [x, *weights])
        optimizer.apply(gradients, block.trainable_variables)
        return loss, output, gradient

    return step


def check_equal(steps, x):
    """Takes a step with each and raises `AssertionError` where they differ."""
    import numpy as np

    (_, *ours), (_, *plain) = (steps[which](x) for which in ("ours", "keras"))
    for one, other in zip(ours, plain, strict=True):
        size = float(np.abs(other).max())
        np.testing.assert_allclose(one / size, other / size, rtol=0, atol=1e-5)


def take(step, x):
    """Takes a step and waits for it."""
    return step(x)[0].numpy()


def race(shape, batch, pairs):
    """Returns the row of one shape."""
    import numpy as np
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=(batch, *shape)).astype("float32")
    x = tf.constant(x)
    steps = {which: training_step(b) for which, b in make_blocks(shape).items()}
    check_equal(steps, x)
    contestants = {w: functools.partial(take, step, x) for w, step in steps.items()}
    seconds = _method.take_turns(contestants, pairs, WARM_UP)
    keras, ours = (seconds[which] for which in ("keras", "ours"))
    ratios = [a / b for a, b in zip(ours, keras, strict=True)]
    quartiles = statistics.quantiles(ratios, n=4)
    medians = [round(1000 * statistics.median(s), 3) for s in (keras, ours)]
    spread = [round(quartiles[0], 3), round(quartiles[2], 3)]
    return ["CBAM", batch, *shape, pairs, *medians, *spread]


def main(arguments):
    options = _method.parse("vision", arguments, __doc__.splitlines()[0])
    smoke = options.smoke
    rows = []
    for shape in [(6, 5, 16)] if smoke else SHAPES:
        row = race(shape, *(2, 4) if smoke else (BATCH, PAIRS))
        rows.append(dict(zip(FIELDS, row, strict=True)))
    print(f"{'':14}{'keras ms':>10}{'ours ms':>9}{'ratio':>7}{'limit':>7}{'pairs':>13}")
    kept = True
    for row in rows:
        ratio = row["ours_ms"] / row["keras_ms"]
        kept = kept and ratio <= LIMIT
        shape = "{height} x {width} x {channels}".format(**row)
        spread = "{pair_ratio_quartile_1} - {pair_ratio_quartile_3}".format(**row)
        times = f"{row['keras_ms']:10.2f}{row['ours_ms']:9.2f}"
        print(f"{shape:14}{times}{ratio:7.3f}{LIMIT:7.2f}  {spread}")
    _method.write("vision", rows, options, "", pairs=PAIRS)
    return 0 if kept or smoke else 1
