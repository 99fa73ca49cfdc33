"""Trained models: `load` and `list_pretrained` over folders of `model.keras` + card."""

import dataclasses
import fnmatch
import functools
import importlib.resources
import json
import os
import pathlib
import warnings
import weakref
from importlib.resources.abc import Traversable

import keras

from attention_zoo import remote
from attention_zoo.heads import replace_head
from attention_zoo.layers.core.validation import suggest
from attention_zoo.remote import (
    MODEL_FILE,
    PretrainedError,
    file_sha256,
    one_line,
)

CARD_FILE = "card.json"
_CARDS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # of loaded models


@dataclasses.dataclass(frozen=True)
class Entry:
    """One trained model.

    Args:
        name: The folder's name, which is the recipe's name.
        folder: The folder, a `pathlib.Path` or another
            `importlib.resources.abc.Traversable`.
    """

    name: str
    folder: Traversable

    @functools.cached_property
    def card(self):
        """The parsed `card.json`: a dict that holds `"sha256"` of the model file.

        Raises:
            PretrainedError: If the card is missing or cannot be read.
        """
        file = self.folder / CARD_FILE
        try:
            card = json.loads(file.read_text(encoding="utf-8"))
            json.dumps(card, ensure_ascii=False).encode()  # no half of a character
        except FileNotFoundError:
            raise PretrainedError(
                f"{self.folder} has no {CARD_FILE}, so its model cannot be checked. "
                f"Train it again, or load {self.folder / MODEL_FILE} by its path."
            ) from None
        except (OSError, ValueError) as error:
            raise PretrainedError(
                f"{file} cannot be read ({one_line(error)}). Train the model again, "
                "or restore the file."
            ) from None
        if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
            raise PretrainedError(
                f"{file} does not state the `sha256` of {MODEL_FILE}. "
                "Train the model again, or restore the file."
            )
        return card

    def load(self):
        """Returns the `keras.Model`, after its bytes were checked against the card.

        Raises:
            PretrainedError: If a file is missing, unreadable, truncated or altered.
        """
        expected = self.card["sha256"]
        file = self.folder / MODEL_FILE
        fetched = None if file.is_file() else self.fetch()
        with importlib.resources.as_file(fetched or file) as path:
            if fetched is None and file_sha256(path) != expected:
                raise PretrainedError(
                    f"{file} is truncated or altered: its sha256 is not the one in "
                    f"{CARD_FILE}. Train the model again, or restore the file."
                )
            model = load_file(path)
        _CARDS[model] = self.card
        terms = str(self.card.get("data_license", ""))
        if is_non_commercial(terms):
            warnings.warn(
                f"{self.name} is not for commercial use: {terms}", stacklevel=3
            )
        return model

    def fetch(self, place=None):
        """Returns the path of the model's file from where such files lie.

        Args:
            place: String or path: see `attention_zoo.download`.
        """
        return remote.fetch(self.name, self.card["sha256"], place)


def is_non_commercial(terms):
    """Returns whether the terms of a license, a string, forbid commercial use."""
    return any(word in terms.lower() for word in ("non-commercial", "-nc", " nc"))


def card_of(model):
    """Returns the card of a model that was loaded with one, or None.

    Args:
        model: A `keras.Model`.
    """
    return _CARDS.get(model)


def download(name, place=None):
    """Brings the file of a trained model here, so that `load` needs no network.

    Args:
        name: String, a name from `list_pretrained()`.
        place: String or path. A folder, an `https://` address or `hf://USER/REPOSITORY`
            with a folder `NAME/` for each model. Defaults to `None`: the environment
            variable `ATTENTION_ZOO_PLACE`.

    Returns:
        A `pathlib.Path`: of the file that came with the package or lies in
        `./saved_models`, else of the one in the cache, `ATTENTION_ZOO_CACHE`.

    Raises:
        PretrainedError: If the model is unknown, its place is not or cannot be reached,
            or if its bytes are not those of the card.

    Example:

    ```python
    path = attention_zoo.download("attention_lstm_reviews")
    assert path.name == "model.keras"
    ```
    """
    entry = find(name)
    file = entry.folder / MODEL_FILE
    if isinstance(file, pathlib.Path) and file.is_file():
        return file
    return entry.fetch(place)


def load(name_or_path, num_classes=None):
    """Loads a trained model of the zoo.

    A name is looked for in `./saved_models` first, then in the models that came with
    the package. The file's sha256 must be the one in its card. A `.keras` file that has
    no card beside it can be opened by its path.

    Args:
        name_or_path: String or path. A name from `list_pretrained()`, the folder of an
            entry, or a `.keras` file.
        num_classes: Integer or `None`. A number of classes gives the classifier a fresh
            head for so many, to be trained on other data; all other weights are kept.
            Defaults to `None`, the model as it was trained.

    Returns:
        A `keras.Model` that takes raw inputs: preprocessing is inside. It was loaded
        with `safe_mode=True`, so no code from the file was run.

    Raises:
        PretrainedError: A `ValueError` of one line, if the model is unknown, missing,
            truncated or altered, if its card cannot be read, if the file does not
            contain a model, or if the model takes strings and Keras does not run on
            TensorFlow.
        ValueError: If `num_classes` is invalid, or if the model is no classifier.

    Example:

    ```python
    model = attention_zoo.load("attention_lstm_imdb")
    probabilities = model.predict(ops.convert_to_tensor(["what a film"]), verbose=0)
    assert probabilities.shape == (1, 2)
    ```
    """
    model = _load(name_or_path)
    _check_strings(name_or_path, model)
    return model if num_classes is None else replace_head(model, num_classes)


