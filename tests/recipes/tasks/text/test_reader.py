"""Own texts: what is read of tables, folders and TFDS sets, and what is refused."""

import dataclasses
import json

import numpy as np
import pandas
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import own
from attention_zoo.recipes.tasks import TASKS
from attention_zoo.recipes.tasks.text import baselines, reader

ROWS = [(f"text {i} is {'good' if i % 2 else 'bad'}", i % 2) for i in range(40)]
OPTIONS = dict.fromkeys(("text", "label", "split", "delimiter", "encoding"))


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file and returns its name, in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def put(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(raw)
        return name

    return put


def read(*data, text="review", label="stars", validation=(), test=(), **more):
    options = {**OPTIONS, "text": text, "label": label, **more}
    return reader.read(own.Request(data, validation, test, options=options))


def pairs(records):
    """Returns the stored text and the name of the class of each row."""
    names = records.features()["label"].names
    rows = [records.example(i) for i in range(len(records.parts))]
    return [(row["text"], names[row["label"]]) for row in rows]


def table(sign, rows=ROWS):
    return f"review{sign}stars\n" + "".join(f"{t}{sign}{y}\n" for t, y in rows)


EXPECTED = [(text, str(label)) for text, label in ROWS]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", table(","), ""),
        ("a.csv", table(";"), "a.csv: columns are separated by semicolons\n"),
        ("a.csv", table("\t"), "a.csv: columns are separated by tabs\n"),
        ("a.tsv", table("\t"), ""),
        ("a.csv", "\ufeff" + table(","), ""),
        ("a.csv", table(",").replace("\n", "\r\n"), ""),
        (
            "a.jsonl",
            "".join(json.dumps({"review": t, "stars": y}) + "\n" for t, y in ROWS),
            "",
        ),
    ],
)
def test_tables(write, capsys, name, content, said):
    records = read(write(name, content))
    assert pairs(records) == EXPECTED
    assert capsys.readouterr().out == said
    assert records.place(3) == f"{name}, row 4"


def test_parquet_and_several_files(write, tmp_path):
    frame = pandas.DataFrame(ROWS, columns=["review", "stars"])
    frame[:10].to_parquet(tmp_path / "part-0.parquet")
    frame[10:].to_parquet(tmp_path / "part-1.parquet")
    records = read("part-*.parquet")
    assert pairs(records) == EXPECTED
    assert records.place(12) == "part-1.parquet, row 3"
    options = {**OPTIONS, "text": "review", "label": "stars"}
    assert pairs(reader.read(own.Request(frame, options=options))) == EXPECTED


def test_cells_with_quotes_and_line_breaks(write):
    content = 'review,stars\n"one, ""two""\nthree",b\nNA,a\n007,a\n'
    assert pairs(read(write("a.csv", content))) == [
        ('one, "two"\nthree', "b"), ("NA", "a"), ("007", "a"),
    ]  # fmt: skip


def test_a_column_of_splits(write):
    names = ("train", "Training", "val", "dev", "TEST")
    lines = [f"text {i},{i % 2},{name}\n" for i, name in enumerate(names)]
    write("a.csv", "review,stars,split\n" + "".join(lines))
    expected = ["train", "train", "validation", "validation", "test"]
    assert read("a.csv").parts == expected
    write("b.csv", "review,stars,split\ntext,1,left\ntext,0,right\n")
    assert read("b.csv").parts == ["", ""]  # a column of the user's own
    with pytest.raises(UserError, match="the column split holds 'left', which is none"):
        read("b.csv", split="split")


def test_given_files_are_splits(write):
    for name in ("a.csv", "b.csv", "c.csv"):
        write(name, table(",", ROWS[:2]))
    records = read("a.csv", validation=["b.csv"], test="c.csv")
    assert records.parts == ["", "", "validation", "validation", "test", "test"]


def test_folders_of_texts(write, capsys):
    for part in ("train", "test"):
        for name in ("neg", "pos"):
            write(f"films/{part}/{name}/1.txt", f"{part} {name}")
    write("films/README", "a stray file")
    records = read("films")
    assert pairs(records) == [
        ("test neg", "neg"), ("test pos", "pos"),
        ("train neg", "neg"), ("train pos", "pos"),
    ]  # fmt: skip
    assert records.parts == ["test", "test", "train", "train"]
    assert "1 files that are no CLASS/NAME.txt" in capsys.readouterr().out
    with pytest.raises(UserError, match="holds no texts: they are expected as CLASS"):
        read("films/train/neg")


