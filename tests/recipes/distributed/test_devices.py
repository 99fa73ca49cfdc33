"""Training on several devices of one machine."""

import json

import pytest
from support.fresh import run_fresh

from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.distributed import devices as _distribute

RECIPE = "attention_lstm_reviews"


def test_two_devices_give_the_losses_of_one(tmp_path):
    """The odd batch has equal parts too; a resumed training of two gives the same."""
    program = (
        "import sys; from support import killed_training\n"
        "killed_training.two_devices(sys.argv[1])"
    )
    done = run_fresh(program, tmp_path)
    one, two, resumed = json.loads(done.stdout.splitlines()[-1])
    assert "mirrored on 2 devices" in done.stderr
    assert len(one) == len(two) == len(resumed) == 2
    for rows in zip(one, two, resumed, strict=True):
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            values = [row[key] for row in rows]
            assert values == pytest.approx([values[0]] * 3, abs=1e-4), key
    assert one[0]["loss"] - one[-1]["loss"] > 1e-3  # it does learn


def test_a_batch_that_does_not_divide():
    recipe = _recipe.get_recipe(RECIPE).replace(batch_size=50)
    _distribute.check_batch(recipe, 2)
    with pytest.raises(UserError, match="50 does not divide among 8 .*batch_size=56"):
        _distribute.check_batch(recipe, 8)