def _load(name_or_path):
    """Returns the model of an entry or of a file."""
    path = pathlib.Path(name_or_path)
    if path.suffix != ".keras":
        return find(name_or_path).load()
    if not path.is_file():
        raise PretrainedError(f"There is no file {path}.")
    if path.name == MODEL_FILE and path.with_name(CARD_FILE).exists():
        return Entry(path.resolve().parent.name, path.parent).load()
    return load_file(path)


def _check_strings(name, model):
    """Raises `PretrainedError` for a model of strings where there are none."""
    backend = keras.config.backend()
    kinds = [keras.backend.standardize_dtype(x.dtype) for x in model.inputs or ()]
    if backend != "tensorflow" and "string" in kinds:
        raise PretrainedError(
            f"{name} takes raw texts, which need Keras on TensorFlow, and it runs on "
            f"{backend}: set KERAS_BACKEND=tensorflow"
        )


def list_pretrained(pattern="*", kind=None, dataset=None, data_license=None):
    """Returns the sorted names of the trained models that match `pattern`.

    Args:
        pattern: String, a shell pattern such as `"*imdb*"`. Defaults to `"*"`.
        kind: String or `None`. The kind of task: `"text"`, `"images"`, `"series"` or
            `"translation"`. Defaults to `None`, any.
        dataset: String or `None`, a shell pattern of the data set's name, such as
            `"ett/*"`. Defaults to `None`, any.
        data_license: String or `None`, a shell pattern of the license of the data, such
            as `"CC BY*"`. Defaults to `None`, any.

    Returns:
        A sorted list of strings, each a name that `load` takes. One whose card cannot
        be read is in no list that asks for a kind, data set or license.

    Example:

    >>> "attention_lstm_imdb" in attention_zoo.list_pretrained("*lstm*")
    True
    """
    wanted = {"kind": kind, "dataset": dataset, "data_license": data_license}
    wanted = {field: form for field, form in wanted.items() if form is not None}
    entries = _entries()
    names = sorted(fnmatch.filter(entries, pattern))
    return [name for name in names if _fits(entries[name], wanted)]


def _fits(entry, wanted):
    """Returns whether the fields of an entry's card match patterns."""
    try:
        return all(
            fnmatch.fnmatchcase(str(entry.card.get(field, "")), form)
            for field, form in wanted.items()
        )
    except PretrainedError:
        return False


def find(name_or_path):
    """Finds a trained model without loading it.

    Args:
        name_or_path: A name out of `list_pretrained()`, or a path to the folder of
            an entry.

    Returns:
        An `Entry`.

    Raises:
        PretrainedError: If there is no such entry.
    """
    name = os.fspath(name_or_path)
    path = pathlib.Path(name)
    if _holds_model(path):
        return Entry(path.resolve().name, path)
    if os.path.basename(name) != name:
        raise PretrainedError(f"There is no trained model in the folder {path}.")
    entries = _entries()
    if name not in entries:
        raise PretrainedError(
            f"Unknown trained model {name!r}. Expected one of {sorted(entries)}, or a "
            f"path.{suggest(name, entries)}"
        )
    return entries[name]


def load_file(path):
    """Opens a `.keras` file in safe mode, with a clear error where it is damaged.

    Args:
        path: Path of the file.

    Returns:
        A `keras.Model`.

    Raises:
        PretrainedError: If Keras cannot open the file, or if it has no model in it.
    """
    try:
        model = keras.models.load_model(path, safe_mode=True)
    except Exception as error:
        # Keras, zipfile, h5py and json each raise their own kind on a damaged file.
        raise PretrainedError(
            f"{path} cannot be opened as a Keras model: {one_line(error)}"
        ) from error
    if not isinstance(model, keras.Model):
        raise PretrainedError(
            f"{path} holds a `{type(model).__name__}`, which is not a model. Open it "
            "with `keras.saving.load_model`."
        )
    return model


def _entries():
    """Returns `{name: Entry}`; a folder found earlier hides a later one of its name."""
    entries: dict[str, Entry] = {}
    for root in _roots():
        for folder in root.iterdir() if root.is_dir() else ():
            if not folder.name.startswith(".") and _holds_model(folder):
                entries.setdefault(folder.name, Entry(folder.name, folder))
    return entries


def _holds_model(folder):
    """Returns whether a folder has a model or its card, so that a lone one is named."""
    return any((folder / file).is_file() for file in (MODEL_FILE, CARD_FILE))


def _roots():
    """Returns the folders that hold entries, the first to be searched first."""
    packaged = importlib.resources.files("attention_zoo.saved_models")
    return [pathlib.Path("saved_models"), packaged]
