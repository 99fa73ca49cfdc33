"""The command `attention-zoo`: what it prints, and its one line for bad input."""

import csv
import io
import json
import re

import pytest

import attention_zoo
from attention_zoo.recipes.cli import main as _cli
from attention_zoo.recipes.core import errors as _errors
from attention_zoo.recipes.engine import trainer as _run

RECIPE = "attention_lstm_reviews"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_training(monkeypatch):
    """A bad argument must be refused before anything is trained."""

    def fail(*arguments, **more):
        raise AssertionError("a training was started")

    monkeypatch.setattr(_run, "train", fail)


def write_card(folder, **card):
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps({"sha256": "0", **card}))


def test_version_and_help(capsys):
    for argument, said in (("--version", attention_zoo.__version__), ("-h", "predict")):
        with pytest.raises(SystemExit) as stopped:
            _cli.main([argument])
        assert not stopped.value.code
        assert said in capsys.readouterr().out


def test_list(command, tmp_path):
    write_card(
        tmp_path / "saved_models" / "some_words",
        metrics={"accuracy": 0.75},
        dataset="words/1.0.0",
    )
    write_card(tmp_path / "saved_models" / "broken_words")
    (tmp_path / "saved_models" / "broken_words" / "card.json").write_text("{")
    code, out, err = command("list")
    assert (code, err) == (0, "")
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    told = {line[0]: line[1] for line in lines if len(line) == 2}
    assert ["models"] in lines
    assert ["recipes"] in lines
    assert "LSTM" in told["attention_lstm"]
    assert "imdb_reviews" in told["attention_lstm_imdb"]
    assert told["some_words"] == "test accuracy 0.7500; words/1.0.0"
    assert "cannot be read" in told["broken_words"]
    code, out, _ = command("list", "some*")
    assert code == 0
    assert out.splitlines()[0] == "trained models"
    assert len(out.splitlines()) == 2


def test_list_for_programs(command, tmp_path):
    folder = tmp_path / "saved_models" / "some_words"
    write_card(folder, metrics={"accuracy": 0.75}, dataset='a "b", c/1.0.0')
    row = {
        "name": "some_words",
        "kind": "trained models",
        "description": 'test accuracy 0.7500; a "b", c/1.0.0',
    }
    assert json.loads(command("list", "some*", "--json")[1]) == [row]
    out = command("list", "some*", "--csv")[1]
    assert list(csv.DictReader(out.splitlines())) == [row]
    assert command("list", "--json", "--csv")[0] == 2


def test_list_layers(command):
    code, out, _ = command("list", "--layers", "*pooling*")
    assert code == 0
    assert out.splitlines()[0] == "pooling"
    assert "attention_pooling  " in out
    everything = command("list", "--layers")[1]
    for name in attention_zoo.layers.list_attentions():
        assert f"  {name} " in everything


