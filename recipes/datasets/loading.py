"""Finds or prepares a TFDS dataset, and says plainly when it cannot."""

import contextlib
import importlib
import importlib.util
import os
import pathlib

import numpy as np

from attention_zoo.recipes.core.errors import UserError

EMBEDDED_RECIPE = "attention_lstm_reviews"
OWN_VERSION = "1.0.0"
_PROBE = "https://storage.googleapis.com"


def tfds_builder(name, data_dir=None):
    """Returns a prepared TFDS builder, downloading the data if need be.

    Args:
        name: TFDS name; builders of this package are registered first.
        data_dir: TFDS data directory. Defaults to `TFDS_DATA_DIR`, then TFDS's
            own default.
    """
    tfds = quiet_tfds()
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR")
    embedded = register_own(name)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        if not builder.is_prepared():
            prepare(builder, embedded)
    except Exception as error:
        raise UserError(_missing(name, data_dir, embedded, error)) from error
    return builder


def quiet_tfds():
    """Returns the module of TFDS, without its progress bars."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow_datasets as tfds
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    return tfds


def stored(name, data_dir=None):
    """Returns the builder of own data that were stored before, or None."""
    tfds = quiet_tfds()
    try:
        return tfds.builder_from_directory(str(_folder(name, data_dir)))
    except Exception:  # not there, or only half of it
        return None


def source_of(builder):
    """Returns what is known of own data, a dict for the card, or None of others."""
    return dict(builder.info.metadata or {}).get("source")


def store(name, records, rows, known, data_dir=None):
    """Writes own data as a TFDS data set, whole or not at all, and returns its builder.

    Args:
        name: Name of the data set.
        records: The `Records` of `attention_zoo.recipes.datasets.own`.
        rows: Dict from the names of the splits to the numbers of their rows.
        known: Dict that is kept with the data.
        data_dir: TFDS data directory, or None for TFDS's own choice.
    """
    tfds = quiet_tfds()

    class OwnBuilder(  # type: ignore[call-arg]
        tfds.dataset_builders.AdhocBuilder,  # type: ignore[name-defined]
        skip_registration=True,
    ):
        """Own data with what is known of them."""

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                description="Own data, read from files.",
                features=records.features(),
                metadata=tfds.core.MetadataDict(known),
                disable_shuffling=True,
            )

    folder = _folder(name, data_dir)
    builder = OwnBuilder(
        name=name,
        version=OWN_VERSION,
        features=None,
        split_datasets={
            part: ((int(i), records.example(i)) for i in numbers)
            for part, numbers in rows.items()
        },
        data_dir=folder.parents[1],
        disable_shuffling=True,
    )
    with contextlib.redirect_stdout(None):  # TFDS speaks of a download
        builder.download_and_prepare()
    return stored(name, data_dir)


def _folder(name, data_dir):
    """Returns the folder of own data in the TFDS data directory."""
    tfds = quiet_tfds()
    root = data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
    return pathlib.Path(root).expanduser() / name / OWN_VERSION


def prepare(builder, embedded):
    """Downloads and prepares a dataset, or only generates an embedded one."""
    if not embedded:
        if not _lies_ready(builder):
            _check_network()
        builder.download_and_prepare()
        return
    print(f"generating {builder.info.full_name} ...", flush=True)
    with contextlib.redirect_stdout(None):  # TFDS speaks of a download
        builder.download_and_prepare()


def class_names(builder, *columns, split="train"):
    """Returns the names of the classes, after a check that the data have a form.

    Args:
        builder: A prepared TFDS builder.
        *columns: Names of the features that a pipeline reads; the last is the class,
            a `ClassLabel` or a text.
        split: The split whose classes count where they are texts.
    """
    features = builder.info.features
    missing = [name for name in columns if name not in features]
    label = None if missing else features[columns[-1]]
    if label is not None and hasattr(label, "names"):
        return label.names
    if not isinstance(label, quiet_tfds().features.Text):
        raise UserError(
            f"dataset '{builder.name}' does not fit this recipe: it takes features "
            f"{' and '.join(columns)}, the last with classes, and this data set has "
            f"{', '.join(features)}"
        )
    return sorted({x.decode() for x in read_split(builder, split)[columns[-1]]})


def label_names(builder, text, label, split="train"):
    """Returns the names of a text's labels, and whether a text may have several.

    Args:
        builder: A prepared TFDS builder.
        text: Name of the feature that holds the text.
        label: Name of the feature that holds its class. Own data with several labels
            a text have a feature `labels` instead.
        split: See `class_names`.
    """
    features = builder.info.features
    if text in features and label not in features and "labels" in features:
        return features["labels"].feature.names, True
    return class_names(builder, text, label, split=split), False


def class_numbers(labels, classes):
    """Returns the numbers of labels that are numbers already, or names as bytes."""
    if not isinstance(labels[0], bytes):
        return np.array(labels)
    numbers = {name.encode(): number for number, name in enumerate(classes)}
    return np.array([numbers[label] for label in labels])


def read_split(builder, split):
    """Returns a split as a dict of lists or arrays, in the order on disk."""
    import tensorflow_datasets as tfds

    dataset = _as_dataset(builder, split)
    columns: dict[str, list] = {}
    for example in tfds.as_numpy(dataset):
        for key, value in example.items():
            columns.setdefault(key, []).append(value)
    return columns


def read_columns(builder, split, batch_size=4096):
    """Returns a split of fixed-shape features as a dict of arrays, in order."""
    import tensorflow_datasets as tfds

    dataset = _as_dataset(builder, split).batch(batch_size)
    batches = list(tfds.as_numpy(dataset))
    return {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}


def _as_dataset(builder, split):
    """Returns the examples of a split in the order on disk."""
    try:
        return builder.as_dataset(split=split, shuffle_files=False)
    except ValueError as error:
        raise UserError(
            f"dataset '{builder.name}' has no split '{split}': it has "
            f"{', '.join(builder.info.splits)}, and slices such as train[:90%]"
        ) from error


def register_own(name):
    """Imports this package's builder of that name; says if there is one."""
    first = name.split("/")[0].split(":")[0]
    if "." in first or not first:
        raise UserError(
            f"TFDS has no dataset '{name}'. A file of your own is given by "
            f"--data {name}"
        )
    module = f"attention_zoo.recipes.datasets.{first}"
    if importlib.util.find_spec(module) is None:
        return False
    return not getattr(importlib.import_module(module), "DOWNLOADS", False)


