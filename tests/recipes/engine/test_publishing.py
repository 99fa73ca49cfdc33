"""Publication: whole or not at all, whatever happens in between."""

import os

import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.engine import publishing


@pytest.fixture
def entry(tmp_path):
    """An earlier publication `saved/words`."""
    folder = tmp_path / "saved" / "words"
    folder.mkdir(parents=True)
    (folder / "model.keras").write_text("old")
    (folder / "note.txt").write_text("old too")
    return folder


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def publish(folder, text="new"):
    with publishing.publication(folder.parent, folder.name) as staging:
        (staging / "model.keras").write_text(text)
        (staging / "saved_model").mkdir()


def test_a_new_folder_takes_the_old_ones_place(entry):
    publish(entry)
    assert names(entry) == ["model.keras", "note.txt", "saved_model"]
    assert (entry / "model.keras").read_text() == "new"
    assert names(entry.parent) == ["words"]
    assert entry.stat().st_mode & 0o777 == 0o755


def test_files_of_the_users_own_stay(entry):
    """Of what an earlier publication wrote and this one lacks, nothing does."""
    (entry / "plots").mkdir()
    (entry / "plots" / "mine.png").write_bytes(b"1")
    (entry / "data").symlink_to("/elsewhere")
    (entry / "lengths.png").write_bytes(b"2")
    (entry / "saved_model").mkdir()
    for name in ("saved_model.pb", "config.pbtxt"):
        (entry / "saved_model" / name).write_text("old")
    publish(entry)
    assert names(entry) == ["data", "model.keras", "note.txt", "plots", "saved_model"]
    assert (entry / "note.txt").read_text() == "old too"
    assert (entry / "plots" / "mine.png").read_bytes() == b"1"
    assert os.readlink(entry / "data") == "/elsewhere"
    assert names(entry / "saved_model") == ["config.pbtxt"]


def test_the_first_publication_makes_its_folders(tmp_path):
    publish(tmp_path / "a" / "b" / "words")
    assert names(tmp_path / "a" / "b") == ["words"]


def publish_half(folder, failure):
    with publishing.publication(folder.parent, folder.name) as staging:
        (staging / "model.keras").write_text("half")
        raise failure


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt, ValueError])
def test_a_failure_leaves_the_old_folder_whole(entry, failure, tmp_path):
    for folder in (entry, tmp_path / "other" / "words"):
        with pytest.raises(failure):
            publish_half(folder, failure())
    assert names(entry) == ["model.keras", "note.txt"]
    assert (entry / "model.keras").read_text() == "old"
    assert names(entry.parent) == ["words"]
    assert not (tmp_path / "other").exists()


def test_a_failing_rename_brings_the_old_folder_back(entry, monkeypatch):
    rename = os.rename

    def fail_on_the_new(source, target):
        if (source / "saved_model").exists():
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_on_the_new)
    with pytest.raises(OSError, match="Input/output"):
        publish(entry)
    assert (entry / "model.keras").read_text() == "old"
    assert names(entry.parent) == ["words"]


def test_what_a_killed_process_left_is_cleared_up(entry):
    """Not what another one is at work on, nor what is of another entry."""
    out = entry.parent
    for name in (".words.a1", ".work.c3"):
        (out / name).mkdir()
        (out / name / "model.keras").write_text("half")
    with publishing.publication(out, "words") as other:
        (other / "model.keras").write_text("later")
        publish(entry)
        assert names(out) == sorted([".work.c3", other.name, "words"])
    assert names(out) == [".work.c3", "words"]
    assert (entry / "model.keras").read_text() == "later"


def test_an_entry_that_was_moved_aside_comes_back(entry):
    aside = entry.parent / ".words.a1"
    aside.mkdir()
    os.rename(entry, aside / "previous")
    publishing.check_target(entry.parent, "words")
    assert (entry / "model.keras").read_text() == "old"
    assert names(entry.parent) == ["words"]


def test_other_folders_are_not_replaced(tmp_path):
    folder = tmp_path / "words"
    folder.mkdir()
    publishing.check_target(tmp_path, "words")  # an empty one is
    (folder / "thesis.txt").write_text("mine")
    for attempt in (publish, lambda f: publishing.check_target(f.parent, f.name)):
        with pytest.raises(UserError, match="words exists and holds none of model.ker"):
            attempt(folder)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file exists"):
        publish(tmp_path / "file")
    assert names(folder) == ["thesis.txt"]
    assert names(tmp_path) == ["file", "words"]


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="cannot write into .*file"):
        publish(tmp_path / "file" / "words")
