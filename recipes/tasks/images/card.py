"""The parts of a model card that an image model has in another form than a text one."""


def correlation(card):
    """Returns how attention goes along with occlusion."""
    attention = card["attention"]
    if attention.get("rank_correlation") is None:
        return []
    return [
        "Spearman's correlation of the attention to a square of the image with how far "
        "the prediction moves when the square is hidden: "
        f"{attention['rank_correlation']:.2f} (mean over "
        f"{attention['rank_correlation_images']} test images).",
        "",
    ]


def use(card):
    """Returns how to call the model."""
    name, shape = card["recipe"], (1, *card["image_shape"])
    return [
        "## Use",
        "",
        "```python",
        "import attention_zoo",
        "import keras",
        "import numpy as np",
        "",
        f'model = keras.models.load_model("saved_models/{name}/model.keras")',
        f'model(np.zeros({shape}, "uint8"))  # raw pixels, 0 to 255',
        "```",
        "",
        "```",
        f"attention-zoo predict {name} FILE.png",
        f"attention-zoo explain {name} FILE.png",
        f"attention-zoo export {name}    # a SavedModel for plain TensorFlow",
        card["command"] + "    # trains it again",
        "```",
        "",
    ]


def figures(card):
    """Returns the pictures."""
    lines = ["## Pictures", "", "![Accuracy and loss by epoch](curves.png)", ""]
    if card["attention"]:
        lines += ["![Six test images with their attention over them](attention.png)"]
        lines += [""]
    return lines
