"""Pipeline, loss, scores and card of translators, on generated dates."""

import json

import keras
import numpy as np
import pytest
from support.fresh import run_fresh

import attention_zoo
from attention_zoo.generation import tokenizers as subwords
from attention_zoo.recipes.cards import card as _card
from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.engine import trainer as _run
from attention_zoo.recipes.tasks.batches import by_length
from attention_zoo.recipes.tasks.translation import baselines as _baselines_translation
from attention_zoo.recipes.tasks.translation import losses as _tokens
from attention_zoo.recipes.tasks.translation import scores as _scores

RECIPE = "rnn_translator_multi30k"


def tiny(**changes):
    recipe = _recipe.get_recipe(RECIPE)
    values = {"epochs": 2, "batch_size": 13, "embedding_dim": 11, "units": 7}
    return recipe.replace(**{**values, "vocabulary_size": 150, **changes})


@pytest.fixture(scope="module")
def pipeline():
    return _recipe.load_pipeline(tiny(), smoke=True)


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    out = tmp_path_factory.mktemp("translator")
    _run.train(tiny(), out=out, smoke=True, command="attention-zoo train x")
    return out / RECIPE


# === Data ===


def test_the_vocabulary_is_of_the_training_split_alone(pipeline):
    assert pipeline.tokenizer.vocabulary_size == 150
    letters = set("".join(pipeline.vocabulary))
    sentences = b"".join(b"".join(side) for side in pipeline.splits["train"]).decode()
    assert letters <= {*sentences, subwords.SPACE}
    assert any(len(piece) > 3 for piece in pipeline.vocabulary)
    single = _recipe.load_pipeline(tiny(vocabulary_size=0), smoke=True)
    assert {len(piece) for piece in single.vocabulary} == {1}
    seen = {letter for letter in sentences if not letter.isspace()}
    assert set(single.vocabulary) == {*seen, subwords.SPACE}


def test_batches_hold_every_pair_once_shifted_by_one(pipeline):
    sources, targets = pipeline._ids["train"]
    wanted = sorted((tuple(s), tuple(t)) for s, t in zip(sources, targets, strict=True))
    orders = []
    for first in (0, 1):
        found = []
        for (source, so_far), target in pipeline.batches("train", 5, first):
            assert source.shape[1] % 4 == target.shape[1] % 4 == 0
            assert (so_far[:, 0].numpy() == subwords.START_ID).all()
            for s, y, t in zip(
                source.numpy(), so_far.numpy(), target.numpy(), strict=True
            ):
                t = t[t != 0]
                assert t[-1] == subwords.END_ID
                assert y[y != 0].tolist() == [subwords.START_ID, *t[:-1]]
                found.append((tuple(s[s != 0]), tuple(t)))
        assert sorted(found) == wanted
        orders.append(found)
    assert orders[0] != orders[1]
    again = [
        tuple(t[t != 0])
        for (_, _), target in pipeline.batches("train", 5, 1)
        for t in target.numpy()
    ]
    assert again == [t for _, t in orders[1]]
    assert len(pipeline.batches("train", 5)) == -(-96 // 13)


def test_batches_are_of_like_lengths():
    lengths = np.random.default_rng(0).integers(1, 50, 300)
    batches = by_length(lengths, 20, np.random.default_rng(1), jitter=1)
    assert sorted(np.concatenate(batches)) == list(range(300))
    assert max(np.ptp(lengths[rows]) for rows in batches) < 10
    plain = by_length(lengths, 7, None)
    assert np.concatenate(plain).tolist() == np.argsort(lengths, kind="stable").tolist()


# === Loss, metric and scores ===


def test_the_loss_is_the_smoothed_cross_entropy_of_tokens():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (3, 5, 7))
    ids = rng.integers(1, 7, (3, 5))
    ids[0, 2:] = ids[1, 4:] = 0
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    for smoothing in (0.0, 0.3):
        share = (1 - smoothing) * np.eye(7)[ids] + smoothing / 7
        each = -(share * logs).sum(-1)
        loss = _tokens.TokenCrossEntropy(smoothing)
        found = loss(ids.astype("int32"), logits.astype("float32"))
        assert float(found) == pytest.approx(each[ids != 0].mean(), rel=1e-5)
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert again.label_smoothing == smoothing
    accuracy = _tokens.TokenAccuracy()
    accuracy.update_state(ids, logits)
    right = (logits.argmax(-1) == ids)[ids != 0]
    assert float(accuracy.result()) == pytest.approx(right.mean(), abs=1e-6)


