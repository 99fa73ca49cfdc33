"""Series out of CSV files: every fault is one line that names its place."""

import numpy as np
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series import reader
from attention_zoo.recipes.tasks.series.steps import Step

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


@pytest.mark.parametrize(
    "form",
    ["%", "%Q", "%s", "%Y-%m-%d %H:%M:%S%Y"],  # the year twice
)
def test_a_form_that_is_none(write, form):
    message = refuse(write(lines()), time_format=form)
    assert message.startswith("--time-format takes a form such as '%d.%m.%Y %H:%M'")
    assert f"received '{form}': " in message


@pytest.mark.parametrize("zone", ["Europe", "..", "/etc/passwd", "\udcff", "a" * 300])
def test_a_time_zone_that_is_none(write, zone):
    message = refuse(write(lines(3)), time_zone=zone)
    assert message.startswith(f"there is no time zone {zone}: --time-zone takes")


def test_what_tells_series_apart_is_neither_time_nor_value(write):
    said = refuse(write(lines()), id="heat")
    assert "the column heat is one to forecast, and cannot tell series apart" in said
    said = refuse(write(lines()), id="date", time="date")
    assert "the column date holds the time stamps" in said


def test_numbers_that_no_model_computes_with(write):
    rows = lines()
    rows[2] = rows[2].replace("2.5", "1e39")  # float32 ends before
    said = refuse(write(rows))
    assert said.startswith(
        "x.csv, line 4: column heat holds '1e39', which is too large"
    )
    rows[2] = rows[2].replace("1e39", "1e400")
    assert refuse(write(rows)).endswith("holds '1e400', which is no number")


@pytest.mark.parametrize(
    ("stamps", "step", "next_one"),
    [
        ([f"2020-01-01 00:00:00.{i}" for i in (0, 2, 4)], "0.2 s", "00:00:00.6"),
        ([str(1577836800 + 60 * i) for i in range(3)], "60 s", "1577836980"),
        ([str(1577836800000 + 500 * i) for i in range(3)], "0.5 s", "1577836801500"),
    ],
)
def test_fractions_of_seconds_and_numbers_since_1970(write, stamps, step, next_one):
    name = write([f"{stamp},1" for stamp in stamps], header="time,load")
    series = read(name, ["load"])
    assert str(series.step) == step
    assert series.stamps.following(series.step, 1)[0].endswith(next_one)


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
        ([row.partition(",")[2] for row in lines()], "heat,site,load",
         "x.csv has no column of time stamps: name it"),
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


# === Time stamps ===


def table_of(tmp_path, stamps, header="ds,y"):
    rows = [f"{stamp},{i}" for i, stamp in enumerate(stamps)]
    (tmp_path / "x.csv").write_text("\n".join([header, *rows]) + "\n")
    return tmp_path / "x.csv"


def follow(tmp_path, stamps, count=2, **options):
    """Returns the step of stamps in words, and the ones behind them."""
    series = read(table_of(tmp_path, stamps), None, **options)
    return series.step.words, series.stamps.following(series.step, count)


@pytest.mark.parametrize(
    ("stamps", "step", "ahead"),
    [
        (["2023-11", "2023-12", "2024-01"], "1 month", ["2024-02", "2024-03"]),
        (["2023-12-31", "2024-01-31", "2024-02-29"], "1 month",
         ["2024-03-31", "2024-04-30"]),
        (["2023-01-15", "2023-04-15", "2023-07-15"], "3 months",
         ["2023-10-15", "2024-01-15"]),
        (["2024-02-29", "2024-03-01", "2024-03-04"], "1 business day",
         ["2024-03-05", "2024-03-06"]),
        (["2024-02-27", "2024-02-28"], "1 day", ["2024-02-29", "2024-03-01"]),
        (["20240228", "20240229"], "1 day", ["2024-03-01", "2024-03-02"]),
        (["202312", "202401", "202402"], "1 month", ["2024-03", "2024-04"]),
        (["2024-01-01 00:00:00.2", "2024-01-01 00:00:00.4"], "200 milliseconds",
         ["2024-01-01 00:00:00.6", "2024-01-01 00:00:00.8"]),
        (["2024-01-01 00:00", "2024-01-01 00:15"], "15 minutes",
         ["2024-01-01 00:30:00", "2024-01-01 00:45:00"]),
        (["2024-03-30T18:00:00+02:00", "2024-03-30T19:00:00+02:00"], "1 hour",
         ["2024-03-30 20:00:00+02:00", "2024-03-30 21:00:00+02:00"]),
        (["2024-03-31T00:00Z", "2024-03-31T01:00Z"], "1 hour",
         ["2024-03-31 02:00:00Z", "2024-03-31 03:00:00Z"]),
        (["1700000000", "1700000060"], "1 minute", ["1700000120", "1700000180"]),
        (["1700000000500", "1700000001000"], "500 milliseconds",
         ["1700000001500", "1700000002000"]),
        (["7", "8", "9"], "1 row", ["10", "11"]),
        (["1990", "1991", "1992"], "1 row", ["1993", "1994"]),
    ],
)  # fmt: skip
def test_stamps_go_on(tmp_path, stamps, step, ahead):
    assert follow(tmp_path, stamps) == (step, ahead)