def test_labels_are_in_the_order_of_their_numbers(write):
    rows = [("a", 10), ("b", 9), ("c", 2)]
    assert read(write("a.csv", table(",", rows))).features()["label"].names == [
        "2", "9", "10",
    ]  # fmt: skip
    assert pairs(read(write("b.csv", "review,stars\na,1.0\n")))[0][1] == "1"
    frame = pandas.DataFrame({"review": ["a", "b"], "stars": [1.0, 2.0]})
    options = {**OPTIONS, "text": "review", "label": "stars"}
    records = reader.read(own.Request(frame, options=options))
    assert records.features()["label"].names == ["1", "2"]


def test_empty_texts_are_counted(write):
    records = read(write("a.csv", "review,stars\na,1\n ,0\n,1\nb,0\n"))
    assert pairs(records) == [("a", "1"), ("b", "0")]
    assert records.dropped == {"rows with an empty text": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.csv is empty"),
        ("\n \n", "a.csv is empty"),
        ("review,stars\n", "a.csv has no rows"),
        (
            "reviews,stars\na,1\n",
            r"a.csv has no column 'review' \(--text\). Did you mean reviews\?",
        ),
        ("a|b\nc|d\n", "It has a.b, one column: is it separated by another sign"),
        (
            "review,stars,stars\na,1,2\n",
            "a.csv, line 1: the column 'stars' is there 2 times",
        ),
        ("review,stars\na,1\nb,\n", "a.csv, row 2: the label is empty. Fill it in"),
        ("review,stars\na,1.0\nb,2.5\n", "a.csv, row 2: the label 2.5 is no class"),
        ("review,stars\na,1,2\nb,2,3\n", "rows have more cells than its header"),
        ("review,stars\na,1\nb,2,3\n", "Expected 2 fields in line 3, saw 3"),
        (
            "review,stars\ncafé,1\n".encode("latin-1"),
            "a.csv, line 2: not UTF-8. Save it as UTF-8, or give --encoding",
        ),
    ],
)
def test_bad_tables(write, content, message):
    with pytest.raises(UserError, match=message) as refused:
        read(write("a.csv", content))
    assert "\n" not in str(refused.value)


def test_latin_1_by_its_name(write):
    name = write("a.csv", "review,stars\ncafé,1\nthé,0\n".encode("latin-1"))
    assert pairs(read(name, encoding="latin-1")) == [("café", "1"), ("thé", "0")]
    for encoding in ("latin-x", "hex", "rot13", "base64", "\udcff", "a\0"):
        with pytest.raises(UserError, match="there is no encoding '"):
            read(name, encoding=encoding)
    for encoding in ("undefined", "punycode"):
        with pytest.raises(UserError, match=f"line 1: not {encoding.upper()}"):
            read(name, encoding=encoding)


def test_a_file_that_ends_inside_of_a_letter(write):
    content = "review,stars\na,1\ncafé".encode()[:-1]
    with pytest.raises(UserError, match=r"a\.csv, line 3: not UTF-8"):
        read(write("a.csv", content))


def test_the_delimiter_is_one_sign(write):
    name = write("a.csv", "review\tstars\na\t1\nb\t0\n")
    for delimiter in ("\t", r"\t", "tab"):
        assert pairs(read(name, delimiter=delimiter)) == [("a", "1"), ("b", "0")]
    for delimiter in ("", "ab", "\n", '"', "\0", "é", "\udcff"):
        with pytest.raises(UserError, match="--delimiter takes one sign"):
            read(name, delimiter=delimiter)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (2.5, "the DataFrame, row 2: the label 2.5 is no class"),
        (np.nan, "the DataFrame, row 2: the label is empty"),
        (None, "the DataFrame, row 2: the label is empty"),
    ],
)
def test_bad_labels(label, message):
    frame = pandas.DataFrame({"review": ["a", "b"], "stars": [1.0, label]})
    options = {**OPTIONS, "text": "review", "label": "stars"}
    with pytest.raises(UserError, match=message):
        reader.read(own.Request(frame, options=options))


def test_other_bad_input(write):
    write("reviews.csv", table(","))
    write("a.xlsx", "what")
    write("a.jsonl", '{"review": "a", "stars": 1}\n[2]\n')
    write("a.parquet", "what")
    for given, message in {
        "review.csv": "there is no file review.csv. Did you mean reviews.csv?",
        "no/b.csv": "there is no file no/b.csv: there is no folder no",
        "a.xlsx": "a.xlsx is of no known kind: a table ends in .csv",
        "a.jsonl": "a.jsonl, line 2: no JSON object on one line",
        "a.parquet": "a.parquet is no Parquet file",
    }.items():
        with pytest.raises(UserError) as refused:
            read(given)
        assert message in str(refused.value)
    with pytest.raises(UserError, match="--text COLUMN is missing: reviews.csv has"):
        read("reviews.csv", text=None)
    with pytest.raises(UserError, match="both name the column 'stars'"):
        read("reviews.csv", text="stars")
    frame = pandas.DataFrame({"review": ["a", 3], "stars": [1, 0]})
    options = {**OPTIONS, "text": "review", "label": "stars"}
    with pytest.raises(UserError, match="row 2: the text is 3, which is no text"):
        reader.read(own.Request(frame, options=options))


