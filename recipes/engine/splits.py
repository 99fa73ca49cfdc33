"""Checks of the data before the first step, not at the end of a training."""

import numpy as np

from attention_zoo.recipes.core.errors import UserError


def check_splits(pipeline):
    """Raises `UserError` for a split that is missing, empty or of wrong labels.

    Args:
        pipeline: The pipeline. Where it has `classes`, its targets are their numbers.
    """
    classes = getattr(pipeline, "classes", None)
    for split in ("train", "validation", "test") if classes else ("validation", "test"):
        inputs, targets = pipeline.raw(split)
        part = f"the split '{getattr(pipeline.recipe, f'{split}_split')}'"
        if not len(inputs):
            raise UserError(f"{pipeline.dataset}: {part} is empty")
        if classes:
            labels = np.asarray(targets)
            wrong = labels[(labels < 0) | (labels >= len(classes))]
            if wrong.size:
                raise UserError(
                    f"{pipeline.dataset}: {wrong.size} of {labels.size} labels in "
                    f"{part} are none of 0 to {len(classes) - 1}, such as {wrong[0]}"
                )
