import numpy as np
import pytest

from attention_zoo.recipes.tasks.text import spans


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        (b"One. Two!", b"One. | Two! | "),
        (b'He said "no." Then left?!', b'He said "no." |  Then left?! | '),
        (b"bad.<br /><br />So bad", b"bad. |  | <br /> | <br />So bad"),
        (b"8.5 of 10 at www.site.org", b"8.5 of 10 at www.site.org"),
        (b"", b""),
    ],
)
def test_marks_stand_behind_sentences(text, marked):
    found = spans.mark_sentences(text).decode().replace(spans.MARK, "|")
    assert found.split() == marked.decode().split()


def test_marks_leave_the_words_and_say_where_sentences_start():
    ids, starts = spans.split_marks([9, 5, 6, 9, 9, 7, 9], mark=9)
    assert ids.tolist() == [5, 6, 7]
    assert starts.tolist() == [0, 2]
    for row in ([], [9], [9, 9]):
        ids, starts = spans.split_marks(np.array(row, "int32"), mark=9)
        assert ids.tolist() == []
        assert starts.tolist() == [0]


def test_a_pass_reads_every_text_and_some_sentences():
    rng = np.random.default_rng(0)
    rows = [np.arange(11), np.arange(100, 117), np.arange(200, 203)]
    starts = [np.array([0, 3, 7]), np.array([0, 5]), np.array([0])]
    lengths = set()
    for _ in range(200):
        parts, owners = spans.draw(rows, starts, crop=13, share=2, rng=rng)
        assert len(parts) == len(owners) == 9
        assert owners[:3].tolist() == [0, 1, 2]
        assert parts[0].tolist() == rows[0].tolist()
        assert len(parts[1]) == 13
        assert (np.diff(parts[1]) == 1).all()
        lengths.add(int(parts[1][0]))
        for part, owner in zip(parts[3:], owners[3:], strict=True):
            whole = rows[owner]
            at = int(np.flatnonzero(whole == part[0])[0])
            assert at in starts[owner]  # from the start of a sentence
            assert at + len(part) in {*starts[owner], len(whole)}  # to the end of one
            assert part.tolist() == whole[at : at + len(part)].tolist()
    assert lengths == set(range(100, 105))


def test_without_spans_a_pass_is_the_texts():
    rows = [np.arange(5), np.arange(3)]
    starts = [np.array([0]), np.array([0])]
    parts, owners = spans.draw(rows, starts, 5, 0, np.random.default_rng(0))
    assert [part.tolist() for part in parts] == [row.tolist() for row in rows]
    assert owners.tolist() == [0, 1]


def test_a_span_is_short():
    rows, starts = [np.arange(997)], [np.array([0])]
    parts, _ = spans.draw(rows, starts, 997, 1, np.random.default_rng(0))
    assert parts[1].tolist() == list(range(spans.LONGEST))
