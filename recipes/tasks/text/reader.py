"""Own texts: tables with a column of texts and one of labels, folders, TFDS sets."""

import dataclasses
import re

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import Recipe
from attention_zoo.recipes.datasets import own, tables
from attention_zoo.recipes.tasks.text.labels import labels_of, rarest

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+|[!?]")  # near what models read
IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
FRACTION = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
LONGEST = 100_000  # signs of a text; no model reads so many
PART_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def add_arguments(parser):
    """Adds the options of texts to a parser."""
    parser.add_argument(
        "--text", metavar="COLUMN", help="texts: the column that holds them"
    )
    parser.add_argument(
        "--label-separator",
        metavar="SIGN",
        help="texts: what stands between the labels of one cell, e.g. ';'",
    )


def options(args):
    """Returns the dict of the options that decide what is read."""
    names = ("text", "label", "label_separator", "split", "delimiter", "encoding")
    return {name: getattr(args, name, None) for name in names}


# === Reading ===


def read(request):
    """Returns the `Records` of texts."""
    import pandas

    if request.tfds_name:
        frame = read_tfds(request.tfds_name, request.options, request.data_dir)
    else:
        parts = [
            part_frame
            for part, data in request.given()
            for part_frame in read_part(part, data, request.options)
        ]
        frame = pandas.concat(parts, ignore_index=True)
    frame, dropped = clean(frame)
    texts, tags = frame["text"].tolist(), frame["label"].tolist()
    longer = sum(len(text) > LONGEST for text in texts)
    texts = [text[:LONGEST] for text in texts]
    several = any(isinstance(tag, tuple) for tag in tags)
    names = sorted_labels([n for tag in tags for n in tag] if several else tags)
    numbers = {name: number for number, name in enumerate(names)}

    def features():
        import tensorflow_datasets as tfds

        label = tfds.features.ClassLabel(names=names)
        more = {"labels": tfds.features.Sequence(label)} if several else {}
        more = more or {"label": label}
        return tfds.features.FeaturesDict({"text": tfds.features.Text(), **more})

    def example(i):
        if several:
            return {"text": texts[i], "labels": [numbers[name] for name in tags[i]]}
        return {"text": texts[i], "label": numbers[tags[i]]}

    notes = [note] if (note := told_of_characters(texts)) else []
    if longer:
        notes.append(f"{longer:,} texts were cut after {LONGEST:,} signs")
    if several:
        notes.append(f"each text may have several labels, of {', '.join(names)}")
    return own.Records(
        example=example,
        features=features,
        parts=frame["part"].tolist(),
        labels=rarest(tags) if several else tags,
        tags=tags if several else None,
        keys=[" ".join(text.split()) for text in texts],
        place=lambda i: place(frame, i),
        columns=("text", "label"),
        facts=lambda rows: facts_of([texts[i] for i in rows], names),
        dropped=dropped,
        notes=notes,
    )


