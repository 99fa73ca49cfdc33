"""Training on several processes: what they compute, and what they refuse."""

import concurrent.futures
import json
import os
import re
import socket
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import host_training
from support.fresh import run_fresh

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.distributed import hosts as _hosts
from attention_zoo.recipes.distributed import launcher as _launch
from attention_zoo.recipes.distributed import rendezvous as _rendezvous
from attention_zoo.recipes.distributed.rendezvous import Meeting, parse_address
from attention_zoo.recipes.engine import checkpoints as _checkpoint

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


# === The meeting before the training ===


@pytest.fixture
def port():
    return _launch.free_port()


def attend(port, count, process, facts=None, block=None, seconds=2.0):
    """Meets the others and agrees with them; returns what is raised, or None."""
    try:
        meeting = Meeting(f"127.0.0.1:{port}", count, process, seconds)
        try:
            meeting.meet(facts or {})
            with meeting.agreeing():
                if block is not None:
                    block()
        finally:
            meeting.close()
    except UserError as error:
        return str(error)
    return None


def attend_together(*calls):
    """Returns what each of several calls of `attend` raises."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        started = [pool.submit(attend, *call) for call in calls]
        return [future.result() for future in started]


def test_processes_meet_and_begin(port):
    """Whoever comes first; a probe of the port is none of them."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        late = pool.submit(attend, port, 3, 2)
        first = pool.submit(attend, port, 3, 0)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert not first.done()
        other = pool.submit(attend, port, 3, 1)
        assert [late.result(), first.result(), other.result()] == [None] * 3
    socket.create_server(("127.0.0.1", port)).close()  # JAX has the port now


def test_ids_clash(port):
    errors = attend_together((port, 3, 0), (port, 3, 1), (port, 3, 1))
    message = "two processes have --process-id 1: each needs its own, from 0 to 2"
    assert errors == [message] * 3


def test_commands_differ(port):
    ours, theirs = {"settings": {"units": 3}}, {"settings": {"units": 5}}
    errors = attend_together((port, 2, 0, ours), (port, 2, 1, theirs))
    assert errors[0] == errors[1]
    assert "than process 0: units is 3, there 5" in errors[0]
    errors = attend_together((port, 2, 0), (port, 3, 1))
    assert "processes is 2, there 3" in errors[0]


def test_one_is_missing(port):
    errors = attend_together((port, 3, 0, None, None, 0.5), (port, 3, 2))
    message = (
        f"process 1 of 3 has not come to the coordinator 127.0.0.1:{port} in 0.5 s"
    )
    assert errors == [message] * 2


@pytest.mark.parametrize("culprit", [0, 1])
def test_an_error_of_one_ends_all(port, culprit):
    def fail():
        raise UserError("no such data set")

    blocks = [lambda: None] * 3
    blocks[culprit] = fail
    errors = attend_together(*((port, 3, i, None, blocks[i]) for i in range(3)))
    expected = [f"process {culprit}: no such data set"] * 3
    expected[culprit] = "no such data set"
    assert errors == expected


@pytest.mark.parametrize("gone", [0, 1])
def test_one_that_ends_is_missed(port, gone):
    def lost(process):
        meeting = Meeting(f"127.0.0.1:{port}", 2, process, 2)
        meeting.meet({})
        meeting.close()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(lost, gone)
        assert attend(port, 2, 1 - gone) == f"process {gone} has ended"


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_coordinator_that_does_not_answer(port, answer, monkeypatch):
    """Nothing listens, it listens and is silent, or it is something else."""
    monkeypatch.setattr(_rendezvous, "HELLO_SECONDS", 0.1)
    if answer is None:
        error = attend(port, 2, 1, seconds=0.5)
    else:
        with socket.create_server(("127.0.0.1", port)) as server:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                waiting = pool.submit(attend, port, 2, 1, None, None, 0.5)
                connection, _ = server.accept()
                connection.sendall(answer)
                if answer:
                    connection.close()
                error = waiting.result()
            connection.close()
    assert f"the coordinator 127.0.0.1:{port} has not answered in 0.5 s" in error
    assert ("Connection refused" if answer is None else "no process 0") in error


