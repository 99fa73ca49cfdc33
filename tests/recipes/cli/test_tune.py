"""`attention-zoo tune`: the table, the winner, failures, `--resume`, the folder."""

import csv
import dataclasses
import fcntl
import json
import os
import pathlib
import signal
import subprocess

import numpy as np
import pytest
from support import fake_training

from attention_zoo.recipes import attention_lstm_reviews
from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.distributed import processes
from attention_zoo.recipes.engine import trainer

RECIPE = "attention_lstm_reviews"
NAMES = ["units", "learning_rate", "dropout"]
SMOKE = ("tune", RECIPE, "--smoke", "--out", "out")
TUNERS = ("--tuner=random", "--tuner=hyperband", "--tuner=bayesian")
OPTUNA = "--engine=optuna"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    return tmp_path


@pytest.fixture
def wrong(monkeypatch):
    """Makes trainings take no time; what goes wrong in one, by its label."""
    monkeypatch.setattr(trainer, "fit", fake_training.fit)
    monkeypatch.setattr(fake_training, "wrong", {})
    return fake_training.wrong


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out" / RECIPE


def table(folder):
    """Returns the rows of trials.csv as dicts."""
    with open(folder / "trials.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("how", [*TUNERS, OPTUNA])
@pytest.mark.usefixtures("wrong")
def test_the_table_and_the_winner(command, folder, how):
    code, out, _ = command(*SMOKE, how, "--trials", 12, "--max-epochs", 9)
    assert code == 0
    rows = table(folder)
    columns = ["trial", "status", *NAMES, "score", "epochs", "seconds", "error"]
    assert list(rows[0]) == columns
    assert [row["trial"] for row in rows] == [str(i) for i in range(12)]
    assert {row["status"] for row in rows} == {"completed"}
    assert [rows[0][name] for name in NAMES] == ["32", "0.005", "0.1"]
    assert rows[0]["epochs"] == "9"
    for row in rows:
        values = {name: float(row[name]) for name in NAMES}
        assert float(row["score"]) == fake_training.score_of(**values)
    tried = {(row["epochs"], *(row[name] for name in NAMES)) for row in rows}
    assert len(tried) == 12
    assert ({row["epochs"] for row in rows} == {"9"}) == (how != "--tuner=hyperband")
    best = max(rows, key=lambda row: float(row["score"]))
    config = json.loads((folder / "best.json").read_text())
    assert config.pop("recipe") == RECIPE
    assert {key: f"{value:g}" for key, value in config.items()} == {
        name: f"{float(best[name]):g}" for name in [*NAMES, "epochs"]
    }
    told = out.splitlines()[-2]
    gain = float(best["score"]) - float(rows[0]["score"])
    assert told == (
        f"The search beat the recipe's defaults: val_accuracy "
        f"{float(best['score']):.6g} (trial {best['trial']}) against val_accuracy "
        f"{float(rows[0]['score']):.6g} (trial 0), better by {gain:.3g}."
    )
    assert f"**{told}**" in (folder / "README.md").read_text()
    assert not list(folder.rglob(".*"))


@pytest.mark.usefixtures("wrong")
def test_a_seed_gives_the_same_trials(command, folder, tmp_path):
    tables = []
    for seed, out in ((3, "a"), (3, "b"), (4, "c")):
        command(*SMOKE[:3], "--out", out, "--trials", 4, "--seed", seed)
        rows = table(tmp_path / out / RECIPE)
        tables.append([[row[name] for name in NAMES] for row in rows])
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]


def test_real_trainings_touch_no_test_split(command, folder, monkeypatch):
    fit, splits = trainer.fit, set()

    def watched(recipe, pipeline, seed, label, callbacks):
        run = fit(recipe, pipeline, seed, label, callbacks=callbacks)
        splits.update(pipeline.splits)
        logs = run.history[run.epoch - 1]
        assert run.score[0] == logs["val_accuracy"]
        return run

    monkeypatch.setattr(trainer, "fit", watched)
    sizes = ["--set", "embedding_dim=3", "--set", "units=4", "--set", "max_length=5"]
    code, out, _ = command(*SMOKE, "--trials", 2, "--max-epochs", 1, *sizes)
    assert code == 0
    assert splits == {"train", "validation"}
    rows = table(folder)
    assert "units" not in rows[0]
    assert all(0 <= float(row["score"]) <= 1 for row in rows)
    config = json.loads((folder / "best.json").read_text())
    assert (config["units"], config["embedding_dim"], config["epochs"]) == (4, 3, 1)
    assert "defaults with embedding_dim=3 units=4 max_length=5" in out


