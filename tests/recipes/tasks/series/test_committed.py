"""What the committed forecasters claim beside their recipes' promises."""

import pytest
from support.claimed import Claimed, names_of


@pytest.mark.parametrize("name", names_of("series"))
def test_the_forecaster_beats_the_last_season(name):
    card = Claimed(name).card
    assert len(card["seeds"]) >= 3
    assert card["seeds"][0]["seconds"] < 15 * 60
    assert {*card["baselines"]} == {"seasonal_naive", "linear", "no_attention"}
    for h in card["horizons"]:
        assert card[f"mse_{h}_mean"] < card["baselines"]["seasonal_naive"][f"mse_{h}"]
    assert -1 <= card["attention"]["rank_correlation"] <= 1
