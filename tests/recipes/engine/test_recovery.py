"""Trainings that are killed and go on; the folder of their checkpoints."""

import json

import keras
import numpy as np
import pytest
from support.fresh import run_fresh

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.engine import checkpoints, entries, trainer
from attention_zoo.recipes.engine.execution import Options

RECIPE = "attention_lstm_reviews"
PRINT = {"settings": {"units": 3, "splits": (1, 2)}, "recipe": "words"}


# === Killed trainings ===


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of the trainings, and what was seen after each kill."""
    scratch = tmp_path_factory.mktemp("killed")
    program = (
        "import sys; from support import killed_training\n"
        "killed_training.main(sys.argv[1])"
    )
    done = run_fresh(program, scratch)
    return scratch, json.loads(done.stdout.splitlines()[-1])


def test_every_kill_came(killed):
    _, seen = killed
    assert [code for _, code, *_ in seen] == [-9] * (len(seen) - 1) + [0], seen[-1]


def test_no_entry_is_ever_half_written(killed):
    _, seen = killed
    old, new = ["card.json", "model.keras"], [
        "README.md", "card.json", "history.csv", "model.keras", "saved_model",
    ]  # fmt: skip
    for name, _, folders, _, _ in seen:
        expected = {RECIPE: new if name in (None, "after the publication") else old}
        assert folders == ({} if name == "between the renames" else expected), name


def test_a_kill_loses_at_most_an_epoch(killed):
    _, seen = killed
    told = {name: text for name, *_, text in seen}
    said = {
        "in the first epoch": "no training to resume in",
        "in the second epoch": "no training to resume in",
        "in a checkpoint": "going on after epoch 1",
        "before a checkpoint's rename": "going on after epoch 1",
        "after it": "going on after epoch 1",
        "in the third epoch": "going on after epoch 2",
        "before the index's rename": "going on after epoch 1",  # epoch 2 was cut short
        "when a run is finished": "going on after epoch 3",
        "in the twin's third epoch": "model, seed 0, trained already",
        "in a baseline": "going on after epoch 2",
        "in the export": "no_attention, seed 0, trained already",
    }
    for name, text in said.items():
        assert text in told[name], name
    assert "epoch2.npz is damaged and not used" in told["before the index's rename"]
    assert "baseline bag_of_words" in told["in a baseline"]
    assert "baseline bag_of_words" not in told["in the export"]
    assert sum("is damaged" in text for text in told.values()) == 1


def test_the_last_two_epochs_are_kept(killed):
    held = {name: files for name, *_, files, _ in killed[1]}
    assert held["in the third epoch"] == [
        "model-seed0-epoch1.npz", "model-seed0-epoch2.npz", "training.json",
    ]  # fmt: skip
    assert held["in the twin's third epoch"] == [
        "model-seed0.npz", "no_attention-seed0-epoch1.npz",
        "no_attention-seed0-epoch2.npz", "training.json",
    ]  # fmt: skip
    assert held[None] == []


def test_the_result_is_that_of_the_training_without_kills(killed):
    scratch, seen = killed
    cards, histories, weights = [], [], []
    for folder in (scratch / "whole" / RECIPE, scratch / "killed" / RECIPE):
        cards.append(json.loads((folder / "card.json").read_text(encoding="utf-8")))
        rows = (folder / "history.csv").read_text(encoding="utf-8").splitlines()
        histories.append([row.rsplit(",", 1)[0] for row in rows])  # without seconds
        model = keras.models.load_model(folder / "model.keras")
        weights.append(model.get_weights())
        assert {layer.dtype_policy.name for layer in model.layers[1:]} == {"float32"}
    whole, resumed = cards
    assert histories[0] == histories[1]
    assert len(histories[0]) == 7
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for key in ("metrics", "accuracy_mean", "command", "settings", "parameters"):
        assert whole[key] == resumed[key]
    for name, row in whole["baselines"].items():
        for key in ("accuracy", "accuracy_mean"):
            assert row.get(key) == resumed["baselines"][name].get(key)
    how = {
        "deterministic": True,
        "precision": Options(mixed_precision=True).precision(),
        "jit": False,
    }
    assert whole["execution"] == how
    # The first kill came before a checkpoint: its process counts nowhere.
    starts = len(seen) - 1
    assert resumed["execution"] == how | {"starts": starts}
    flags = "--deterministic --mixed-precision --smoke --no-jit"
    assert resumed["command"].endswith(flags)


# === The folder ===


def make(folder, resume=False, **changes):
    return checkpoints.Checkpoints(folder, {**PRINT, **changes}, resume)


def test_nothing_is_written_before_the_first_checkpoint(tmp_path, capsys):
    first = make(tmp_path / "kept")
    assert not first.written
    assert first.load("run") is None
    first.close()
    assert not list(tmp_path.iterdir())
    first.save("run", {"a": [1, 0.1]}, {"weights": np.arange(3, dtype="uint32")})
    assert first.written
    assert capsys.readouterr().out == ""
    second = make(tmp_path / "kept")
    assert "holds an unfinished training: --resume continues it" in (
        capsys.readouterr().out
    )
    assert second.load("run") is None  # it starts anew
    facts, arrays = make(tmp_path / "kept", resume=True).load("run")
    assert facts == {"a": [1, 0.1]}
    assert arrays["weights"].tolist() == [0, 1, 2]
    assert arrays["weights"].dtype == "uint32"
    make(tmp_path / "kept", recipe="others")
    assert "unfinished training with other settings" in capsys.readouterr().out


def test_one_process_writes(tmp_path, capsys):
    first = make(tmp_path / "kept")
    first.save("run", {})
    second = make(tmp_path / "kept")
    second.save("other", {})
    first.save("run", {})
    first.close()
    names = sorted(file.name for file in (tmp_path / "kept").iterdir())
    assert names == ["other.npz", "training.json"]
    assert "another process writes" in capsys.readouterr().err
    second.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "others"}, "of another training: recipe was words, now others"),
        ({"settings": {"units": 5, "splits": (1, 2)}}, "units was 3, now 5"),
        ({"versions": {"keras": "4"}}, "versions was None, now"),
    ],
)
def test_another_training_is_refused(tmp_path, changes, message):
    make(tmp_path).save("run", {})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(UserError, match=message) as refused:
        make(tmp_path, resume=True, **changes)
    assert "no --resume to start anew" in str(refused.value)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_the_command_refuses_another_training(refused, tmp_path):
    folder = entries.hidden_of(tmp_path, RECIPE)
    make(folder).save("run", {})
    arguments = ("train", RECIPE, "--smoke", "--resume", "--out", tmp_path)
    assert "recipe was words, now attention_lstm_reviews" in refused(*arguments)
    (folder / "training.json").write_text("{")
    assert "training.json cannot be read" in refused(*arguments)
    assert (folder / "run.npz").exists()
    assert [file.name for file in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("damage", ["empty", "cut", "changed", "other"])
def test_a_damaged_checkpoint_counts_as_none(tmp_path, capsys, damage):
    kept = make(tmp_path)
    for epoch in (1, 2, 3):
        arrays = {"weights": np.full(1000, epoch)}
        kept.save_epoch("run", epoch, {"epoch": epoch}, arrays)
    file = tmp_path / "run-epoch3.npz"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1  # in the array
    damaged = {
        "empty": b"",
        "cut": content[:-9],
        "changed": content,
        "other": b"x" * 99,
    }
    file.write_bytes(damaged[damage])
    facts, arrays = make(tmp_path, resume=True).load_epoch("run")
    assert facts["epoch"] == 2
    assert (arrays["weights"] == 2).all()
    assert "warning" in capsys.readouterr().err
    (tmp_path / "run-epoch2.npz").write_bytes(b"")
    assert make(tmp_path, resume=True).load_epoch("run") is None


def test_a_full_disk_does_not_end_the_training(tmp_path, monkeypatch, capsys):
    kept = make(tmp_path)
    kept.save("run", {"epoch": 1})

    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        kept.save("run", {"epoch": 2})
    assert "no checkpoint written into" in capsys.readouterr().err
    assert kept.load("run")[0] == {"epoch": 1}
    assert sorted(f.name for f in tmp_path.iterdir()) == ["run.npz", "training.json"]


# === The flags ===


def test_the_flags_reach_the_training_and_the_command(command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where no model is in the way
    calls = []
    monkeypatch.setattr(trainer, "train", lambda *given: calls.append(given) or "x")
    command("train", RECIPE)
    command(
        "train", RECIPE, "--resume", "--jit", "--distribute", "mirrored",
        "--profile", "/logs/trace", "--tensorboard", "logs/all",
    )  # fmt: skip
    assert calls[0][6] == Options()
    assert calls[0][6].facts() == {}
    assert calls[1][6] == Options(
        resume=True, jit=True, distribute="mirrored",
        profile="/logs/trace", tensorboard="logs/all",
    )  # fmt: skip
    assert calls[1][5] == (
        f"attention-zoo train {RECIPE} --jit --distribute mirrored --profile trace "
        "--tensorboard logs/all"
    )


def test_logs_need_a_folder(refused, tmp_path):
    (tmp_path / "file").write_text("")
    arguments = ("train", RECIPE, "--smoke", "--out", tmp_path / "out")
    for flag in ("--profile", "--tensorboard"):
        message = refused(*arguments, flag, tmp_path / "file")
        assert "file is not a folder to write logs into" in message
    assert "invalid choice: 'twice'" in refused(*arguments, "--distribute", "twice")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_half_precision_is_for_training_alone():
    with Options(mixed_precision=True).scope():
        layer = keras.layers.Dense(3)
    assert layer.variable_dtype == "float32"
    assert layer.compute_dtype in ("float16", "bfloat16")
    assert keras.config.dtype_policy().name == "float32"