# === Failures ===


def test_failed_trials_are_recorded_and_the_search_goes_on(command, folder, wrong):
    for i in (1, 2, 3, 4):
        wrong[f"trial {i}"] = ValueError(f"no\nway {i}")
    wrong["trial 6"] = float("nan")
    code, out, _ = command(*SMOKE, "--tuner", "bayesian", "--trials", 9)
    assert code == 0
    rows = table(folder)
    status = [row["status"] for row in rows]
    assert (
        status
        == ["completed", *["failed"] * 4, "completed", "diverged"] + ["completed"] * 2
    )
    assert rows[3]["error"] == "no way 3"
    assert rows[6]["error"] == "diverged: val_loss nan"
    assert not rows[6]["score"]
    assert "trial 3, 4 of 9: failed: no way 3" in out
    assert "4 failed" in (folder / "README.md").read_text()


def test_failed_defaults_are_said(command, wrong):
    wrong["trial 0"] = ValueError("no")
    out = command(*SMOKE, "--trials", 2)[1]
    assert "Nothing to compare with: the recipe's defaults (trial 0) are failed" in out


def test_no_trial_completed(command, wrong):
    for i in range(3):
        wrong[f"trial {i}"] = ValueError("no way")
    code, _, err = command(*SMOKE, "--trials", 3)
    assert code == 2
    assert "none of 3 trials was completed" in err
    assert "no way" in err


@pytest.mark.usefixtures("wrong")
def test_a_search_that_does_not_beat_the_defaults(command, monkeypatch, folder):
    def space(hp):
        return {"units": hp.Choice("units", [16, 32])}

    monkeypatch.setattr(attention_lstm_reviews, "space", space)
    out = command(*SMOKE, "--trials", 9)[1]
    assert [row["units"] for row in table(folder)] == ["32", "16"]  # no more exist
    assert "The search did not beat the recipe's defaults: val_accuracy 0.642 " in out
    assert "the best of the others is val_accuracy 0.626 (trial 1)" in out
    assert json.loads((folder / "best.json").read_text())["units"] == 32


@pytest.mark.usefixtures("wrong")
def test_defaults_outside_the_space_and_conditions(command, monkeypatch, folder):
    def space(hp):
        units = hp.Choice("units", [3, 5, 7])
        with hp.conditional_scope("units", [5, 7]):
            dropout = hp.Float("dropout", 0.0, 0.3) if units > 3 else 0.4
        return {"units": units, "dropout": dropout}

    monkeypatch.setattr(attention_lstm_reviews, "space", space)
    assert command(*SMOKE, "--tuner", "bayesian", "--trials", 9)[0] == 0
    rows = table(folder)
    assert rows[0]["units"] == "32"
    assert float(rows[0]["score"]) == fake_training.score_of(5e-3, 0.1, 32)
    assert {row["units"] for row in rows[1:]} <= {"3", "5", "7"}
    for row in rows[1:]:
        dropout = float(row["dropout"] or 0.4)
        assert (dropout == 0.4) == (row["units"] == "3")
        score = fake_training.score_of(5e-3, dropout, int(row["units"]))
        assert float(row["score"]) == score


# === Resuming ===


