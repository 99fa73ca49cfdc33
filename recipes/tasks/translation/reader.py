"""Own sentences: two aligned files, or tables with two columns."""

import pathlib

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import Recipe
from attention_zoo.recipes.datasets import own, tables

TABLES = (".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
PLAIN = ("txt", "text", "")  # suffixes that name no language


def add_arguments(parser):
    """Adds the options of translations to a parser."""
    parser.add_argument(
        "--source", metavar="COLUMN", help="translation: the column to translate"
    )


def options(args):
    """Returns the dict of the options that decide what is read."""
    names = ("source", "target", "delimiter", "encoding")
    return {name: getattr(args, name, None) for name in names}


# === Reading ===


def read(request):
    """Returns the `Records` of pairs of sentences."""
    if request.tfds_name:
        raise UserError(
            "translations are read from files: train a recipe with --set dataset=NAME "
            "for a TFDS data set"
        )
    rows: list = []
    names: tuple = ()
    for part, data in request.given():
        found, sides = read_part(data, request.options)
        names = names or sides
        rows += [(source, target, part, place) for source, target, place in found]
    kept = [row for row in rows if row[0] and row[1]]
    if not kept:
        raise UserError("all pairs of sentences have an empty side")
    source, target = names

    def features():
        import tensorflow_datasets as tfds

        text = tfds.features.Text
        return tfds.features.FeaturesDict({source: text(), target: text()})

    return own.Records(
        example=lambda i: {source: kept[i][0], target: kept[i][1]},
        features=features,
        parts=[row[2] for row in kept],
        keys=[row[0] for row in kept],
        place=lambda i: kept[i][3],
        columns=names,
        facts=lambda chosen: facts_of([kept[i] for i in chosen], names),
        dropped={"pairs with an empty side": len(rows) - len(kept)},
    )


def read_part(data, given):
    """Returns `(source, target, place)` rows, and the names of both sides.

    Args:
        data: Names of two aligned files, or of tables; or a `pandas.DataFrame`.
        given: Dict of the options.
    """
    if not own.is_words(data):
        return read_table(data, "the DataFrame", given)
    files = tables.find_files(data)
    plain = [file for file in files if file.suffix.lower() not in TABLES]
    if not plain:
        parts = [
            read_table(
                tables.read_table(file, given.get("delimiter"), given.get("encoding")),
                file,
                given,
            )
            for file in files
        ]
        return [row for rows, _ in parts for row in rows], parts[0][1]
    if len(files) != 2 or len(plain) != 2:
        raise UserError(
            f"translations take two aligned files, source and target, or a table "
            f"({', '.join(TABLES[:2])}, ...), received {len(files)} files: "
            f"{', '.join(map(str, files[:4]))}"
        )
    source, target = files
    return read_aligned(source, target, given.get("encoding"))


def read_aligned(source, target, encoding=None):
    """Returns the rows of two files of as many lines, and the names of both sides.

    The suffixes name the sides where they differ, as in `news.de` and `news.en`.
    """
    sides = [read_lines(file, encoding) for file in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise UserError(
            f"{source} has {len(sides[0]):,} lines and {target} {len(sides[1]):,}: "
            "line by line they must be translations of each other"
        )
    names = [pathlib.Path(file).suffix[1:] for file in (source, target)]
    if names[0] == names[1] or set(names) & {*PLAIN}:
        names = ["source", "target"]
    rows = [
        (*pair, f"{source}, line {i}")
        for i, pair in enumerate(zip(*sides, strict=True), start=1)
    ]
    return rows, tuple(names)


def read_lines(file, encoding=None):
    """Returns the lines of a file, which end at line feeds alone, without white space.

    What else Python takes for an end of line may stand inside a sentence.
    """
    if pathlib.Path(file).is_dir():
        raise UserError(f"{file} is a folder, a file of sentences is needed")
    try:
        with open(file, encoding=encoding or "utf-8-sig", newline="\n") as stream:
            lines = [line.strip() for line in stream]
    except UnicodeDecodeError:
        raise UserError(
            f"{file} is not {encoding or 'UTF-8'}: save it as UTF-8, or give "
            "--encoding, e.g. latin-1"
        ) from None
    except LookupError:
        raise UserError(f"--encoding: there is no encoding '{encoding}'") from None
    if not any(lines):
        raise UserError(f"{file} is empty")
    return lines


def read_table(frame, file, given):
    """Returns the rows of a table, and the names of its two columns.

    Args:
        frame: The `pandas.DataFrame`.
        file: Where it comes from.
        given: Dict of the options. A table of two columns needs none.
    """
    columns = list(frame)
    source, target = given.get("source"), given.get("target")
    if source is None and target is None and len(columns) == 2:
        source, target = columns
    source = tables.need_column(frame, source, file, "--source")
    target = tables.need_column(frame, target, file, "--target")
    if source == target:
        raise UserError(f"--source and --target both name the column '{source}'")
    sides = [
        [" ".join(str(cell).split()) if cell == cell and cell is not None else ""
         for cell in frame[name]]
        for name in (source, target)
    ]  # fmt: skip
    rows = [
        (*pair, f"{file}, row {i}")
        for i, pair in enumerate(zip(*sides, strict=True), start=1)
    ]
    return rows, (str(source), str(target))


# === Defaults ===


def facts_of(rows, names):
    """Returns what the defaults follow, of the training pairs."""
    lengths = [max(len(row[0].split()), len(row[1].split())) for row in rows]
    signs = [max(len(row[0]), len(row[1])) for row in rows]
    words = {word for row in rows for side in row[:2] for word in side.lower().split()}
    return {
        "source": names[0],
        "target": names[1],
        "pairs": len(rows),
        "words": len(words),
        "length": int(np.quantile(lengths, 0.98)),
        "signs": int(np.quantile(signs, 0.98)),
    }


def recipe_for(model, facts):
    """Returns the `Recipe` of a translator on own sentences."""
    pairs = facts.get("pairs", 10000)
    batch = 32 if pairs < 10000 else 64
    steps = -(-pairs // batch)
    small = pairs < 5000
    configs: dict = {
        "rnn_translator": {
            "embedding_dim": 128 if small else 256,
            "units": 128 if small else 256,
            "attention": "bahdanau_attention",
            "share_embeddings": True,
            "dropout": 0.3,
        },
        "transformer_translator": {
            "width": 128 if small else 256,
            "num_layers": 2 if small else 3,
            "num_heads": 4,
            "intermediate_dim": 256 if small else 512,
            "share_embeddings": True,
            "dropout": 0.15,
        },
    }
    # A word is about two subwords; where words are not split by spaces, signs count.
    length = min(facts.get("signs", 100), 2 * facts.get("length", 20)) + 4
    if facts.get("signs", 100) > 20 * facts.get("length", 20):
        length = facts["signs"] + 4
    return Recipe(
        name=model,
        model=model,
        dataset="",
        kind="translation",
        expected={},
        config=configs[model],
        pipeline={
            "source": facts.get("source", "source"),
            "target": facts.get("target", "target"),
            "vocabulary_size": min(4000, max(200, facts.get("words", 4000))),
            "max_length": min(128, max(8, length)),
            "beam_size": 5,
            "metric": "bleu",
        },
        train_split="train",
        validation_split="validation",
        batch_size=batch,
        epochs=min(30, max(5, round(4000 / steps))),
        learning_rate=2e-3 if model == "rnn_translator" else 1e-3,
        weight_decay=0.01,
        label_smoothing=0.1,
        ema=0.98 if steps >= 100 else 0.9,
    )


def adapted(recipe, facts):
    """Returns a recipe with the names of both sides."""
    return recipe.replace(source=facts["source"], target=facts["target"])
