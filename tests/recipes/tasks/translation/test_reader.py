"""Own sentences: aligned files and tables, what is refused, and one training."""

import json

import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import own
from attention_zoo.recipes.tasks.translation import reader

GERMAN = ["ein Hund", "zwei  Hunde ", "", "drei\u2028Hunde"]
ENGLISH = ["a dog", "two dogs", "nothing", "three dogs"]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.de").write_text("\n".join(GERMAN) + "\n", encoding="utf-8-sig")
    (tmp_path / "x.en").write_text("\n".join(ENGLISH) + "\n")
    return tmp_path


def read(*data, **options):
    return reader.read(own.Request(data=list(data), options=options))


def refuse(*data, **options):
    with pytest.raises(UserError) as refused:
        read(*data, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_aligned_files():
    records = read("x.de", "x.en")
    assert records.columns == ("de", "en")
    assert [records.example(i) for i in range(3)] == [
        {"de": "ein Hund", "en": "a dog"},
        {"de": "zwei  Hunde", "en": "two dogs"},
        {"de": "drei\u2028Hunde", "en": "three dogs"},
    ]
    assert records.dropped == {"pairs with an empty side": 1}
    assert records.place(2) == "x.de, line 4"
    facts = records.facts(range(3))
    assert (facts["source"], facts["target"], facts["pairs"]) == ("de", "en", 3)


def test_tables(files):
    text = "id\tGerman\tEnglish\n1\tein Hund\ta dog\n2\tzwei Hunde\ttwo dogs\n"
    (files / "x.tsv").write_text(text)
    records = read("x.tsv", source="English", target="German")
    assert records.example(1) == {"English": "two dogs", "German": "zwei Hunde"}
    assert "no column 'english' (--source). Did you mean English" in refuse(
        "x.tsv", source="english", target="German"
    )
    assert refuse("x.tsv").startswith("--source COLUMN is missing: x.tsv has id")
    (files / "y.csv").write_text('src,tgt\n"eins, zwei","one, two"\n')
    assert read("y.csv").example(0) == {"src": "eins, zwei", "tgt": "one, two"}
    assert "both name the column 'src'" in refuse("y.csv", source="src", target="src")


def test_what_is_refused(files):
    (files / "long.en").write_text("a\nb\nc\nd\ne\n")
    assert refuse("x.de", "long.en") == (
        "x.de has 4 lines and long.en 5: line by line they must be translations of "
        "each other"
    )
    assert "take two aligned files, source and target, or a table" in refuse("x.de")
    (files / "empty.en").write_text("\n\n\n\n")
    assert refuse("x.de", "empty.en") == "empty.en is empty"
    (files / "latin.en").write_bytes("d\u00e9j\u00e0\n".encode("latin-1") * 4)
    assert "latin.en is not UTF-8: save it as UTF-8, or give --enc" in refuse(
        "x.de", "latin.en"
    )
    assert (
        read("x.de", "latin.en", encoding="latin-1").example(0)["en"]
        == "d\u00e9j\u00e0"
    )
    assert "there is no file none.en" in refuse("x.de", "none.en")


def test_defaults_follow_the_sentences():
    facts = read("x.de", "x.en").facts(range(3))
    for model in ("rnn_translator", "transformer_translator"):
        recipe = reader.recipe_for(model, facts)
        assert (recipe.settings()["source"], recipe.settings()["target"]) == (
            "de",
            "en",
        )
        assert recipe.settings()["max_length"] == 8
        assert recipe.settings()["vocabulary_size"] == 200
        large = reader.recipe_for(model, {**facts, "pairs": 10**6, "words": 10**5})
        assert large.settings()["vocabulary_size"] == 4000
        assert large.epochs == 5
    chinese = {**facts, "length": 1, "signs": 40}
    assert reader.recipe_for("rnn_translator", chinese).settings()["max_length"] == 44


@pytest.mark.slow
def test_training_and_translating(command, files):
    words = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four"}
    pairs = [(f"{a} {b}", f"{words[a]} {words[b]}") for a in words for b in words]
    pairs += [
        (f"{a} und {b}", f"{words[a]} and {words[b]}") for a in words for b in words
    ]
    (files / "n.de").write_text("".join(f"{a}\n" for a, _ in pairs))
    (files / "n.en").write_text("".join(f"{b}\n" for _, b in pairs))
    options = ["--data", "n.de", "n.en", "--epochs", "1", "--data-dir", "tfds"]
    small = [f"--set={x}" for x in ("units=4", "embedding_dim=4", "beam_size=1")]
    code, out, err = command("train", "rnn_translator", *options, *small)
    assert code == 0, err
    assert "32 rows: train 26, validation 3, test 3" in out
    card = json.loads((files / "saved_models" / "n" / "card.json").read_text())
    assert card["languages"] == ["de", "en"]
    assert card["source"]["files"][0]["name"] == "n.de"
    assert card["example"] == "..."
    code, out, err = command("translate", "n", "eins zwei")
    assert (code, len(out.splitlines())) == (0, 1), err
