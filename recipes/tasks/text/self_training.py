"""Self-training: a teacher of two models labels texts that have no labels.

1. A linear model of n-grams and a model of the recipe's own kind learn from the
   labelled texts.
2. A weighted mean of their log-odds, the weights picked on validation, labels the
   unlabelled texts, softly.
3. The model that is published learns from both.

The teachers err on different texts, so that their mean errs on fewer than either
(Xie et al. 2020, https://arxiv.org/abs/1911.04252, call a loop of this kind the noisy
student: word dropout and spans are the noise here).
"""

import keras
import numpy as np

import attention_zoo
from attention_zoo.recipes.tasks.batches import predictor

TEACHER_SEED, TEACHER_EPOCHS = 977, 3  # a seed of no published model
SHARES = (0.3, 0.5, 0.7)  # of the linear teacher, which validation picks from


def label(pipeline, token_ids):
    """Returns the probabilities `(B, classes)` of the unlabelled texts.

    Args:
        pipeline: The text pipeline, whose training split teaches the teachers.
        token_ids: The token ids of each split, by its name.
    """
    print("self-training: the linear teacher ...", flush=True)
    (held_out, labels), (texts, _) = map(pipeline.words, ("validation", "unlabelled"))
    linear = [pipeline.linear_model.probabilities(t) for t in (held_out, texts)]
    print("self-training: the teacher of the model's own kind ...", flush=True)
    compute = predictor(train_teacher(pipeline))
    own = [compute(token_ids[name]) for name in ("validation", "unlabelled")]
    blends = {share: blend(linear[0], own[0], share) for share in SHARES}
    losses = {share: log_loss(p, labels) for share, p in blends.items()}
    best = min(losses, key=losses.__getitem__)
    right = [(p.argmax(axis=-1) == labels).mean() for p in (linear[0], own[0])]
    together = (blends[best].argmax(axis=-1) == labels).mean()
    print(
        f"validation accuracy of the teachers: {right[0]:.4f} and {right[1]:.4f}, "
        f"together {together:.4f}, with a share of {best} for the linear one",
        flush=True,
    )
    return blend(linear[1], own[1], best)


def log_loss(probabilities, labels):
    """Returns the mean cross-entropy of integer labels."""
    return float(-_log(probabilities)[np.arange(len(labels)), labels].mean())


def blend(first, second, share):
    """Returns the probabilities of the weighted mean of two models' log-odds."""
    logits = share * _log(first) + (1 - share) * _log(second)
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (odds / odds.sum(axis=-1, keepdims=True)).astype("float32")


def _log(probabilities):
    return np.log(np.clip(probabilities, 1e-4, 1.0))


def train_teacher(pipeline):
    """Returns a model of the recipe, trained on the labelled texts alone."""
    recipe = pipeline.recipe
    model = attention_zoo.create(
        recipe.model, **{**recipe.config, **pipeline.model_config()}
    )
    pipeline.initialise(model)
    training = pipeline.labelled_batches(TEACHER_SEED)
    schedule = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate, decay_steps=len(training) * TEACHER_EPOCHS, alpha=0.02
    )
    model.compile(
        keras.optimizers.AdamW(
            schedule, weight_decay=recipe.weight_decay, global_clipnorm=1.0
        ),
        loss=pipeline.loss(),
        metrics=pipeline.metrics(),
    )
    model.fit(training, epochs=TEACHER_EPOCHS, shuffle=False, verbose=2)
    return model
