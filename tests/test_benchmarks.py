"""The benchmarks run: a few steps of each that has a smoke run in this process."""

import importlib
import json
import os

import keras
import pytest

import attention_zoo


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Takes back the variables by which a race pins its threads."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_every_model_has_a_twin_in_pytorch_with_its_outputs(monkeypatch):
    pytest.importorskip("torch")
    pairs = importlib.import_module("benchmarks._model_pairs")
    blocks = importlib.import_module("benchmarks._torch_blocks")
    without = {"attention_convnet"}  # no recipe trains it
    assert set(pairs.ENTRIES) == set(attention_zoo.list_models()) - without
    for name in pairs.ENTRIES:
        kind, batch, config = pairs.settings(name, tiny=True)
        model, twin = pairs.make_pair(name, config)  # compares parameters
        sizes = kind, config, batch
        arrays, targets = pairs.make_data(*sizes, tiny=True, padded=True)
        assert blocks.count_flops(twin, pairs.to_torch(kind, arrays)) > 0
        if keras.backend.backend() == "tensorflow":  # elsewhere it compiles for long
            pairs.check_equal(kind, model, twin, arrays, targets, model)


@pytest.mark.parametrize(
    ("race", "words"),
    [
        ("models", "model attention_lstm, what inference, batch 1, shape tiny"),
        (
            "layers",
            "layer multi_head, what training, batch 2, T 24, against torch_sdpa",
        ),
        ("modules", "module SplitAttention, what training, batch 2, height 6"),
        ("growth", "attention attention, family sequence, time_exponent"),
        ("serving", "model attention_lstm, form saved_model --jit, batch 1, against"),
        ("inputs", "recipe attention_lstm_reviews, batch 64, batches 3"),
        ("imports", "program import attention_zoo, clock_s"),
        ("memory", "question short, kind dot, which keras, length 128"),
        ("vision", "block CBAM, batch 2, height 6, width 5, channels 16"),
        ("decoding", "core rnn_translator, sentences 3"),
    ],
)
def test_a_race_runs_and_outputs_agree(race, words, capsys, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"benchmarks.{race}")
    assert module.main(["--smoke", "--threads", "1"]) == 0
    assert words in capsys.readouterr().out
    assert not list(tmp_path.iterdir())  # writes nothing


def test_a_race_writes_what_it_measured(monkeypatch, tmp_path, capsys):
    method = importlib.import_module("benchmarks._method")
    monkeypatch.setattr(method, "RESULTS", tmp_path)

    def race(name, options):
        ratio = {"slow": 2.0, "fast": 0.5}[name]
        seconds = method.compare([ratio] * options.rounds, [1.0] * options.rounds)
        return [{"layer": name, "batch": 2, **seconds}]

    def kept(rows):
        return all(row["ratio"] < 1 for row in rows)

    main = method.Race("toy", "A toy.", race, ("slow", "fast"), rounds=3, kept=kept)
    assert main(["--only", "fast"]) == 0
    assert main(["--only", "slow"]) == 1  # and writes nothing
    assert main(["--only", "middle"]) == 2
    assert not list(tmp_path.iterdir())
    assert main(["--threads", "1", "--backend", "tensorflow"]) == 1
    assert (tmp_path / "toy.csv").read_text().splitlines() == [
        "layer,batch,ours_ms,other_ms,ratio,quartile_1,quartile_3",
        "slow,2,2000.0,1000.0,2.0,2.0,2.0",
        "fast,2,500.0,1000.0,0.5,0.5,0.5",
    ]
    about = json.loads((tmp_path / "toy.json").read_text())
    assert (about["threads"], about["rounds"]) == (1, 3)
    assert (tmp_path / "toy.png").stat().st_size > 1000
    assert "layer fast, batch 2, ours_ms 500.0" in capsys.readouterr().out
