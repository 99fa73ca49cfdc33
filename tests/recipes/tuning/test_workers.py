"""The chief and its workers: all trials done, none twice, whatever becomes of one."""

import csv
import json
import os
import socket
import threading

from support import fake_training
import pytest

from attention_zoo.recipes.engine import trainer as _run

RECIPE = "attention_lstm_reviews"
SMOKE = ("tune", RECIPE, "--smoke", "--out", "out")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setattr(_run, "fit", fake_training.fit)


@pytest.fixture
def workers():
    from attention_zoo.recipes.tuning import workers as _tune_workers

    return _tune_workers


@pytest.fixture
def cluster(monkeypatch):
    """Sets the environment of a process of a cluster."""

    def join(name, port):
        monkeypatch.setenv("KERASTUNER_TUNER_ID", name)
        monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
        monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))

    return join


@pytest.fixture
def taken_port():
    """A port on which something listens that is no chief."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def make_tuner(tmp_path, trials=4):
    from attention_zoo.recipes.core import recipe as _recipe
    from attention_zoo.recipes.tuning import search as _tune_search

    recipe = _recipe.get_recipe(RECIPE)
    search = _tune_search.Search(
        recipe, (), "random", trials, 0, True, None, tmp_path / "out" / RECIPE
    )
    return _tune_search.Tuner(search)


def test_two_workers_one_of_them_killed(command, workers, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "PROGRAM", fake_training.PROGRAM)
    monkeypatch.setenv("FAKE_KILL", "trial 2")
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    code, out, err = command(*SMOKE, "--trials", 8, "--workers", 2)
    assert (code, err) == (0, "")
    assert "died in trial 2 (signal 9), another one takes its place" in out
    ends = sorted(line for line in fake_training.notes() if line.startswith("end"))
    assert ends == [f"end trial {i}" for i in range(8)]  # all, and none twice
    with open(f"out/{RECIPE}/trials.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["completed"] * 8
    for row in rows:  # exact, though messages carry 32 bits
        values = {k: float(row[k]) for k in ("units", "learning_rate", "dropout")}
        assert float(row["score"]) == fake_training.score_of(**values)
    results = [
        json.loads(
            (tmp_path / "out" / RECIPE / "state" / f"trial_{i}.json").read_text()
        )
        for i in range(8)
    ]
    assert len({result["worker"] for result in results}) > 1
    assert out.splitlines()[-2].startswith("The search ")


def test_workers_that_cannot_begin(refused, workers, command, monkeypatch):
    monkeypatch.setattr(workers, "PROGRAM", ("sh", "-c", "echo no disk >&2; exit 1"))
    code, _, err = command(*SMOKE, "--trials", 3, "--workers", 2)
    assert code == 2
    assert "ended with exit code 1: no disk" in err


def test_a_trial_that_loses_two_workers_has_failed(tmp_path):
    oracle = make_tuner(tmp_path).oracle
    first = oracle.create_trial("a")
    other = oracle.create_trial("b")
    assert oracle.release("a", "a died") == first.trial_id
    assert oracle.create_trial("c").trial_id == first.trial_id
    assert oracle.release("c", "c died") == first.trial_id
    assert oracle.release("c", "c died") is None
    assert oracle.trials[first.trial_id].status == "FAILED"
    assert oracle.trials[first.trial_id].message == "c died"
    assert oracle.create_trial("d").trial_id not in {first.trial_id, other.trial_id}
    oracle.create_trial("e")
    assert oracle.create_trial("f").status == "IDLE"  # b, d or e may yet be lost


def test_a_silent_worker_loses_its_trial(workers, tmp_path, monkeypatch):
    oracle = make_tuner(tmp_path).oracle
    trial = oracle.create_trial("a")
    servicer = workers.Servicer(oracle)
    assert not list(servicer.release_silent())
    monkeypatch.setattr(workers, "SILENT_SECONDS", -1)
    (message,) = servicer.release_silent()
    assert "worker a was silent" in message
    assert oracle.create_trial("b").trial_id == trial.trial_id


def test_a_cluster(command, workers, tmp_path, cluster, monkeypatch):
    tuner = make_tuner(tmp_path, trials=5)
    told = []
    chief = workers.Chief(tuner.oracle, "127.0.0.1:0")
    served = threading.Thread(target=chief.serve, args=(lambda: told.append(1),))
    served.start()
    cluster("worker 7", chief.port)
    monkeypatch.setenv("no_grpc_proxy", "127.0.0.1")
    assert command(*SMOKE, "--trials", 5)[0] == 0
    served.join(30)
    assert not served.is_alive()
    assert told
    ends = [line for line in fake_training.notes() if line.startswith("end")]
    assert ends == [f"end trial {i}" for i in range(5)]
    for trial in tuner.oracle.trials.values():
        values = trial.hyperparameters.values
        score = fake_training.score_of(**values)
        assert trial.score == pytest.approx(score, rel=1e-6)
        own = tmp_path / "out" / RECIPE / "state" / f"trial_{trial.trial_id}.json"
        assert json.loads(own.read_text())["score"] == score


def test_no_chief_answers(refused, workers, cluster, taken_port, command, monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.5)
    cluster("worker0", taken_port)
    code, _, err = command(*SMOKE)
    assert code == 2
    assert f"no chief answers at 127.0.0.1:{taken_port} after 0.5 s" in err
    assert not os.path.exists("out")


def test_a_busy_port(refused, cluster, taken_port):
    cluster("chief", taken_port)
    message = refused(*SMOKE)
    assert f"cannot listen on 127.0.0.1:{taken_port}" in message
    assert not os.path.exists("out")


def test_half_an_environment(refused, cluster, monkeypatch):
    cluster("chief", "http")
    assert "must be a port, received 'http'" in refused(*SMOKE)
    cluster("chief", 80)
    assert "unset KERASTUNER_TUNER_ID" in refused(*SMOKE, "--workers", 2)
    monkeypatch.delenv("KERASTUNER_ORACLE_IP")
    assert "set KERASTUNER_ORACLE_IP too" in refused(*SMOKE)
