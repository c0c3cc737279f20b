"""Hits as files that people take along: RIS, BibTeX, CSV, JSON lines, PMIDs. Streams, so that there is no upper limit."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import StringIO
from typing import TextIO

from pubvec.errors import ConfigError
from pubvec.records import Article, Author, Hit
from pubvec.retrieval.fields import fold
from pubvec.tables import dict_of

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")
"""What would end a line of a file made of lines, or cannot be written."""
_PAGES = re.compile(r"(\D*)(\d+)-(\d+)")
_DATE = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?")
_BIBTEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_"},
}
_FORMULA = ("=", "+", "-", "@")
"""Beginnings that a spreadsheet takes for a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
CSV_COLUMNS = (
    "pmid",
    "title",
    "authors",
    "journal",
    "year",
    "volume",
    "issue",
    "pages",
    "doi",
    "pmc_id",
    "publication_types",
    "languages",
    "mesh",
    "badges",
    "score",
    "cosine",
    "probability",
    "url",
    "abstract",
)


def write_hits(hits: Iterable[Hit], file: TextIO, form: str) -> int:
    """Write `hits` to `file` in one of `FORMATS`; returns how many.

    Raises:
        ConfigError: no such format.
    """
    if form not in FORMATS:
        raise ConfigError(f"{form!r} is no format: use one of {', '.join(FORMATS)}")
    if form == "csv":
        file.write(_csv_line(CSV_COLUMNS))
    n_hits = 0
    for hit in hits:
        file.write(FORMATS[form](hit))
        n_hits += 1
    return n_hits


def to_ris(hit: Hit) -> str:
    """One record of RIS, its lines ended by CR LF (https://en.wikipedia.org/wiki/RIS_(file_format))."""
    lines = [f"{tag}  - {_line(value)}" for tag, value in _ris_fields(hit) if value and _line(value)]
    return "".join(f"{line}\r\n" for line in [*lines, "ER  - ", ""])


def to_bibtex(hit: Hit) -> str:
    """One BibTeX entry, its key the first author, the year and the PMID."""
    article = hit.article
    who = next((author.last_name or author.collective_name for author in article.authors), None) or "pmid"
    name = re.sub(r"[^a-z]", "", fold(who)) or "pmid"
    fields = "".join(
        f"  {key} = {{{value}}},\n" for key, value in _bibtex_fields(hit) if value and value.strip("{}")
    )
    return (
        f"@{'book' if article.is_book else 'article'}{{{name}{article.year or ''}_{hit.pmid},\n{fields}}}\n\n"
    )


def to_csv(hit: Hit) -> str:
    """One line of CSV (RFC 4180), in the order of `CSV_COLUMNS`. Text that a spreadsheet would compute has a ' before it."""
    article, journal = hit.article, hit.article.journal
    values = (
        hit.pmid,
        article.title,
        "; ".join(_name(author) for author in article.authors),
        hit.journal,
        article.year,
        journal.volume,
        journal.issue,
        journal.pages,
        article.doi,
        article.pmc_id,
        "; ".join(term.name for term in article.publication_types),
        "; ".join(article.languages),
        "; ".join(heading.name for heading in article.mesh_headings),
        "; ".join(badge.kind for badge in hit.badges),
        round(hit.score, 6),
        round(hit.cosine, 6),
        None if hit.probability is None else round(hit.probability, 6),
        hit.url,
        article.abstract,
    )
    return _csv_line(values)


def to_json(hit: Hit) -> str:
    """One line of JSON: the whole record, its scores and badges."""
    scores = {"score": round(hit.score, 6), "cosine": round(hit.cosine, 6), "probability": hit.probability}
    badges = [badge._asdict() for badge in hit.badges]
    fields = {**dict_of(hit.article), **scores, "badges": badges, "url": hit.url}
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace").decode() + "\n"


def to_pmid(hit: Hit) -> str:
    """The PMID in a line."""
    return f"{hit.pmid}\n"


FORMATS: Mapping[str, Callable[[Hit], str]] = {
    "ris": to_ris,
    "bibtex": to_bibtex,
    "csv": to_csv,
    "jsonl": to_json,
    "pmids": to_pmid,
}
"""Name of each format → what writes a hit in it."""


