"""Predictions for texts: a line out for each line in, or a table with more columns."""

import os
import pathlib
import sys

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import tables
from attention_zoo.recipes.tasks import many_labels
from attention_zoo.recipes.tasks.lines import (
    readable_texts,
    tell_unknown,
    text_chunks,
)
from attention_zoo.recipes.tasks.text.partial import PartialTable
from attention_zoo.recipes.tasks.text.reader import LONGEST

UNKNOWN = 1  # the id of a word outside the vocabulary; below it is padding
ROWS = 4096  # of a table, to predict together
OUTPUTS = (".csv", ".tsv", ".jsonl")


class ReadTexts:
    """Counts the texts that a model reads in part or not at all, and says so once.

    Args:
        model: The model from raw strings.
        card: Its card, whose settings hold `max_length`.
    """

    def __init__(self, model, card):
        self.limit = card.get("settings", {}).get("max_length")
        layers = [layer for layer in model.layers if hasattr(layer, "get_vocabulary")]
        self.words = layers[0] if layers else None
        self.cut = self.unknown = 0

    def look_at(self, texts):
        """Counts those of some texts that are too long, or of unknown words alone."""
        if self.words is None:
            return
        import tensorflow as tf

        texts = [text for text in texts if text.strip()]
        for start in range(0, len(texts), 256):
            ids = self.words(tf.constant(texts[start : start + 256])).numpy()
            lengths = (ids != 0).sum(axis=-1)
            if self.limit is not None:
                self.cut += int((lengths > self.limit).sum())
            self.unknown += int((~(ids > UNKNOWN).any(axis=-1)).sum())

    def tell(self):
        """Says on stderr how many there were."""
        if self.cut:
            noun = "text was" if self.cut == 1 else "texts were"
            print(f"{self.cut} {noun} cut after {self.limit} words", file=sys.stderr)
        tell_unknown(self.unknown)


def refuse_files(entry, texts):
    """Raises `UserError` for the name of a file where a text is meant."""
    for text in texts:
        if len(text) < 256 and os.path.isfile(text):
            table = pathlib.Path(text).suffix.lower() in tables.SUFFIXES[:2] + (
                ".jsonl", ".ndjson", ".parquet", ".pq",
            )  # fmt: skip
            way = f"{text} --text COLUMN --output FILE.csv" if table else f"< {text}"
            raise UserError(
                f"{text} is a file: attention-zoo predict {entry.name} {way}"
            )


def of_lines(task, entry, card, texts):
    """Prints class and probability of each text; an empty line where there is none.

    Returns:
        The exit code: 0, or 2 where a text had no prediction.
    """
    model, code = task.load(entry, card), 0
    from attention_zoo.recipes.tasks.batches import predictor

    compute, cut = predictor(model), ReadTexts(model, card)
    for chunk in text_chunks(texts):
        read = readable_texts(chunk)
        code = code if len(read) == len(chunk) else 2
        cut.look_at([*read.values()])
        rows = dict(zip(read, compute([*read.values()]) if read else (), strict=True))
        for place, _ in chunk:
            print(task.verdict(rows[place], card) if place in rows else "")
        sys.stdout.flush()
    cut.tell()
    return code


def of_table(task, entry, card, args):
    """Writes a table with its own columns, the class and all probabilities.

    Returns:
        The exit code, 0.
    """
    source, target = _files_of(args)
    model = task.load(entry, card)
    from attention_zoo.recipes.tasks.batches import predictor

    compute, cut, empty, count = predictor(model), ReadTexts(model, card), [], 0
    asked = {"table": _form_of(source), "text": args.column, "model": card["sha256"]}
    written = PartialTable(target, asked, args.resume)
    done = written.rows
    with written.growing():
        for part in tables.read_chunks(source, ROWS):
            count += len(part)
            if count <= done:  # parts are the same in each process
                continue
            tables.need_column(part, args.column, source, "--text")
            texts = [t if isinstance(t, str) else "" for t in part[args.column]]
            texts = [text[:LONGEST] for text in texts]
            told = [bool(text.strip()) for text in texts]
            cut.look_at(texts)
            _add_columns(part, compute(texts), told, card, source)
            written.append(part)
            empty += [count - len(told) + i for i, t in enumerate(told, 1) if not t]
            if sys.stderr.isatty():
                print(f"\r{count:,} rows", end="", file=sys.stderr, flush=True)
        if _form_of(source) != asked["table"]:
            raise UserError(f"{source} was changed while it was read: predict anew")
    if empty:
        rows = ", ".join(map(str, empty[:5])) + ", ..." * (len(empty) > 5)
        noun = "text has" if len(empty) == 1 else "texts have"
        line = f"{len(empty)} empty {noun} no prediction (row {rows})"
        print(line, file=sys.stderr)
    cut.tell()
    print(f"{target}: {count:,} rows")
    return 0


def _form_of(file):
    """Returns name, size and time of a file, which tell whether it was changed."""
    found = file.stat()
    return {"name": file.name, "bytes": found.st_size, "changed": found.st_mtime_ns}


def _files_of(args):
    """Returns the table to read and the file to write, after checks of both."""
    if len(args.text) != 1:
        raise UserError(f"--text takes one table, received {len(args.text)}")
    if args.column is None:
        raise UserError(f"--text COLUMN is missing: which one of {args.text[0]}?")
    if args.output is None:
        raise UserError("--output FILE is missing: where the predictions go")
    (source,) = tables.find_files(args.text)
    target = pathlib.Path(args.output)
    if target.suffix.lower() not in OUTPUTS:
        raise UserError(
            f"--output takes a file that ends in {', '.join(OUTPUTS)}, received "
            f"'{target}'"
        )
    if not target.parent.is_dir():
        raise UserError(f"there is no folder {target.parent} to write {target} into")
    if target.exists() and target.samefile(source):
        raise UserError(f"--output would replace {source}: give another name")
    return source, target


def _add_columns(part, outputs, told, card, source):
    """Adds the columns of the predictions to a part of a table.

    Where there may be several labels, those above 0.5 stand in one cell, between them
    the separator that the training data had, or a comma.
    """
    names = card.get("classes") or [str(i) for i in range(outputs.shape[-1])]
    if card.get("multi_label"):
        given = card.get("source", {}).get("options", {})
        sign = given.get("label_separator") or ","
        answers = [sign.join(many_labels.names_above(row, names)) for row in outputs]
    else:
        answers = [names[i] for i in outputs.argmax(axis=-1)]
    columns = {"prediction": answers}
    for i, name in enumerate(names):
        columns[f"probability_{name}"] = [round(float(p), 4) for p in outputs[:, i]]
    for column, values in columns.items():
        if column in part:
            raise UserError(f"{source} has a column '{column}' already: rename it")
        part[column] = [v if t else None for v, t in zip(values, told, strict=True)]
