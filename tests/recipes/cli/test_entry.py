"""A trained model, by a smoke run: its files, its card, and what is done with it."""

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from support.fresh import run_fresh

import attention_zoo
from attention_zoo.interpret.text import TextExplanation
from attention_zoo.recipes.cards import plots
from attention_zoo.recipes.cards.card import over_seeds, render
from attention_zoo.recipes.cards.explanations import report
from attention_zoo.recipes.cli.main import main
from attention_zoo.recipes.core.recipe import get_recipe
from attention_zoo.recipes.datasets import _grammar
from attention_zoo.recipes.engine import trainer
from attention_zoo.recipes.tasks.text import pipeline as text

RECIPE = "attention_lstm_reviews"
FILES = [
    "README.md", "attention.png", "card.json", "curves.png", "history.csv",
    "model.keras",
]  # fmt: skip
TEXTS = [
    "It was not a bad film, all in all!",
    "zzyzx qwertz",  # unknown words
    "",
    "good " * 5000,
    "for me the film was dull.",
]


@pytest.fixture(scope="module")
def card(smoke):
    return json.loads((smoke / "card.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model(smoke):
    return attention_zoo.load(smoke)


@pytest.fixture(scope="module")
def expected(model, tmp_path_factory):
    """The outputs for `TEXTS` and for a batch of empties, in files for a process."""
    folder = tmp_path_factory.mktemp("expected")
    outputs = model(keras.ops.convert_to_tensor(TEXTS), training=False)
    empties = model(keras.ops.convert_to_tensor(["", ""]), training=False)
    np.savez(folder / "outputs.npz", texts=outputs, empties=empties)
    (folder / "texts.json").write_text(json.dumps(TEXTS))
    return folder


@pytest.fixture
def entry(smoke, tmp_path, monkeypatch):
    """A copy of the entry in `saved_models` of an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(smoke, tmp_path / "saved_models" / RECIPE)


# === What training writes ===


def test_the_files(smoke):
    assert sorted(f.name for f in smoke.iterdir() if f.is_file()) == FILES
    assert (smoke / "saved_model" / "saved_model.pb").is_file()
    assert [f.name for f in smoke.parent.iterdir()] == [RECIPE]
    for picture in smoke.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_card(smoke, card, model):
    assert card["recipe"] == RECIPE
    assert card["model"] == "attention_lstm"
    assert card["dataset"] == "zoo_reviews/smoke"
    assert card["smoke"] is True
    assert card["classes"] == ["negative", "positive"]
    assert card["command"] == f"attention-zoo train {RECIPE} --epochs 2 --smoke"
    assert card["parameters"] == model.count_params()
    assert card["versions"]["keras"] == keras.__version__
    assert card["settings"]["epochs"] == 2
    assert card["hardware"]["cores"] >= 1
    assert 100 < card["peak_memory_mb"]["single_prediction"] < 5000
    assert 100 < card["peak_memory_mb"]["training"] < 20000
    assert 0 < card["single_prediction_ms"] < 5000
    assert card["seconds"]["total"] > 0
    assert card["model_file_mb"] == round(
        (smoke / "model.keras").stat().st_size / 1e6, 2
    )
    assert {*card["baselines"]} == {
        "majority_class", "bag_of_words", "tfidf_logistic_regression", "nb_svm",
        "no_attention",
    }  # fmt: skip
    assert not model.compiled  # no optimizer state either


def test_no_path_of_the_machine_is_written(smoke):
    for name in ("README.md", "card.json", "history.csv"):
        assert str(smoke.parent) not in (smoke / name).read_text(encoding="utf-8")


def test_the_claim_is_what_the_model_scores(card, model):
    reviews = list(_grammar.generate("test", 64, seed=2))
    texts = keras.ops.convert_to_tensor([review["text"] for review in reviews])
    picked = np.asarray(model(texts, training=False)).argmax(-1)
    accuracy = np.mean(picked == [review["label"] for review in reviews])
    labels = np.array([review["label"] for review in reviews])
    f1 = [
        2
        * np.sum((picked == c) & (labels == c))
        / np.sum((picked == c) + 1 * (labels == c))
        for c in (0, 1)
    ]
    assert card["metrics"] == pytest.approx(
        {"accuracy": accuracy, "macro_f1": np.mean(f1)}
    )
    assert card["accuracy_mean"] == accuracy
    assert card["seeds"][0]["accuracy"] == accuracy
    assert card["attention"]["uniform_mass"] == pytest.approx(
        np.mean([np.mean(review["marks"]) for review in reviews])
    )


def test_the_history(smoke, card):
    rows = list(csv.DictReader((smoke / "history.csv").open(encoding="utf-8")))
    assert [(r["model"], r["seed"], r["epoch"]) for r in rows] == [
        ("model", "0", "1"), ("model", "0", "2"),
        ("no_attention", "0", "1"), ("no_attention", "0", "2"),
    ]  # fmt: skip
    best = rows[card["seeds"][0]["epoch"] - 1]
    for key in ("val_accuracy", "val_loss"):
        assert float(best[key]) == pytest.approx(card["seeds"][0][key], rel=1e-4)
    scores = [(float(r["val_accuracy"]), -float(r["val_loss"])) for r in rows[:2]]
    assert scores.index(max(scores)) + 1 == card["seeds"][0]["epoch"]


def test_the_figures_of_the_readme_are_the_cards(smoke, card):
    readme = (smoke / "README.md").read_text(encoding="utf-8")
    figures = r"^\| (\w+) \| (\d\.\d{4}) \| (\d\.\d{4}) \|$"
    rows = re.findall(figures, readme, re.MULTILINE)
    told = {"attention_lstm": card, **card["baselines"]}
    assert {name: (float(a), float(f)) for name, a, f in rows} == {
        name: tuple(
            round(row.get(f"{key}_mean", row.get(key)), 4)
            for key in ("accuracy", "macro_f1")
        )
        for name, row in told.items()
    }
    memory, attention = card["peak_memory_mb"], card["attention"]
    for said in (
        f"{card['parameters']:,} parameters",
        f"| training | {memory['training']} MB | {card['seeds'][0]['seconds']:.0f} s",
        f"| one prediction | {memory['single_prediction']} MB | "
        f"{card['single_prediction_ms']} ms",
        f"{attention['marked_mass']:.1%} falls on the words",
        f"uniform weights would put {attention['uniform_mass']:.1%} there",
        f"without the word: {attention['rank_correlation']:.2f} (mean over 20",
        "the figures mean nothing",
        "zoo_reviews is synthetic",
        "how far others would lie from it was not measured",
        card["command"],
    ):
        assert said in readme, said
    assert "spread" not in readme


def test_several_seeds_in_the_readme(card):
    recipe = get_recipe(RECIPE)
    runs = [
        trainer.Run(
            seed, 1, (0,), [], [{"val_loss": 0.5}], 11.0, {"accuracy": accuracy}
        )
        for seed, accuracy in enumerate([0.5, 0.75, 0.7])
    ]
    several = over_seeds(runs)
    assert several["accuracy_mean"] == pytest.approx(0.65)
    assert several["accuracy_std"] == pytest.approx(np.std([0.5, 0.75, 0.7], ddof=1))
    card = {**card, **several, "published_seed": 1, "metrics": {"accuracy": 0.75}}
    card["baselines"] = {"linear": {"accuracy": 0.625}, "no_attention": several}
    readme = render(card, recipe)
    assert "| attention_lstm | 0.6500 | 0.1323 | 0.5000, 0.7500, 0.7000 |" in readme
    assert "| linear | 0.6250 |  |  |" in readme
    assert "is seed 1, the best on validation: test accuracy 0.7500." in readme
    assert "Better than" not in readme
    card["attention"] = {}
    card["baselines"]["linear"]["accuracy"] = 0.6511
    readme = render(card, recipe)
    assert "**Better than the model (0.6500): `linear` (0.6511).**" in readme
    assert "marked" not in readme


# === Both saved forms, in processes of their own ===


def test_a_process_of_its_own_loads_and_trains_alike(smoke, card, expected):
    """Plain Keras opens the model; then the same seed gives the same numbers."""
    program = """
import json, keras, numpy as np
import attention_zoo
model = keras.models.load_model(sys.argv[1])
texts = json.load(open(sys.argv[2] + "/texts.json"))
stored = np.load(sys.argv[2] + "/outputs.npz")
for name, batch in (("texts", texts), ("empties", ["", ""])):
    outputs = model(keras.ops.convert_to_tensor(batch), training=False)
    np.testing.assert_allclose(outputs, stored[name], atol=1e-6)
predicted = model.predict(keras.ops.convert_to_tensor(texts[:2]), verbose=0)
np.testing.assert_allclose(predicted, stored["texts"][:2], atol=1e-5)
assert "attention_zoo.recipes" not in sys.modules

from attention_zoo.recipes.core.recipe import get_recipe, load_pipeline
from attention_zoo.recipes.engine import trainer
recipe = get_recipe(sys.argv[3]).replace(epochs=2)
pipeline = load_pipeline(recipe, smoke=True)
run = trainer.fit(recipe, pipeline, 0, "model")
trainer.measure_test(recipe, pipeline, [run])
print(json.dumps([run.history, run.test]))
"""
    done = run_fresh(program, smoke / "model.keras", expected, RECIPE)
    history, test = json.loads(done.stdout.splitlines()[-1])
    rows = list(csv.DictReader((smoke / "history.csv").open(encoding="utf-8")))
    for row, again in zip(rows[:2], history, strict=True):
        for key, value in again.items():
            if key != "seconds":
                assert row[key] == f"{value:.5g}"
    assert test == card["metrics"]


def test_tensorflow_alone_serves_the_saved_model(smoke, expected):
    """No import of this package or of Keras succeeds in that process."""
    program = """
import json, sys
sys.modules["attention_zoo"] = sys.modules["keras"] = None
import numpy as np, tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
texts = json.load(open(sys.argv[2] + "/texts.json"))
stored = np.load(sys.argv[2] + "/outputs.npz")
for name, batch in (("texts", texts), ("empties", ["", ""])):
    outputs = served.serve(tf.constant(batch))
    np.testing.assert_allclose(outputs, stored[name], rtol=0, atol=1e-5)
for i, text in enumerate(texts):  # alone: no other text decides how long a row is
    outputs = served.serve(tf.constant([text]))
    np.testing.assert_allclose(outputs[0], stored["texts"][i], rtol=0, atol=1e-5)
print([name for name in sys.modules if name.split(".")[0] == "attention_zoo"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, smoke / "saved_model", expected],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['attention_zoo']\n"  # the None that blocks it


# === Commands ===


def parsed(out):
    rows = [line.split("\t") for line in out.splitlines()]
    return [(name, float(probability)) for name, probability in rows]


def test_predict(command, entry, model):
    outputs = np.asarray(model(keras.ops.convert_to_tensor(TEXTS), training=False))
    given = [text for text in TEXTS if text]
    code, out, err = command("predict", RECIPE, *given)
    assert code == 0
    assert err.splitlines() == [
        "1 text was cut after 100 words",
        "1 text has no known word: what comes out for such a text means nothing "
        "(is it in another language or script?)",
    ]
    answers = parsed(out)
    kept = [row for text, row in zip(TEXTS, outputs, strict=True) if text]
    for (name, probability), row in zip(answers, kept, strict=True):
        assert name == ["negative", "positive"][row.argmax()]
        assert probability == pytest.approx(row.max(), abs=1e-4)


def test_predict_reads_lines(command, entry, monkeypatch):
    long = b"word " * 100_000
    lines = (
        b"a good film\n\nzzyzx\n\xff\xfe\n" + long + b"\n \t\nlast, \xc3\xa9t\xc3\xa9"
    )
    stream = io.TextIOWrapper(io.BytesIO(lines), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stream)
    code, out, err = command("predict", RECIPE)
    assert code == 2
    *refused, cut, unknown = err.splitlines()
    assert refused == [
        "attention-zoo: error: line 2 is empty",
        "attention-zoo: error: line 4 is not valid UTF-8",
        "attention-zoo: error: line 6 is empty",
    ]
    assert cut.startswith("1 text was cut after ")
    assert unknown.startswith("3 texts have no known word: ")
    rows = out.split("\n")[:-1]
    assert [i for i, row in enumerate(rows, 1) if not row] == [2, 4, 6]
    answers = parsed("\n".join(filter(None, rows)))
    assert len(answers) == 4
    texts = ["a good film", "zzyzx", long.decode(), "last, été"]
    assert parsed(command("predict", RECIPE, *texts)[1]) == answers


def test_predict_many_lines(command, entry, monkeypatch):
    lines = [review["text"] for review in _grammar.generate("test", 150)]
    stream = io.TextIOWrapper(io.BytesIO("\n".join(lines).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    code, out, err = command("predict", entry)
    assert (code, err) == (0, "")
    picked = [parsed(out)[i] for i in (0, 63, 64, 149)]
    alone = parsed(command("predict", entry, *(lines[i] for i in (0, 63, 64, 149)))[1])
    assert picked == alone


def test_predict_as_a_process(start_command, entry):
    process = start_command("predict", RECIPE, cwd=entry.parents[1])
    out, err = process.communicate(b"a good film\n\xff\n\nnot at all good\n")
    assert process.returncode == 2
    first, second, third, last, end = out.decode().split("\n")
    assert (second, third, end) == ("", "", "")
    assert len(parsed(f"{first}\n{last}")) == 2
    told = [line for line in err.decode().splitlines() if "attention-zoo" in line]
    assert told == [
        "attention-zoo: error: line 2 is not valid UTF-8",
        "attention-zoo: error: line 3 is empty",
    ]


def test_explain(command, entry, tmp_path):
    text = "it was not good"
    code, out, err = command("explain", RECIPE, text, "zzyzx", "--out", "seen.png")
    assert (code, err) == (0, "")
    explanation = attention_zoo.explain(
        attention_zoo.load(RECIPE), [text, "zzyzx"], ["negative", "positive"]
    )
    assert out == f"{explanation.note}\n{explanation}\nseen.png\n"
    assert explanation.note == "method attention: its methods are not measured"
    assert (tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")
    code, _, _ = command("explain", RECIPE, text, "--layer", "attention")
    assert code == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "explanation.png", "saved_models", "seen.png",
    ]  # fmt: skip


def test_explain_by_a_method_writes_a_page(command, entry, tmp_path):
    method = ("--method", "gradient_x_input", "--html", "seen.html")
    code, out, _ = command("explain", RECIPE, "it was not good", *method)
    assert code == 0
    assert out.splitlines()[-1] == "seen.html"
    page = (tmp_path / "seen.html").read_text(encoding="utf-8")
    assert "Method: gradient_x_input" in page
    assert page.count('class="w"') == 4


def test_explain_shades_where_there_are_colours(command, entry, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = command("explain", RECIPE, "it was not [bold]good\x1b[31m")
    assert "\x1b[30;48;2;255;140;55m" in out  # the heaviest word, darkest
    plain = re.sub(r"\x1b\[[\d;]*m", "", out)
    assert "it was not [bold] good [31m]" in plain
    assert "\x1b[31m" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a film", "--layer", "atention"], "unknown attention layer 'atention'. Did"),
        (["a film", "--out", "seen.pdf"], "--out takes a file that ends in .png"),
        (["a film", "--out", "no/seen.png"], "there is no folder no to write seen.png"),
        (["a film", "--method", "gradeint"], "Did you mean 'gradient'"),
        (["a film", "--method", "grad_cam"], "has for raw strings, token ids"),
        (["a film", "--html", "no/seen.html"], "no folder no to write seen.html"),
        (["a film", " "], "text 2 is empty"),
        (["caf\udce9"], "text 1 is not valid UTF-8"),
    ],
)
def test_explain_refuses(refused, entry, tmp_path, arguments, message):
    assert message in refused("explain", RECIPE, *arguments)
    assert [file.name for file in tmp_path.iterdir()] == ["saved_models"]


def test_evaluate_writes_the_table_of_methods(command, refused, entry, monkeypatch):
    assert "give that too" in refused("evaluate", RECIPE, "--write")
    before = (entry / "card.json").read_text(encoding="utf-8")
    monkeypatch.setattr("attention_zoo.recipes.cards.explanations.report", two_inputs)
    code, out, _ = command("evaluate", RECIPE, "--methods")
    assert code == 0
    assert out.splitlines()[0] == "2 inputs of the validation split"
    assert (entry / "card.json").read_text(encoding="utf-8") == before
    code, out, _ = command("evaluate", RECIPE, "--methods", "--write")
    assert code == 0
    written = json.loads((entry / "card.json").read_text(encoding="utf-8"))
    found = written.pop("explanations")
    assert written == json.loads(before)
    assert set(found["methods"]) == {*TextExplanation.methods}
    best = found["best"]
    assert re.search(rf"^\* {best} ", out, re.MULTILINE)
    readme = (entry / "README.md").read_text(encoding="utf-8")
    assert f"`explain` uses `{best}` unless" in readme
    assert f"words shaded by {best}" in readme
    code, out, _ = command("explain", RECIPE, "it was not good")
    assert out.startswith(f"method {best}: the most faithful by the model's card")
    code, out, _ = command("explain", RECIPE, "it was not good", "--layer", "attention")
    assert not out.startswith("method ")


def two_inputs(pipeline, model):
    return report(pipeline, model, count=2)


def test_evaluate(command, entry, card):
    code, out, err = command("evaluate", RECIPE)
    assert (code, err) == (0, "")
    told = {name: f"{card['metrics'][name]:.4f}" for name in ("accuracy", "macro_f1")}
    assert out.splitlines() == [
        f"{RECIPE} on zoo_reviews/smoke, test",
        *(f"{name}  measured {v}  card {v}" for name, v in told.items()),
    ]


def test_export(command, entry, tmp_path, digests):
    shutil.rmtree(entry / "saved_model")
    before = digests(entry)
    code, out, _ = command("export", RECIPE)
    assert (code, out) == (0, f"saved_models/{RECIPE}/saved_model\n")
    assert (entry / "saved_model" / "saved_model.pb").is_file()
    assert {k: v for k, v in digests(entry).items() if "saved_model" not in k} == before
    import tensorflow as tf

    assert command("export", entry, "--out", tmp_path / "served")[0] == 0
    assert command("export", entry, "--out", tmp_path / "served")[0] == 0  # again
    served = tf.saved_model.load(str(tmp_path / "served"))
    expected = attention_zoo.load(entry)(tf.constant(TEXTS))
    outputs = served.serve(tf.constant(TEXTS))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "saved_models",
        "served",
    ]


def test_export_with_jit_gives_the_same(command, model, entry, tmp_path):
    """In a process without this package; batches of 1, 3 and 5, texts of any length."""
    code, _, _ = command("export", entry, "--jit", "--out", tmp_path / "served")
    assert code == 0
    parts = [TEXTS, TEXTS[:1], TEXTS[:3], ["", ""]]
    program = (
        "import json, sys, tensorflow as tf\n"
        "served = tf.saved_model.load('served')\n"
        "for texts in json.loads(sys.argv[1]):\n"
        "    print(json.dumps(served.serve(tf.constant(texts)).numpy().tolist()))\n"
        "assert 'attention_zoo' not in sys.modules\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", program, json.dumps(parts)],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    for part, line in zip(parts, out.splitlines(), strict=True):
        expected = model(keras.ops.convert_to_tensor(part), training=False)
        np.testing.assert_allclose(json.loads(line), expected, rtol=0, atol=1e-5)
    graph = (tmp_path / "served" / "saved_model.pb").read_bytes()
    assert b"_XlaMustCompile" in graph


def test_export_replaces_nothing_else(refused, entry, tmp_path, digests):
    before = digests(tmp_path)
    message = refused("export", RECIPE, "--out", entry)
    assert "holds none of saved_model.pb: it is not replaced" in message
    assert "is not a folder" in refused("export", RECIPE, "--out", "/")
    assert digests(tmp_path) == before


COMMANDS = {
    "predict": ["a film"], "explain": ["a film"], "export": [], "evaluate": [],
}  # fmt: skip


@pytest.mark.parametrize("damage", ["truncated", "altered", "gone", "unreadable card"])
def test_damaged_models(refused, entry, tmp_path, digests, damage):
    file, message = entry / "model.keras", "truncated or altered: its sha256"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-1000])
    elif damage == "altered":
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("more.txt", "more")
    elif damage == "gone":
        file.unlink()
        message = "has no model.keras"
    else:
        (entry / "card.json").write_text('{"sha256": ')
        message = "card.json cannot be read"
    before = digests(tmp_path)
    for name, more in COMMANDS.items():
        assert message in refused(name, RECIPE, *more)
    assert digests(tmp_path) == before


# === Trainings that do not come to their end ===


@pytest.fixture
def untrained(monkeypatch):
    """Replaces what takes time before the files are written by next to nothing."""

    def fit(recipe, pipeline, seed, label, *how):
        weights = trainer.build(recipe, pipeline).get_weights()
        row = {"accuracy": 0.5, "val_accuracy": 0.5, "seconds": 1.0}
        return trainer.Run(seed, 1, (0.5,), weights, [row], 1.0, {"accuracy": 0.5})

    monkeypatch.setattr(trainer, "fit", fit)
    monkeypatch.setattr(text.Pipeline, "baselines", lambda *arguments: {})
    monkeypatch.setattr(trainer, "measure_test", lambda *arguments: None)
    monkeypatch.setattr(text.Pipeline, "attention_report", lambda *arguments: {})


@pytest.mark.usefixtures("untrained")
def test_ctrl_c_while_the_files_are_written(command, entry, digests, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(plots, "attention", interrupt)
    before = digests(entry.parent)
    code, _, err = command("train", RECIPE, "--smoke", "--out", "saved_models")
    assert (code, err) == (130, "attention-zoo: error: interrupted\n")
    assert digests(entry.parent) == before
    assert [file.name for file in entry.parent.iterdir()] == [RECIPE]


@pytest.mark.usefixtures("untrained")
def test_a_full_disk(command, entry, digests, monkeypatch):
    """A limit on the size of a file stands for the full disk."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(plots, "attention", lambda *arguments: None)
    before = digests(entry.parent)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (entry / "model.keras").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
    try:
        code, _, err = command("train", RECIPE, "--smoke", "--out", "saved_models")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2
    assert re.fullmatch("attention-zoo: error: .*File too large.*\n", err)
    assert digests(entry.parent) == before
    assert [file.name for file in entry.parent.iterdir()] == [RECIPE]


def test_ctrl_c_in_training(start_command, entry, digests):
    before = digests(entry)
    process = start_command(
        "train", RECIPE, "--smoke", "--epochs", 5000, "--out", "saved_models",
        cwd=entry.parents[1],
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith(b"Epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    told = [line for line in err.decode().splitlines() if "attention-zoo" in line]
    assert told == ["attention-zoo: error: interrupted"]
    assert b"Traceback" not in err
    assert digests(entry) == before
    kept = f".training-{RECIPE}"
    assert sorted(file.name for file in entry.parent.iterdir()) == [kept, RECIPE]


def test_main_returns_instead_of_exiting():
    assert main(["predict", "no_words"]) == 2
