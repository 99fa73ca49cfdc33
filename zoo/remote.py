"""Trained models that lie elsewhere: a folder, a web address, the Hugging Face Hub.

The package holds the cards of all trained models and the files of a few. A card states
the sha256 of its `model.keras`, so that a file is trusted wherever it comes from.
"""

import contextlib
import hashlib
import importlib.util
import os
import pathlib
import shutil
import sys
import tempfile

PLACE = "ATTENTION_ZOO_PLACE"
CACHE = "ATTENTION_ZOO_CACHE"
HUB = "hf://"
WEB = ("https://", "http://")
MODEL_FILE = "model.keras"


class PretrainedError(ValueError):
    """A trained model that cannot be found or trusted: one line, with a way out."""


def fetch(name, sha256, place=None):
    """Returns the path of a trained model's file, from the cache or from its place.

    Args:
        name: String, the name of the trained model.
        sha256: String, the sha256 that the file must have, from its card.
        place: String or path. A folder, an `https://` address or `hf://USER/REPOSITORY`
            with a folder `NAME/` for each model. Defaults to `None`: the environment
            variable `ATTENTION_ZOO_PLACE`.

    Returns:
        A `pathlib.Path`. A folder's file is read where it lies; others are kept in
        `ATTENTION_ZOO_CACHE`, by default the user's cache folder, whole or not at all.

    Raises:
        PretrainedError: If no place is named, or if the file is missing there, cannot
            be reached or kept, or is not the one of the card.
    """
    place = os.fspath(place or os.environ.get(PLACE, ""))
    if not place:
        raise PretrainedError(
            f"{name} has no {MODEL_FILE} here. Set {PLACE} to the folder or address "
            "where it lies, restore the file, or train the model again."
        )
    if place.startswith(HUB):
        path = _from_hub(place.removeprefix(HUB), name)
    elif place.startswith(WEB):
        return _from_web(f"{place.rstrip('/')}/{name}/{MODEL_FILE}", name, sha256)
    else:
        path = pathlib.Path(place) / name / MODEL_FILE
    if not path.is_file():
        raise PretrainedError(f"There is no file {path} of the trained model {name}.")
    if file_sha256(path) != sha256:
        raise PretrainedError(_altered(path))
    return path


def cache_folder():
    """Returns the folder where files from a web address are kept."""
    import pooch

    return pathlib.Path(os.environ.get(CACHE) or pooch.os_cache("attention-zoo"))


def push(folder, target):
    """Copies the folder of a trained model to a place that `fetch` reads from.

    Args:
        folder: Path of the trained model's folder.
        target: String or path. A folder, which is made, or `hf://USER/REPOSITORY`.

    Returns:
        String, where the model lies now.

    Raises:
        PretrainedError: If `target` cannot be written to.
    """
    folder, target = pathlib.Path(folder).resolve(), os.fspath(target)
    if target.startswith(WEB):
        raise PretrainedError(
            f"{target} takes no files: push to a folder and serve that, or to "
            f"{HUB}USER/REPOSITORY."
        )
    if target.startswith(HUB):
        hub, repository = _hub(), target.removeprefix(HUB)
        with _in_one_line(target):
            hub.HfApi().upload_folder(
                repo_id=repository, folder_path=folder, path_in_repo=folder.name
            )
        return f"{target}/{folder.name}"
    place = pathlib.Path(target) / folder.name
    if place.resolve() == folder:
        raise PretrainedError(f"{place} is the folder that would be copied.")
    with _in_one_line(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".push-") as hidden:
            copy = pathlib.Path(hidden) / "new"
            shutil.copytree(folder, copy)
            if place.exists():  # moved aside first: a folder replaces no full one
                place.rename(pathlib.Path(hidden) / "old")
            copy.rename(place)
    return os.fspath(place)


def _from_web(address, name, sha256):
    """Returns the path in the cache of a file at an address, loaded if need be."""
    import pooch

    folder = cache_folder()
    with _in_one_line(address), contextlib.redirect_stdout(sys.stderr):
        try:
            return pathlib.Path(
                pooch.retrieve(
                    address,
                    known_hash=f"sha256:{sha256}",
                    fname=f"{name}-{sha256[:16]}.keras",
                    path=folder,
                    downloader=pooch.HTTPDownloader(progressbar=_bar(), timeout=60),
                )
            )
        except ValueError as error:  # of pooch, on another hash; nothing is kept
            raise PretrainedError(_altered(address)) from error


def _from_hub(repository, name):
    """Returns the path of a file of a repository in the cache of the Hub's package."""
    with _in_one_line(f"{HUB}{repository}"):
        return pathlib.Path(_hub().hf_hub_download(repository, f"{name}/{MODEL_FILE}"))


def _bar():
    """Returns whether a bar can be shown: for people, with the package it needs."""
    return sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None


def _hub():
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise PretrainedError(
            f"{HUB} needs the package 'huggingface_hub': pip install huggingface_hub"
        ) from None
    return huggingface_hub


def _altered(place):
    return (
        f"{place} is truncated or altered, or of another version: its sha256 is not "
        "the one in the card. Nothing was kept."
    )


@contextlib.contextmanager
def _in_one_line(place):
    """Turns errors of files and networks into a `PretrainedError` of one line."""
    try:
        yield
    except PretrainedError:
        raise
    except Exception as error:  # requests, urllib3, the Hub: each raises its own
        raise PretrainedError(
            f"{place} cannot be reached or kept: {one_line(error)}"
        ) from error


def file_sha256(path):
    """Returns the sha256 of a file as a hexadecimal string."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def one_line(error):
    """Returns the first line of an error's message, or its kind when it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