def test_local_time_over_a_change_of_the_clock(tmp_path):
    """The hour that comes twice in autumn, and the one that is missing in spring."""
    autumn = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00",
              "2024-10-27 03:00"]  # fmt: skip
    zone = {"time_zone": "Europe/Berlin"}
    assert follow(tmp_path, autumn, 1, **zone) == (
        "1 hour", ["2024-10-27 04:00:00+01:00"]
    )  # fmt: skip
    spring = ["2024-03-31 00:00", "2024-03-31 01:00"]
    assert follow(tmp_path, spring, 2, **zone)[1] == [
        "2024-03-31 03:00:00+02:00",
        "2024-03-31 04:00:00+02:00",
    ]
    with pytest.raises(UserError, match="there is no time zone Nowhere"):
        follow(tmp_path, spring, time_zone="Nowhere")
    with pytest.raises(UserError, match="x.csv, as local time of Europe/Berlin: "):
        follow(tmp_path, ["2024-03-31 01:00", "2024-03-31 02:00"], **zone)
    aware = ["2024-10-27T02:00+02:00", "2024-10-27T02:00+01:00"]
    assert follow(tmp_path, aware, 1)[1] == ["2024-10-27 03:00:00+01:00"]


def test_a_form_that_the_user_says(tmp_path):
    stamps = ["18/06/2018 12:00", "18/06/2018 13:00"]
    assert follow(tmp_path, stamps, 1, time_format="%d/%m/%Y %H:%M") == (
        "1 hour", ["18/06/2018 14:00"]
    )  # fmt: skip
    assert refuse(table_of(tmp_path, stamps), None).endswith(
        "x.csv, line 2: '18/06/2018 12:00' is no time stamp: they are written "
        "2018-06-18 12:00:00 (ISO 8601), or say their form: --time-format "
        "'%d/%m/%Y %H:%M'"
    )


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (["2024-01-01 00:00+01:00", "2024-01-01 01:00"],
         "line 3: '2024-01-01 01:00' has no offset from UTC, and the rows before it "
         "have an offset"),
        (["2024-01-01", "2024-01-01"],
         "line 3: the time stamp 2024-01-01 00:00:00 is not after 2024-01-01 00:00:00, "
         "the one before it: remove one of the two, or name the column"),
        (["2024-01-01", "2024-01-03", "2024-01-02"], "--sort brings the rows"),
        (["2024-01-01", "2024-01-02", "2024-01-04"],
         "comes 2 days after the one before it, most others 1 day: --interpolate fills "
         "in the row that is missing"),
        (["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00",
          "2024-01-01 02:30"],
         "line 5: the time stamp 2024-01-01 02:30:00 comes 30 minutes after the one "
         "before it, most others 1 hour"),
        (["2024-01", "", "2024-03"], "line 3: the time stamp is empty"),
        (["2024-02-29", "2024-02-30"], "'2024-02-30' is no time stamp"),
    ],
)  # fmt: skip
def test_bad_stamps(tmp_path, stamps, message):
    assert message in refuse(table_of(tmp_path, stamps), None)


