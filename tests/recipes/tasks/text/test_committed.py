"""What the committed text classifiers claim beside their recipes' promises."""

import pytest
from support.claimed import Claimed, names_of


@pytest.mark.parametrize("name", names_of("text"))
def test_attention_does_what_words_alone_cannot(name):
    """On generated reviews, which are made so that counting words fails."""
    claimed = Claimed(name)
    if not claimed.recipe.synthetic:
        pytest.skip("on real reviews linear models are strong")
    card = claimed.card
    rows = card["baselines"].items()
    best = max(row["accuracy"] for name, row in rows if name != "no_attention")
    assert card["accuracy_mean"] >= best + 0.15
    assert card["attention"]["marked_mass"] > 2 * card["attention"]["uniform_mass"]