def test_show(command, tmp_path):
    _, out, _ = command("show", "attention_lstm")
    assert out.startswith("model attention_lstm(vocabulary_size, num_classes=2")
    assert "\n    embedding_dim: Integer, width of the word vectors" in out
    assert "Returns:" not in out
    _, out, _ = command("show", RECIPE)
    assert f"recipe {RECIPE}: attention_lstm on zoo_reviews" in out
    assert f"attention-zoo train {RECIPE}" in out
    assert "train_split" in out
    for name in ("attention_pooling", "AttentionPooling"):
        _, out, _ = command("show", name)
        assert out.startswith("layer AttentionPooling(score='additive'")
        assert "Yang et al" in out
    write_card(
        tmp_path / "saved_models" / "some_words",
        metrics={"accuracy": 0.75},
        accuracy_mean=0.625,
        accuracy_std=0.0125,
        seeds=[{}, {}],
        baselines={"linear": {"accuracy": 0.5, "C": 4.0}},
        dataset="words/1.0.0",
        parameters=12345,
        model_file_mb=1.5,
    )
    _, out, _ = command("show", "some_words")
    assert [line.strip() for line in out.splitlines()] == [
        "trained model some_words in saved_models/some_words",
        "",
        "test accuracy 0.7500",
        "words/1.0.0",
        "accuracy 0.6250 ± 0.0125 over 2 seeds",
        "beside it: linear, accuracy 0.5000",
        "12,345 parameters",
        "1.5 MB",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["tran", RECIPE], "unknown command 'tran'. Did you mean train?"),
        (["train"], "required: RECIPE"),
        (
            ["train", "attention_lstm_imbd"],
            "unknown recipe .* Did you mean attention",
        ),
        (
            ["train", RECIPE, "--sede", "1"],
            "unknown option of train '--sede'. Did",
        ),
        (["train", RECIPE, "--sm"], "unknown option of train '--sm'"),
        (["train", RECIPE, "twice"], "train takes no further argument 'twice'"),
        (["train", RECIPE, "--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["train", RECIPE, "--seed=-1"], "--seed must not be negative"),
        (["train", RECIPE, "--seeds", "0"], "--seeds must be positive"),
        (["train", RECIPE, "--epochs", "0"], "epochs must be positive, received 0"),
        (
            ["train", RECIPE, "--set", "unts=3"],
            "unknown --set key 'unts'. Did",
        ),
        (
            ["train", RECIPE, "--set", "units=x"],
            "--set units takes a value of type",
        ),
        (["train", RECIPE, "--set"], "argument --set: expected one argument"),
        (["list", "no*thing"], "unknown name 'no.thing'"),
        (["list", "--layers", "attention_poling"], "Did you mean attention_pooling"),
        (["show", "attention_lstn"], "unknown name .* Did you mean attention_lstm"),
        (["show", "AttentionPoolin"], "Did you mean AttentionPooling"),
        (["evaluate", "no_words"], "Unknown trained model 'no_words'"),
        (["predict", "no_words", "text"], "Unknown trained model 'no_words'"),
        (["translate", "no_words", "text"], "Unknown trained model 'no_words'"),
        (["explain", "no_words", "text"], "Unknown trained model 'no_words'"),
        (["explain", "no_words"], "required: TEXT"),
        (["export", "no/words"], "no trained model in the folder no/words"),
    ],
)
@pytest.mark.usefixtures("no_training")
def test_bad_arguments(refused, arguments, message, tmp_path):
    assert re.search(message, refused(*arguments))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_training")
def test_a_smoke_run_replaces_no_trained_model(refused, tmp_path):
    write_card(tmp_path / "saved_models" / RECIPE, smoke=False)
    message = refused("train", RECIPE, "--smoke", "--out", "saved_models")
    assert "holds a trained model, which --smoke does not replace" in message
    (tmp_path / "saved_models" / RECIPE / "card.json").write_text("{")
    assert "does not replace" in refused(
        "train", RECIPE, "--smoke", "--out", "saved_models"
    )


def test_where_training_writes_and_what_the_card_says(command, monkeypatch):
    calls = []
    monkeypatch.setattr(_run, "train", lambda *given: calls.append(given) or "x")
    command("train", RECIPE)
    options = ["--smoke", "--seed", 3, "--seeds", 2, "--data-dir", "/data"]
    command("train", RECIPE, *options)
    options = ["--set", "units=17", "--set", "train_split=train[:7%]", "--epochs", 5]
    command("train", RECIPE, "--out", "/out", *options)
    first, second, third = calls
    assert [list(call[1]) for call in calls] == [[0], [3, 4], [0]]
    assert [call[3] for call in calls] == ["saved_models", "build/smoke", "/out"]
    assert (first[2], second[2]) == (None, "/data")
    assert [call[4] for call in calls] == [False, True, False]
    assert first[5] == f"attention-zoo train {RECIPE}"
    assert second[5] == f"attention-zoo train {RECIPE} --seed 3 --seeds 2 --smoke"
    assert third[5] == (
        f"attention-zoo train {RECIPE} --epochs 5 --set units=17 "
        "--set 'train_split=train[:7%]'"
    )
    assert third[0].epochs == 5
    assert third[0].config["units"] == 17


@pytest.mark.parametrize(
    ("failure", "line", "code"),
    [
        (OSError(28, "No space left on device", "/x/y"),
         "No space left on device: /x/y", 2),
        (OSError("cannot write\nthe model"), "cannot write the model", 2),
        (PermissionError(13, "Permission denied"), "Permission denied", 2),
        (KeyboardInterrupt(), "interrupted", 130),
        (ModuleNotFoundError(name="rich.text"),
         "this needs the package 'rich': pip install 'attention-zoo[recipes]'", 2),
        (_errors.UserError("a" * 1000), "a" * 596 + " ...", 2),
    ],
)  # fmt: skip
def test_failures_become_one_line(command, monkeypatch, failure, line, code):
    def fail(*arguments):
        raise failure

    monkeypatch.setattr(_run, "train", fail)
    assert command("train", RECIPE) == (code, "", f"attention-zoo: error: {line}\n")


