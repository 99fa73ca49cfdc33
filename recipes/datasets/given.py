"""What is given as own data: files, folders, tables of pandas, data sets of TFDS."""

import hashlib

from attention_zoo.recipes.core.files import relative
from attention_zoo.recipes.datasets.tables import find_files

TFDS = "tfds:"


def is_words(data):
    """Returns whether data are names of files, rather than a table."""
    return isinstance(data, (list, tuple))


def file_facts(request):
    """Returns a list of dicts with name, part, size and sha256 of each file."""
    facts = []
    for part, data in request.given():
        part = part or "data"
        if request.tfds_name and part == "data":
            facts.append({"name": f"{TFDS}{request.tfds_name}", "part": part})
        elif is_words(data):
            for path in each_file(find_files(data)):
                content = path.read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                facts.append(
                    {
                        "name": relative(path),
                        "part": part,
                        "bytes": len(content),
                        "sha256": digest,
                    }
                )
        else:
            from pandas.util import hash_pandas_object

            hashed = hash_pandas_object(data.astype(str), index=False).to_numpy()
            digest = hashlib.sha256(
                hashed.tobytes() + repr([*data]).encode()
            ).hexdigest()
            facts.append({"name": "DataFrame", "part": part, "sha256": digest})
    return facts


def names_of(facts, most=3):
    """Returns the names of files in words, of many the first ones.

    Args:
        facts: What `file_facts` returned.
        most: Integer, how many are named.
    """
    more = len(facts) - most
    names = ", ".join(file["name"] for file in facts[:most])
    return f"{names} and {more} more" if more > 0 else names


def stamps_of(request):
    """Returns sizes and times of the files, which tell whether one was changed."""
    files = [
        path
        for _, data in request.given()
        if is_words(data) and not str(data[0]).startswith(TFDS)
        for path in each_file(find_files(data))
    ]
    return [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]


def each_file(paths):
    """Yields the files among paths, and those inside of folders."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        else:
            yield path
