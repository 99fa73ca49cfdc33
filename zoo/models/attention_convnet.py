"""The attention convnet: convolutions that choose their own reach."""

import keras

from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.models import _images
from attention_zoo.models._attention import make_attention

FAMILIES = ("branch",)


def attention_convnet(
    num_classes,
    input_shape=(28, 28, 1),
    width=32,
    num_stages=3,
    attention="selective_kernel",
    dropout=0.2,
    name="attention_convnet",
):
    """Builds an image classifier: a plain convnet of selective kernels.

    1. Stem: pixels scaled to -1 to 1, a 3 x 3 convolution to `width` channels.
    2. Stages: each adds to its maps what the attention makes of them, so that every
       channel chooses, image by image, between convolutions of several reaches. Between
       stages a 3 x 3 convolution of stride 2 doubles the channels.
    3. Classify: the mean over positions, `softmax(W s + b)`, `(B, num_classes)`.

    Each convolution is batch-normalized and followed by relu; `B` is the batch size.

    Args:
        num_classes: Integer, at least 2.
        input_shape: Tuple of integers: height, width and channels of the images.
            Defaults to `(28, 28, 1)`.
        width: Integer, channels of the first stage. Defaults to `32`.
        num_stages: Integer, the number of stages. Defaults to `3`.
        attention: String, dict or `None`. A name from
            `attention_zoo.layers.list_attentions()` of the family `"branch"`; or a dict
            `{"name": ..., **config}` with the arguments of that layer; or `None` for a
            3 x 3 convolution in its place. Defaults to `"selective_kernel"`.
        dropout: Float in [0, 1). Dropout rate before the head. Defaults to `0.2`.
        name: String, the name of the model. Defaults to `"attention_convnet"`.

    Returns:
        An uncompiled functional `keras.Model` from raw pixels `(B, H, W, C)`, uint8
        from 0 to 255, to class probabilities `(B, num_classes)` in float32.

    Raises:
        ValueError: If an argument is invalid, or if the attention is unknown or of
            another family.

    Example:

    ```python
    model = attention_zoo.create(
        "attention_convnet", num_classes=3, input_shape=(8, 8, 1), width=16
    )
    pixels = np.random.randint(0, 256, (2, 8, 8, 1)).astype("uint8")
    assert model(pixels).shape == (2, 3)
    ```

    References:
        - [Li et al., 2019](https://arxiv.org/abs/1903.06586): selective kernels
        - [Chen et al., 2019](https://arxiv.org/abs/1912.03458): dynamic convolution
    """
    _images.check_arguments("attention_convnet", num_classes, input_shape, dropout)
    check_positive_integer("attention_convnet", width=width, num_stages=num_stages)

    pixels, x = _images.pixels_to_maps(input_shape)
    x = _images.convolution(x, width, 3, name="stem")
    for stage in range(num_stages):
        if stage:
            x = _images.convolution(
                x, width * 2**stage, 3, strides=2, name=f"stage_{stage}_reduce"
            )
        _, attention_layer = make_attention(
            "attention_convnet", attention, FAMILIES, name=f"stage_{stage}_attention"
        )
        if attention_layer is None:
            y = _images.convolution(x, x.shape[-1], 3, name=f"stage_{stage}_plain")
        else:
            y = attention_layer(x)
        x = keras.layers.Add(name=f"stage_{stage}_add")([x, y])
    x = keras.layers.GlobalAveragePooling2D(name="summary")(x)
    probabilities = _images.head(x, num_classes, dropout)
    return keras.Model(pixels, probabilities, name=name)
