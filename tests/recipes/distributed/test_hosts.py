"""Training on several processes: what they compute, and what they refuse."""

import concurrent.futures
import json
import os
import socket
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import host_training
from support.fresh import run_fresh

from attention_zoo.recipes.cli import main
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.distributed import launcher, processes
from attention_zoo.recipes.engine import entries
from attention_zoo.recipes.engine.execution import Options

RECIPE = "attention_lstm_reviews"
TRAIN = ("train", RECIPE, "--smoke", "--epochs", "2")


# === Two processes ===


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """The folder of the entry, the histories that were seen, and the output."""
    out = tmp_path_factory.mktemp("launched")
    settings = [word for text in host_training.SETTINGS for word in ("--set", text)]
    done = subprocess.run(
        [*host_training.PROGRAM, *TRAIN, *settings, "--launch", "2", "--out", out],
        env=os.environ | {"HOSTS_SEEN": str(out / "seen.json")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads((out / "seen.json").read_text())
    return out / RECIPE, seen, done.stdout


def test_two_processes_give_the_losses_of_one(launched):
    """With dropout and an odd batch; so does a training that is resumed."""
    _, seen, output = launched
    assert "data_parallel on 2 devices of 2 processes" in output
    assert "going on after epoch 1" in output
    assert [len(rows) for rows in seen] == [2] * 3
    for rows in zip(*seen, strict=True):
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            values = [row[key] for row in rows]
            assert values == pytest.approx([values[0]] * 3, abs=1e-4), key
    assert seen[0][0]["loss"] != seen[0][1]["loss"]


def test_the_entry_is_published_once_on_tensorflow(launched):
    entry, (_, _, resumed), output = launched
    card = json.loads((entry / "card.json").read_text(encoding="utf-8"))
    how = card["execution"]
    assert how.pop("backend").startswith("jax ")
    assert how == {"distribute": "data_parallel", "processes": 2}
    assert card["command"].endswith("--smoke --distribute data_parallel --launch 2")
    assert output.splitlines()[-1] == str(entry)
    assert output.count("Epoch 2/2") == 3  # process 1 is silent
    assert sorted(f.name for f in entry.parent.iterdir()) == [RECIPE, "seen.json"]
    rows = (entry / "history.csv").read_text(encoding="utf-8").splitlines()
    kept = [float(row.split(",")[4]) for row in rows if row.startswith("model,0")]
    assert kept == pytest.approx([row["loss"] for row in resumed], abs=1e-4)


def test_model_and_saved_model_agree(launched):
    entry, *_ = launched
    texts = tf.constant(["all in all the film was not good", "great"])
    model = keras.models.load_model(entry / "model.keras")
    served = tf.saved_model.load(str(entry / "saved_model"))
    expected = model(texts).numpy()
    np.testing.assert_allclose(served.serve(texts).numpy(), expected, atol=1e-6)
    assert expected.std() > 0


def test_a_model_that_is_split_between_two_devices():
    done = run_fresh(
        "from support import host_training; host_training.split_model()",
        KERAS_BACKEND="jax",
        XLA_FLAGS="--xla_force_host_platform_device_count=2 "
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    )
    (whole, halves), split = json.loads(done.stdout.splitlines()[-1])
    assert halves == pytest.approx(whole, abs=1e-4)
    assert whole[1] < whole[0]
    weights = [path for path, _ in split if path.endswith(("kernel", "embeddings"))]
    assert len(split) == 4 * len(weights)  # average and two moments of each
    assert "dense/kernel" in [path for path, shape in split if shape == [40, 3]]


# === What ends a training before it begins ===


def place(port, process, count=2, seconds="4"):
    return (
        "--coordinator", f"127.0.0.1:{port}", "--num-processes", count,
        "--process-id", process, "--coordinator-timeout", seconds,
    )  # fmt: skip


@pytest.fixture
def together(monkeypatch):
    """Starts processes side by side, which meet; returns how each ends."""
    monkeypatch.setattr(processes, "PROGRAM", host_training.MEET)

    def run(flags):
        how = ("--distribute", "data_parallel")
        words = [str(word) for word in (*TRAIN, *how, *flags)]
        options = Options.of(main.parse(words))
        with pytest.raises(UserError) as refused:
            launcher.launch(words, options)
        return str(refused.value)

    def start(*flags):
        with concurrent.futures.ThreadPoolExecutor(len(flags)) as pool:
            return list(pool.map(run, flags))

    return start


def test_a_busy_port(refused, tmp_path):
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        message = refused(*TRAIN, "--out", tmp_path / "out", *place(port, 0))
    assert f"process 0 cannot listen on port {port} of --coordinator 127.0" in message
    assert "in use" in message
    assert not list(tmp_path.iterdir())


def test_processes_that_do_not_come_and_ids_that_clash(together):
    alone, clash = launcher.free_port(), launcher.free_port()
    places = [place(clash, process, 3, "20") for process in (0, 1, 1)]
    errors = together(place(alone, 0), *places)
    missing = "processes have come to the coordinator 127.0.0.1"
    assert errors[0].startswith(f"not all 2 {missing}:{alone} in 4 s")
    assert errors[1].startswith(f"not all 3 {missing}:{clash} in 20 s")
    told = "two processes have --process-id 1: each needs its own, from 0 to 2"
    assert told in errors[2:]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "all have met"),
        (("--set", "units=5"), "process 1 has another command or other packages than"),
        (("--epochs", "7"), "process 1: no such folder"),
    ],
)
def test_processes_agree_or_end_with_one_line(together, flags, message):
    port = launcher.free_port()
    first, second = together(
        place(port, 0, 2, "90"), (*place(port, 1, 2, "90"), *flags)
    )
    assert first == second
    assert first.startswith(message)


