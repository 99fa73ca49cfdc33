"""Time stamps of series: what they say and how they go on."""

import dataclasses
import re

import numpy as np

from attention_zoo.recipes.core.errors import UserError

SECOND = 1_000_000  # in microseconds, the unit of all stamps
OFFSET = r"(?:[zZ]| ?[+-]\d{2}(?::?\d{2})?)$"
EPOCHS = ((8, 11, SECOND), (11, 14, 1000))  # powers of 10 from, to, microseconds each
ISO = "2018-06-18 12:00:00"


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

    def joined(self, others):
        """Returns the stamps with those of others behind them."""
        parts = [self, *others]
        return dataclasses.replace(
            parts[-1],
            times=np.concatenate([part.times for part in parts]),
            wall=np.concatenate([part.wall for part in parts]),
        )

    def regular_texts(self, step):
        """Returns ISO texts that are regular: in UTC where a zone is known."""
        if self.rows:
            return [str(i) for i in self.times]
        return [_iso(t) for t in (self.times if step.unit == "s" else self.wall)]

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
    try:
        wall = pd.to_datetime(bare, format=form or "ISO8601", errors="coerce")
    except (ValueError, re.error) as error:
        raise UserError(
            f"--time-format takes a form such as '%d.%m.%Y %H:%M', received {form!r}: "
            f"{error}"
        ) from None
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
        wall[:0].tz_localize(zone)
    except (KeyError, ValueError, OSError):  # a folder of zones is none
        raise UserError(
            f"there is no time zone {zone}: --time-zone takes a name such as "
            "Europe/Berlin"
        ) from None
    try:
        local = wall.tz_localize(zone, ambiguous="infer", nonexistent="raise")
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


def _iso(time, length=None):
    """Returns microseconds as `2024-02-29 12:00:00`, with a fraction if any."""
    text = str(np.datetime64(int(time), "us")).replace("T", " ")
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return (f"{whole}.{fraction}" if fraction else whole)[:length]
