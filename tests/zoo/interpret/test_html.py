"""HTML of explanations: self-contained, escaped, shaded by sign."""

import html.parser
import re

import keras
import numpy as np
import pytest

import attention_zoo

IDS = np.array([[2, 3, 5]])
EVIL = ["", "[UNK]", "<script>alert(1)</script>", '"><img src=x onerror=a>', "&", "'q'"]


def model():
    keras.utils.set_random_seed(1)
    return attention_zoo.create("attention_lstm", vocabulary_size=11, units=2)


class Tags(html.parser.HTMLParser):
    """Notes the tags and attributes of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("method", ["attention", "gradient"])
def test_no_text_of_users_becomes_html(method, tmp_path):
    names = ["<b>bad</b>", "<i onclick=x>"]
    explanation = attention_zoo.explain(model(), IDS, names, EVIL, method)
    explanation.save_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page == explanation.to_html()
    found = Tags(page)
    assert not {"script", "img", "b", "i", "link", "iframe"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "http" not in page
    for word in explanation.tokens[0]:
        assert word in "".join(found.text)
    assert method in "".join(found.text)


def test_words_are_shaded_by_sign():
    explanation = attention_zoo.explain(model(), IDS, method="gradient_x_input")
    scores = explanation.attributions[0]
    page = explanation.to_html()
    shades = re.findall(r"rgba\((\d+),\d+,\d+,([\d.]+)\)", page)
    assert [red == "230" for red, _ in shades] == (scores >= 0).tolist()
    sizes = [float(alpha) for _, alpha in shades]
    expected = 0.65 * np.abs(scores) / np.abs(scores).max()
    np.testing.assert_allclose(sizes, expected, atol=1e-3)
    assert f'title="{scores[0]:+.4f}"' in page


def test_a_notebook_shows_a_part_of_a_page():
    explanation = attention_zoo.explain(model(), IDS)
    part = explanation._repr_html_()
    assert "<html" not in part
    assert "attention of attention" in part
