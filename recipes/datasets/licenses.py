"""Under what terms a data set is given, for the cards of the models trained on it."""

from attention_zoo.pretrained import is_non_commercial
from attention_zoo.recipes.datasets import loading

NOT_STATED = "none stated"
# Of data sets whose TFDS builders state none.
STATED = {
    "clinc_oos": "CC BY 3.0",
    "fashion_mnist": "MIT",
    "goemotions": "CC BY 4.0",
    "imdb_reviews": NOT_STATED,
    "trec": NOT_STATED,
    "zoo_reviews": "Apache-2.0",
}


def license_of(dataset, data_dir=None):
    """Returns the terms of a TFDS data set, a string.

    Args:
        dataset: Name of the data set, with its configuration where it has some.
        data_dir: TFDS data directory, or None for TFDS's own choice.
    """
    name = dataset.split("/")[0]
    if name in STATED:
        return STATED[name]
    stated = loading.tfds_builder(dataset, data_dir).info.redistribution_info
    return (stated and stated.license) or NOT_STATED


def origin(pipeline, data_dir=None):
    """Returns the card's fields on where the data come from, a dict.

    Args:
        pipeline: The pipeline. Own data have a `source`, others the `dataset` of TFDS.
        data_dir: TFDS data directory, or None for TFDS's own choice.
    """
    if pipeline.source:
        return {"source": pipeline.source}
    if pipeline.dataset.endswith("/smoke"):
        return {}
    name = pipeline.dataset.rpartition("/")[0]  # less its version
    return {"data_license": license_of(name, data_dir)}


def commercial(terms):
    """Returns whether terms allow commercial use: None where they do not say."""
    if terms == NOT_STATED:
        return None
    return not is_non_commercial(terms)