def test_defects_are_not_hidden(command, monkeypatch):
    def fail(*arguments):
        raise ValueError("a defect")

    monkeypatch.setattr(_run, "train", fail)
    with pytest.raises(ValueError, match="a defect"):
        command("train", RECIPE)


def test_another_backend(refused, tmp_path, monkeypatch):
    write_card(tmp_path / "saved_models" / "words", recipe=RECIPE)
    monkeypatch.setattr("keras.config.backend", lambda: "jax")
    for arguments in (
        ["train", RECIPE, "--smoke"],
        ["evaluate", "words"],
        ["predict", "words", "a film"],
        ["translate", "words", "a film"],
        ["explain", "words", "a film"],
        ["export", "words"],
    ):
        message = refused(*arguments)
        assert message.endswith("it runs on jax: set KERAS_BACKEND=tensorflow")


def test_no_data_and_no_network(refused, tmp_path, monkeypatch):
    import requests

    def unreachable(*arguments, **more):
        raise requests.ConnectionError("no route\nto host")

    monkeypatch.setattr(requests.Session, "head", unreachable)
    folder = tmp_path / "nothing here"
    message = refused("train", "attention_lstm_imdb", "--data-dir", folder)
    assert f"dataset 'imdb_reviews' is not prepared in {folder}" in message
    assert "ConnectionError: no route" in message
    assert "tfds build imdb_reviews --data_dir DIR" in message
    assert "attention-zoo train attention_lstm_reviews" in message
    assert not (tmp_path / "saved_models").exists()


def test_data_of_another_kind(command, refused, tmp_path):
    message = refused("train", RECIPE, "--set", "dataset=no_such_words")
    assert message == "TFDS has no dataset 'no_such_words'"
    (tmp_path / "file").write_text("")
    code, _, err = command("train", RECIPE, "--data-dir", tmp_path / "file")
    assert code == 2
    assert "Give --data-dir a folder that can be written" in err
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_download_and_push(command, tmp_path):
    code, out, err = command("push", RECIPE, "mirror")
    assert (code, out, err) == (0, f"mirror/{RECIPE}\n", "")
    (tmp_path / "saved_models" / RECIPE).mkdir(parents=True)
    card = tmp_path / "mirror" / RECIPE / "card.json"
    (tmp_path / "saved_models" / RECIPE / "card.json").write_bytes(card.read_bytes())
    code, out, err = command("download", RECIPE, "--from", "mirror")
    assert (code, out, err) == (0, f"mirror/{RECIPE}/model.keras\n", "")
    for words, told in (
        (["download", RECIPE], f"{RECIPE} has no model.keras here. Set ATTENTION_ZOO_"),
        (["download"], "download takes names or --all, and not both"),
        (["push", RECIPE, "mirror"], f"{RECIPE} has no model.keras here"),
        (["push", "nothing", "mirror"], "Unknown trained model 'nothing'"),
    ):
        code, out, err = command(*words)
        assert (code, out) == (2, "")
        assert told in err
        assert len(err.splitlines()) == 1


def test_output_of_any_characters(refused, tmp_path, monkeypatch):
    """A terminal may know few characters; half of one is in no card."""
    folder = tmp_path / "saved_models" / "words"
    write_card(folder, command="train \u00e9")
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", out)
        assert _cli.main(["show", "words"]) == 0
        out.flush()
    assert rb"train \xe9" in out.buffer.getvalue()
    (folder / "card.json").write_text(json.dumps({"sha256": "0", "x": "\ud800"}))
    assert "card.json cannot be read" in refused("predict", "words", "a film")


@pytest.mark.parametrize("option", ["--trials", "--seed", "--tuner"])
def test_two_dashes_are_no_value(refused, option):
    """The parser would take an empty list for it."""
    assert refused("tune", RECIPE, f"{option}=--") == (
        f"{option} takes a value, received '--'"
    )


def test_a_file_is_no_data_set_by_name(refused, tmp_path):
    (tmp_path / "mine.csv").write_text("text,label\na,1\n")
    message = refused("train", RECIPE, "--set", "dataset=mine.csv")
    assert message.endswith("A file of your own is given by --data mine.csv")
