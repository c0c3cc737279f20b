"""What a reference to an article says in every format: its kind, titles, pages, date and identifiers."""

from __future__ import annotations

import calendar
import re
from typing import Literal, NamedTuple

from pubvec.records import Article, title_of

Kind = Literal["article", "chapter", "book"]

_DASH = r"\s*[-\u2010-\u2015]{1,2}\s*"
_PAGE = r"[A-Za-z]*(?:[A-Za-z0-9]+[.:])*[A-Za-z]*\d+[A-Za-z]{0,2}(?:\.[A-Za-z]?\d+)?|[ivxlcdmIVXLCDM]+"
"""A page as journals number them: `12`, `S12`, `e123`, `112A`, `9ra34`, `4.12`, `1021.e6`, `iii`."""
_RANGE = re.compile(rf"(?P<first>{_PAGE}){_DASH}(?P<last>{_PAGE})")
_SUPPLEMENT = re.compile(
    rf"(?P<first>(?P<start>\d+){_DASH}(?P<end>\d+))\.(?P<letter>[A-Za-z])\d+{_DASH}(?P=letter)?(?P<last>\d+)"
)
"""Pages that go on as a supplement on the web: `1016-21.e1-6` ends at `1021.e6`."""
_LABELED = re.compile(r"[A-Za-z][A-Za-z .]*[\s:]\s*(?P<pages>\d.*)")
"""Pages with a word before them, which tells the part of the journal: `Suppl:12-5`, `pp 12-15`."""
_LETTERED = re.compile(rf"(?P<digits>.*\d)(?P<first>[A-Za-z]){_DASH}(?P<last>[A-Za-z])")
"""Pages that differ in their letter alone: `123A-B`."""
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<digits>\d+)(?P<after>[A-Za-z]{0,2})")
_FIRST_PART = re.compile(r"[;,]|\s+(?=[^\s\d-])")
"""The end of the pages of the article itself, which other pages may follow: `123-30; quiz 131-2`, `1-5, 9`, `12-4
contd`."""
_ARTICLE_NUMBER = re.compile(r"(?=.*\d)[\w./-]{1,24}")
"""An identifier of the publisher that serves as a page: `e0123456`, `e01408-19`."""
_STANDARD_PII = re.compile(r"[SB]\d{4}-?\d{3}[\dX]\(?\d{2}\)?\d{5}-?[\dX]", re.IGNORECASE)
"""The Publisher Item Identifier of 1995, which no citation shows: `S0140-6736(20)30183-5`."""


_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_SEASONS = {"spring": 1, "summer": 2, "autumn": 3, "fall": 3, "winter": 4}
_ISO_DATE = re.compile(r"(\d{4})(?:-(0[1-9]|1[0-2])(?:-(\d\d))?)?")
_COMPACT_DATES = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d{4})(\d\d)(\d\d)")
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_BETWEEN = re.compile(r"\s*[-/\u2010-\u2015]\s*")


class Pages(NamedTuple):
    """The pages of an article in its journal or book."""

    first: str | None
    """The first page, or what is printed where it cannot be read as a page or a range of pages."""
    last: str | None
    """The last page, written out in full."""
    rest: str | None
    """The pages as they are printed, where `first` and `last` do not say all of it: `123-30; quiz 131-2`."""


class PublicationDate(NamedTuple):
    """A date that may lack a day or a month, may be a season, and may be a range."""

    year: int | None
    month: int | None
    day: int | None
    end: tuple[int, int | None, int | None] | None
    """Year, month and day of the end of a range."""
    season: int | None
    """1 (spring) to 4 (winter), where the date names one season."""
    label: str | None
    """What is printed beside the year, where that is more than one month and one day: `Jul-Aug`, `Fall`."""


class Reference(NamedTuple):
    """What every format says of an article."""

    kind: Kind
    title: str
    original_title: str | None
    """The title in the language of the article, where `title` is a translation."""
    container_title: str | None
    """The journal of an article, the book of a chapter."""
    pages: Pages
    article_number: str | None
    """The publisher's number of an article that has no pages."""
    date: PublicationDate


def refer_to(article: Article) -> Reference:
    """Return what a reference to `article` says."""
    kind = kind_of(article)
    title = title_of(article)
    original = article.vernacular_title
    return Reference(
        kind,
        title,
        original if original != title else None,
        article.book_title if kind == "chapter" else None if kind == "book" else article.journal.title,
        read_pages(article.journal.pages),
        article_number_of(article),
        date_of(article),
    )


def kind_of(article: Article) -> Kind:
    """Tell a chapter from the whole book: PubMed gives a chapter a title of its own."""
    if not article.is_book:
        return "article"
    return "chapter" if article.book_title and article.title != article.book_title else "book"


def article_number_of(article: Article) -> str | None:
    """Return the number that the publisher gives instead of pages; None where there are pages or no such number."""
    pii = article.pii or ""
    is_number = _ARTICLE_NUMBER.fullmatch(pii) and not _STANDARD_PII.fullmatch(pii)
    return pii if is_number and not article.journal.pages else None


def read_pages(printed: str | None) -> Pages:
    """Read pages as PubMed prints them, whose last page leaves out the digits that it shares with the first.

    >>> read_pages("123-30; quiz 131-2")[:2]
    ('123', '130')
    """
    text = " ".join((printed or "").split())
    if not text:
        return Pages(None, None, None)
    own = _FIRST_PART.split(text, maxsplit=1)[0].strip()
    if found := _SUPPLEMENT.fullmatch(own):
        last = _complete(found["start"], found["end"])
        if last is not None:
            rest = text if own != text else None
            return Pages(found["start"], f"{last}.{found['letter']}{found['last']}", rest)
    if labeled := _LABELED.fullmatch(own):
        own = labeled["pages"]
    ends = _split_range(own)
    if ends is None:
        is_page = re.fullmatch(_PAGE, own) is not None
        return Pages(own, None, text) if is_page and own != text else Pages(text, None, None)
    first, last = ends
    return Pages(first, last, text if own != text else None)


