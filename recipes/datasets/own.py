"""Own data as TFDS data sets: a file is read once, split, checked and stored.

A kind of task reads files into `Records` (see `Task.read_own`); what is here is the
same for all kinds. The data set is stored in the TFDS data directory under a name made
of the file's name and a hash of the contents and the options, so that an unchanged file
is prepared once. What is known of the data goes with it and into the card, as `source`.
"""

import collections
import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets.given import (
    TFDS,
    file_facts,
    is_words,
    names_of,
    stamps_of,
)
from attention_zoo.recipes.datasets.tables import find_files

FORM = 1  # of the stored data; a change prepares all data sets again
PARTS = ("train", "validation", "test")
SHARE = 0.1  # of the rows for validation, and as much for test


@dataclasses.dataclass(frozen=True)
class Request:
    """Own data as they are asked for.

    Args:
        data: Sequence of files, folders or patterns; or `"tfds:NAME"`; or a
            `pandas.DataFrame`.
        validation: The same, for the validation split. Defaults to none.
        test: The same, for the test split. Defaults to none.
        split_seed: Integer that decides which rows are held out where no split is
            given.
        options: Dict of what the kind of task asks for, e.g. names of columns.
        data_dir: TFDS data directory of `"tfds:NAME"`. Defaults to TFDS's own.
    """

    data: Any
    validation: Any = ()
    test: Any = ()
    split_seed: int = 0
    options: dict = dataclasses.field(default_factory=dict)
    data_dir: Any = None

    def given(self):
        """Returns `(part, data)` pairs; the part of `data` is open, an empty text."""
        named = {"": self.data, "validation": self.validation, "test": self.test}
        return [
            (part, [data] if isinstance(data, (str, pathlib.Path)) else data)
            for part, data in named.items()
            if not isinstance(data, (str, list, tuple)) or data
        ]

    @property
    def tfds_name(self):
        """The name of a TFDS data set, or None where the data are others."""
        words = self.given()[0][1]
        named = is_words(words) and str(words[0]).startswith(TFDS)
        return str(words[0]).removeprefix(TFDS) if named else None

    @property
    def title(self):
        """A name for the data, made of letters, digits and underscores."""
        words = self.given()[0][1]
        if self.tfds_name:
            name = self.tfds_name
        elif is_words(words):
            path = find_files(words[:1])[0].resolve()
            name = path.name if path.is_dir() else path.stem
        else:
            name = "table"
        return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "data"


@dataclasses.dataclass
class Records:
    """Rows of own data, as a kind of task reads them.

    Args:
        example: Function from the number of a row to the dict that TFDS stores.
        features: Function without arguments that returns the `FeaturesDict`.
        parts: Sequence with the part of each row, `""` where it is open.
        labels: Sequence with the class of each row, or None: the split is stratified
            by it.
        tags: Sequence with the tuple of all labels of each row, where it may have
            several; `labels` has then one of them. Defaults to None.
        keys: Sequence; rows of equal keys are duplicates and stay on one side. None
            where no row is a duplicate.
        place: Function from the number of a row to its place, e.g.
            `"reviews.csv, row 3"`.
        columns: Names of the columns that were read.
        facts: Function from the numbers of the training rows to a dict that JSON can
            hold, which `Task.recipe_for` receives.
        dropped: Dict from reasons to how many rows were left out for them.
        notes: Lines on what was converted or not taken.
        split_by: Where the splits come from, in words. Defaults to what is known.
    """

    example: Callable
    features: Callable
    parts: Any
    labels: Any = None
    tags: Any = None
    keys: Any = None
    place: Callable = str
    columns: tuple = ()
    facts: Callable = lambda rows: {}
    dropped: dict = dataclasses.field(default_factory=dict)
    notes: list = dataclasses.field(default_factory=list)
    split_by: str = ""


@dataclasses.dataclass(frozen=True)
class OwnData:
    """Own data that lie ready.

    Args:
        name: The name of the TFDS data set.
        title: What an entry is called that is trained on it.
        source: Dict for the card: files, rows, splits, what was dropped.
        facts: Dict that the defaults follow.
        private: Whether examples stay out of pictures unless the user says.
    """

    name: str
    title: str
    source: dict
    facts: dict
    private: bool


def prepare(task, request, data_dir=None):
    """Returns `OwnData`, read and stored unless that was done before.

    Args:
        task: The `Task` whose kind reads the data.
        request: The `Request`.
        data_dir: TFDS data directory, or None for TFDS's own choice.
    """
    from attention_zoo.recipes.datasets import loading

    title, files = request.title, file_facts(request)
    digest = hashlib.sha256(
        repr((FORM, task.kind, files, request.split_seed, request.options)).encode()
    ).hexdigest()
    name = f"own_{title.lower()[:40]}_{digest[:12]}"
    builder = loading.stored(name, data_dir)
    if builder is None:
        before = stamps_of(request)
        records = task.read_own(dataclasses.replace(request, data_dir=data_dir))
        if stamps_of(request) != before:
            raise UserError(f"{title} was changed while it was read: train again")
        parts, dropped = split(records, request.split_seed)
        rows = {part: np.flatnonzero(parts == part) for part in PARTS}
        source = {
            "files": files,
            "rows": len(parts),
            "columns": [str(column) for column in records.columns],
            "splits": {part: len(numbers) for part, numbers in rows.items()},
            "split_by": records.split_by or split_by(records, request.split_seed),
            "notes": list(records.notes),
            "dropped": {k: v for k, v in {**records.dropped, **dropped}.items() if v},
            "options": {k: v for k, v in request.options.items() if v is not None},
        }
        known = {"source": source, "facts": records.facts(rows["train"])}
        builder = loading.store(name, records, rows, known, data_dir)
    known = dict(builder.info.metadata)
    own = OwnData(
        name, title, known["source"], known["facts"], request.tfds_name is None
    )
    print("\n".join(told(own)), flush=True)
    return own