@pytest.mark.parametrize("how", ["--tuner=random", "--tuner=hyperband", OPTUNA])
def test_ctrl_c_and_resume_end_as_one_search(command, folder, wrong, how):
    options = [how, "--max-epochs", 3]
    wrong["trial 3"] = KeyboardInterrupt()
    code, out, err = command(*SMOKE, "--trials", 7, *options)
    assert (code, err) == (130, "attention-zoo: error: interrupted\n")
    assert "--resume goes on" in out
    assert len(table(folder)) == 3
    wrong.clear()
    assert command(*SMOKE, "--trials", 7, *options, "--resume")[0] == 0
    starts = [line for line in fake_training.notes() if line.startswith("start")]
    assert starts == [f"start trial {i}" for i in (0, 1, 2, 3, 3, 4, 5, 6)]
    uninterrupted = ["--smoke", "--out", "whole", "--trials", 7, *options]
    command("tune", RECIPE, *uninterrupted)
    both = [table(folder), table(folder.parents[1] / "whole" / RECIPE)]
    first, second = ([{**row, "seconds": 0} for row in rows] for rows in both)
    assert first == second
    # A finished search: nothing is run again, but more trials may be asked for.
    before = len(fake_training.notes())
    out = command(*SMOKE, "--trials", 7, *options, "--resume")[1]
    assert "all trials had been run" in out
    assert len(fake_training.notes()) == before
    command(*SMOKE, "--trials", 8, *options, "--resume")
    assert len(table(folder)) == 8
    assert len(fake_training.notes()) == before + 2