def test_a_cell_of_50_mb(write):
    records = read(write("a.csv", f"review,stars\n{'word ' * 10**7},1\nb,0\n"))
    assert len(records.example(0)["text"]) == reader.LONGEST
    assert records.notes == ["1 texts were cut after 100,000 signs"]


def test_characters_are_words_where_there_are_no_spaces(write):
    records = read(write("a.csv", "review,stars\n很好的酒店,1\n房间不错 ok,0\n"))
    assert records.notes == [
        "82% of the letters are Chinese or Japanese characters, which have no spaces "
        "between words: each of them is read as a word"
    ]
    assert read(write("b.csv", "review,stars\n好 is good,1\n")).notes == []


def test_defaults_follow_the_data():
    few = reader.facts_of(["one two two", "two one!"] * 50, ["a", "b"])
    assert few == {
        "texts": 100, "classes": 2, "length": 3, "words": 3, "ideographs": 0.0,
    }  # fmt: skip
    recipe = TASKS["text"].recipe_for("attention_lstm", few)
    assert recipe.settings()["max_length"] == 16
    assert (recipe.batch_size, recipe.epochs) == (16, 20)
    many = {**few, "texts": 100_000, "length": 5000, "words": 10**6}
    recipe = TASKS["text"].recipe_for("attention_lstm", many)
    assert recipe.settings()["max_length"] == 800
    assert recipe.settings()["vocabulary_size"] == 20000
    assert (recipe.batch_size, recipe.epochs) == (64, 3)
    chinese = reader.facts_of(["很好的酒店。", "不好"], ["0", "1"])
    assert (chinese["length"], chinese["ideographs"]) == (4, 0.875)


@pytest.mark.parametrize("baseline", [baselines.bag_of_words, baselines.tfidf])
def test_baselines_of_three_classes_and_of_chinese(baseline):
    words = ["good", "bad", "fine"]
    texts = [f"word{i % 5} {words[i % 3]} film" for i in range(60)]
    labels = [i % 3 for i in range(60)]
    scores = baseline((texts, labels), (texts[:9], labels[:9]), (texts[:4], labels[:4]))
    assert scores["accuracy"] == scores["macro_f1"] == 1
    chinese = [("很好的酒店", 1), ("房间不错", 1), ("太差了", 0), ("差极了", 0)] * 9
    part = [[text.encode() for text, _ in chinese], [label for _, label in chinese]]
    assert baseline(part, part, part)["accuracy"] == 1
    lonely = (["alpha", "beta"], [0, 1])  # no word occurs twice
    assert baseline(lonely, lonely, lonely)["features"] == 2


def test_the_majority_class():
    train = (["a", "b", "c"], [1, 1, 0])
    test = (["a", "b", "c", "d"], [0, 1, 1, 1])
    scores = baselines.majority_class(train, train, test)
    assert scores["accuracy"] == 0.75
    assert scores["macro_f1"] == pytest.approx((0 + 6 / 7) / 2)


def test_a_recipe_for_own_data_forgets_what_only_its_own_have():
    recipe = reader.recipe_for("attention_lstm", {})
    kept = recipe.pipeline
    own_only = {
        "columns": ("text", "intent"),
        "out_of_scope": ("validation_oos", "test_oos"),
        "unlabelled": "unsupervised",
        "self_training": True,
        "behaviour": True,
    }
    other = dataclasses.replace(recipe, pipeline={**kept, **own_only})
    assert reader.adapted(other).pipeline == kept


def test_half_a_character_is_refused(write):
    """As JSON has it where a text was cut inside of an emoji."""
    whole = r'{"review": "a \ud83d\ude00", "stars": 1}'
    assert pairs(read(write("a.jsonl", whole))) == [("a 😀", "1")]
    for line in (whole.replace(r"\ude00", ""), r'{"review": "a", "\udc00": 1}'):
        with pytest.raises(
            UserError, match=r"a\.jsonl, line 2: .* half of a character"
        ):
            read(write("a.jsonl", f"{whole}\n{line}\n"))
