"""The vision transformer: an image in patches, summed up by class attention."""

import keras
from keras import ops

from attention_zoo import layers
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.models import _images

ATTENTIONS = ("multi_head_attention",)


def vision_transformer(
    num_classes,
    input_shape=(28, 28, 1),
    patch_size=4,
    width=64,
    num_layers=4,
    num_heads=4,
    attention="multi_head_attention",
    dropout=0.1,
    name="vision_transformer",
):
    """Builds an image classifier: patches, a transformer encoder, class attention.

    1. Patch: pixels scaled to -1 to 1 and cut into `N = H * W / patch_size**2` squares,
       each embedded with its position, `(B, N, width)`.
    2. Encode: `num_layers` blocks of self-attention and a feed-forward layer of twice
       the width, normalized before each sublayer, `(B, N, width)`.
    3. Sum up: class attention, one learned query over the patches, `(B, width)`.
    4. Classify: `softmax(W s + b)`, `(B, num_classes)`.

    where `B` is the batch size, `H` the height and `W` the width of an image.

    Args:
        num_classes: Integer, at least 2.
        input_shape: Tuple of integers: height, width and channels of the images.
            Defaults to `(28, 28, 1)`.
        patch_size: Integer, side of a patch, a divisor of height and width. Defaults
            to `4`.
        width: Integer, width of a patch's embedding, a multiple of `num_heads`.
            Defaults to `64`.
        num_layers: Integer, the number of blocks. Defaults to `4`.
        num_heads: Integer, heads of a block and of the class attention. Defaults to
            `4`.
        attention: String or `None`. `"multi_head_attention"`, or `None` for the same
            model whose patches do not see each other and are summed up by their mean.
            Defaults to `"multi_head_attention"`.
        dropout: Float in [0, 1). Dropout rate in the blocks and before the head.
            Defaults to `0.1`.
        name: String, the name of the model. Defaults to `"vision_transformer"`.

    Returns:
        An uncompiled functional `keras.Model` from raw pixels `(B, H, W, C)`, uint8
        from 0 to 255, to class probabilities `(B, num_classes)` in float32.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    model = attention_zoo.create(
        "vision_transformer", num_classes=3, input_shape=(8, 8, 1), num_layers=1
    )
    pixels = np.random.randint(0, 256, (2, 8, 8, 1)).astype("uint8")
    assert model(pixels).shape == (2, 3)
    ```

    References:
        - [Dosovitskiy et al., 2020](https://arxiv.org/abs/2010.11929): the patches
        - [Touvron et al., 2021](https://arxiv.org/abs/2103.17239): class attention
    """
    owner = "vision_transformer"
    _images.check_arguments(owner, num_classes, input_shape, dropout)
    check_positive_integer(
        owner,
        patch_size=patch_size,
        width=width,
        num_layers=num_layers,
        num_heads=num_heads,
    )
    if attention is not None and attention not in ATTENTIONS:
        raise ValueError(
            f"Invalid value for argument `attention` of `{owner}`. Expected one of "
            f"{list(ATTENTIONS)} or None. Received: attention={attention!r}"
        )
    height, width_of_image, _ = input_shape
    if height % patch_size or width_of_image % patch_size:
        raise ValueError(
            f"`{owner}` expects a `patch_size` that divides height and width of the "
            "images. Received: "
            f"patch_size={patch_size}, input_shape={tuple(input_shape)}"
        )

    # === Layers ===
    patches = (height // patch_size) * (width_of_image // patch_size)
    # The bias of each patch is its learned position.
    patches_layer = keras.layers.EinsumDense(
        "npl,ld->npd", (patches, width), bias_axes="pd", name="patches"
    )
    norm_layer = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")

    # === Functional model ===
    pixels, maps = _images.pixels_to_maps(input_shape)
    x = patches_layer(_cut(maps, patch_size))  # (B, N, width)
    x = keras.layers.Dropout(dropout, name="patches_dropout")(x)
    for i in range(num_layers):
        x = _block(x, num_heads, dropout, attention, name=f"block_{i}")
    x = norm_layer(x)
    if attention is None:
        x = keras.layers.GlobalAveragePooling1D(name="summary")(x)  # (B, width)
    else:
        x = layers.MultiHeadAttentionPooling(
            num_heads, width // num_heads, name="class_attention"
        )(x)
    probabilities = _images.head(x, num_classes, dropout)
    return keras.Model(pixels, probabilities, name=name)


def _block(x, num_heads, dropout, attention, name):
    """Returns `(B, N, D)` through a block; without attention, its feed-forward part."""
    width = 2 * x.shape[-1]
    if attention is not None:
        return layers.TransformerEncoderBlock(
            width,
            num_heads,
            dropout=dropout,
            activation="gelu",
            normalize_first=True,
            name=name,
        )(x)
    y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(x)
    y = layers.FeedForward(width, "gelu", name=name)(y)
    return x + keras.layers.Dropout(dropout, name=f"{name}_dropout")(y)


def _cut(maps, size):
    """Returns maps `(B, H, W, C)` as patches `(B, N, size * size * C)`, row by row."""
    _, height, width, channels = maps.shape
    rows, columns = height // size, width // size
    x = ops.reshape(maps, (-1, rows, size, columns, size, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, rows * columns, size * size * channels))