@pytest.mark.usefixtures("wrong")
def test_resume_after_sigkill(command, folder, refused):
    words = [str(word) for word in (*SMOKE, "--trials", 5)]
    killed = subprocess.run(
        [*fake_training.PROGRAM, *words],
        env={**os.environ, "FAKE_KILL": "trial 2"},
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = table(folder)
    assert [row["trial"] for row in before] == ["0", "1"]
    assert "out/attention_lstm_reviews holds 3 trials" in refused(*words)
    assert command(*words, "--resume")[0] == 0
    starts = [line for line in fake_training.notes() if line.startswith("start")]
    assert starts == [f"start trial {i}" for i in (0, 1, 2, 2, 3, 4)]
    rows = table(folder)
    assert rows[:2] == before
    assert [row["status"] for row in rows] == ["completed"] * 5


@pytest.mark.usefixtures("wrong")
def test_another_search_is_refused(command, refused, folder, monkeypatch, digests):
    assert command(*SMOKE, "--trials", 2)[0] == 0
    before = digests(folder)
    message = refused(*SMOKE, "--trials", 5)
    assert "holds 2 trials: --resume goes on with them" in message
    resume = [*SMOKE, "--trials", 5, "--resume"]
    message = refused(*resume, "--tuner", "bayesian")
    assert (
        "out/attention_lstm_reviews holds another search: tuner was random" in message
    )
    assert "seed was 0, now 1" in refused(*resume, "--seed", 1)
    assert "epochs was 3, now 5" in refused(*resume, "--max-epochs", 5)
    assert "set was [], now ['units']" in refused(*resume, "--set", "units=3")
    words = [word for word in resume if word != "--smoke"]
    assert "smoke was True, now False" in refused(*words)
    with monkeypatch.context() as patch:
        patch.setattr("attention_zoo.__version__", "7.7.7")
        assert "attention_zoo was 0.1.0" in refused(*resume)

    def space(hp):
        return {"dropout": hp.Float("dropout", 0.0, 0.9), **old(hp)}

    old = attention_lstm_reviews.space
    monkeypatch.setattr(attention_lstm_reviews, "space", space)
    assert "max_value was 0.5, now 0.9" in refused(*resume)
    assert digests(folder) == before


@pytest.mark.usefixtures("wrong")
def test_folders_that_hold_something_else(refused, folder):
    folder.mkdir(parents=True)
    (folder / "letter").write_text("dear")
    assert "holds no search of" in refused(*SMOKE)
    (folder / "state").mkdir()
    for content in ("", "{}", '{"trials": [{', '{"trials": [{}]}', '{"trials": [1]}'):
        (folder / "state" / "search.json").write_text(content)
        assert "search.json cannot be read" in refused(*SMOKE, "--resume")
    assert (folder / "letter").read_text() == "dear"


@pytest.mark.usefixtures("wrong")
def test_one_search_at_a_time(refused, command, folder):
    assert command(*SMOKE, "--trials", 1)[0] == 0
    with open(folder / "state" / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        message = refused(*SMOKE, "--trials", 2, "--resume")
    assert message == "another process searches in out/attention_lstm_reviews"
    assert command(*SMOKE, "--trials", 2, "--resume")[0] == 0


@pytest.mark.usefixtures("wrong")
def test_a_full_disk_ends_the_search(command, folder, monkeypatch):
    replace = os.replace

    def full(source, target):
        content = pathlib.Path(source).read_text()
        if target.name == "search.json" and len(json.loads(content)["trials"]) > 2:
            raise OSError(28, "No space left on device", str(target))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        code, _, err = command(*SMOKE, "--trials", 5)
    assert code == 2
    assert "No space left on device: out" in err
    assert command(*SMOKE, "--trials", 5, "--resume")[0] == 0
    assert [row["status"] for row in table(folder)] == ["completed"] * 5


@pytest.mark.usefixtures("wrong")
def test_resume_without_a_search_begins_one(command, folder):
    code, out, _ = command(*SMOKE, "--trials", 1, "--resume")
    assert code == 0
    assert "nothing to resume in out" in out
    assert len(table(folder)) == 1


# === Workers ===


def test_two_workers_one_of_them_killed(command, folder, monkeypatch):
    monkeypatch.setattr(processes, "PROGRAM", fake_training.PROGRAM)
    monkeypatch.setenv("FAKE_KILL", "trial 2")
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    code, out, err = command(*SMOKE, "--trials", 8, "--workers", 2)
    assert (code, err) == (0, "")
    assert "died in trial 2 (signal 9), another one takes its place" in out
    ends = sorted(line for line in fake_training.notes() if line.startswith("end"))
    assert ends == [f"end trial {i}" for i in range(8)]  # all, and none twice
    rows = table(folder)
    assert [row["status"] for row in rows] == ["completed"] * 8
    for row in rows:
        values = {name: float(row[name]) for name in NAMES}
        assert float(row["score"]) == fake_training.score_of(**values)
    assert len({trial.workers[-1] for trial in make_search(folder=folder).trials()}) > 1
    assert out.splitlines()[-2].startswith("The search ")


def test_workers_that_cannot_begin(command, monkeypatch):
    program = ("sh", "-c", "echo no disk >&2; exit 1")
    monkeypatch.setattr(processes, "PROGRAM", program)
    code, _, err = command(*SMOKE, "--trials", 3, "--workers", 2)
    assert code == 2
    assert "ended with exit code 1: no disk" in err


def test_a_trial_that_loses_two_processes_has_failed(folder):
    """And its values are not tried again."""
    search = make_search(folder=folder)
    search.check_folder(resume=False)
    assert search.open() == 0
    for attempt in range(2):
        with search.claim(f"worker{attempt}") as (lost, _):
            assert (lost.number, lost.attempts) == (0, attempt + 1)
            with search.claim("other") as (other, _):
                assert other.number == 1
    with search.claim("worker2") as (third, _):
        assert third.number == 2
        search.finish(dataclasses.replace(third, status="completed", score=0.5))
    failed, _, completed = search.trials()
    assert (failed.status, failed.error) == ("failed", "its process worker1 died")
    assert completed.score == 0.5
    assert search.open() == 3


@pytest.mark.usefixtures("wrong")
def test_a_process_that_joins_a_search(command, folder, refused):
    search = make_search(folder=folder)
    search.open()
    message = refused(*SMOKE, "--worker", "second", "--seed", 1)
    assert "holds another search: seed was 0, now 1" in message
    assert command(*SMOKE, "--trials", 3, "--worker", "second")[0] == 0
    assert [trial.workers for trial in search.trials()] == [["second"]] * 3


@pytest.mark.usefixtures("wrong")
def test_a_hopeless_trial_is_stopped(monkeypatch, folder):
    """Optuna's median pruner, which knows the epochs of trials that have ended."""
    search = dataclasses.replace(make_search(folder=folder), tuner="optuna", wanted=7)
    search.open()
    for i in range(6):
        with search.claim("one") as (trial, stop):
            scores = [0.5, 0.6 + i / 100, 0.7]
            assert not any(stop(score, i) for i, score in enumerate(scores))
            ended = {"status": "completed", "score": 0.7, "scores": scores}
            search.finish(dataclasses.replace(trial, **ended))
    with search.claim("one") as (_, stop):
        assert [stop(score, i) for i, score in enumerate([0.1, 0.2])] == [False, True]


# === Arguments ===


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trials", "0"], "--trials must be positive, received 0"),
        (["--max-epochs", "0"], "--max-epochs must be positive"),
        (["--workers", "0"], "--workers must be positive"),
        (["--seed", "-1"], "--seed must not be negative"),
        (["--tuner", "grid"], "argument --tuner: invalid choice: 'grid'"),
        (["--set", "unts=3"], "unknown --set key 'unts'. Did you mean units"),
        ([OPTUNA, "--tuner=random"], "--tuner random is of keras-tuner: leave out"),
        (["--worker", "a"], "no search has begun in out/attention_lstm_reviews"),
        (["--max-epoch", "3"], "unknown option of tune '--max-epoch'. Did you mean"),
        (
            ["--set", "units=3", "--set", "dropout=0.1", "--set", "learning_rate=0.1"],
            "--set leaves nothing to tune in attention_lstm_reviews",
        ),
    ],
)
def test_bad_arguments(refused, options, message, tmp_path):
    assert message in refused(*SMOKE, *options)
    assert not list(tmp_path.iterdir())


