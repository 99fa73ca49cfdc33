"""Time stamps of series: what they say, how far apart they are, and how they go on."""

import dataclasses
import re

import numpy as np

from attention_zoo.recipes.core.errors import UserError

SECOND = 1_000_000  # in microseconds, the unit of all stamps
UNITS = ("s", "month", "month_end", "business_day", "row")
OFFSET = r"(?:[zZ]| ?[+-]\d{2}(?::?\d{2})?)$"
EPOCHS = ((8, 11, SECOND), (11, 14, 1000))  # powers of 10 from, to, microseconds each
ISO = "2018-06-18 12:00:00"


@dataclasses.dataclass(frozen=True)
class Step:
    """What lies between two rows of a regular series.

    Args:
        size: Number of units: an integer, but for seconds.
        unit: One of `UNITS`.
    """

    size: float
    unit: str = "s"

    @classmethod
    def parse(cls, text):
        """Returns the step that `str` gave, e.g. of `3600 s` or `1 month`."""
        size, _, unit = str(text).partition(" ")
        return cls(float(size), unit)

    def __str__(self):
        return f"{self.size:.15g} {self.unit}"

    @property
    def seconds(self):
        """Seconds of a step, of a month or business day about."""
        each = {"s": 1, "business_day": 86400, "row": 1}.get(self.unit, 2_629_746)
        value = self.size * each
        return int(value) if value == int(value) else value

    @property
    def words(self):
        """The step for people, e.g. `15 minutes`."""
        if self.unit == "s":
            return span(self.seconds)
        unit = {"month_end": "month", "business_day": "business day"}.get(
            self.unit, self.unit
        )
        return f"{self.size:g} {unit}{'s' * (self.size != 1)}"


@dataclasses.dataclass(frozen=True)
class Stamps:
    """Time stamps as a file has them.

    Args:
        times: Integers `(T,)`: microseconds since 1970 in UTC or, where nothing is
            known of a zone, in local time; or plain numbers of rows.
        wall: The same in local time.
        rows: Whether they are numbers of rows.
        last: The text of the last one, whose form a forecast takes over.
        zone: Name of the time zone that the user gave, or None.
        form: The form that the user gave, as `strftime` has it, or None.
        epoch: Microseconds of a unit where the texts are numbers since 1970, else 0.
    """

    times: np.ndarray
    wall: np.ndarray
    rows: bool = False
    last: str = ""
    zone: str | None = None
    form: str | None = None
    epoch: int = 0

    def __len__(self):
        return len(self.times)

    def take(self, rows):
        """Returns the stamps of some rows, in their order."""
        return dataclasses.replace(self, times=self.times[rows], wall=self.wall[rows])

    def text(self, i):
        """Returns a stamp for an error."""
        return str(self.wall[i]) if self.rows else _iso(self.wall[i])

    def following(self, step, count):
        """Returns the texts of the stamps behind the last one."""
        import pandas as pd

        ahead = np.arange(1, count + 1)
        if self.rows:
            return [str(i) for i in self.times[-1] + ahead * int(step.size)]
        last, shift = self.wall[-1], self.wall[-1] - self.times[-1]
        if step.unit == "s":
            wall = last + np.rint(ahead * step.size * SECOND).astype("int64")
        else:
            day = pd.Timestamp(last, unit="us")
            offset = {
                "month": lambda i: pd.DateOffset(months=i),
                "month_end": pd.offsets.MonthEnd,
                "business_day": pd.offsets.BDay,
            }[step.unit]
            moved = [day + offset(int(i * step.size)) for i in ahead]
            wall = pd.DatetimeIndex(moved).as_unit("us").asi8
        if self.epoch:
            return [f"{value:.15g}" for value in wall / self.epoch]
        if self.form:
            return list(pd.to_datetime(wall, unit="us").strftime(self.form))
        if self.zone:
            utc = pd.to_datetime(wall - shift, unit="us", utc=True)
            return [str(t) for t in utc.tz_convert(self.zone)]
        return [_iso(t, self._cut(step)) + self._suffix() for t in wall]

    def _cut(self, step):
        """Returns how many characters of an ISO stamp the file writes."""
        if re.fullmatch(r"\d{4}-?\d{2}", self.last) and step.unit.startswith("month"):
            return 7
        whole_days = step.unit != "s" or step.size % 86400 == 0
        return 10 if whole_days and ":" not in self.last else None

    def _suffix(self):
        found = re.search(OFFSET, self.last) if ":" in self.last else None
        return found[0].strip() if found else ""


