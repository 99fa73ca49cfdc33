"""`attention-zoo translate`, and `explain` of a translator: what they print."""

import io
import json
import pathlib
import sys

import keras
import numpy as np
import pytest
from support.copying import SUBWORDS, make_translator

import attention_zoo
from attention_zoo.pretrained import file_sha256
from attention_zoo.recipes.tasks import lines

LINES = (
    b"a dog, a cat!\n"
    b"\n"
    b"a zzyzx \xe4\xbd\xa0\xe5\xa5\xbd\n"
    b"a\xff\n" + b"dogs " * 12 + b"\n"
    b" \x00\t\n"
    b"a cat"
)
ERRORS = [
    "attention-zoo: error: line 2 is empty",
    "attention-zoo: error: line 4 is not valid UTF-8",
    "attention-zoo: error: line 6 is empty",
]


def write_entry(folder, model, kind="translation"):
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    card = {"sha256": file_sha256(folder / "model.keras"), "kind": kind}
    (folder / "card.json").write_text(json.dumps(card))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with `saved_models`: one copies, one is untrained, one is another."""
    home = tmp_path_factory.mktemp("translate")
    write_entry(home / "saved_models" / "copier", make_translator(max_length=7))
    write_entry(home / "saved_models" / "blind", make_translator(looks=False))
    keras.utils.set_random_seed(3)
    sizes = ("source_vocabulary_size", "target_vocabulary_size")
    core = attention_zoo.create(
        "rnn_translator",
        **dict.fromkeys(sizes, len(SUBWORDS) + 4),
        embedding_dim=5,
        units=7,
    )
    write_entry(home / "saved_models" / "untrained", make_translator(core, 7))
    text = keras.Input((), dtype="string")
    ids = keras.layers.TextVectorization(vocabulary=["a"])(text)
    other = keras.Model(text, keras.layers.Embedding(3, 5)(ids))
    write_entry(home / "saved_models" / "words", other, "text")
    return home


@pytest.fixture(autouse=True)
def working_folder(home, monkeypatch):
    monkeypatch.chdir(home)


@pytest.fixture
def read(monkeypatch):
    """Gives the command's standard input."""

    def give(given):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))

    return give


def test_a_line_in_a_line_out(command, read, monkeypatch):
    monkeypatch.setattr(lines, "LINES_AT_ONCE", 4)  # two of them are sentences
    read(LINES)
    code, out, err = command("translate", "copier")
    assert code == 2
    assert out.split("\n") == [
        "a dog, a cat!",
        "",
        "a zzyzx 你好",
        "",
        "dogs dogs dogs",
        "",
        "a cat",
        "",
    ]
    cut = "line 5 has 24 subwords and is cut after 6"
    assert err.splitlines() == [*ERRORS, cut]  # in the order of the chunks


def test_several_best(command):
    texts = ["a\ndog\x1b[31m", "a  cat"]
    code, out, err = command(
        "translate", "saved_models/copier", *texts, "--beam", 3, "--num-best", 2
    )
    assert (code, err) == (0, "")
    rows = [line.split("\t") for line in out.splitlines()]
    assert [text for _, text in rows][::2] == ["a dog [31m", "a cat"]
    scores = [float(score) for score, _ in rows]
    assert scores[0] > scores[1]
    assert scores[2] == pytest.approx(-3 * 12 * np.exp(-9) / (8 / 6), abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["copier", "--beam", "0"], "--beam must be positive, received 0"),
        (["copier", "--num-best=-1"], "--num-best must be positive, received -1"),
        (
            ["copier", "--beam", "14"],
            "--beam must be at most 13, the size of the vocabulary, received 14",
        ),
        (
            ["copier", "--num-best", "6"],
            "--num-best must be at most the size of the beam, 5, received 6: give a "
            "larger --beam",
        ),
        (["words"], "words is no translator"),
    ],
)
def test_bad_arguments(refused, arguments, message):
    assert refused("translate", *arguments, "a dog") == message


def test_predict_names_the_command(refused):
    expected = "copier is a translator: attention-zoo translate copier"
    assert refused("predict", "copier", "a dog") == expected


def test_explain(command, tmp_path):
    picture = tmp_path / "seen.png"
    texts = ["a dog", "cats " * 5]
    code, out, err = command("explain", "copier", *texts, "--out", picture)
    assert code == 0
    assert err == "text 2 has 10 subwords and is cut after 6\n"
    assert out.splitlines()[:3] == [
        "1. a dog (-0.003)",
        "   1.000 a   <- a",
        "   1.000 dog <- dog",
    ]
    assert out.endswith(f"\n{picture}\n")
    assert pathlib.Path(picture).read_bytes().startswith(b"\x89PNG")


def test_explain_without_attention(refused):
    message = refused("explain", "blind", "a dog")
    assert message.startswith("blind: `explain` needs weights of the source")


def test_as_a_process(start_command, command, read, home):
    """An untrained model, whose class needs no import but the package's."""
    process = start_command("translate", "untrained", cwd=home)
    out, err = process.communicate(LINES)
    assert process.returncode == 2
    told = [line for line in err.decode().splitlines() if "line" in line]
    assert [line for line in told if "error" in line] == ERRORS
    read(LINES)
    assert command("translate", "untrained")[1] == out.decode()