def _split_range(text: str) -> tuple[str, str] | None:
    """First and last page of one range; None where `text` is no range, or could be read in two ways."""
    if (lettered := _LETTERED.fullmatch(text)) and lettered["first"].lower() < lettered["last"].lower():
        return lettered["digits"] + lettered["first"], lettered["digits"] + lettered["last"]
    found = _RANGE.fullmatch(text)
    if found is not None:
        last = _complete(found["first"], found["last"])
        return None if last is None else (found["first"], last)
    parts = re.split(_DASH, text)
    if len(parts) == 4 and all(parts):  # the pages themselves hold a hyphen: `12-1-12-9`
        return "-".join(parts[:2]), "-".join(parts[2:])
    return None


def _complete(first: str, last: str) -> str | None:
    """Write out a last page: `45` after `1234` is `1245`; None where that page would come before the first."""
    start, end = _NUMBERED.fullmatch(first), _NUMBERED.fullmatch(last)
    if start is None or end is None or "." in last:
        return last
    is_bare = not end["before"]
    if not is_bare and end["before"].lower() != start["before"].lower():
        return last
    before = start["before"] if is_bare else end["before"]
    digits = end["digits"]
    n_missing = len(start["digits"]) - len(digits)
    if n_missing > 0:
        digits = start["digits"][:n_missing] + digits
    if int(digits) < int(start["digits"]):
        return None
    return before + digits + end["after"]


def date_of(article: Article) -> PublicationDate:
    """Return the date of the issue, or the electronic date where there is no other."""
    if article.date_published:
        date = read_date(article.date_published)
        return date if date.year else date._replace(year=article.year)
    if article.date_electronic:
        day = article.date_electronic
        return PublicationDate(day.year, day.month, day.day, None, None, None)
    return PublicationDate(article.year, None, None, None, None, None)


def read_date(text: str) -> PublicationDate:
    """Read a date as `Article.date_published` has it: ISO 8601, or NLM's free text such as `1998 Dec-1999 Jan`."""
    if found := _ISO_DATE.fullmatch(text):
        given = [int(part) if part else None for part in found.groups()]
        if given[2] and not _is_day(int(found[1]), int(found[2]), given[2]):
            return PublicationDate(
                given[0], given[1], None, None, None, f"{calendar.month_abbr[int(found[2])]} {found[3]}"
            )
        return PublicationDate(given[0], given[1], given[2], None, None, None)
    if found := _COMPACT_DATES.fullmatch(text):
        numbers = [int(part) for part in found.groups()]
        return PublicationDate(
            numbers[0], numbers[1], numbers[2], (numbers[3], numbers[4], numbers[5]), None, text
        )
    year_found = _YEAR.search(text)
    if year_found is None:
        return PublicationDate(None, None, None, None, None, text)
    year = int(year_found[0])
    label = _label_of(text, year_found)
    if quarter := re.search(r"\b([1-4](?:st|nd|rd|th)) Quart", text):
        month = 3 * int(quarter[1][0]) - 2
        return PublicationDate(year, month, None, (year, month + 2, None), None, label)
    seasons = [_SEASONS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _SEASONS]
    parts = [_read_part(part) for part in _BETWEEN.split(text)]
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        shown = None if first[1] and not seasons else label
        return PublicationDate(
            year, first[1], first[2], None, seasons[0] if len(seasons) == 1 else None, shown
        )
    end = _end_of(year, first, last) if len(parts) == 2 and not seasons else None
    season = seasons[0] if len(seasons) == 1 else None
    return PublicationDate(year, first[1], first[2], end, season, label)


def _is_day(year: int, month: int, day: int) -> bool:
    return year > 0 and 1 <= day <= calendar.monthrange(year, month)[1]


def _label_of(text: str, year: re.Match[str]) -> str | None:
    """Return the text without its first year if whole words are left, else the whole text."""
    before, after = text[: year.start()], text[year.end() :]
    if not before and (not after or after[0] == " "):
        return after.strip() or None
    if not after and before.endswith(" ") and not _BETWEEN.fullmatch(before[-2:]):
        return before.strip() if "-" not in before or not _YEAR.search(before) else text
    return text


Part = tuple[int | None, int | None, int | None]


def _read_part(text: str) -> Part:
    """Year, month and day of one side of a range."""
    year = _YEAR.search(text)
    months = [_MONTHS[word[:3]] for word in re.findall(r"[a-z]+", text.lower()) if word[:3] in _MONTHS]
    day = re.search(r"(?<!\w)\d{1,2}(?!\w)", text)
    has_day = day is not None and 1 <= int(day[0]) <= 31
    return (
        int(year[0]) if year else None,
        months[0] if months else None,
        int(day[0]) if day and has_day else None,
    )


def _end_of(year: int, first: Part, last: Part) -> tuple[int, int | None, int | None] | None:
    """Return the end of a range. A part that it does not name, such as the month of `2000 Jan 1-15`, is that of the
    beginning.
    """
    if last[0] is None and last[1] is None and last[2] is None:
        return None
    if first[1] is None and last[0] is None:
        return None  # `1946-47`
    return last[0] or year, last[1] or first[1] if last[2] or last[1] else None, last[2]