def told(own):
    """Returns lines on what the data are."""
    source = own.source
    counts = ", ".join(f"{part} {n:,}" for part, n in source["splits"].items())
    yield (
        f"data: {names_of(source['files'])}, {source['rows']:,} rows: {counts} "
        f"({source['split_by']})"
    )
    for reason, count in source["dropped"].items():
        yield f"left out: {count:,} {reason}"
    yield from source["notes"]


# === Splits ===


def split(records, seed):
    """Returns the part of each row, `""` for one that is left out, and the reasons.

    Splits that are given stay. What is open, or given as `train` where a split is
    missing, is shared out: a tenth to each missing split, of each class alike.

    Args:
        records: The `Records`.
        seed: Integer that decides which rows are held out.

    Raises:
        UserError: Where a split would be empty, or holds a class that `train` lacks.
    """
    parts = np.array(records.parts, dtype=object)
    keys = range(len(parts)) if records.keys is None else records.keys
    groups = np.unique(np.array(keys), return_inverse=True)[1]
    missing = [part for part in PARTS[1:] if not (parts == part).any()]
    if missing:
        parts[parts == "train"] = ""
    parts, leaked = leave_out_leaks(parts, groups)
    free = parts == ""
    free[leaked] = False
    parts[free] = share_out(records.labels, groups, free, missing, seed)
    for part in PARTS:
        if not (parts == part).any():
            raise UserError(
                f"the split {part} is empty: of {len(parts):,} rows too few are left "
                "(a class needs three different rows to be in all splits)"
            )
    check_classes(records, parts)
    return parts, {"rows that are in another split too": len(leaked)}


def leave_out_leaks(parts, groups):
    """Returns the parts without the rows whose duplicate is in a later split.

    The test split keeps what it has; validation and then train give way.
    """
    parts, held, leaked = parts.copy(), set(), []
    for part in ("test", "validation"):
        rows = np.flatnonzero(parts == part)
        leaked += [row for row in rows if groups[row] in held]
        held |= {*groups[rows]}
    others = np.flatnonzero((parts == "train") | (parts == ""))
    leaked += [row for row in others if groups[row] in held]
    parts[leaked] = ""
    return parts, leaked


def share_out(labels, groups, free, missing, seed):
    """Returns the parts of the free rows; duplicates stay together.

    Args:
        labels: The class of each row, or None.
        groups: Integer array, equal for duplicates.
        free: Boolean array, the rows to share out.
        missing: Names of the splits that get a tenth each; `train` gets the rest.
        seed: Integer.
    """
    rows = np.flatnonzero(free)
    unique, first, owner = np.unique(
        groups[rows], return_index=True, return_inverse=True
    )
    classes = np.zeros(len(unique), "int64")
    if labels is not None:
        classes = np.unique(np.array(labels)[rows], return_inverse=True)[1][first]
    chosen = np.full(len(unique), "train", dtype=object)
    rng = np.random.default_rng(seed)
    for number in range(classes.max(initial=-1) + 1):
        members = rng.permutation(np.flatnonzero(classes == number))
        if len(members) < len(missing) + 1:
            continue  # too few to be in all splits: they are trained on
        count = max(1, round(SHARE * len(members)))
        for i, part in enumerate(missing):
            chosen[members[i * count : (i + 1) * count]] = part
    return chosen[owner]


def check_classes(records, parts):
    """Raises `UserError` for a class that no training row has."""
    if records.labels is None:
        return
    labels = records.tags or [(label,) for label in records.labels]
    known = {label for row in np.flatnonzero(parts == "train") for label in labels[row]}
    for row in np.flatnonzero((parts == "validation") | (parts == "test")):
        for label in labels[row]:
            if label not in known:
                raise UserError(
                    f"{records.place(row)}: the label '{label}' of the split "
                    f"{parts[row]} is in no training row"
                )
    if not known:
        raise UserError("no training row has a label")
    if len(known) < 2:
        raise UserError(
            f"all training rows have the label '{next(iter(known))}': a classifier "
            "needs two"
        )


def split_by(records, seed):
    """Returns in words where the splits come from."""
    given = collections.Counter(part for part in records.parts if part)
    missing = [part for part in PARTS[1:] if part not in given]
    if not missing:
        return "as given"
    how = f"{' and '.join(missing)} held out of train, split seed {seed}"
    return how if records.labels is None else f"{how}, each class alike"
