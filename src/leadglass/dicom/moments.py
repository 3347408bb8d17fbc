"""Moments: DICOM dates and times as intervals that can be compared (PS3.5 section 6.2, VR DA, TM, DT).

Rule: a value of less than full precision is the interval of all it may mean;
what is no date or time is None, never an error.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

Interval = tuple[int, int]
"""First and last microsecond: of a day for TM, since year 1 (UTC where an offset is given) for DA and DT."""

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})|(\d{4})\.(\d{2})\.(\d{2})", re.ASCII)
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_EPOCH: Final = datetime(1, 1, 1, tzinfo=UTC)
_FARTHEST: Final = 14 * 60


def parse_date(text: str) -> Interval | None:
    """Give the day of a DA value, also in the form YYYY.MM.DD of earlier editions."""
    found = _DATE.fullmatch(text.strip(" "))
    if found is None:
        return None
    year, month, day = (int(part) for part in found.groups() if part is not None)
    first = _since_epoch(year, month, day)
    return None if first is None else (first, first + _DAY - 1)


def parse_time(text: str) -> Interval | None:
    """Give the part of a day of a TM value, also in the form HH:MM:SS of earlier editions."""
    found = _TIME.fullmatch(text.strip(" "))
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    first = ((int(hour) * 60 + int(minute or 0)) * 60 + int(second or 0)) * _SECOND + _fraction(fraction)
    return first, first + _width(minute, second, fraction) - 1


def parse_date_time(text: str) -> Interval | None:
    """Give the interval of a DT value; without an offset it is read as it stands."""
    found = _DATE_TIME.fullmatch(text.strip(" "))
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    shift = _offset(offset)
    first = _since_epoch(int(year), int(month or 1), int(day or 1), shift or 0)
    if first is None or shift is None or int(hour or 0) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    first += ((int(hour or 0) * 60 + int(minute or 0)) * 60 + int(second or 0)) * _SECOND + _fraction(fraction)
    if hour is not None:
        return first, first + _width(minute, second, fraction) - 1
    if day is not None:
        return first, first + _DAY - 1
    next_month = int(month) % 12 + 1 if month is not None else 1
    next_year = int(year) + (month is None or next_month == 1)
    after = _since_epoch(next_year, next_month, 1, shift) if next_year <= 9999 else first + 366 * _DAY
    return (first, after - 1) if after is not None else None


def _offset(text: str | None) -> int | None:
    """Give minutes east of UTC; 0 when nothing is said, None when it is out of range."""
    if text is None:
        return 0
    hours, minutes = int(text[1:3]), int(text[3:])
    total = hours * 60 + minutes
    if minutes > 59 or total > _FARTHEST:
        return None
    return -total if text[0] == "-" else total


def _since_epoch(year: int, month: int, day: int, offset: int = 0) -> int | None:
    try:
        moment = datetime(year, month, day, tzinfo=timezone(timedelta(minutes=offset)))
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _fraction(text: str | None) -> int:
    return int((text or "").ljust(6, "0"))


def _width(minute: str | None, second: str | None, fraction: str | None) -> int:
    if minute is None:
        return 3600 * _SECOND
    if second is None:
        return 60 * _SECOND
    return int(10 ** (6 - len(fraction or "")))