# === The command ===


@pytest.fixture
def refused_on_jax(refused, monkeypatch, tmp_path):
    """Runs a training that is refused as on JAX; nothing is written."""
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")

    def run(*flags):
        message = refused(*TRAIN, "--out", tmp_path / "out", *flags)
        assert not list(tmp_path.iterdir())
        return message

    return run


def place(port, process, count=2):
    return (
        "--coordinator", f"127.0.0.1:{port}", "--num-processes", count,
        "--process-id", process, "--coordinator-timeout", "0.3",
    )  # fmt: skip


def test_a_busy_port(refused_on_jax):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        message = refused_on_jax(*place(port, 0))
    assert f"process 0 cannot listen on port {port} of --coordinator 127.0" in message
    assert "in use" in message


def test_nobody_comes(refused_on_jax, port):
    message = refused_on_jax(*place(port, 0))
    assert "process 1 of 2 has not come to the coordinator 127.0.0.1" in message
    message = refused_on_jax(*place(port, 1))
    assert f"the coordinator 127.0.0.1:{port} has not answered in 0.3 s" in message


def test_a_kill_in_the_publication_needs_process_0_alone(command, port, tmp_path):
    """The others have ended; its runs are trained."""
    folder = _checkpoint.folder_of(tmp_path, RECIPE)
    folder.mkdir()
    words = (*TRAIN, "--resume", "--out", tmp_path, *place(port, 0))
    handed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.config, "backend", lambda: "jax")
        patch.setattr(_hosts, "hand_over", handed.append)
        (folder / "model-seed0.npz").write_bytes(b"")
        assert command(*words)[0] == 2  # the twin is not
        (folder / "no_attention-seed0.npz").write_bytes(b"")
        assert command(*words)[0] == 0
    assert handed == [[str(word) for word in words]]


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
        (place("x", 0), "--coordinator takes HOST:PORT, such as 10.0.0.1:12345, rec"),
        ((*place(1, 0, 3), "--set", "batch_size=50"), "not divide among 3 processes"),
    ],
)
def test_flags_that_do_not_fit(refused_on_jax, flags, message):
    assert message in refused_on_jax(*flags)


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "h:0", "h:65536", "a b:1"])
def test_addresses(text):
    assert parse_address("[::1]:80") == ("::1", 80)
    with pytest.raises(UserError, match=re.escape(f"received '{text}'")):
        parse_address(text)


def test_jax_trains_where_it_is_the_backend(refused, tmp_path, monkeypatch):
    arguments = (*TRAIN, "--out", tmp_path, "--distribute", "data_parallel")
    assert "it runs on tensorflow: set KERAS_BACKEND=jax" in refused(*arguments)
    monkeypatch.setattr(_launch.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'attention-zoo[recipes,jax]'" in refused(*arguments)


# === The launcher ===


def test_a_process_that_dies_ends_the_others(monkeypatch, refused):
    script = 'case "$*" in *"id 1 "*) echo no memory; kill -9 $$;; esac; sleep 60'
    monkeypatch.setattr(_launch._processes, "PROGRAM", ("bash", "-c", script, "x"))
    told = pytest.raises(UserError, _launch.launch, ["train"], 3).value
    assert "process 1 of 3 ended with signal 9, the others are stopped" in str(told)


def test_gpus_are_shared_out():
    assert _launch.share_out(["0", "1", "2", "3"], 2) == [["0", "1"], ["2", "3"]]
    assert _launch.share_out([], 2) == [None, None]
    with pytest.raises(UserError, match="3 GPUs do not divide among 2 processes"):
        _launch.share_out(["0", "1", "2"], 2)
    assert _launch.environment_of(["2", "3"])["CUDA_VISIBLE_DEVICES"] == "2,3"
