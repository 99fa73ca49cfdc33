"""What lies between the time stamps of a series, and whether it is always the same."""

import dataclasses

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series.stamps import SECOND

UNITS = ("s", "month", "month_end", "business_day", "row")


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
    if step is None or position is None:
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
    if usual == 86400 * SECOND and _skips_weekends(stamps):
        candidates.append(Step(1, "business_day"))
    if usual >= 28 * 86400 * SECOND:
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


def _skips_weekends(stamps):
    """Returns whether there are rows before and after a weekend, and none in it."""
    days = stamps.wall.astype("datetime64[us]").astype("datetime64[D]")
    crossed = np.busday_count(days[0], days[-1]) < (days[-1] - days[0]).astype("int64")
    return bool(crossed and np.is_busday(days).all())


def _months(stamps):
    wall = stamps.wall.astype("datetime64[us]")
    return wall.astype("datetime64[M]").astype("int64")


def span(seconds):
    """Returns seconds as words, e.g. `15 minutes`."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {unit}{'s' * (count != 1)}"
    if seconds % 1:
        return f"{seconds * 1000:g} milliseconds"
    return f"{int(seconds)} second{'s' * (seconds != 1)}"
