"""`attention-zoo translate`: a line in, a line out."""

import sys

from attention_zoo.pretrained import find
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.base import need_tensorflow
from attention_zoo.recipes.tasks.lines import (
    is_impossible_date,
    readable_texts,
    tell_no_dates,
    tell_unknown,
    text_chunks,
    warn_of_cut,
)


def add_arguments(command):
    """Adds the arguments of `translate` to its parser."""
    command.add_argument(
        "name", metavar="NAME", help="a trained translator, by its name or its folder"
    )
    command.add_argument(
        "text", nargs="*", metavar="TEXT", help="a text (default: each line of stdin)"
    )
    command.add_argument(
        "--beam", type=int, metavar="N", help="size of the beam (default: the model's)"
    )
    command.add_argument(
        "--num-best",
        type=int,
        default=1,
        metavar="N",
        help="how many translations of each text, as lines of score, tab and text",
    )


def translate(args):
    """Prints the translation of each text, and an empty line where there is none.

    Returns 2 where a text could not be translated.
    """
    entry = find(args.name)
    for flag, value in {"--beam": args.beam, "--num-best": args.num_best}.items():
        if value is not None and value < 1:
            raise UserError(f"{flag} must be positive, received {value}")
    need_tensorflow()
    if hasattr(sys.stdout, "reconfigure"):
        # As the input, whatever the locale.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    translator = open_translator(entry, args.beam, args.num_best)
    code, unknown, wrong = 0, 0, []
    for chunk in text_chunks(args.text):
        texts = readable_texts(chunk)
        code = code if len(texts) == len(chunk) else 2
        found = dict(zip(texts, translator([*texts.values()]), strict=True))
        for place, translation in found.items():
            warn_of_cut(place, translation)
            unknown += not translation.knows_any
            wrong += filter(is_impossible_date, translation.texts[:1])
        for place, _ in chunk:
            print_translation(found.get(place), args.num_best > 1)
        sys.stdout.flush()
    tell_unknown(unknown)
    tell_no_dates(wrong)
    return code


def open_translator(entry, beam, num_best):
    """Returns the `TextTranslator` of an entry, or raises `UserError`.

    Args:
        entry: The `Entry`.
        beam: Integer, or None for the beam of the model's own search.
        num_best: Integer.
    """
    from attention_zoo.generation import texts as translations

    model = entry.load()
    if not translations.is_translator(model):
        raise UserError(f"{entry.name} is no translator")
    own = model.get_layer("translator")
    size = own.core.config["target_vocabulary_size"]
    search = translations.change_search(own.search, beam, num_best)
    beams = translations.beams_of(search)
    if beams > size:
        raise UserError(
            f"--beam must be at most {size}, the size of the vocabulary, "
            f"received {beams}"
        )
    if num_best > beams:
        raise UserError(
            f"--num-best must be at most the size of the beam, {beams}, received "
            f"{num_best}: give a larger --beam"
        )
    return translations.TextTranslator(model, search=search)


def print_translation(translation, with_scores):
    """Prints the texts of a `Translation`; for None, an empty line."""
    if translation is None or not translation.texts:
        print()
        return
    for text, score in zip(translation.texts, translation.scores, strict=True):
        print(f"{score:.4f}\t{text}" if with_scores else text)
