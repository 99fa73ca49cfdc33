"""What the `pipeline` dict of a text recipe may hold."""

from attention_zoo.recipes.core.errors import UserError


def check_options(
    max_length,
    vocabulary_size,
    word_dropout,
    crop=None,
    spans=0.0,
    unlabelled=None,
    word_vectors=False,
    self_training=False,
    behaviour=False,
    columns=("text", "label"),
    out_of_scope=None,
    start=None,
    freeze=0,
    class_weight=None,
):
    """Raises `UserError` for values outside their range.

    Args:
        max_length: Integer, words of a text that are read.
        vocabulary_size: Integer, padding and the unknown word included.
        word_dropout: Float, share of the words that training replaces by the unknown
            word, in every epoch anew.
        crop: Integer, words of a text that one pass of training reads. Defaults to
            `None`: `max_length`.
        spans: Float, how many single sentences training reads besides, for each text:
            see `spans.py`. Defaults to `0.0`.
        unlabelled: Name of a split whose labels are not looked at. Defaults to `None`.
        word_vectors: Boolean, whether the embedding starts from vectors that are
            counted on the training texts and the unlabelled ones. Defaults to `False`.
        self_training: Boolean, whether the unlabelled texts are trained on with the
            labels of teachers: see `self_training.py`. Defaults to `False`.
        behaviour: Boolean, whether the classes are negative and positive opinions, on
            which the sentences of `behaviour.py` measure the model. Defaults to
            `False`.
        columns: Tuple of two strings, the features of the text and of the class.
        out_of_scope: Tuple of two splits, of validation and test, whose texts are of
            none of the classes: see `out_of_scope.py`. Defaults to `None`.
        start: Name of the entry whose weights and vocabulary training starts from.
            Defaults to `None`.
        freeze: Integer, for how many epochs these weights stay. Defaults to `0`.
        class_weight: `"balanced"`, or `None` where each text counts the same. Defaults
            to `None`.
    """
    if max_length < 1:
        raise UserError(f"max_length must be positive, received {max_length}")
    if vocabulary_size < 3:
        raise UserError(
            "vocabulary_size must be at least 3, padding and the unknown word "
            f"included, received {vocabulary_size}"
        )
    if not 0 <= word_dropout < 1:
        raise UserError(
            f"word_dropout must be at least 0 and below 1, received {word_dropout}"
        )
    if crop is not None and crop < 1:
        raise UserError(f"crop must be positive, received {crop}")
    if spans < 0:
        raise UserError(f"spans must not be negative, received {spans}")
    for option, value in (("columns", columns), ("out_of_scope", out_of_scope or "ab")):
        if len(value) != 2:
            raise UserError(f"{option} takes two names, received {value!r}")
    if self_training and not unlabelled:
        raise UserError("self_training needs the name of a split: unlabelled")
