"""A reference as files other than PubMed's XML give it → `records.Article`, with a made-up number where it has no PMID."""

from __future__ import annotations

import calendar
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pubvec.records import (
    MADE_UP_IDS,
    Article,
    Author,
    Keyword,
    MeshHeading,
    MeshQualifier,
    OtherId,
    Section,
    Term,
    blank_article,
)

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_PMC = re.compile(r"PMC\d+", re.IGNORECASE)
_SUFFIX = re.compile(r"(?:Jr|Sr|2nd|3rd|4th|II|III|IV)\.?")
_INITIALS_LAST = re.compile(
    r"(?P<last>\S.*?)\s+(?P<initials>[A-Z]{1,4})(?:\s+(?P<suffix>Jr|Sr|2nd|3rd|4th|II|III|IV))?\.?"
)
"""A name as PubMed's lists have it: `Roe RT Jr`."""
NLM_LANGUAGES = {"en": "eng", "fr": "fre", "de": "ger", "es": "spa", "it": "ita", "pt": "por", "ru": "rus", "zh": "chi"} | {
    "ja": "jpn", "ko": "kor", "nl": "dut", "pl": "pol", "sv": "swe", "da": "dan", "no": "nor", "fi": "fin", "cs": "cze",
    "hu": "hun", "tr": "tur",
}  # fmt: skip
"""Codes of BCP 47 and NLM's codes of the same languages."""


class BadReferenceError(Exception):
    """A reference lacks what every record has, or is malformed."""


@dataclass
class Draft:
    """The fields of a reference as a file has them; empty text and empty lists stand for what is missing."""

    title: str = ""
    abstract: str = ""
    pmid: str = ""
    doi: str = ""
    pmc_id: str = ""
    year: str = ""
    date: str = ""
    """A date as `2020-03-07`, `2020/03/07` or free text: `2013 Sep 12`, `2019 Jul-Aug`."""
    journal: str = ""
    abbreviation: str = ""
    volume: str = ""
    issue: str = ""
    pages: str = ""
    number: str = ""
    """The number of an article that has no pages."""
    issn: str = ""
    nlm_id: str = ""
    book_title: str = ""
    is_book: bool = False
    series: str = ""
    edition: str = ""
    publisher: str = ""
    place: str = ""
    original_title: str = ""
    own_id: str = ""
    """The identifier that the file itself uses for the reference, such as the key of an entry of BibTeX."""
    authors: list[Author] = field(default_factory=list)
    editors: list[Author] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    mesh: list[str] = field(default_factory=list)
    """Headings as `*Asthma/drug therapy`, where `*` stars what follows it."""
    types: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    isbns: list[str] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    body: list[Section] = field(default_factory=list)
    """Sections of the full text."""

    def identity(self) -> str:
        """Return the fields that distinguish two references without PMIDs."""
        first = self.authors[0] if self.authors else None
        name = (first.last_name or first.collective_name or "") if first else ""
        if doi := _read_doi(self.doi):
            return f"doi {doi.lower()}"
        parts = (self.title, self.year or self.date[:4], name, self.abstract if not self.title else "")
        return " ".join(re.sub(r"\W+", " ", "|".join(parts)).lower().split())

    def to_article(self, make_id: Callable[[str], int]) -> Article:
        """Return the record; `make_id` gives a number to an identity that has no PMID.

        Raises:
            BadReferenceError: it has neither title nor abstract, or its PMID is none.
        """
        title, abstract = _squeezed(self.title), self.abstract.strip()
        if not title and not abstract:
            raise BadReferenceError("it has neither a title nor an abstract")
        pmid = self._read_pmid() or make_id(self.identity())
        date = _read_date(self.date or self.year)
        year = _YEAR.search(self.year or self.date)
        blank = blank_article(pmid)
        journal = blank.journal._replace(
            title=None if self.is_book else _or_none(self.journal) or _or_none(self.abbreviation),
            iso_abbreviation=_or_none(self.abbreviation),
            medline_ta=_or_none(self.abbreviation),
            nlm_id=_or_none(self.nlm_id),
            issn=_or_none(self.issn),
            volume=_or_none(self.volume),
            issue=_or_none(self.issue),
            pages=None if self.pages == self.number else _or_none(self.pages),
        )
        return blank._replace(
            is_book=self.is_book,
            title=title,
            vernacular_title=_or_none(self.original_title),
            book_title=_or_none(self.book_title),
            publisher=_or_none(self.publisher),
            publisher_place=_or_none(self.place),
            collection_title=_or_none(self.series),
            edition=_or_none(self.edition),
            isbns=self.isbns,
            abstract=abstract or None,
            sections=self.sections,
            languages=[NLM_LANGUAGES.get(language.lower(), language.lower()) for language in self.languages],
            journal=journal,
            year=int(year[0]) if year else None,
            date_published=date or None,
            authors=self.authors,
            editors=self.editors,
            mesh_headings=[_read_heading(text) for text in dict.fromkeys(self.mesh)],
            keywords=[
                Keyword(text.lstrip("*"), text.startswith("*"), None) for text in dict.fromkeys(self.keywords)
            ],
            publication_types=[Term(name, None) for name in dict.fromkeys(self.types)],
            doi=_read_doi(self.doi),
            pii=_or_none(self.number),
            pmc_id=found[0].upper() if (found := _PMC.search(self.pmc_id)) else None,
            other_ids=[OtherId("key", self.own_id)] if self.own_id else [],
            body=self.body,
        )

    def _read_pmid(self) -> int | None:
        text = self.pmid.strip()
        if not text:
            return None
        if text.isdecimal() and MADE_UP_IDS <= int(text[:12]) < 2**31:
            return None  # an earlier run made this number up, and it is made up again
        if not (text.isdecimal() and 0 < int(text[:12]) < MADE_UP_IDS):
            raise BadReferenceError(f"its PMID is {text[:40]!r}, which is no number of an article")
        return int(text)


