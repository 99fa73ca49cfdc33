"""An entry that gives a text several labels: from a table to a served answer."""

import csv
import json

import numpy as np
import pytest

from attention_zoo.recipes.cli import main as _cli
from attention_zoo.recipes.tasks import many_labels

WORDS = {"red": "warm", "blue": "cold", "loud": "noisy"}


def rows(count):
    """Returns texts and the tuples of their labels, which a word each says."""
    found = []
    for i in range(count):
        words = [word for k, word in enumerate(WORDS) if (i >> k) & 1]
        found.append((f"{' '.join(words)} thing {i}", [WORDS[word] for word in words]))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with a table and the entry trained on it."""
    folder = tmp_path_factory.mktemp("labels")
    with open(folder / "things.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["said", "tags"])
        writer.writerows((text, ";".join(tags)) for text, tags in rows(160))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TFDS_DATA_DIR", str(folder / "tfds"))
        words = "train attention_lstm --data things.csv --text said --label tags"
        more = ["--label-separator", ";", "--epochs", "8"]
        for setting in ("embedding_dim=8", "units=8", "learning_rate=0.03", "ema=0.0"):
            more += ["--set", setting]
        assert _cli.main([*words.split(), *more]) == 0
        yield folder


def test_the_card(folder):
    card = json.loads((folder / "saved_models/things/card.json").read_text())
    assert card["multi_label"] is True
    assert card["classes"] == ["cold", "noisy", "warm"]
    assert [*card["metrics"]] == ["macro_f1", "micro_f1", "subset_accuracy"]
    assert [*card["baselines"]] == [
        "most_frequent_labels", "tfidf_logistic_regression", "no_attention",
    ]  # fmt: skip
    assert card["baselines"]["tfidf_logistic_regression"]["macro_f1"] > 0.9
    assert card["metrics"]["macro_f1"] > 0.9  # a word says a label
    assert "failed_steps" not in card
    readme = (folder / "saved_models/things/README.md").read_text()
    assert "| | macro F1 | micro F1 | subset accuracy |" in readme
    assert "of which several may be right at once" in readme
    assert "each text may have several labels" in json.dumps(card["source"]["notes"])


def test_predictions(folder, command):
    texts = [rows(8)[i][0] for i in (5, 2)]
    with open("in.csv", "w", newline="") as file:
        csv.writer(file).writerows([["said"], *([text] for text in texts)])
    code, _, err = command(
        *("predict", "things", "in.csv", "--text", "said", "--output", "out.csv")
    )
    assert (code, err) == (0, "")
    with open("out.csv", newline="") as file:
        written = [*csv.DictReader(file)]
    names = ["cold", "noisy", "warm"]
    for row in written:
        told = [float(row[f"probability_{name}"]) for name in names]
        assert row["prediction"] == ";".join(many_labels.names_above(told, names))
        assert not np.isclose(sum(told), 1)
    assert written[0]["prediction"] == "noisy;warm"
    _, out, _ = command("predict", "things", *texts)
    assert out.splitlines()[0].startswith("noisy, warm\t0.")
    assert out.splitlines()[1].startswith("cold\t0.")


def test_the_other_commands(folder, command):
    code, out, _ = command("evaluate", "things")
    assert code == 0
    card = json.loads((folder / "saved_models/things/card.json").read_text())
    for name, value in card["metrics"].items():
        assert f"{name}  measured {value:.4f}  card {value:.4f}\n" in out
    assert command("explain", "things", "a red thing")[0] == 0
    assert command("export", "things")[0] == 0
    assert "macro_f1 " in command("show", "things")[1]
