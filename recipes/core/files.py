"""Small files that are written whole or not at all."""

import contextlib
import json
import os
import pathlib
import tempfile

from attention_zoo.recipes.core.errors import UserError


def write_text(path, text):
    """Writes a text file by a rename: a killed process leaves the old one."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Writes a value as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def relative(file):
    """Returns a file as it was given, or its name where that tells of the machine."""
    path = pathlib.Path(file)
    return path.name if path.is_absolute() or ".." in path.parts else str(path)


@contextlib.contextmanager
def locked(folder, message):
    """Keeps a folder for this process, as long as the block runs.

    Args:
        folder: Path of the folder; made if need be.
        message: What the `UserError` says where another process has it.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(message) from None
        yield


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary sibling of a file that takes its place at the end.

    Args:
        path: The file.

    Yields:
        The path to write to, with the suffix of the file.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
    )
    os.close(handle)
    try:
        yield pathlib.Path(name)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.remove(name)
        raise
