"""A training step of `CBAM` against the same block of plain Keras layers.

    python -m benchmarks vision [--smoke]

A step is forward, backward (weights and inputs) and an update by SGD, in a compiled
function on TensorFlow, of blocks with the same weights.
"""

import statistics

from benchmarks import _method, _steps

BATCH, WARM_UP = 64, 10
SHAPES = [(28, 28, 32), (14, 14, 64)]
LIMIT = 1.15


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


def race(shape, batch, pairs):
    """Returns the row of one shape."""
    import tensorflow as tf

    x = tf.constant(_steps.draw((batch, *shape))[0])
    blocks = make_blocks(shape)
    steps = {which: training_step(block) for which, block in blocks.items()}
    ours, plain = (steps[which](x)[1:] for which in ("ours", "keras"))
    _steps.check_equal(ours, plain, 1e-5, about="CBAM")
    contestants = {w: lambda step=step: step(x)[0].numpy() for w, step in steps.items()}
    seconds = _method.take_turns(contestants, pairs, WARM_UP)
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["keras"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    sizes = dict(zip(("height", "width", "channels"), shape, strict=True))
    return {
        "block": "CBAM",
        "batch": batch,
        **sizes,
        "pairs": pairs,
        **{
            f"{which}_ms": round(1000 * statistics.median(seconds[which]), 3)
            for which in ("keras", "ours")
        },
        "pair_ratio_quartile_1": round(low, 3),
        "pair_ratio_quartile_3": round(high, 3),
    }


def race_all(_, options):
    """Returns the rows of all shapes."""
    if options.smoke:
        return [race((6, 5, 16), 2, 4)]
    return [race(shape, BATCH, options.rounds) for shape in SHAPES]


def kept(rows):
    """Returns whether ours takes no longer than was promised."""
    return all(row["ours_ms"] <= LIMIT * row["keras_ms"] for row in rows)


main = _method.Race("vision", __doc__, race_all, ("CBAM",), rounds=200, kept=kept)
