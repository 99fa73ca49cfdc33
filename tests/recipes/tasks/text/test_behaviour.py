import collections

import numpy as np
import pytest

from attention_zoo.recipes.tasks.text import behaviour

SENTENCES = behaviour.sentences()


def test_the_suite_is_large_balanced_and_without_repetition():
    assert len(SENTENCES) >= 400
    assert len({text for _, text, _ in SENTENCES}) == len(SENTENCES)
    counts = collections.Counter((group, label) for group, _, label in SENTENCES)
    assert len(behaviour.TEMPLATES) >= 8
    for group in behaviour.TEMPLATES:
        assert counts[group, 0] == counts[group, 1] >= 8, group
    assert ("negation", "The film is not good at all.", 0) in SENTENCES
    assert not [text for _, text, _ in SENTENCES if "{" in text or "}" in text]


@pytest.mark.parametrize("answer", [0, 1])
def test_pass_rates_of_one_answer_for_all(answer):
    rates = behaviour.pass_rates(lambda texts: np.eye(2)[[answer] * len(texts)])
    assert list(rates) == ["all", *behaviour.TEMPLATES]
    for group, rate in rates.items():
        assert rate["passed"] * 2 == rate["cases"], group
    assert rates["all"]["cases"] == len(SENTENCES)


def test_pass_rates_count_what_is_right():
    truth = {text: label for _, text, label in SENTENCES}

    def predict(texts):
        wrong = np.array(["not" in text for text in texts])
        return np.eye(2)[np.where(wrong, 1 - _labels(texts), _labels(texts))]

    def _labels(texts):
        return np.array([truth[text] for text in texts])

    rates = behaviour.pass_rates(predict)
    for group in behaviour.TEMPLATES:
        texts = [text for name, text, _ in SENTENCES if name == group]
        wrong = sum("not" in text for text in texts)
        assert rates[group] == {"passed": len(texts) - wrong, "cases": len(texts)}