def test_wrong_counts(together):
    port = launcher.free_port()
    first, second = together(place(port, 0, 2, "90"), place(port, 1, 3, "90"))
    assert first == second
    assert "processes is 2, there 3" in first


def test_a_kill_in_the_publication_needs_process_0_alone(
    monkeypatch, command, tmp_path
):
    """The others have ended; its runs are trained."""
    script = 'case "$*" in *--publish) exit 0;; esac; echo RegisterTask ' + (
        "DEADLINE_EXCEEDED >&2; kill -6 $$"
    )
    monkeypatch.setattr(processes, "PROGRAM", ("bash", "-c", script, "x"))
    folder = entries.hidden_of(tmp_path, RECIPE)
    folder.mkdir()
    words = (*TRAIN, "--out", tmp_path, *place(launcher.free_port(), 0))
    (folder / "model-seed0.npz").write_bytes(b"")
    assert command(*words, "--resume")[0] == 2  # the twin is not
    (folder / "no_attention-seed0.npz").write_bytes(b"")
    assert command(*words)[0] == 2
    assert command(*words, "--resume")[0] == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--launch", "0"), "--launch must be positive, received 0"),
        (("--launch=2", *place(1, 0)), "all processes on this machine: leave out --c"),
        (("--launch", "2", "--distribute", "mirrored"), "mirrored is of one process"),
        ((*place(1, 0), "--distribute", "model_parallel"), "_parallel is of one proc"),
        (("--launch", "2", "--deterministic"), "--deterministic is of TensorFlow"),
        (("--distribute", "data_parallel", "--no-jit"), "--no-jit is of TensorFlow"),
        (place(1, 2), "--process-id must be from 0 to 1 with --num-processes 2, re"),
        (place(1, -1), "--process-id must be from 0 to 1 with --num-processes 2, re"),
        (place(1, 0, 0), "--num-processes must be positive, received 0"),
        (("--num-processes", "2"), "go together: --coordinator is missing"),
        (("--coordinator", "a:1", "--process-id", "0"), "--num-processes is missing"),
        ((*place(1, 0)[:-1], "nan"), "--coordinator-timeout must be positive"),
        (place("x", 0), "--coordinator takes HOST:PORT, such as 10.0.0.1:12345, or"),
        (place(65536, 0), "received '127.0.0.1:65536'"),
        ((*place(1, 0, 3), "--set", "batch_size=50"), "not divide among 3 processes"),
    ],
)
def test_flags_that_do_not_fit(refused, tmp_path, flags, message):
    assert message in refused(*TRAIN, "--out", tmp_path / "out", *flags)
    assert not list(tmp_path.iterdir())


# === The launcher ===


def test_a_process_that_dies_ends_the_others(monkeypatch, command, tmp_path):
    script = 'case "$*" in *"id 1"*) echo no memory; kill -9 $$;; esac; sleep 60'
    monkeypatch.setattr(processes, "PROGRAM", ("bash", "-c", script, "x"))
    code, _, err = command(*TRAIN, "--out", tmp_path, "--launch", "2")
    assert code == 2
    *log, told = err.splitlines()
    assert log == ["[1] no memory"]
    assert "process 1 of 2 ended with signal 9, the others are stopped" in told


def test_gpus_are_shared_out():
    assert launcher.share_out(["0", "1", "2", "3"], 2) == [["0", "1"], ["2", "3"]]
    assert launcher.share_out([], 2) == [None, None]
    with pytest.raises(UserError, match="3 GPUs do not divide among 2 processes"):
        launcher.share_out(["0", "1", "2"], 2)
