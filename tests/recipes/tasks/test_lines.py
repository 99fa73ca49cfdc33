"""What the command says, once and with a count, of texts that it cannot answer."""

import pytest

from attention_zoo.recipes.tasks import lines


@pytest.mark.parametrize(
    ("text", "impossible"),
    [
        ("2021-02-31", True), ("2021-02-28", False), ("2021-13-01", True),
        ("2020-02-29", False), ("2021-02-29", True), ("a dog", False),
    ],
)  # fmt: skip
def test_impossible_dates(text, impossible):
    assert lines.is_impossible_date(text) is impossible


def test_what_is_said(capsys):
    lines.tell_unknown(0)
    lines.tell_no_dates([])
    assert capsys.readouterr() == ("", "")
    lines.tell_unknown(2)
    lines.tell_no_dates(["2021-02-31"])
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("2 texts have no known word")
    assert second == "1 translation is no date of the calendar: 2021-02-31"
