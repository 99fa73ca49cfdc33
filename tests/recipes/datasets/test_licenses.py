"""The terms of a data set, as its builder or the table states them."""

import types

import pytest

from attention_zoo.recipes.datasets import licenses


@pytest.mark.parametrize(
    ("dataset", "terms", "commercial"),
    [
        ("fashion_mnist", "MIT", True),
        ("imdb_reviews/plain_text", "none stated", None),
        ("zoo_digits", "CC BY 4.0", True),  # from the builder
    ],
)
def test_license_of(dataset, terms, commercial, tmp_path):
    assert licenses.license_of(dataset, str(tmp_path)) == terms
    assert licenses.commercial(terms) is commercial


@pytest.mark.parametrize("terms", ["CC BY-NC 4.0", "Flickr terms, non-commercial"])
def test_not_commercial(terms):
    assert licenses.commercial(terms) is False


@pytest.mark.parametrize(
    ("dataset", "source", "expected"),
    [
        ("clinc_oos/0.1.0", None, {"data_license": "CC BY 3.0"}),
        ("generated/smoke", None, {}),
        ("own/1.0.0", {"rows": 7}, {"source": {"rows": 7}}),
    ],
)
def test_origin(dataset, source, expected):
    pipeline = types.SimpleNamespace(dataset=dataset, source=source)
    assert licenses.origin(pipeline) == expected
