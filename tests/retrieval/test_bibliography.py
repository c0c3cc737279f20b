"""Pages, dates, titles and kinds, as PubMed prints them and as a reference says them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_world import make_journal

from makers_records import make_article
from pubvec.records import Hit
from pubvec.retrieval.bibliography import (
    PublicationDate,
    article_number_of,
    date_of,
    kind_of,
    read_date,
    read_pages,
    refer_to,
)


@pytest.mark.parametrize(
    ("printed", "first", "last", "is_whole"),
    [
        ("1234-45", "1234", "1245", True),
        ("99-101", "99", "101", True),
        ("100-1", "100", "101", True),
        ("7", "7", None, True),
        ("e510", "e510", None, True),
        ("e123-e130", "e123", "e130", True),
        ("e83-5", "e83", "e85", True),
        ("E665-72", "E665", "E672", True),
        ("1016-1021.e6", "1016", "1021.e6", True),
        ("834-9.e1-2", "834", "839.e2", True),
        ("834-839.e1-e12", "834", "839.e12", True),
        ("S12-5", "S12", "S15", True),
        ("S1-S63", "S1", "S63", True),
        ("R1234-45", "R1234", "R1245", True),
        ("112A-9A", "112A", "119A", True),
        ("123A-B", "123A", "123B", True),
        ("123-e125", "123", "e125", True),
        ("iii-xi", "iii", "xi", True),
        ("VII-IX", "VII", "IX", True),
        ("ra45-ra52", "ra45", "ra52", True),
        ("99ra86", "99ra86", None, True),
        ("6.12.1-6.12.18", "6.12.1", "6.12.18", True),
        ("12-1-12-9", "12-1", "12-9", True),
        ("123–130", "123", "130", True),
        ("123 - 30", "123", "130", True),
        ("123-30; quiz 131-2", "123", "130", False),
        ("1787; discussion 1791", "1787", None, False),
        ("327; author reply 328", "327", None, False),
        ("W98; author reply W99", "W98", None, False),
        ("1-5, 9", "1", "5", False),
        ("167-70, 173, 176-9", "167", "170", False),
        ("123-4 contd", "123", "124", False),
        ("12 passim", "12", None, False),
        ("Suppl:12-5", "12", "15", False),
        ("suppl 12-15", "12", "15", False),
        ("1 p following 234", "1", None, False),
        # What can be read in two ways, or in none, stays as it is printed.
        ("H12-H1-9", "H12-H1-9", None, True),
        ("1298-03", "1298-03", None, True),
        ("in press", "in press", None, True),
        ("CD001234", "CD001234", None, True),
        ("", None, None, True),
        (None, None, None, True),
    ],
)
def test_pages(printed, first, last, is_whole):
    assert read_pages(printed) == (first, last, None if is_whole else printed)


PREFIXES = st.sampled_from(["", "S", "e", "E", "R", "A", "suppl"])


@given(PREFIXES, st.integers(1, 99_999), st.integers(0, 500), st.booleans(), st.sampled_from(["-", "–"]))
def test_every_abbreviated_range_is_written_out(prefix, start, n_pages, is_repeated, dash):
    first, last = str(start), str(start + n_pages)
    shared = 0
    if len(first) == len(last):
        while shared < len(last) - 1 and first[shared] == last[shared]:
            shared += 1
    repeated = prefix if is_repeated else ""
    for kept in {last, last[shared:]}:  # written in full, and as NLM shortens it
        pages = read_pages(f"{prefix}{first}{dash}{repeated}{kept}")
        assert pages == (prefix + first, prefix + last, None)


@given(st.text(max_size=30))
def test_no_text_is_lost_or_breaks_the_reading_of_pages(printed):
    pages = read_pages(printed)
    squeezed = " ".join(printed.split())
    assert (pages.first is None) == (squeezed == "")
    if pages.last is None and squeezed:
        assert squeezed in (pages.first, pages.rest)


def date(year, month=None, day=None, end=None, season=None, label=None):
    return PublicationDate(year, month, day, end, season, label)


@pytest.mark.parametrize(
    ("printed", "read"),
    [
        ("2019", date(2019)),
        ("2019-09", date(2019, 9)),
        ("2019-09-14", date(2019, 9, 14)),
        ("2019-02-30", date(2019, 2, label="Feb 30")),
        ("2019 Sep 12", date(2019, 9, 12)),
        ("2019 Jul-Aug", date(2019, 7, end=(2019, 8, None), label="Jul-Aug")),
        ("2005 Sep/Oct", date(2005, 9, end=(2005, 10, None), label="Sep/Oct")),
        ("2005 Jan - Feb", date(2005, 1, end=(2005, 2, None), label="Jan - Feb")),
        ("1998 Dec-1999 Jan", date(1998, 12, end=(1999, 1, None), label="Dec-1999 Jan")),
        ("Dec 1979-Jan 1980", date(1979, 12, end=(1980, 1, None), label="Dec 1979-Jan 1980")),
        ("2000 Dec 15-31", date(2000, 12, 15, (2000, 12, 31), label="Dec 15-31")),
        ("2000 Dec 30-2001 Jan 6", date(2000, 12, 30, (2001, 1, 6), label="Dec 30-2001 Jan 6")),
        ("19990101-19990131", date(1999, 1, 1, (1999, 1, 31), label="19990101-19990131")),
        ("1st Quart 1986", date(1986, 1, end=(1986, 3, None), label="1st Quart")),
        ("2006 4th Quart", date(2006, 10, end=(2006, 12, None), label="4th Quart")),
        ("2019 Fall", date(2019, season=3, label="Fall")),
        ("Spring 2000", date(2000, season=1, label="Spring")),
        ("2000 Spring-Summer", date(2000, label="Spring-Summer")),
        ("Winter 1975-1976", date(1975, season=4, label="Winter 1975-1976")),
        ("2000-2001", date(2000, end=(2001, None, None), label="2000-2001")),
        ("1946-47", date(1946, label="1946-47")),
        ("ca. 1890", date(1890, label="ca.")),
        ("undated", date(None, label="undated")),
    ],
)
def test_dates(printed, read):
    assert read_date(printed) == read


@given(st.text(st.sampled_from("0129 -/JanFebDcSpringQut.st"), max_size=24))
def test_no_text_breaks_the_reading_of_dates(printed):
    read = read_date(printed)
    for _, month, day in [(read.year, read.month, read.day), *([read.end] if read.end else [])]:
        assert (month is None or 1 <= month <= 12) and (day is None or 1 <= day <= 31)


def test_an_electronic_date_stands_in():
    article = make_article(year=2018, date_electronic=datetime.date(2018, 3, 1))
    assert date_of(article) == date(2018, 3, 1)
    assert date_of(make_article(year=2018)) == date(2018)
    assert date_of(make_article(year=1999, date_published="Easter")) == date(1999, label="Easter")


@pytest.mark.parametrize(
    ("pii", "pages", "number"),
    [
        ("e0123456", None, "e0123456"),
        ("e01408-19", None, "e01408-19"),
        ("ENEURO.0089-19.2019", None, "ENEURO.0089-19.2019"),
        ("104567", None, "104567"),
        ("e0123456", "12-5", None),
        ("S0140-6736(20)30183-5", None, None),
        ("S0140673620301835", None, None),
        ("B978-0-12-374984-0.00001-X (chapter)", None, None),
        (None, None, None),
    ],
)
def test_article_numbers(pii, pages, number):
    assert article_number_of(make_article(pii=pii, journal=make_journal("J")._replace(pages=pages))) == number


def test_a_chapter_has_a_title_of_its_own():
    assert kind_of(make_article(title="A")) == "article"
    assert kind_of(make_article(title="A", book_title="B", is_book=True)) == "chapter"
    assert kind_of(make_article(title="B", book_title="B", is_book=True)) == "book"
    assert kind_of(make_article(title="B", is_book=True)) == "book"


@pytest.mark.parametrize(
    ("title", "vernacular", "shown", "original"),
    [
        ("[Not Available].", "Titel.", "Titel.", None),
        ("[NOT AVAILABLE]", "Titel.", "Titel.", None),
        ("", "Titel.", "Titel.", None),
        ("[Not Available].", None, "[Not Available].", None),
        ("[A title].", "Titel.", "[A title].", "Titel."),
        ("Medicines not available.", "Titel.", "Medicines not available.", "Titel."),
    ],
)
def test_titles_that_nobody_translated(title, vernacular, shown, original):
    article = make_article(title=title, vernacular_title=vernacular)
    reference = refer_to(article)
    assert (reference.title, reference.original_title) == (shown, original)
    assert Hit(article, None, None, None, ()).title == shown
