"""Random command lines over random files: an answer, or one line and exit code 2.

Nothing is half-written and nothing left behind. ATTENTION_ZOO_CASES sets how many;
`make soak` draws thousands, anew in each run, and gathers the faults of all of them.

What takes seconds stands aside: training, searches of settings, export, pictures, and
the data of `evaluate`. Models of all kinds are opened once, and are called.
"""

import collections
import contextlib
import functools
import io
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import traceback
import warnings

import hypothesis
import pytest
from hypothesis import strategies as st
from support import random_files
from support.copying import make_translator
from support.random_commands import command_lines

from attention_zoo import pretrained
from attention_zoo.generation import texts
from attention_zoo.pretrained import file_sha256
from attention_zoo.recipes.cards import explanations, plots
from attention_zoo.recipes.cli import main as cli
from attention_zoo.recipes.cli import tune
from attention_zoo.recipes.distributed import launcher, processes
from attention_zoo.recipes.engine import multiprocess, publishing, trainer
from attention_zoo.recipes.tasks import TASKS, batches
from attention_zoo.recipes.tuning import workers

SOAK = "ATTENTION_ZOO_CASES" in os.environ
CASES = int(os.environ.get("ATTENTION_ZOO_CASES", 150))
COMMITTED = (
    ("texts", "attention_lstm_reviews"),
    ("images", "cbam_resnet_digits"),
    ("series", "attention_forecaster_climate"),
)
SAVED = pathlib.Path(__file__).resolve().parents[3] / "saved_models"
DEFAULTS = ("explanation.png", "saved_models", "build", "tuning")
PREFIX = "attention-zoo: error: "


class Place:
    """A working directory with entries of all kinds, the same before each case."""

    def __init__(self, folder):
        self.folder = folder
        self.home = home = folder / "saved_models"
        for name, committed in COMMITTED:
            (home / name).mkdir(parents=True)
            for file in ("model.keras", "card.json", "README.md"):
                shutil.copy(SAVED / committed / file, home / name)
        (home / "translator").mkdir()
        make_translator(max_length=7).save(home / "translator" / "model.keras")
        card = json.loads((SAVED / "rnn_translator_dates" / "card.json").read_text())
        card["sha256"] = file_sha256(home / "translator" / "model.keras")
        (home / "translator" / "card.json").write_text(json.dumps(card))
        self.names = (*(name for name, _ in COMMITTED), "translator")
        self.cards = [
            json.loads((home / name / "card.json").read_text()) for name in self.names
        ]
        self.models = [
            (home / name / "model.keras").read_bytes() for name in self.names
        ]
        for name in ("changed", "damaged", "other"):
            (home / name).mkdir()
        (home / "other" / "notes.txt").write_text("the user's own")
        (folder / "folder").mkdir()
        for label in ("positive", "negative"):
            (folder / "photos" / label).mkdir(parents=True)
        os.symlink("series.csv", folder / "link.csv")
        self.kept = self.state()
        self.bytes = {p: p.read_bytes() for p in self.kept if p.is_file()}

    def state(self):
        """Returns `{path: what changes with its content}` of all that is there."""
        found = {}
        for path in self.folder.rglob("*"):
            at = path.lstat()
            found[path] = path.is_dir() or (at.st_size, at.st_mtime_ns)
        return found

    def clear(self):
        """Brings back what was there at the beginning."""
        now = self.state()
        for path in sorted(now.keys() - self.kept.keys(), reverse=True):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        for path, content in self.bytes.items():
            if now.get(path) != self.kept[path] and not path.is_symlink():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                self.kept[path] = path.stat().st_size, path.stat().st_mtime_ns

    def fill(self, rng):
        """Writes files of random and of nearly right content."""
        series = self.cards[2]
        one = random_files.series(rng, series["variates"], series["lookback"], 604800)
        contents = {
            "series.csv": one,
            "texts.csv": random_files.labelled_texts(rng),
            "rows.jsonl": random_files.objects(rng),
            "config.json": random_files.settings(rng),
            "lines.txt": random_files.lines(rng),
            "x.png": random_files.image(rng),
            "y.jpg": random_files.image(rng),
            "arrays.npz": random_files.arrays(rng),
            "rows.parquet": rng.randbytes(40),
            "photos/positive/1.png": random_files.image(rng),
            "photos/negative/1.png": random_files.image(rng),
        }
        i = rng.randrange(4)
        model = i if rng.random() < 0.8 else rng.randrange(4)
        cards = [{**self.cards[i], "sha256": self.cards[model]["sha256"]}]
        contents |= {
            "saved_models/changed/card.json": random_files.card(rng, cards),
            "saved_models/changed/model.keras": self.models[model],
            "saved_models/damaged/card.json": json.dumps(self.cards[i]).encode(),
            "saved_models/damaged/model.keras": random_files.damaged(
                rng, self.models[i]
            ),
        }
        for name, content in contents.items():
            (self.folder / name).write_bytes(content)
        return random_files.lines(rng)


@pytest.fixture(scope="module")
def place():
    with tempfile.TemporaryDirectory() as folder:
        # Deep, so that what climbs out of it stays inside.
        inner = pathlib.Path(folder).resolve() / "a" / "b" / "work"
        inner.mkdir(parents=True)
        yield Place(inner)


