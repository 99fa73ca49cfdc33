"""Cards with any field changed: each command gives an answer or one line."""

import json
import pathlib

import pytest
from PIL import Image

import attention_zoo
from attention_zoo.pretrained import Entry, load
from attention_zoo.recipes.cli import commands
from attention_zoo.recipes.cli.show import card_lines
from attention_zoo.recipes.tasks import TASKS

ENTRIES = pathlib.Path(__file__).resolve().parents[3] / "saved_models"
GONE = object()
VALUES = [
    GONE, None, True, "x", -3, 2.5, 10**30, [], ["x", 1], {}, {"x": {}},
    {"quantiles": ["x"]},
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "inputs", "read"),
    [
        ("attention_lstm_reviews", "a good film", ("predict", "explain")),
        ("cbam_resnet_digits", "x.png", ("predict", "explain")),
        ("attention_forecaster_climate", "x.csv", ("predict", "explain")),
        # The search of a translator takes longer than all the rest.
        ("rnn_translator_dates", "a good film", ("predict",)),
    ],
)
def test_a_changed_card(command, tmp_path, monkeypatch, name, inputs, read):
    """`list` and `show` read all fields, `predict` and `explain` those of the kind.

    The model is opened once, and what runs it stands for an answer: a card must be
    refused before, or fit.
    """
    model, card = load(name), json.loads((ENTRIES / name / "card.json").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Entry, "load", lambda self: model)
    monkeypatch.setattr(commands, "write_picture", lambda *arguments: None)
    explain, told = attention_zoo.explain, {}

    def explain_once(model, inputs, class_names=None, **options):
        key = repr(class_names)
        if key not in told:
            told[key] = explain(model, inputs, class_names=class_names, **options)
            monkeypatch.setattr(type(told[key]), "plot", lambda *arguments: None)
        return told[key]

    monkeypatch.setattr(attention_zoo, "explain", explain_once)
    folder = tmp_path / "saved_models" / "mixed"
    folder.mkdir(parents=True)
    (folder / "model.keras").touch()
    Image.new("L", (8, 8)).save("x.png")
    if inputs == "x.csv":
        write_series(card)
    own = {"kind", "settings", *TASKS[card["kind"]].facts}
    for field in sorted({*card} - {"sha256"} | own):
        for value in [*VALUES, *(TASKS if field == "kind" else [])]:
            changed = {k: v for k, v in card.items() if k != field}
            changed |= {} if value is GONE else {field: value}
            (folder / "card.json").write_text(json.dumps(changed))
            lines = card_lines("mixed")  # what `list` and `show` print
            assert lines and all(isinstance(line, str) for line in lines)  # noqa: PT018
            if lines[0].startswith("unusable"):
                assert f"the field {field}" in lines[0]
            for name in read if field in own else ():
                code, out, err = command(name, "mixed", inputs)
                said = f"{name} {field} {value}: {out} {err}"
                assert code in (0, 2), said
                assert out if code == 0 else err.count("\n") == 1, said
                if code:
                    assert err.startswith("attention-zoo: error: "), said


def write_series(card):
    """Writes a CSV file with as many rows as a forecast takes."""
    import numpy as np

    rows = [",".join(["date", *card["variates"]])]
    for i in range(card["lookback"]):
        seconds = np.timedelta64(i * card["step_seconds"], "s")
        stamp = np.datetime64("2020-01-01T00:00:00") + seconds
        values = [str(i % 7)] * len(card["variates"])
        rows.append(",".join([str(stamp).replace("T", " "), *values]))
    pathlib.Path("x.csv").write_text("\n".join(rows) + "\n")
