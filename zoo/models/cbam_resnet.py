"""The CBAM-ResNet: a residual network with attention in every block."""

import keras

from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.models import _images
from attention_zoo.models._attention import make_attention

FAMILIES = ("channel", "spatial", "hybrid", "branch")


def cbam_resnet(
    num_classes,
    input_shape=(28, 28, 1),
    depth=20,
    width=16,
    attention="cbam",
    dropout=0.0,
    name="cbam_resnet",
):
    """Builds an image classifier: residual blocks, each with a vision attention.

    1. Stem: pixels scaled to -1 to 1, a 3 x 3 convolution to `width` channels.
    2. Three stages of `(depth - 2) / 6` blocks with `width`, `2 * width` and
       `4 * width` channels; the second and third begin with a stride of 2. A block is
       `relu(x + attention(conv(relu(conv(x)))))`, each convolution 3 x 3 and
       batch-normalized.
    3. Classify: the mean over positions, `softmax(W s + b)`, `(B, num_classes)`.

    With `attention="squeeze_excite"` it is an SE-ResNet, with
    `"efficient_channel_attention"` an ECA-ResNet, and with `None` the plain ResNet.

    Args:
        num_classes: Integer, at least 2.
        input_shape: Tuple of integers: height, width and channels of the images.
            Defaults to `(28, 28, 1)`.
        depth: Integer `6 n + 2`: the number of convolutions and dense layers on the
            longest way, attention not counted. Defaults to `20`.
        width: Integer, channels of the first stage. Defaults to `16`.
        attention: String, dict or `None`. A name from
            `attention_zoo.layers.list_attentions()` of the family `"channel"`,
            `"spatial"`, `"hybrid"` or `"branch"`; or a dict `{"name": ..., **config}`
            with the arguments of that layer; or `None`. Defaults to `"cbam"`.
        dropout: Float in [0, 1). Dropout rate before the head. Defaults to `0.0`.
        name: String, the name of the model. Defaults to `"cbam_resnet"`.

    Returns:
        An uncompiled functional `keras.Model` from raw pixels `(B, H, W, C)`, uint8
        from 0 to 255, to class probabilities `(B, num_classes)` in float32.

    Raises:
        ValueError: If an argument is invalid, or if the attention is unknown or of
            another family.

    Example:

    ```python
    model = attention_zoo.create(
        "cbam_resnet", num_classes=3, input_shape=(8, 8, 1), depth=8
    )
    pixels = np.random.randint(0, 256, (2, 8, 8, 1)).astype("uint8")
    assert model(pixels).shape == (2, 3)
    ```

    References:
        - [He et al., 2016](https://arxiv.org/abs/1512.03385): the residual network
        - [Woo et al., 2018](https://arxiv.org/abs/1807.06521): CBAM in its blocks
    """
    _images.check_arguments("cbam_resnet", num_classes, input_shape, dropout)
    check_positive_integer("cbam_resnet", depth=depth, width=width)
    if depth < 8 or depth % 6 != 2:
        raise ValueError(
            "Invalid value for argument `depth` of `cbam_resnet`. Expected 6 n + 2: "
            f"8, 14, 20, 26, ... Received: depth={depth!r}"
        )

    pixels, x = _images.pixels_to_maps(input_shape)
    x = _images.convolution(x, width, 3, name="stem")
    for stage in range(3):
        for block in range((depth - 2) // 6):
            x = _residual_block(
                x,
                filters=width * 2**stage,
                strides=2 if stage and not block else 1,
                attention=attention,
                name=f"stage_{stage}_block_{block}",
            )
    x = keras.layers.GlobalAveragePooling2D(name="summary")(x)  # (B, 4 * width)
    probabilities = _images.head(x, num_classes, dropout)
    return keras.Model(pixels, probabilities, name=name)


def _residual_block(x, filters, strides, attention, name):
    """Returns maps `(B, H, W, C)` through one block.

    The shortcut is a 1 x 1 convolution where the shape changes.
    """
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = _images.convolution(
            x, filters, 1, strides, activation=None, name=f"{name}_shortcut"
        )
    x = _images.convolution(x, filters, 3, strides, name=f"{name}_first")
    x = _images.convolution(x, filters, 3, activation=None, name=f"{name}_second")
    _, attention_layer = make_attention(
        "cbam_resnet", attention, FAMILIES, name=f"{name}_attention"
    )
    if attention_layer is not None:
        x = attention_layer(x)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)
