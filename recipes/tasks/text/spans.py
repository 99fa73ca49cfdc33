"""Texts in sentences, and the parts of them that a pass of training reads.

A classifier that has only seen whole reviews does not know what to make of one line.
Besides each text, cut to a length, training therefore reads sentences of some texts,
with the label of the text: what it learns is the probability of the label given
the sentence.
"""

import re

import numpy as np

MARK = "⏎"  # a word of its own for `standardize_text`, put behind each sentence
_END = re.compile(rb"[.!?]+[\"')\]]*(?=\s|<|$)|(?=<br)")
LONGEST = 80  # words of a span


def mark_sentences(text):
    """Returns a text, bytes, with `MARK` behind each sentence."""
    return _END.sub(lambda found: found[0] + f" {MARK} ".encode(), text)


def split_marks(row, mark):
    """Returns the ids of a text without the mark, and where its sentences start.

    Args:
        row: Integer array, the ids of a text.
        mark: Id of the mark.
    """
    row = np.asarray(row)
    words = row != mark
    starts = np.unique(np.r_[0, np.cumsum(words)[~words]])
    ids = row[words]
    return ids, starts[starts < max(len(ids), 1)]


def draw(rows, starts, crop, share, rng):
    """Returns what one pass reads: each text, cut, and spans of some of them.

    Args:
        rows: List of integer arrays, the ids of each text.
        starts: List of integer arrays, where the sentences of each text start.
        crop: Integer. A longer text is cut to so many words: from its start, up to
            its end, or anywhere.
        share: Float, how many spans for each text.
        rng: NumPy generator.

    Returns:
        List of integer arrays, and the integer array of the texts they are from.
    """
    parts = [_crop(row, crop, rng) for row in rows]
    picked = rng.integers(0, len(rows), round(share * len(rows)))
    parts += [_span(rows[i], starts[i], rng) for i in picked]
    return parts, np.r_[np.arange(len(rows)), picked]


def _crop(row, length, rng):
    """Returns a stretch of a text that is no longer than `length`."""
    spare = len(row) - length
    if spare <= 0:
        return row
    start = (0, spare, rng.integers(0, spare + 1))[rng.integers(0, 3)]
    return row[start : start + length]


def _span(row, starts, rng):
    """Returns one to four sentences of a text, mostly one."""
    first = rng.integers(0, len(starts))
    last = first + (1 if rng.random() < 0.6 else rng.integers(2, 5))
    stop = starts[last] if last < len(starts) else len(row)
    return row[starts[first] : min(stop, starts[first] + LONGEST)]