class MadeUpIds:
    """Gives each identity the same number in every run, above all PMIDs; two identities of a file never share one."""

    def __init__(self) -> None:
        self._identities: dict[int, str] = {}

    def __call__(self, identity: str) -> int:
        """Return the number of `identity`."""
        for attempt in range(1000):
            said = f"{identity}\0{attempt}" if attempt else identity
            digest = hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=8).digest()
            number = MADE_UP_IDS + int.from_bytes(digest, "big") % (2**31 - 1 - MADE_UP_IDS)
            if self._identities.setdefault(number, identity) == identity:
                return number
        raise BadReferenceError("no number is left for it: split the file")


def read_author(name: str, *, is_person: bool = False) -> Author | None:
    """Read a name as reference managers write it: `Roe, Ralph T, Jr`, `Roe RT Jr`, or the name of a group.

    Args:
        name: the name.
        is_person: a name without a comma is a person's too, the last word being the last name.
    """
    text = _squeezed(name)
    if not text:
        return None
    if "," in text:
        last, *rest = (part.strip() for part in text.split(","))
        suffix = rest.pop() if len(rest) > 1 and _SUFFIX.fullmatch(rest[-1]) else None
        if len(rest) > 1 and _SUFFIX.fullmatch(rest[0]):
            suffix = rest.pop(0)
        return make_author(last, " ".join(rest), suffix)
    if found := _INITIALS_LAST.fullmatch(text):
        return Author(found["last"], None, found["initials"], found["suffix"], None, None, [])
    if " " not in text:
        return make_author(text, "", None)
    if is_person:
        fore, _, last = text.rpartition(" ")
        return make_author(last, fore, None)
    return Author(None, None, None, None, text, None, [])


def make_author(last: str, fore: str, suffix: str | None) -> Author:
    """Return a person; initials that are given in the place of fore names are taken for what they are."""
    given = _squeezed(fore)
    if re.fullmatch(r"(?:[A-Z]\.?[\s-]?){1,4}", given):
        return Author(_or_none(last), given, re.sub(r"[^A-Z]", "", given), suffix or None, None, None, [])
    initials = "".join(word[0] for word in re.split(r"[\s-]+", given) if word and word[0].isupper())
    return Author(_or_none(last), given or None, initials or None, suffix or None, None, None, [])


def split_names(text: str) -> list[str]:
    """Split a cell with several names: at semicolons, else at the commas of `Roe RT, Doe J.`"""
    if ";" in text:
        return [part.strip() for part in text.split(";") if part.strip()]
    parts = [part.strip() for part in text.rstrip(". ").split(",")]
    are_names = all(_INITIALS_LAST.fullmatch(part) for part in parts if part)
    return [part for part in parts if part] if are_names else [text.strip()] if text.strip() else []


def people(names: Iterable[str], *, are_persons: bool = False) -> list[Author]:
    """Read a list of names."""
    found = (read_author(name, is_person=are_persons) for name in names)
    return [author for author in found if author is not None]


def text_of_any(value: Any) -> str:
    """Return a value of JSON or of a table as text; None is ""."""
    return "" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _or_none(text: str) -> str | None:
    return _squeezed(text) or None


def _read_doi(text: str) -> str | None:
    found = _DOI.search(text)
    return found[0].rstrip(".,;") if found else None


def _read_date(text: str) -> str:
    """Return a date in the form of `Article.date_published`: `2020-03-07`, `2020-03`, `2020`, or the text as it is."""
    text = _squeezed(text).strip("/")
    if found := re.fullmatch(r"(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2}))?", text):
        return "-".join([found[1], *(part.zfill(2) for part in found.groups()[1:] if part)])
    found = re.fullmatch(r"(\d{4}) ([A-Za-z]{3})[a-z]*(?: (\d{1,2}))?", text)
    if found and (month := _MONTHS.get(found[2].lower())):
        return "-".join([found[1], f"{month:02}", *([found[3].zfill(2)] if found[3] else [])])
    return re.sub(r"\s*/+\s*", " ", text)


def _read_heading(text: str) -> MeshHeading:
    name, *qualifiers = _split_heading(text)
    return MeshHeading(
        name.lstrip("*"),
        None,
        name.startswith("*"),
        [MeshQualifier(each.lstrip("*"), None, each.startswith("*")) for each in qualifiers],
    )


def _split_heading(text: str) -> list[str]:
    return [part.strip() for part in _squeezed(text).split("/")]
