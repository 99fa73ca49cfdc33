"""Trained models that lie in a folder, at a web address or in nobody's reach."""

import concurrent.futures
import functools
import hashlib
import http.server
import json
import pathlib
import shutil
import threading

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo import remote
from attention_zoo.pretrained import PretrainedError, find

IDS = np.array([[2, 3, 5, 7], [11, 1, 0, 0]])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder that holds the whole entry."""
    model = attention_zoo.create(
        "attention_lstm", vocabulary_size=23, embedding_dim=5, units=7
    )
    folder = tmp_path_factory.mktemp("place") / "tiny_words"
    folder.mkdir()
    model.save(folder / "model.keras")
    data = (folder / "model.keras").read_bytes()
    card = {"recipe": "tiny_words", "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "card.json").write_text(json.dumps(card))
    return folder.parent


@pytest.fixture
def card_alone(place, tmp_path, monkeypatch):
    """The entry's folder in `./saved_models` without its model, and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(remote.CACHE, str(tmp_path / "cache"))
    monkeypatch.delenv(remote.PLACE, raising=False)
    folder = tmp_path / "saved_models" / "tiny_words"
    folder.mkdir(parents=True)
    shutil.copy(place / "tiny_words" / "card.json", folder)
    return folder


@pytest.fixture
def address(place, tmp_path):
    """An address that serves a copy of the place, the copy, and what was asked for."""
    copy, asked = shutil.copytree(place, tmp_path / "served"), []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, form, *values):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=copy)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", copy, asked
    server.shutdown()


def refused(match, place=None):
    with pytest.raises(PretrainedError, match=match) as caught:
        attention_zoo.download("tiny_words", place)
    assert len(str(caught.value).splitlines()) == 1


def kept(tmp_path):
    """Returns what lies in the cache."""
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_folder_is_read_where_it_lies(card_alone, place, tmp_path, monkeypatch):
    monkeypatch.setenv(remote.PLACE, str(place))
    assert attention_zoo.download("tiny_words") == place / "tiny_words" / "model.keras"
    model = attention_zoo.load("tiny_words")
    whole = keras.models.load_model(place / "tiny_words" / "model.keras")
    np.testing.assert_array_equal(*(m.predict(IDS, verbose=0) for m in (model, whole)))
    assert not kept(tmp_path)


def test_an_address_is_asked_once(card_alone, address, place, tmp_path):
    at, _, asked = address
    path = attention_zoo.download("tiny_words", at)
    expected = (place / "tiny_words" / "model.keras").read_bytes()
    assert path.read_bytes() == expected
    assert kept(tmp_path) == [path]
    assert attention_zoo.download("tiny_words", at + "/") == path
    assert asked == ["/tiny_words/model.keras"]


def test_what_lies_here_is_taken_from_here(card_alone, place):
    shutil.copy(place / "tiny_words" / "model.keras", card_alone)
    path = attention_zoo.download("tiny_words", "http://127.0.0.1:9")
    assert path.resolve() == card_alone / "model.keras"


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_another_file_is_refused_and_not_kept(card_alone, address, tmp_path, damage):
    at, copy, _ = address
    file = copy / "tiny_words" / "model.keras"
    data = file.read_bytes()
    file.write_bytes(data[:-7] if damage == "truncated" else b"7" + data[1:])
    refused("truncated or altered, or of another version", at)
    assert not kept(tmp_path)
    refused("truncated or altered, or of another version", copy)
    file.write_bytes(data)
    assert attention_zoo.download("tiny_words", at).read_bytes() == data


def test_a_file_in_the_cache_that_was_altered_is_loaded_again(card_alone, address):
    at, _, asked = address
    path = attention_zoo.download("tiny_words", at)
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    assert attention_zoo.download("tiny_words", at).read_bytes() == data
    assert len(asked) == 2


def test_many_at_once(card_alone, address, place, tmp_path):
    at = address[0]
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        found = pool.map(lambda _: attention_zoo.download("tiny_words", at), range(5))
    expected = (place / "tiny_words" / "model.keras").read_bytes()
    assert {path.read_bytes() for path in found} == {expected}
    assert len(kept(tmp_path)) == 1


def test_places_out_of_reach(card_alone, address, tmp_path, monkeypatch):
    refused("tiny_words has no model.keras here. Set ATTENTION_ZOO_PLACE")
    refused("There is no file .*nowhere/tiny_words/model.keras", tmp_path / "nowhere")
    at, copy, _ = address
    (copy / "tiny_words" / "model.keras").unlink()
    refused("cannot be reached or kept: 404", at)
    refused("cannot be reached or kept", "http://127.0.0.1:9")
    (tmp_path / "file").touch()
    monkeypatch.setenv(remote.CACHE, str(tmp_path / "file" / "cache"))
    refused("cannot be reached or kept: .*Not a directory", at)


def test_push_and_back(card_alone, place, tmp_path):
    whole = find(place / "tiny_words")
    target = tmp_path / "a" / "mirror"
    for _ in range(2):  # the second replaces the first
        assert remote.push(whole.folder, target) == str(target / "tiny_words")
        path = attention_zoo.download("tiny_words", target)
        assert path == target / "tiny_words" / "model.keras"
    assert [path.name for path in target.iterdir()] == ["tiny_words"]


def test_places_that_take_no_push(place, tmp_path):
    folder = place / "tiny_words"
    for target, match in (
        ("https://example.com/models", "takes no files: push to a folder"),
        (place, "is the folder that would be copied"),
        (tmp_path / "file" / "in", "cannot be reached or kept: .*Not a directory"),
    ):
        (tmp_path / "file").touch()
        with pytest.raises(PretrainedError, match=match):
            remote.push(folder, target)
    assert pathlib.Path(folder / "model.keras").is_file()
