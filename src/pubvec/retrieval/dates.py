"""Dates as people write them in a query: years, months, days, ranges of them, and `last 5 years`."""

from __future__ import annotations

import calendar
import datetime
import re

from pubvec.errors import InputError
from pubvec.retrieval.constraints import DateField, Dates, Years
from pubvec.retrieval.fields import MONTHS

_MONTH = "|".join(MONTHS)
_DAY = r"\d{4}(?:[/-]\d{1,2}(?:[/-]\d{1,2})?)?(?!\d)"
_NAMED = rf"(?:\d{{4}}\s+(?:{_MONTH})[a-z]*(?:\s+\d{{1,2}})?|(?:{_MONTH})[a-z]*\s+\d{{4}})"
_ONE = rf"(?:{_NAMED}|{_DAY})"
_LAST = re.compile(
    r"(?:in the |the )?(?:last|past|previous) (?:(\d{1,4}) )?(year|month|week|day)s?", re.IGNORECASE
)
_RANGE = re.compile(
    rf"\s*(?P<first>{_ONE})?\s*(?P<sign>:|\.\.|–|(?<=\d{{4}})\s*-\s*(?=\d{{4}}))\s*(?P<last>{_ONE})?\s*",
    re.IGNORECASE,
)
_SINGLE = re.compile(rf"\s*(?P<first>{_ONE})\s*", re.IGNORECASE)
_TAIL = re.compile(
    rf"(?:{_LAST.pattern}|(?:{_ONE})?\s*(?::|\.\.|–|-)\s*(?:{_ONE})|{_ONE}(?:\s*(?::|\.\.))?)\s*$",
    re.IGNORECASE,
)
_OPEN_END = 3000
"""PubMed's users write this year, or a later one, for an open end."""


def split_date(text: str) -> tuple[str, str]:
    """Split the words before a tag of a date into what comes before the date, and the date."""
    found = _TAIL.search(text)
    if found is None or (found.start() and not text[found.start() - 1].isspace()):
        before, _, last = text.rpartition(" ")
        return before, last
    return text[: found.start()].rstrip(), found[0].strip()


def read_dates(text: str, field: DateField, column: int, today: datetime.date) -> Years | Dates:
    """Read a date or a range: `2019`, `2019/05`, `2019/05/12:2019/07`, `2015-2020`, `2010:`, `last 5 years`.

    Raises:
        InputError: it is no date, does not exist, or ends before it begins.
    """
    if found := _LAST.fullmatch(" ".join(text.split())):
        start = _before(today, int(found[1] or 1), found[2].lower())
        return Dates(field, _number(start), None)
    found = _RANGE.fullmatch(text) or _SINGLE.fullmatch(text)
    if found is None or not text.strip(" :.–-"):
        raise InputError(
            f"{text or 'nothing'} at column {column} is no date: expected 2020, 2020/05, a range 2015:2020, or last 5 years"
        )
    groups = found.groupdict()
    first = _parse(groups["first"], column) if groups["first"] else None
    if "sign" not in groups:
        assert first is not None
        return _interval(field, first, first, text, column)
    last = _parse(groups["last"], column) if groups["last"] else None
    # PubMed writes whole years as days, and an article of which the year alone is known belongs to the whole year.
    if first is not None and first[1:] in ((1, 1), (1, 0)):
        first = (first[0], 0, 0)
    if last is not None and last[1:] in ((12, 31), (12, 0)):
        last = (last[0], 0, 0)
    if last is not None and last[0] >= _OPEN_END:
        last = None
    return _interval(field, first, last, text, column)


def _interval(
    field: DateField,
    first: tuple[int, int, int] | None,
    last: tuple[int, int, int] | None,
    text: str,
    column: int,
) -> Years | Dates:
    if field == "published" and not any((first or (0, 0, 0))[1:]) and not any((last or (0, 0, 0))[1:]):
        if first and last and first[0] > last[0]:
            raise InputError(f"the range {first[0]}:{last[0]} at column {column} ends before it begins")
        return Years(first[0] if first else None, last[0] if last else None)
    low = None if first is None else first[0] * 10000 + first[1] * 100 + first[2]
    high = None if last is None else last[0] * 10000 + (last[1] or 99) * 100 + (last[2] or 99)
    if low is not None and high is not None and high < low:
        raise InputError(f"the range {text} at column {column} ends before it begins")
    return Dates(field, low, high)


def _parse(text: str, column: int) -> tuple[int, int, int]:
    """Return year, month and day; 0 for what is not said."""
    lowered = text.lower()
    numbers = [int(number) for number in re.findall(r"\d+", lowered)]
    if named := re.search(_MONTH, lowered):
        year = next(number for number in numbers if number > 31)
        days = [number for number in numbers if number <= 31]
        parts = [year, MONTHS.index(named[0]) + 1, *days]
    else:
        parts = numbers
    year, month, day = [*parts, 0, 0][:3]
    try:
        datetime.date(min(max(year, 1), 9999), month or 1, day or 1)
    except ValueError as error:
        raise InputError(f"{text} at column {column} is no date: {error}") from error
    return year, month, day


def _before(today: datetime.date, n: int, unit: str) -> datetime.date:
    if unit in ("day", "week"):
        return today - datetime.timedelta(days=min(n * (7 if unit == "week" else 1), 365_000))
    months = today.year * 12 + today.month - 1 - n * (12 if unit == "year" else 1)
    year, month = max(1, months // 12), months % 12 + 1
    n_days = calendar.monthrange(year, month)[1]
    return datetime.date(year, month, min(today.day, n_days))


def _number(date: datetime.date) -> int:
    return date.year * 10000 + date.month * 100 + date.day
