"""Recipes: train a model of the zoo on a TFDS dataset and publish it.

`attention-zoo train <recipe>` runs one. A recipe is one file,
`attention_zoo/recipes/<model>_<dataset>.py`, found on disk; the folders beside it are
the engine. `train` does the same in Python, on your own data. TensorFlow, TensorFlow
Datasets, scikit-learn and matplotlib are imported when they are needed, never by
importing this package.
"""

import importlib

if __name__ != "attention_zoo.recipes":
    raise ImportError(
        f"This package was imported as `{__name__}`. Import it as "
        "`attention_zoo.recipes` from an installed attention-zoo."
    )


def train(
    model,
    data,
    validation=(),
    test=(),
    name=None,
    force=False,
    seeds=(0,),
    out="saved_models",
    data_dir=None,
    split_seed=0,
    show_examples=False,
    settings=None,
    **columns,
):
    """Trains a model of the zoo on your own data and publishes its folder.

    What the defaults are, how the data are split and what is measured beside the model
    is the same as by `attention-zoo train MODEL --data ...`.

    Args:
        model: String, the name of a model or of a recipe.
        data: A `pandas.DataFrame`; the path of a file or of a folder, or a list of
            them; or `"tfds:NAME"`.
        validation: The same, for the validation split. Defaults to `()`: a tenth of
            `data`.
        test: The same, for the test split. Defaults to `()`: a tenth of `data`.
        name: String, what the entry is called. Defaults to `None`: after the file.
        force: Boolean, whether a model of that name is replaced. Defaults to `False`.
        seeds: Sequence of integers; the model is trained with each. Defaults to `(0,)`.
        out: Path of the folder of all entries. Defaults to `"saved_models"`.
        data_dir: Path of the TFDS data directory. Defaults to `None`: TFDS's own.
        split_seed: Integer, which rows are held out. Defaults to `0`.
        show_examples: Boolean, whether pictures may show examples of the data.
            Defaults to `False`.
        settings: Dict of settings, e.g. `{"epochs": 3}`, as `--set` takes them.
            Defaults to `None`.
        **columns: What the kind of data asks for, e.g. `text="review"` and
            `label="stars"`.

    Returns:
        The `attention_zoo.pretrained.Entry`: `entry.load()` is the model and
        `entry.card` what was measured.

    Raises:
        UserError: One line on what cannot be used, with the place.
    """
    # By name, since the modules there look for recipes in this package.
    own_data = importlib.import_module("attention_zoo.recipes.cli.data")
    return own_data.train(
        model=model,
        given={"data": data, "validation": validation, "test": test},
        columns=columns | {"split_seed": split_seed},
        settings=settings or {},
        show_examples=show_examples,
        seeds=seeds,
        where={"data_dir": data_dir, "out": out},
        options={"name": name, "force": force},
    )