def test_absent_rows_and_unsorted_ones(tmp_path):
    path = table_of(tmp_path, ["2024-01-01", "2024-01-02", "2024-01-05"])
    series = read(path, None, interpolate=True)
    np.testing.assert_allclose(series.values[:, 0], [0, 1, 4 / 3, 5 / 3, 2], rtol=1e-6)
    assert (series.filled, series.absent) == (0, 2)
    assert series.notes == ["2 absent rows filled in"]
    assert series.stamps.text(3) == "2024-01-04 00:00:00"
    months = table_of(tmp_path, ["2024-01", "2024-02", "2024-03", "2024-05"])
    series = read(months, None, interpolate=True)
    assert series.values[:, 0].tolist() == [0, 1, 2, 2.5, 3]
    assert series.step.words == "1 month"
    path = table_of(tmp_path, ["2024-01-02", "2024-01-01", "2024-01-03"])
    assert read(path, None, sort=True).values[:, 0].tolist() == [1, 0, 2]


# === Columns ===


def test_every_numeric_column_is_taken_and_the_others_are_named(tmp_path):
    (tmp_path / "x.csv").write_text(
        "when;count;share;site;void\n2024-01-01;3;0,5;A;\n2024-01-02;4;1,25;B;\n"
    )
    series = read(tmp_path / "x.csv", None)
    assert (series.time, series.variates) == ("when", ["count", "share"])
    assert series.values.tolist() == [[3, 0.5], [4, 1.25]]
    assert series.notes == [
        "not taken: site (no numbers), void (empty)",
        "decimal commas are read as such",
    ]
    series = read(tmp_path / "x.csv", None, target=("share",))
    assert series.variates == ["share"]
    assert "not taken: count, site, void" in series.notes
    assert "unknown column 'shaer'. Did you mean share" in refuse(
        tmp_path / "x.csv", None, target=("shaer",)
    )
    assert "has no column day" in refuse(tmp_path / "x.csv", None, time="day")


def test_tabs_row_numbers_and_typed_columns(tmp_path):
    (tmp_path / "x.tsv").write_text("a\tb\n1\t2\n3\t4\n")
    series = read(tmp_path / "x.tsv", None, time="none")
    assert series.values.tolist() == [[1, 2], [3, 4]]
    assert series.stamps.following(series.step, 1) == ["2"]
    assert "--time none counts the rows" in refuse(tmp_path / "x.tsv", None)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "y": [1, 2, None],
            "at": pandas.date_range("2024-01-01", periods=3, tz="Europe/Paris"),
        }
    )
    frame.to_parquet(tmp_path / "x.parquet")
    for data in (tmp_path / "x.parquet", frame):
        series = read(data, None, interpolate=True)
        assert series.values.tolist() == [[1], [2], [2]]
        assert series.stamps.following(series.step, 1) == ["2024-01-04 00:00:00+01:00"]
    assert ", row 3: column y is empty" in refuse(tmp_path / "x.parquet", None)
    (tmp_path / "y.parquet").write_bytes(b"no table")
    assert "is no Parquet file" in refuse(tmp_path / "y.parquet", None)


def test_the_long_form(tmp_path):
    rows = [f"{name},2024-01-{day:02},{day * scale}"
            for name, days, scale in (("A", range(1, 7), 1), ("B", range(2, 8), 10),
                                      ("C", range(3, 5), 100))
            for day in days]  # fmt: skip
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["unique_id,ds,y", *rows]) + "\n")
    series = read(path, None, 4)
    assert series.variates == ["A", "B"]
    assert series.values.tolist() == [[day, 10 * day] for day in range(2, 7)]
    assert series.notes == [
        "shorter than 4 rows, left out: C",
        "2 rows left out that not all series have",
        "2 series, told apart by unique_id",
    ]
    assert read(path, ["B"], 4).variates == ["B"]  # as a model is given it
    assert "no series has 9 rows" in refuse(path, None, 9)
    assert "the series share 5 rows, 6 are needed: B begins last and A ends first" in (
        refuse(path, None, 6)
    )
    path.write_text("\n".join(["unique_id,ds,y", rows[0], *rows]) + "\n")
    assert "line 3: series A has the time stamp 2024-01-01 00:00:00 for the second" in (
        refuse(path, None)
    )