def told_of_characters(texts, sample=2000):
    """Returns the line on texts without spaces between words, or None of others."""
    told = "".join(texts[:: max(1, len(texts) // sample)])
    share = len(IDEOGRAPH.findall(told)) / max(1, sum(c.isalnum() for c in told))
    if share < 0.2:
        return None
    return (
        f"{share:.0%} of the letters are Chinese or Japanese characters, which have no "
        "spaces between words: each of them is read as a word"
    )


def read_part(part, data, given):
    """Yields frames of `text`, `label`, `part`, `file` and `row` for what is given."""
    if not own.is_words(data):
        yield columns_of(data, part, "the DataFrame", given)
        return
    for path in tables.find_files(data):
        if path.is_dir():
            yield read_folder(path, part)
        else:
            table = tables.read_table(path, given["delimiter"], given["encoding"])
            yield columns_of(table, part, path, given)


def columns_of(table, part, file, given):
    """Returns the columns that are asked for, by the names that the recipe has."""
    import pandas

    text = tables.need_column(table, given["text"], file, "--text")
    columns, labels = labels_of(table, file, given)
    if text in columns:
        raise UserError(f"--text and --label both name the column '{text}' of {file}")
    return pandas.DataFrame(
        {
            "text": table[text].to_numpy(),
            "label": pandas.Series(labels, dtype=object),
            "part": part or parts_of(table, file, given["split"]),
            "file": str(file),
            "row": np.arange(1, len(table) + 1),
        }
    )


def parts_of(table, file, column):
    """Returns the part of each row by the column of splits, `""` without one."""
    if column is not None:
        tables.need_column(table, column, file, "--split")
    elif "split" not in table:
        return ""
    values = table[column or "split"].astype(str).str.strip().str.lower()
    unknown = sorted({*values} - {*PART_NAMES})
    if unknown and column is None:
        return ""  # a column of the user's own that happens to be called split
    if unknown:
        raise UserError(
            f"{file}: the column {column} holds '{unknown[0]}', which is none of "
            f"{', '.join(own.PARTS)}"
        )
    return values.map(PART_NAMES).to_numpy()


def read_folder(folder, part):
    """Returns the frame of text files `CLASS/NAME.txt` or `PART/CLASS/NAME.txt`."""
    import pandas

    rows, strays = [], 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        parents = file.relative_to(folder).parts[:-1]
        named = PART_NAMES.get(parents[0].lower(), "") if len(parents) > 1 else ""
        if file.suffix.lower() != ".txt" or len(parents) - bool(named) != 1:
            strays += 1
            continue
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(f"{file} is not UTF-8") from None
        rows.append((text, parents[-1], part or named, str(file), 1))
    if strays:
        print(f"{folder}: {strays} files that are no CLASS/NAME.txt are left out")
    if not rows:
        raise UserError(f"{folder} holds no texts: they are expected as CLASS/NAME.txt")
    return pandas.DataFrame(rows, columns=["text", "label", "part", "file", "row"])


def read_tfds(name, given, data_dir=None):
    """Returns the frame of the splits train, validation and test of a TFDS data set."""
    import pandas

    from attention_zoo.recipes.datasets import loading

    builder = loading.tfds_builder(name, data_dir)
    splits = [part for part in own.PARTS if part in builder.info.splits]
    if "train" not in splits:
        raise UserError(
            f"the data set {name} has no split train: it has "
            f"{', '.join(builder.info.splits)}"
        )
    frames = []
    for part in splits:
        columns = loading.read_split(builder, part)
        table = pandas.DataFrame({k: pandas.Series(v) for k, v in columns.items()})
        for column in table:
            feature = builder.info.features[column]
            table[column] = [readable(value, feature) for value in table[column]]
        frames.append(columns_of(table, part, f"{name}, {part}", given))
    return pandas.concat(frames, ignore_index=True)


def readable(value, feature):
    """Returns a value of a TFDS feature with texts and the names of classes."""
    if isinstance(value, bytes):
        return value.decode()
    inner = getattr(feature, "feature", feature)
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return tuple(readable(item, inner) for item in value.tolist())
    if hasattr(inner, "int2str"):
        return inner.int2str(int(value)) if value >= 0 else None
    return value


# === Checks ===


def place(frame, number):
    """Returns where a row of the frame comes from."""
    row = frame.iloc[number]
    return f"{row['file']}, row {row['row']}"


def clean(frame):
    """Returns the frame with texts and labels as strings, and what was left out.

    Raises:
        UserError: For a label that is empty or no whole number, and a text that is
            none, with its place.
    """
    several = any(isinstance(label, tuple) for label in frame["label"])
    check = as_labels if several else as_label
    frame["label"] = [check(frame, i, v) for i, v in enumerate(frame["label"])]
    empty = [not isinstance(t, str) or not t.strip() for t in frame["text"]]
    for i in np.flatnonzero(empty):
        value = frame["text"].iloc[i]
        if not isinstance(value, str) and value is not None and value == value:
            raise UserError(
                f"{place(frame, i)}: the text is {value!r}, which is no text"
            )
    kept = frame[~np.array(empty)].reset_index(drop=True)
    if not len(kept):
        raise UserError(f"{frame['file'].iloc[0]}: all texts are empty")
    return kept, {"rows with an empty text": sum(empty)}


def as_label(frame, number, value):
    """Returns a label as a string, or raises `UserError` with its place."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, str) and FRACTION.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, (float, np.floating)) and value == value:
        if value != int(value):
            raise UserError(
                f"{place(frame, number)}: the label {value} is no class. Numbers "
                "between classes cannot be predicted by a classifier"
            )
        return str(int(value))
    if value is None or value != value or not str(value).strip():
        raise UserError(
            f"{place(frame, number)}: the label is empty. Fill it in, or remove the row"
        )
    return str(value).strip()


def as_labels(frame, number, value):
    """Returns the labels of a row as a tuple of different strings."""
    if not isinstance(value, tuple):
        raise UserError(
            f"{place(frame, number)}: the label is {value!r}, and other rows have lists"
        )
    return tuple(dict.fromkeys(as_label(frame, number, v) for v in value))


def sorted_labels(labels):
    """Returns the classes, in the order of their numbers where they are numbers."""
    names = {*labels}
    try:
        return sorted(names, key=int)
    except ValueError:
        return sorted(names)


# === Defaults ===


def facts_of(texts, names):
    """Returns what the defaults follow, of the training texts."""
    lengths, counts, signs, ideographs = [], {}, 0, 0
    for text in texts:
        words = WORD.findall(text.lower())
        lengths.append(len(words))
        signs += len(text)
        ideographs += len(IDEOGRAPH.findall(text))
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    return {
        "texts": len(texts),
        "classes": len(names),
        "length": int(np.quantile(lengths, 0.98)),
        "words": sum(count > 1 for count in counts.values()),
        "ideographs": round(ideographs / max(1, signs), 3),
    }


def adapted(recipe):
    """Returns a recipe without what only its own data have, such as other columns."""
    own_only = ("unlabelled", "self_training", "behaviour", "columns", "out_of_scope")
    kept = {k: v for k, v in recipe.pipeline.items() if k not in own_only}
    return dataclasses.replace(recipe, pipeline=kept)


def recipe_for(model, facts):
    """Returns the `Recipe` of a model on own texts."""
    texts = facts.get("texts", 10000)
    batch = 16 if texts < 2000 else 32 if texts < 20000 else 64
    steps = -(-texts // batch)
    return Recipe(
        name=model,
        model=model,
        dataset="",
        kind="text",
        expected={},
        config={
            "embedding_dim": 64,
            "units": 64 if texts >= 5000 else 32,
            "attention": "attention_pooling",
            "embedding_dropout": 0.2,
            "dropout": 0.5,
        },
        pipeline={
            "max_length": min(800, max(16, facts.get("length", 100) + 1)),
            "vocabulary_size": min(20000, max(100, facts.get("words", 20000) + 2)),
            "word_dropout": 0.05,
        },
        batch_size=batch,
        epochs=min(20, max(3, round(2000 / steps))),
        learning_rate=3e-3,
        ema=0.98 if steps >= 100 else 0.0,
    )
