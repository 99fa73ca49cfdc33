"""Predictions for texts: a file's name is no text."""

import types

import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.text import predictions


@pytest.mark.parametrize(
    ("file", "way"),
    [("x.txt", "< x.txt"), ("x.csv", "x.csv --text COLUMN --output FILE.csv")],
)
def test_a_file_is_no_text(tmp_path, monkeypatch, file, way):
    monkeypatch.chdir(tmp_path)
    entry = types.SimpleNamespace(name="words")
    predictions.refuse_files(entry, [file])  # as long as there is none
    (tmp_path / file).touch()
    with pytest.raises(UserError) as refused:
        predictions.refuse_files(entry, ["a film", file])
    assert str(refused.value) == f"{file} is a file: attention-zoo predict words {way}"