def test_no_data(refused, tmp_path):
    words = ["tune", RECIPE, "--set", "dataset=no_such_words"]
    assert refused(*words) == "TFDS has no dataset 'no_such_words'"
    assert not list(tmp_path.iterdir())


def test_a_space_with_an_unknown_setting(refused, monkeypatch):
    def space(hp):
        return {"unts": hp.Choice("unts", [1, 2])}

    monkeypatch.setattr(attention_lstm_reviews, "space", space)
    assert "unknown setting in the space of attention_lstm_reviews 'unts'" in refused(
        *SMOKE
    )


@pytest.mark.usefixtures("wrong")
def test_train_best(command, folder, monkeypatch):
    calls = []
    monkeypatch.setattr(trainer, "train", lambda *given, **more: calls.append(given))
    words = [*SMOKE, "--trials", 4, "--seed", 5, "--train-best"]
    assert command(*words)[0] == 0
    config = json.loads((folder / "best.json").read_text())
    recipe, seeds = calls[0][:2]
    assert list(seeds) == [5]
    assert {key: recipe.settings()[key] for key in NAMES} == {
        key: config[key] for key in NAMES
    }


@pytest.mark.usefixtures("wrong")
def test_own_data(command, empty_folder, monkeypatch):
    """A model is enough for a space; the winner is trained on the same file."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(empty_folder / "tfds"))
    lines = [f"text {i} is {'good' if i % 2 else 'bad'},{i % 2}" for i in range(60)]
    (empty_folder / "films.csv").write_text("said,stars\n" + "\n".join(lines) + "\n")
    given = ["--data", "films.csv", "--text", "said", "--label", "stars"]
    calls = []
    monkeypatch.setattr(trainer, "train", lambda *args, **more: calls.append(args))
    words = ["tune", "attention_lstm", *given, "--trials", 4, "--max-epochs", 2]
    code, out, _ = command(*words, "--out", "out", "--train-best")
    assert code == 0
    rows = table(empty_folder / "out" / "films")
    assert len(rows) == 4
    assert {row["units"] for row in rows} <= {"16", "32", "64"}
    assert [rows[0][name] for name in NAMES] == ["32", "0.003", "0.5"]
    config = json.loads((empty_folder / "out/films/best.json").read_text())
    assert config["recipe"] == "films"
    recipe = calls[0][0]
    assert recipe.dataset.startswith("own_films_")
    assert recipe.learning_rate == config["learning_rate"]
    readme = (empty_folder / "out/films/README.md").read_text()
    train = f"attention-zoo train attention_lstm {' '.join(given)} --config"
    assert train in readme


# === Parts ===


def make_search(name=RECIPE, folder=pathlib.Path("none")):
    from attention_zoo.recipes.tuning.search import Search

    return Search(_recipe.get_recipe(name), (), "random", 5, 0, True, None, folder)


@pytest.mark.parametrize("name", _recipe.list_recipes())
def test_every_recipe_has_its_defaults_as_trial_0(name):
    search = make_search(name)
    defaults = search.defaults()
    settings = search.recipe.settings()
    assert defaults
    assert search.settings_of(0, defaults) == {
        **{key: settings[key] for key in defaults},
        "epochs": search.recipe.epochs,
    }


def test_data_are_loaded_anew_only_for_other_options(monkeypatch):
    from attention_zoo.recipes.tuning import workers

    loaded, load = [], _recipe.load_pipeline
    monkeypatch.setattr(
        workers, "load_pipeline", lambda *given: loaded.append(1) or load(*given)
    )
    data = workers.Data(make_search())
    recipe = _recipe.get_recipe(RECIPE)
    first = data.of(recipe)
    second = data.of(recipe.replace(units=5, batch_size=7, learning_rate=1e-4))
    assert second is first
    assert second.recipe.batch_size == 7
    assert len(loaded) == 1
    third = data.of(recipe.replace(max_length=11))
    assert third is not first
    assert third.options["max_length"] == 11
    assert len(loaded) == 2


def test_the_name_of_a_score():
    from attention_zoo.recipes.tuning.workers import metric_name

    logs = {"loss": 0.5, "val_loss": 0.25, "val_mse": 0.5, "val_accuracy": 0.75}
    assert metric_name(0.75, logs) == "val_accuracy"
    assert metric_name(-0.5, logs) == "-val_mse"
    assert metric_name(9.0, logs) == "score"


def test_an_error_is_told_without_its_minus():
    from attention_zoo.recipes.tuning.report import verdict
    from attention_zoo.recipes.tuning.search import Trial

    found = [
        Trial(0, {}, "completed", score=-0.5, metric="-val_mse"),
        Trial(1, {}, "completed", score=-0.375, metric="-val_mse"),
    ]
    assert verdict(make_search("patch_transformer_etth1"), found) == (
        "The search beat the recipe's defaults: val_mse 0.375 (trial 1) against "
        "val_mse 0.5 (trial 0), better by 0.125."
    )


def test_importance_finds_the_column_that_decides():
    from attention_zoo.recipes.tuning.plots import forest_importance

    inputs = np.random.default_rng(0).uniform(size=(30, 3))
    mean, spread, fit = forest_importance(inputs, 2 * inputs[:, 1])
    assert mean.argmax() == 1
    assert mean[1] > 10 * max(mean[0], mean[2], 0.01)
    assert spread.shape == (3,)
    assert fit > 0.8


@pytest.mark.usefixtures("wrong")
def test_pictures(command, folder):
    from attention_zoo.recipes.tuning import plots

    command(*SMOKE, "--trials", 6)
    pictures = {"parallel_coordinates.png", "importance.png"}
    assert {file.name for file in folder.iterdir()} >= pictures
    search = make_search(folder=folder)
    done = search.trials()
    heights, ticks = plots.places(search.engine().space, done)
    assert list(heights) == NAMES
    assert heights["learning_rate"].min() == 0
    rates = np.log([float(row["learning_rate"]) for row in table(folder)])
    expected = (rates - rates.min()) / np.ptp(rates)
    np.testing.assert_allclose(heights["learning_rate"], expected)
    plot = plots.parallel_coordinates(search, done, heights, ticks).axes[0]
    assert [t.get_text() for t in plot.get_xticklabels()] == [*NAMES, "val_accuracy"]
    drawn = [line for line in plot.get_lines() if len(line.get_ydata()) == 4]
    assert len(drawn) == 6
    assert {line.get_ydata()[-1] for line in drawn} >= {0.0, 1.0}
    (default,) = [line for line in drawn if line.get_linestyle() == "--"]
    assert default.get_ydata()[1] == pytest.approx(expected[0])
    bars = plots.importance(search, done, heights).axes[0]
    assert "random forest on 6 trials" in bars.get_xlabel()
    assert "Few trials" in bars.get_xlabel()
    few = plots.importance(search, done[:2], heights).axes[0]
    assert "2 completed trials are too few" in few.texts[0].get_text()
