"""load and list_pretrained: what is found, and what is refused."""

import hashlib
import json
import shutil
import zipfile

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo.pretrained import PretrainedError, find

IDS = np.array([[2, 3, 5, 7], [11, 1, 0, 0]])


@pytest.fixture(scope="module")
def model():
    return attention_zoo.create(
        "attention_lstm", vocabulary_size=23, embedding_dim=5, units=7
    )


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    """An entry as a recipe writes it."""
    folder = tmp_path_factory.mktemp("written") / "tiny_words"
    folder.mkdir()
    model.save(folder / "model.keras")
    data = (folder / "model.keras").read_bytes()
    card = {"recipe": "tiny_words", "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def entry(written, tmp_path, monkeypatch):
    """A copy of the entry in `./saved_models` of an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(written, tmp_path / "saved_models" / "tiny_words")


def refused(name_or_path, match):
    """Asserts that loading raises one line that holds `match`."""
    with pytest.raises(PretrainedError, match=match) as caught:
        attention_zoo.load(name_or_path)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value).splitlines()) == 1


def test_load_by_name_and_by_path(entry, model):
    expected = keras.ops.convert_to_numpy(model(IDS))
    for where in (
        "tiny_words",
        "saved_models/tiny_words",
        str(entry),
        entry,
        entry / "model.keras",
    ):
        loaded = attention_zoo.load(where)
        got = keras.ops.convert_to_numpy(loaded(IDS))
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_list_and_find(entry):
    assert "tiny_words" in attention_zoo.list_pretrained()
    assert attention_zoo.list_pretrained("tiny*") == ["tiny_words"]
    assert attention_zoo.list_pretrained("nothing*") == []
    found = find("tiny_words")
    assert found.name == "tiny_words"
    assert found.card["recipe"] == "tiny_words"


def test_lists_by_what_cards_say(entry):
    card = json.loads((entry / "card.json").read_text())
    card |= {"kind": "text", "dataset": "words/1.0.0", "data_license": "CC BY 4.0"}
    (entry / "card.json").write_text(json.dumps(card))
    other = shutil.copytree(entry, entry.with_name("tiny_broken"))
    (other / "card.json").write_text("{")
    listed = attention_zoo.list_pretrained
    assert listed("tiny*") == ["tiny_broken", "tiny_words"]
    assert listed("tiny*", kind="text") == ["tiny_words"]
    assert listed("tiny*", kind="text", data_license="MIT") == []
    assert listed(dataset="words/*", data_license="CC BY*") == ["tiny_words"]


def test_what_is_not_for_commercial_use_says_so(entry):
    card = json.loads((entry / "card.json").read_text())
    card["data_license"] = "Flickr terms, non-commercial research"
    (entry / "card.json").write_text(json.dumps(card))
    with pytest.warns(UserWarning, match="tiny_words is not for commercial use: Flic"):
        attention_zoo.load("tiny_words")


def test_half_written_folders_are_not_listed(entry):
    shutil.copytree(entry, entry.with_name(".tiny_words.tmp"))
    entry.with_name("empty").mkdir()
    assert attention_zoo.list_pretrained("*tiny*") == ["tiny_words"]
    assert attention_zoo.list_pretrained("empty") == []


def test_the_working_directory_comes_first(entry, tmp_path, monkeypatch):
    packaged = shutil.copytree(entry, tmp_path / "packaged" / "tiny_words")
    monkeypatch.setattr("importlib.resources.files", lambda _: packaged.parent)
    assert find("tiny_words").folder.resolve() == entry
    shutil.rmtree(entry)
    assert find("tiny_words").folder == packaged
    attention_zoo.load("tiny_words")


@pytest.mark.parametrize("name", attention_zoo.list_pretrained())
def test_the_committed_models_load(name, root, monkeypatch):
    monkeypatch.chdir(root)
    kind = json.loads((root / "saved_models" / name / "card.json").read_text())["kind"]
    if kind in ("text", "translation") and keras.config.backend() != "tensorflow":
        with pytest.raises(PretrainedError, match=f"{name} takes raw texts"):
            attention_zoo.load(name)
    else:
        assert isinstance(attention_zoo.load(name), keras.Model)


def test_unknown(entry):
    refused("tiny_wrds", "Unknown trained model 'tiny_wrds'.*mean 'tiny_words'")
    refused("no/such/folder", "no trained model in the folder no/such/folder")
    refused("./tiny_words", "no trained model in the folder")
    refused("gone.keras", "There is no file gone.keras")


def test_truncated(entry):
    file = entry / "model.keras"
    file.write_bytes(file.read_bytes()[:-100])
    refused("tiny_words", "truncated or altered.*sha256")
    refused(file, "truncated or altered")


def test_altered(entry):
    with zipfile.ZipFile(entry / "model.keras", "a") as archive:
        archive.writestr("more.txt", "more")
    refused("tiny_words", "truncated or altered")


@pytest.mark.parametrize("damage", [b"", b"no model at all", None])
def test_damaged_without_a_card(entry, damage):
    file = entry / "model.keras"
    (entry / "card.json").unlink()
    file.write_bytes(file.read_bytes()[:-100] if damage is None else damage)
    refused(file, "model.keras cannot be opened as a Keras model")


def test_a_file_of_a_layer(entry):
    """Keras opens it without complaint, as a layer that was never built."""
    file = entry / "layer.keras"
    dense = keras.layers.Dense(3)
    dense.build((None, 2))
    keras.saving.save_model(dense, file)
    refused(file, "layer.keras holds a `Dense`, which is not a model")


def test_missing_files(entry):
    (entry / "model.keras").unlink()
    refused("tiny_words", "has no model.keras")
    shutil.copy(entry / "card.json", entry / "model.keras")
    (entry / "card.json").unlink()
    refused("tiny_words", "has no card.json")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"sha256": 3}', "\x00"])
def test_unreadable_card(entry, text):
    (entry / "card.json").write_text(text)
    refused("tiny_words", "card.json")


def test_code_in_a_model_is_not_run(entry):
    inputs = keras.Input((3,))
    unsafe = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    unsafe.save(entry.parent / "unsafe.keras")
    refused(entry.parent / "unsafe.keras", "cannot be opened")


def test_texts_need_tensorflow(tmp_path, monkeypatch):
    text = keras.Input((), dtype="string")
    ids = keras.layers.StringLookup(vocabulary=["a"])(text)
    keras.Model(text, keras.layers.Embedding(3, 5)(ids)).save(tmp_path / "x.keras")
    if keras.config.backend() == "tensorflow":
        assert attention_zoo.load(tmp_path / "x.keras").inputs[0].dtype == "string"
    monkeypatch.setattr("keras.config.backend", lambda: "jax")
    with pytest.raises(PretrainedError) as refused:
        attention_zoo.load(tmp_path / "x.keras")
    assert str(refused.value).endswith(
        "x.keras takes raw texts, which need Keras on TensorFlow, and it runs on jax: "
        "set KERAS_BACKEND=tensorflow"
    )
