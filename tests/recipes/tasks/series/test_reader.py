"""Series out of CSV files: every fault is one line that names its place."""

import numpy as np
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series import reader
from attention_zoo.recipes.tasks.series.stamps import Step

VARIATES = ["load", "heat"]
HEADER = "date,heat,site,load"


def lines(count=6):
    """Rows an hour apart: heat 0.5, 1.5, ..., load 10, 20, ..."""
    return [
        f"2024-02-28 {20 + i:02}:00:00,{i + 0.5},A,{10 * i + 10}"
        if i < 4
        else f"2024-02-29 {i - 4:02}:00,{i + 0.5},A,{10 * i + 10}"
        for i in range(count)
    ]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def to_file(rows, header=HEADER):
        text = "\n".join([header, *rows]) + "\n"
        (tmp_path / "x.csv").write_text(text, encoding="utf-8")
        return "x.csv"

    return to_file


def read(path, variates=VARIATES, rows=2, step=None, **options):
    return reader.read_series(path, variates, rows, step, reader.Options(**options))


def refuse(path, *more, **options):
    with pytest.raises(UserError) as refused:
        read(path, *more, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_good_file(write):
    series = read(write(lines()), rows=6, step=Step(3600))
    assert series.stamps.text(0) == "2024-02-28 20:00:00"
    assert series.stamps.text(5) == "2024-02-29 01:00:00"
    assert series.values.dtype == np.float32
    assert series.values.tolist() == [[10.0 * i + 10, i + 0.5] for i in range(6)]
    assert (series.filled, series.absent) == (0, 0)
    again = read(write(["", *lines(), ""], header="\ufeff" + HEADER))
    assert again.values.tolist() == series.values.tolist()


def test_gaps(write):
    rows = lines()
    for i, cell in ((0, ""), (2, "N/A"), (3, " None")):
        rows[i] = rows[i].replace(f"A,{10 * i + 10}", f"A,{cell}")
    path = write(rows)
    series = read(path, interpolate=True)
    assert series.values[:, 0].tolist() == [20, 20, 30, 40, 50, 60]
    assert series.filled == 3
    assert refuse(path) == (
        "x.csv, line 2: column load is empty, as are 2 more cells: --interpolate "
        "fills gaps between neighbours"
    )


def change(i, old, new):
    rows = lines()
    assert old in rows[i]
    rows[i] = rows[i].replace(old, new)
    return rows


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (lines(), "date,heat,site,lod", "x.csv has no column load: unknown column"),
        (lines(), "date,load,site,load", "x.csv has 2 columns named load"),
        ([row.partition(",")[2] for row in lines()], "heat,site,load", "x.csv has no column of time stamps: name it"),
        (change(3, "3.5", "warm"), HEADER,
         "x.csv, line 5: column heat holds 'warm', which is no number"),
        (change(3, "3.5", "inf"), HEADER, "holds 'inf', which is no number"),
        (change(3, ",A,", ",A,B,"), HEADER, "x.csv, line 5 has 5 cells, the header 4"),
        (lines(4), HEADER, "x.csv has 4 rows, 5 are needed"),
        ([], HEADER, "x.csv has 0 rows, 5 are needed"),
        (change(2, "22:00:00", "22h"), HEADER,
         "x.csv, line 4: '2024-02-28 22h' is no time stamp"),
        (change(2, "22:00:00", "20:00:00"), HEADER,
         "x.csv, line 4: the time stamp 2024-02-28 20:00:00 is not after 2024-02-28 "
         "21:00:00, the one before it"),
        (change(2, "22:00:00", "21:00:00"), HEADER, "is not after"),
        ([row for i, row in enumerate(lines(8)) if i != 5], HEADER,
         "x.csv, line 7: the time stamp 2024-02-29 02:00:00 comes 2 hours after the "
         "one before it, most others 1 hour"),
        (change(1, ",A", ',"A'), HEADER, "x.csv, line 3: unexpected end of data"),
    ],
)  # fmt: skip
def test_faults(write, rows, header, message):
    assert message in refuse(write(rows, header), VARIATES, 5)


def test_another_step(write):
    assert refuse(write(lines()), step=Step(900)) == (
        "x.csv has a row every 1 hour, the model was trained on a row every 15 minutes"
    )


def test_no_text_file(tmp_path):
    with pytest.raises(UserError, match="there is no file .*none.csv"):
        read(tmp_path / "none.csv")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read(tmp_path)
    (tmp_path / "x.csv").write_bytes(b"date,load\xff\n")
    with pytest.raises(UserError, match="is not a text file in UTF-8"):
        read(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(UserError, match="x.csv is empty"):
        read(tmp_path / "x.csv")


def test_an_empty_column(write):
    rows = [row.rsplit(",", 1)[0] + "," for row in lines()]
    with pytest.raises(UserError, match="x.csv: column load holds no number at all"):
        read(write(rows), interpolate=True)
