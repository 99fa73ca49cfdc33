import numpy as np
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import loading
from attention_zoo.recipes.tasks.text import options, out_of_scope


def test_the_threshold_is_picked_on_validation():
    found = out_of_scope.measure(
        validation=np.array([0.9, 0.8, 0.7, 0.3]),
        validation_outside=np.array([0.6, 0.2]),
        test=np.array([0.95, 0.65, 0.75, 0.1]),
        test_outside=np.array([0.5, 0.69, 0.85]),
    )
    # From 0.7 on, three of four are kept and both others found: the best mean.
    # Of the twelve pairs of the test, 0.95 wins three, 0.65 one, 0.75 two, 0.1 none.
    expected = {"threshold": 0.7, "recall": 2 / 3, "kept": 0.5, "auroc": 6 / 12}
    assert found == pytest.approx(expected)


def test_labels_are_numbers_or_names():
    numbers = loading.class_numbers([b"b", b"a", b"b"], ["a", "b"])
    np.testing.assert_array_equal(numbers, [1, 0, 1])
    np.testing.assert_array_equal(loading.class_numbers([2, 0], ["a", "b"]), [2, 0])


def test_two_names_are_wanted():
    options.check_options(7, 11, 0.0, columns=("text", "intent"))
    with pytest.raises(UserError, match="columns takes two names, received"):
        options.check_options(7, 11, 0.0, columns=("text",))
    with pytest.raises(UserError, match="out_of_scope takes two names, received"):
        options.check_options(7, 11, 0.0, out_of_scope=("validation_oos",))