def _lies_ready(builder):
    """Returns whether the raw files of a builder of ours were put there by hand.

    TFDS takes a registered file of that name from its manual folder.
    """
    names = getattr(builder, "raw_files", [])
    folder = pathlib.Path(builder._data_dir_root).expanduser() / "downloads" / "manual"
    return bool(names) and all((folder / name).exists() for name in names)


def _check_network():
    """Raises at once where TFDS would retry for minutes without a network."""
    import requests

    with contextlib.closing(requests.Session()) as session:
        session.head(_PROBE, timeout=10)


def _missing(name, data_dir, embedded, error):
    """Returns the message for a dataset that is neither there nor to be had."""
    import tensorflow_datasets as tfds

    if type(error).__name__ == "DatasetNotFoundError":
        return f"TFDS has no dataset '{name}'"
    where = data_dir or tfds.core.constants.DATA_DIR
    reason = str(error).strip().splitlines() or [""]
    problem = (
        f"dataset '{name}' is not prepared in {where} and could not be prepared "
        f"({type(error).__name__}: {reason[0][:160]}). "
    )
    if embedded:
        return problem + "Give --data-dir a folder that can be written."
    return problem + (
        f"Prepare it where there is a network by `tfds build {name} --data_dir DIR` "
        "and give --data-dir DIR or TFDS_DATA_DIR=DIR; or train the embedded recipe, "
        f"which needs no download: attention-zoo train {EMBEDDED_RECIPE}"
    )


class OnDemand(dict):
    """A dict that computes the value of a missing key and keeps it.

    Args:
        compute: Function from the key to the value.
    """

    def __init__(self, compute):
        super().__init__()
        self._compute = compute

    def __missing__(self, key):
        self[key] = self._compute(key)
        return self[key]