def read_stamps(texts, place, zone=None, form=None):
    """Returns the `Stamps` of strings.

    ISO 8601 down to `2024-02`, with or without an offset from UTC; `20240229`; seconds
    or milliseconds since 1970; or integers, the numbers of rows.

    Args:
        texts: Series or list of strings.
        place: Function from a row to a string that says where it stands.
        zone: Name of the time zone of stamps without an offset.
        form: Their form, as `strftime` has it. Defaults to the ones above.
    """
    import pandas as pd

    texts = pd.Series(texts, dtype="str").str.strip().reset_index(drop=True)
    last = texts.iloc[-1] if len(texts) else ""
    more = {"last": last, "zone": zone, "form": form}
    for i in np.flatnonzero(texts == "")[:1]:
        raise UserError(f"{place(i)}: the time stamp is empty")
    numbers = None if form else pd.to_numeric(texts, errors="coerce")
    if numbers is not None and len(numbers) and numbers.notna().all():
        epoch = next((e for lo, hi, e in EPOCHS if _between(numbers, lo, hi)), 0)
        if epoch:
            wall = np.rint(numbers.to_numpy() * epoch).astype("int64")
            return Stamps(wall, wall, epoch=epoch, **more)
        form = _compact_form(texts)
        if form is None and (numbers % 1 == 0).all():
            wall = numbers.to_numpy().astype("int64")
            return Stamps(wall, wall, rows=True, **more)
    return _read_dates(texts, place, zone, form, more)


def _read_dates(texts, place, zone, form, more):
    """Returns `Stamps` of texts that are dates."""
    import pandas as pd

    bare, aware = texts, np.zeros(len(texts), bool)
    if form is None:
        aware = (texts.str.contains(":") & texts.str.contains(OFFSET)).to_numpy()
        bare = texts.where(~aware, texts.str.replace(OFFSET, "", regex=True))
    for i in np.flatnonzero(aware != aware[:1])[:1]:
        told = ("no offset from UTC", "an offset from UTC")
        raise UserError(
            f"{place(i)}: '{texts[i]}' has {told[int(aware[i])]}, and the rows before "
            f"it have {told[int(aware[0])]}: write all of them alike"
        )
    wall = pd.to_datetime(bare, format=form or "ISO8601", errors="coerce")
    for i in np.flatnonzero(wall.isna())[:1]:
        raise UserError(f"{place(i)}: '{texts[i]}' is no time stamp: {_hint(texts)}")
    wall = pd.DatetimeIndex(wall).as_unit("us")
    times = wall.asi8
    if aware.any():
        utc = pd.to_datetime(texts, format="ISO8601", utc=True)
        times = pd.DatetimeIndex(utc).as_unit("us").asi8
        return Stamps(times, wall.asi8, **{**more, "zone": None})
    if zone:
        times = _localised(wall, zone, place)
    return Stamps(times, wall.asi8, **more)


def _localised(wall, zone, place):
    """Returns local times as microseconds in UTC."""
    try:
        local = wall.tz_localize(zone, ambiguous="infer", nonexistent="raise")
    except KeyError:
        raise UserError(
            f"there is no time zone {zone}: --time-zone takes a name such as "
            "Europe/Berlin"
        ) from None
    except ValueError as error:
        file = place(0).partition(",")[0]
        raise UserError(f"{file}, as local time of {zone}: {error}") from None
    return local.tz_convert("UTC").asi8


def _compact_form(texts):
    """Returns the form of `20240229` or `202402`, or None for other numbers."""
    if texts.str.fullmatch(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])").all():
        return "%Y%m"
    day = r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    return "%Y%m%d" if texts.str.fullmatch(day).all() else None


def _between(numbers, low, high):
    return bool(((numbers >= 10**low) & (numbers < 10**high)).all())