def _ris_fields(hit: Hit) -> Iterator[tuple[str, str | None]]:
    article, journal = hit.article, hit.article.journal
    first, last = _pages(journal.pages)
    yield "TY", "BOOK" if article.is_book else "JOUR"
    yield from (("AU", _ris_name(author)) for author in article.authors)
    yield "TI", article.title
    yield "T2", article.book_title or journal.title
    yield "J2", journal.iso_abbreviation
    yield "PB", article.publisher
    yield "PY", str(article.year) if article.year else None
    yield "DA", _ris_date(article)
    yield from (("VL", journal.volume), ("IS", journal.issue), ("SP", first), ("EP", last))
    yield from (("SN", journal.issn), ("DO", article.doi), ("AN", str(hit.pmid)), ("C2", article.pmc_id))
    yield from (("LA", language) for language in article.languages)
    yield from (("KW", heading.name) for heading in article.mesh_headings)
    yield from (("KW", keyword.text) for keyword in article.keywords)
    yield from (("N1", badge.kind.upper()) for badge in hit.badges)
    yield "UR", hit.url
    yield "AB", article.abstract


def _bibtex_fields(hit: Hit) -> Iterator[tuple[str, str | None]]:
    article, journal = hit.article, hit.article.journal
    first, last = _pages(journal.pages)
    date = _DATE.match(article.date_published or "")
    yield "author", " and ".join(_bibtex_name(author) for author in article.authors)
    yield "title", f"{{{_bibtex(article.title)}}}"  # the inner braces keep its capitals
    yield "journal", _bibtex(journal.title or journal.iso_abbreviation)
    yield "year", str(article.year) if article.year else None
    yield "month", str(int(date[2])) if date and date[2] else None
    yield "volume", _bibtex(journal.volume)
    yield "number", _bibtex(journal.issue)
    yield "pages", _bibtex(f"{first}--{last}" if last else first)
    yield "publisher", _bibtex(article.publisher)
    yield "issn", _bibtex(journal.issn)
    yield "doi", _bibtex(article.doi)
    yield "pmid", str(hit.pmid)
    yield "pmcid", _bibtex(article.pmc_id)
    yield "url", hit.url
    yield "keywords", _bibtex("; ".join(heading.name for heading in article.mesh_headings))
    yield "note", _bibtex(", ".join(badge.kind for badge in hit.badges))
    yield "abstract", _bibtex(article.abstract)


def _pages(pages: str | None) -> tuple[str | None, str | None]:
    """First and last page; MEDLINE's `1234-45` ends at 1245."""
    found = _PAGES.fullmatch(pages or "")
    if found is None:
        return pages, None
    first, last = found[2], found[3]
    return found[1] + first, found[1] + first[: max(0, len(first) - len(last))] + last


def _ris_date(article: Article) -> str | None:
    found = _DATE.match(article.date_published or "")
    return None if found is None else "/".join((found[1], found[2] or "", found[3] or "", ""))


def _name(author: Author) -> str:
    return author.collective_name or " ".join(filter(None, (author.last_name, author.initials)))


def _ris_name(author: Author) -> str:
    given = author.fore_name or author.initials
    return author.collective_name or ", ".join(filter(None, (author.last_name, given, author.suffix)))


def _bibtex_name(author: Author) -> str:
    if author.collective_name:
        return f"{{{_bibtex(author.collective_name)}}}"
    parts = (author.last_name, author.suffix, author.fore_name or author.initials)
    # A name with " and " in it would be two.
    return ", ".join(f"{{{_bibtex(part)}}}" if " and " in part else _bibtex(part) for part in parts if part)


def _bibtex(text: str | None) -> str:
    return "".join(_BIBTEX_SPECIAL.get(letter, letter) for letter in _line(text or ""))


def _line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())


def _csv_line(values: Iterable[object]) -> str:
    buffer = StringIO()
    cells = ["" if value is None else _cell(value) if isinstance(value, str) else value for value in values]
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()


def _cell(text: str) -> str:
    text = text.replace("\x00", "").encode("utf-8", "replace").decode()
    return f"'{text}" if text.startswith((*_FORMULA, "\t", "\r")) else text
