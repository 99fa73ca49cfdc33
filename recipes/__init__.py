"""Recipes: train a model of the zoo on a TFDS dataset and publish it.

`attention-zoo train <recipe>` runs one. A recipe is one file,
`attention_zoo/recipes/<model>_<dataset>.py`, found on disk; the folders beside it are
the engine. TensorFlow, TensorFlow Datasets, scikit-learn and matplotlib are imported
when they are needed, never by importing this package.
"""

if __name__ != "attention_zoo.recipes":
    raise ImportError(
        f"This package was imported as `{__name__}`. Import it as "
        "`attention_zoo.recipes` from an installed attention-zoo."
    )