@pytest.fixture(autouse=True)
def aside(place, monkeypatch, tmp_path):
    """Replaces all that takes long, or would leave this machine."""
    monkeypatch.chdir(place.folder)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ATTENTION_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ATTENTION_ZOO_PLACE", raising=False)
    monkeypatch.setattr(pretrained, "_roots", lambda: [pathlib.Path("saved_models")])
    opened, load_file = {}, pretrained.load_file

    def load_once(path):
        digest = file_sha256(path)
        if digest not in opened:
            opened[digest] = load_file(path)
        return opened[digest]

    monkeypatch.setattr(pretrained, "load_file", load_once)
    monkeypatch.setattr(batches, "predictor", functools.cache(batches.predictor))
    parsers = functools.cache(cli.make_parser)
    monkeypatch.setattr(cli, "make_parser", parsers)
    translators, translator = {}, texts.TextTranslator

    def translator_once(model, search):
        key = id(model), str(search)
        if key not in translators:
            translators[key] = translator(model, search=search)
        return translators[key]

    monkeypatch.setattr(texts, "TextTranslator", translator_once)
    monkeypatch.setattr(plots, "save", lambda figure, path: path.write_bytes(b"x"))
    monkeypatch.setattr(plots, "attention", lambda path, *_: path.write_bytes(b"x"))
    monkeypatch.setattr(trainer, "train", lambda *given: "trained")
    monkeypatch.setattr(launcher, "launch", lambda *given: 0)
    monkeypatch.setattr(multiprocess, "train", lambda *given: None)
    monkeypatch.setattr(processes, "die_with_parent", lambda: None)
    monkeypatch.setattr(tune, "run", lambda *given: print("searched"))
    monkeypatch.setattr(tune, "train_best", lambda *given: None)
    monkeypatch.setattr(workers.Data, "of", lambda *given: None)
    monkeypatch.setattr(workers, "work", lambda *given: print("worked"))
    monkeypatch.setattr(
        publishing,
        "write_saved_model",
        lambda model, folder, jit=False: (folder / "saved_model.pb").touch(),
    )
    methods = {"attention": {"comprehensiveness": 0.5, "sufficiency": 0.25}}
    monkeypatch.setattr(
        explanations,
        "report",
        lambda *given: {"inputs": 3, "split": "test", "methods": methods, "best": None},
    )
    for task in TASKS.values():
        monkeypatch.setattr(type(task), "pipeline", lambda *given: FakePipeline())


class FakePipeline:
    """Stands for the data that `evaluate` measures on."""

    dataset = "zoo_reviews/1.0.0"
    shows_attention = True
    output_names = None

    def evaluate(self, model, split):
        return {"accuracy": 0.5, "mse_13": 0.25}

    def examples(self, count):
        return None, None


def run(line, given):
    """Returns exit code, stdout and stderr of a command line, as a shell sees them."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(given))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = cli.main(line)
            except SystemExit as end:  # of --help and --version
                code = end.code or 0
            out.flush()
    finally:
        sys.stdin = before
    err.flush()
    told = [s.buffer.getvalue().decode("utf-8", "replace") for s in (out, err)]
    return code, *told


def check(place, line, given):
    """Runs a command line and asserts that it keeps its promises.

    Returns:
        The exit code.
    """
    before = place.state()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        code, out, err = run(line, given)
    after = place.state()
    assert code in (0, 2), f"exit code {code}"
    assert "Traceback" not in err, "a traceback is printed"
    errors = [row for row in err.splitlines() if row.startswith(PREFIX)]
    if code:
        assert errors, "no line says why"
        one_by_one = line[0] in ("predict", "translate")
        assert one_by_one or len(errors) == 1, "more than one error"
    else:
        assert not errors, "an error, and exit code 0"
        assert out or line[0] in ("predict", "translate", "tune", "train"), "no answer"
    changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    names = [str(path.relative_to(place.folder)) for path in changed]
    if code:
        kept = ".partial" if "rows are kept" in out else None
        names = [name for name in names if not kept or kept not in name]
        assert not names, f"left behind: {names}"
    else:
        meant = {word.partition("=")[2] or word for word in line} | {*DEFAULTS}
        meant = {os.path.normpath(word) for word in meant if word}
        for name in names:
            assert any(
                word == "."
                or f"{name}/".startswith(f"{word}/")
                # A folder on the way to what was asked for.
                or word.startswith(f"{name}/")
                for word in meant
            ), f"written unasked: {name}"
            assert not pathlib.Path(name).name.startswith("."), f"left behind: {name}"
    odd = [w for w in warned if issubclass(w.category, (RuntimeWarning, UserWarning))]
    assert not odd, f"warning: {odd[0].message}"
    return code


def fault_of(error):
    """Returns a line by which faults of one kind are equal."""
    steps = [
        step
        for step in traceback.extract_tb(error.__traceback__)
        if "/tests/" not in step.filename
    ]
    where = f" at {'/'.join(steps[-1].filename.split('/')[-3:])}" if steps else ""
    own = [s for s in steps if "site-packages" not in s.filename]
    own = own[-1] if own else None
    at = f" from {'/'.join(own.filename.split('/')[-3:])}:{own.lineno}" if own else ""
    return f"{type(error).__name__} {str(error)[:200]}{where}{at}"


@pytest.mark.slow
def test_random_commands(place):
    seen: collections.Counter = collections.Counter()
    faults: dict = {}
    noise = st.integers(0, 2**32).map(lambda n: random_files.text(random.Random(n)))

    @hypothesis.settings(
        max_examples=CASES,
        deadline=None,
        derandomize=not SOAK,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(command_lines(noise), st.integers(0, 2**32))
    def run_case(line, seed):
        seen["cases"] += 1
        given = place.fill(random.Random(seed))
        try:
            code = check(place, line, given)
            seen[f"{line[0]} {code}" if line[0].isalpha() else "others"] += 1
        except Exception as error:
            faults.setdefault(fault_of(error), (line, seed))
        place.clear()

    run_case()
    print(dict(sorted(seen.items())), f"{len(faults)} kinds of faults")
    for fault, case in faults.items():
        print(f"{fault}\n  {case}"[:1500])
    assert not faults
