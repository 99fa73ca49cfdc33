"""The benchmarks run: a few steps of each that has a smoke run in this process."""

import pathlib
import runpy

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_vision_runs_and_its_blocks_agree(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(ROOT / "benchmarks" / "vision.py"))["main"]
    assert main(["--smoke"]) == 0
    assert "6 x 5 x 16" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())  # writes nothing


def test_decoding_runs_and_its_loops_agree(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(ROOT / "benchmarks" / "decoding.py"))["main"]
    assert main(["--smoke"]) == 0
    assert "rnn_translator: " in capsys.readouterr().out
    assert not list(tmp_path.iterdir())  # writes nothing
