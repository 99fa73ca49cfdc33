"""The pictures of an entry: curves.png and attention.png."""

import warnings

import attention_zoo


def save(figure, path):
    """Writes a figure; letters that its font lacks are drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(path, dpi=110)


def curves(path, runs, twins):
    """Draws loss and score by epoch, training and validation, model and twin.

    Args:
        path: File to write.
        runs: List of `Run`s of the model.
        twins: List of `Run`s of the twin without attention.
    """
    from matplotlib.figure import Figure

    keys = [key for key in runs[0].history[0] if f"val_{key}" in runs[0].history[0]]
    figure = Figure(figsize=(5 * len(keys), 3.6), layout="constrained")
    for axes, key in zip(
        figure.subplots(1, len(keys), squeeze=False)[0], keys, strict=True
    ):
        for label, group, color in (
            ("model", runs, "C0"),
            ("no attention", twins, "C1"),
        ):
            for i, run in enumerate(group):
                epochs = range(1, len(run.history) + 1)
                for prefix, style in (("", ":"), ("val_", "-")):
                    part = "validation" if prefix else "training"
                    axes.plot(
                        epochs,
                        [row[prefix + key] for row in run.history],
                        color=color,
                        linestyle=style,
                        marker="." if len(epochs) == 1 else None,
                        label=f"{label}, {part}" if i == 0 else None,
                    )
        axes.set(xlabel="epoch", title=key)
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    save(figure, path)


def attention(path, servable, inputs, names, method="attention"):
    """Draws inputs with their parts shaded by attention, or by another method.

    Args:
        path: File to write.
        servable: The model from raw inputs.
        inputs: List of raw inputs.
        names: Names of the classes, or of a forecaster's variates.
        method: Name of a method of `explain`. Defaults to `"attention"`.
    """
    explanation = attention_zoo.explain(servable, inputs, names, method=method)
    save(explanation.plot(), path)
