"""What the committed translators claim beside their recipes' promises."""

import pytest
from support.claimed import Claimed, names_of


@pytest.mark.parametrize("name", names_of("translation"))
def test_the_translator_beats_the_nearest_sentence(name):
    claimed = Claimed(name)
    card = claimed.card
    for key in claimed.recipe.expected:
        assert card[f"{key}_mean"] > card["baselines"]["nearest_neighbour"][key]
    assert len(card["seeds"]) >= 3 or card["seeds"][0]["seconds"] > 15 * 60