def test_scores():
    words = ["the dog runs over the green field near a big house", "a man sits here"]
    assert _scores.bleu(words, words, words)["bleu"] == pytest.approx(100)
    half = _scores.bleu([words[0], "something else is that"], words, words)
    assert half["bleu_9_11"] == pytest.approx(100)
    assert half["bleu_1_8"] < 10 < half["bleu"] < 90
    assert half.keys() == {"bleu", "chrf", "bleu_1_8", "bleu_9_11"}
    inside = _scores.groups(np.arange(1, 40))
    assert sum(inside.values()).tolist() == [1] * 39
    assert inside["19_up"].sum() == 21
    assert _scores.exact_match(["a", "b", "c"], ["a", "x", "c"], [])[
        "exact_match"
    ] == pytest.approx(2 / 3)
    bleu, chrf = _scores.signatures()
    assert bleu.startswith("BLEU: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version")
    assert chrf.startswith("chrF2: ")


def test_the_baseline_gives_what_the_nearest_sentence_was_given():
    sources = [b"ein Hund rennt", b"eine Frau singt", b"zwei Kinder spielen"]
    translate = _baselines_translation.memory(sources, [b"dog", b"woman", b"children"])
    assert translate([b"die Frau singt laut", b"Kinder spielen"]) == [
        "woman",
        "children",
    ]


def test_evaluate_scores_what_the_model_says(pipeline, monkeypatch):
    known = dict(zip(*pipeline.raw("test"), strict=True))
    monkeypatch.setattr(
        pipeline, "translate", lambda model, texts: [known[t].decode() for t in texts]
    )
    assert pipeline.evaluate(None, "test", sample=5)["bleu"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "en"}, "source and target must be different, received 'en'"),
        ({"vocabulary_size": 50}, "vocabulary_size must be at least 100"),
        ({"max_length": 0}, "max_length must be positive, received 0"),
        ({"beam_size": 0}, "beam_size must be positive"),
        ({"metric": "ter"}, "metric must be one of"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(UserError, match=message):
        _recipe.load_pipeline(tiny(**change), smoke=True)


# === The entry ===


def test_both_saved_forms_translate_raw_sentences(entry):
    texts = ["24 mai 1968", "", "  12.\n1. 2001 ", "東京", "1 " * 300]
    model = attention_zoo.load(entry)
    wanted = [x.decode() for x in model(keras.ops.convert_to_tensor(texts)).numpy()]
    assert len(wanted) == 5
    program = """
import json, sys
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
found = served.serve(tf.constant(json.loads(sys.argv[2])))
assert "attention_zoo" not in sys.modules
print(json.dumps([x.decode() for x in found.numpy()]))
"""
    done = run_fresh(program.strip(), entry / "saved_model", json.dumps(texts))
    assert json.loads(done.stdout.splitlines()[-1]) == wanted


def test_the_card(entry):
    card = json.loads((entry / "card.json").read_text(encoding="utf-8"))
    assert card["languages"] == ["de", "en"]
    assert card["baselines"].keys() == {"no_attention", "nearest_neighbour", "copy"}
    assert card["metrics"].keys() >= {"bleu", "chrf"}
    assert card["signatures"][0].startswith("BLEU: ")
    text = (entry / "README.md").read_text(encoding="utf-8")
    assert text == _card.render(card, _recipe.get_recipe(RECIPE))
    assert f"{card['bleu_mean']:.1f}" in text
    assert f'attention-zoo translate {RECIPE} "{card["example"]}"' in text
    for picture in ("lengths", "curves", "attention"):
        assert f"({picture}.png)" in text
        assert (entry / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_says_who_wins_and_what_is_apart(entry):
    row = {"exact_match_mean": 0.9, "exact_match_std": 0.01}
    card = json.loads((entry / "card.json").read_text(encoding="utf-8"))
    card |= {
        "metric": "exact_match",
        "settings": card["settings"] | {"apart_split": "unseen"},
        "seeds": card["seeds"] * 2, "published_seed": 1,
        "metrics": {"exact_match": 0.912}, "exact_match_unseen_mean": 0.125, **row,
        "baselines": {"copy": {"exact_match": 0.95, "exact_match_unseen": 0.25}},
    }  # fmt: skip
    text = _card.render(card, _recipe.get_recipe(RECIPE))
    assert "| rnn translator | 0.9000 ± 0.0100 | 0.1250 |" in text
    assert "| | exact match | exact match, unseen |" in text
    assert "**Better than the model (0.9000): `copy` (0.9500).**" in text
    assert "seed 1, the best on validation: exact match 0.9120" in text
    assert "BLEU by the length" not in text