def _hint(texts):
    """Returns the way out for stamps of another form."""
    import warnings

    from pandas.tseries.api import guess_datetime_format

    first = next((t for t in texts if not t.startswith(("19", "20"))), None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        form = first and guess_datetime_format(first, dayfirst=True)
    hint = f"they are written {ISO} (ISO 8601)"
    return f"{hint}, or say their form: --time-format '{form}'" if form else hint


def find_step(stamps, place, expected=None, fill=False):
    """Returns the `Step` of stamps and the place of each on the regular grid.

    Args:
        stamps: `Stamps` of at least two.
        place: Function from a row to a string that says where it stands.
        expected: The `Step` that there should be, or None to find it.
        fill: Whether rows may be absent.

    Returns:
        The step, and integers `(T,)` that rise from 0: by 1 where no row is absent.
    """
    _check_rising(stamps, place)
    step, position = _matching(stamps, expected) if expected else (None, None)
    if step is None:
        step, position = _found(stamps)
    gaps = np.diff(position)
    whole = np.isclose(gaps, np.rint(gaps), atol=1e-6) & (gaps > 0.5)
    wrong = np.flatnonzero(~whole if fill else (gaps != 1))
    if len(wrong):
        i = wrong[0]
        seconds = (stamps.times[i + 1] - stamps.times[i]) / SECOND
        far = f"{gaps[i]:g} rows" if stamps.rows else span(seconds)
        way_out = ""
        if whole.all():
            missing = int(np.rint(gaps).sum() - len(gaps))
            rows = "row that is" if missing == 1 else f"{missing} rows that are"
            way_out = f": --interpolate fills in the {rows} missing"
        raise UserError(
            f"{place(i + 1)}: the time stamp {stamps.text(i + 1)} comes {far} after "
            f"the one before it, most others {step.words}{way_out}"
        )
    return step, np.rint(position).astype("int64")


def _check_rising(stamps, place):
    for i in np.flatnonzero(np.diff(stamps.times) <= 0)[:1]:
        now, before = stamps.text(i + 1), stamps.text(i)
        way_out = "--sort brings the rows into order"
        if stamps.times[i + 1] == stamps.times[i]:
            way_out = (
                "remove one of the two, or name the column that tells several series "
                "apart with --id"
            )
        elif not stamps.rows and stamps.times[i] - stamps.times[i + 1] <= 3600e6:
            way_out += ", and --time-zone knows of the hour that comes twice in autumn"
        raise UserError(
            f"{place(i + 1)}: the time stamp {now} is not after {before}, the one "
            f"before it: {way_out}"
        )


def _found(stamps):
    """Returns the likeliest `Step` and the positions of the stamps in it."""
    spans, counts = np.unique(np.diff(stamps.times), return_counts=True)
    usual = int(spans[counts.argmax()])
    if stamps.rows:
        step = Step(usual, "row")
        return step, _positions(stamps, step)
    candidates = [Step(usual / SECOND)]
    if len(spans) > 1 and usual == 86400 * SECOND:
        candidates.append(Step(1, "business_day"))
    if len(spans) > 1 and usual >= 28 * 86400 * SECOND:
        months, counts = np.unique(np.diff(_months(stamps)), return_counts=True)
        size = int(months[counts.argmax()])
        candidates += [Step(size, "month"), Step(size, "month_end")] * (size > 0)
    for step in reversed(candidates):
        position = _positions(stamps, step)
        if position is not None:
            return step, position
    raise AssertionError("a step of seconds always has positions")


def _matching(stamps, expected):
    """Returns the expected step if the stamps are multiples of it, else None twice."""
    if stamps.rows != (expected.unit == "row"):
        return None, None
    position = _positions(stamps, expected)
    if position is None:
        return None, None
    gaps = np.diff(position)
    fits = np.isclose(gaps, np.rint(gaps), atol=1e-6).all() and (gaps == 1).any()
    return (expected, position) if fits else (None, None)


def _positions(stamps, step):
    """Returns the places of stamps, counted in steps, or None where they have none."""
    if step.unit in ("s", "row"):
        size = step.size * (1 if stamps.rows else SECOND)
        return (stamps.times - stamps.times[0]) / size
    days = stamps.wall.astype("datetime64[us]").astype("datetime64[D]")
    within = stamps.wall % (86400 * SECOND)
    if (within != within[0]).any():
        return None
    if step.unit == "business_day":
        if not np.is_busday(days).all():
            return None
        return np.busday_count(days[0], days) / step.size
    first = days.astype("datetime64[M]").astype("datetime64[D]")
    day = (days - first).astype("int64")
    ends = (days + 1).astype("datetime64[M]") > days.astype("datetime64[M]")
    if not (ends if step.unit == "month_end" else day == day[0]).all():
        return None
    months = _months(stamps)
    return (months - months[0]) / step.size


def _months(stamps):
    wall = stamps.wall.astype("datetime64[us]")
    return wall.astype("datetime64[M]").astype("int64")


def _iso(time, length=None):
    """Returns microseconds as `2024-02-29 12:00:00`, with a fraction if there is one."""
    text = str(np.datetime64(int(time), "us")).replace("T", " ")
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return (f"{whole}.{fraction}" if fraction else whole)[:length]


def span(seconds):
    """Returns seconds as words, e.g. `15 minutes`."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {unit}{'s' * (count != 1)}"
    if seconds % 1:
        return f"{seconds * 1000:g} milliseconds"
    return f"{int(seconds)} second{'s' * (seconds != 1)}"
