"""Texts of the command line or of stdin, with errors that name their place."""

import datetime
import itertools
import re
import sys

from attention_zoo.recipes.core.errors import UserError

LINES_AT_ONCE = 64  # of stdin, to predict together


def text_chunks(texts):
    """Yields lists of texts with their places, to be computed together.

    Args:
        texts: List of strings of the command line; if empty, lines of stdin are read.

    Yields:
        List of pairs, e.g. `("line 3", b"a film\\n")`.
    """
    if texts:
        given = ((f"text {i}", text) for i, text in enumerate(texts, 1))
    else:
        given = ((f"line {i}", line) for i, line in enumerate(sys.stdin.buffer, 1))
    at_once = 1 if not texts and sys.stdin.isatty() else LINES_AT_ONCE
    while chunk := list(itertools.islice(given, at_once)):
        yield chunk


def readable_texts(chunk):
    """Returns the texts of a chunk that can be read, by their places.

    The others are named on stderr.
    """
    texts = {}
    for place, raw in chunk:
        try:
            texts[place] = readable(place, raw)
        except UserError as error:
            print(f"attention-zoo: error: {error}", file=sys.stderr)
    return texts


def readable(place, raw):
    """Returns a text as a string, or raises `UserError` that names its place.

    Args:
        place: String, e.g. `"line 3"`.
        raw: Bytes of stdin, or a string of the command line.
    """
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        text.encode()  # bytes that are not UTF-8 come as surrogates in an argument
    except UnicodeError:
        raise UserError(f"{place} is not valid UTF-8") from None
    if not any(c.isprintable() and c != " " for c in text):
        raise UserError(f"{place} is empty")
    return text


def readable_arguments(texts):
    """Returns the texts of the command line, or raises `UserError` for a bad one."""
    return [readable(f"text {i}", text) for i, text in enumerate(texts, 1)]


def tell_unknown(count):
    """Says on stderr how many texts hold nothing that the model knows, if any."""
    if count:
        texts = "text has" if count == 1 else "texts have"
        print(
            f"{count} {texts} no known word: what comes out for such a text means "
            "nothing (is it in another language or script?)",
            file=sys.stderr,
        )


def tell_no_dates(wrong):
    """Says on stderr which translations are impossible dates, if any.

    Args:
        wrong: List of those of which `is_impossible_date` holds.
    """
    if wrong:
        dates = "translation is" if len(wrong) == 1 else "translations are"
        print(
            f"{len(wrong)} {dates} no date of the calendar: {', '.join(wrong[:3])}"
            + (", ..." if len(wrong) > 3 else ""),
            file=sys.stderr,
        )


def is_impossible_date(text):
    """Returns whether a text looks like a date and is none, such as 2021-02-31."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return True
    return False


def warn_of_cut(place, translation):
    """Says on stderr that a `Translation` is of a text longer than the model reads."""
    if translation.length > translation.read:
        print(
            f"{place} has {translation.length} subwords and is cut after "
            f"{translation.read}",
            file=sys.stderr,
        )
