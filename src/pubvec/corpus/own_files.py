"""Files that people hold beside PubMed's XML: what kind a file is, and its records.

Known are RIS, PubMed's `.nbib`, BibTeX, CSL-JSON, tables with named columns (CSV, TSV, JSON Lines) and JATS, in which PubMed
Central gives full texts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pubvec.corpus.config import ParseConfig
from pubvec.corpus.drafts import (
    BadReferenceError,
    Draft,
    MadeUpIds,
    people,
    split_names,
    text_of_any,
)
from pubvec.corpus.inflate import STDIN, DamagedStreamError, open_chunks
from pubvec.corpus.jats import iter_jats
from pubvec.corpus.reference_files import iter_bibtex, iter_csl, iter_nbib, iter_ris
from pubvec.corpus.scan import Flaw
from pubvec.errors import InputError
from pubvec.records import Article, Journal
from pubvec.tablefiles import iter_rows, place_of, suffix_of
from pubvec.tables import record_of

_logger = logging.getLogger(__name__)
_N_SNIFFED = 8192
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
_JATS = re.compile(
    r"(?:<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[[^\]]*\])?[^>]*>|\s)*<(?:article|pmc-articleset)[\s>]",
    re.DOTALL,
)
_PMIDS = re.compile(r"(?:\s*(?:PMID:?\s*)?\d{1,9}\s*[,;]?\s*)+", re.IGNORECASE)
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "title": ("title", "article title", "document title", "ti"),
    "abstract": ("abstract", "ab", "summary", "abstract note"),
    "pmid": ("pmid", "pubmed id", "pubmed_id", "pubmedid"),
    "doi": ("doi",),
    "pmc_id": ("pmc_id", "pmcid", "pmc", "pmc id"),
    "year": ("year", "publication year", "publication_year", "pub year", "py"),
    "date": ("date", "publication date", "publication_date"),
    "journal": ("journal", "journal/book", "source title", "journal title", "publication title", "source"),
    "volume": ("volume",),
    "issue": ("issue",),
    "pages": ("pages", "page"),
    "number": ("article_number", "article number", "art. no."),
    "book_title": ("book_title", "book title"),
    "publisher": ("publisher",),
    "place": ("place",),
    "issn": ("issn",),
    "isbns": ("isbn",),
    "original_title": ("original_title", "original title"),
    "authors": ("authors", "author"),
    "editors": ("editors", "editor"),
    "keywords": ("keywords", "author keywords", "keyword", "manual tags"),
    "mesh": ("mesh", "mesh terms", "mesh headings"),
    "types": ("publication_types", "publication types", "publication type", "document type"),
    "languages": ("languages", "language"),
    "own_id": ("id", "key"),
}
"""Field of a draft → the names of columns, in lower case, that hold it."""
_LISTS = ("keywords", "mesh", "types", "languages", "isbns")


def find_kind(source: str, config: ParseConfig) -> str | None:
    """Return the kind of a file that is not PubMed's XML: its name for messages; None: it is to be read as PubMed's XML.

    Raises:
        InputError: the file is missing, or is a list of PMIDs, which holds no records.
    """
    if source == STDIN:
        return None
    suffix = suffix_of(Path(source))
    if suffix in _TABLES:
        return "table"
    start = _read(source, config, _N_SNIFFED).lstrip("\ufeff \t\r\n")
    if _JATS.match(start):
        return "JATS"
    if suffix == ".xml":
        return None
    if re.match(r"PMID- ?\d", start):
        return "nbib"
    if re.match(r"TY  - ?\w", start):
        return "RIS"
    if suffix == ".bib" or re.match(r"@\w+\s*[{(]", start):
        return "BibTeX"
    if start.startswith(("[", "{")) and '"error"' not in start[:200]:
        return "CSL-JSON"
    if start.strip() and _PMIDS.fullmatch(start):
        pmids = ",".join(re.findall(r"\d+", start)[:3])
        raise InputError(
            f"{source} is a list of PMIDs, which holds no records: fetch them from "
            f"https://eutils.ncbi.nlm.nih.gov/entrez/eutils/efetch.fcgi?db=pubmed&retmode=xml&id={pmids},… (200 a request) "
            "and parse the XML, or save them on PubMed's website as .nbib"
        )
    return None


def iter_own_articles(source: str, kind: str, config: ParseConfig) -> Iterator[Article | Flaw]:
    """Yield the records of a file of `kind`, with a `Flaw` in the place of what cannot be read.

    Raises:
        InputError: the file is damaged, is no text in UTF-8 or UTF-16, or a table lacks a title.
    """
    make_id = MadeUpIds()
    seen: set[int] = set()
    n_repeated = 0
    for number, (byte, item) in enumerate(_iter_drafts(source, kind, config), start=1):
        try:
            if isinstance(item, BadReferenceError):
                raise item
            article = item if isinstance(item, Article) else item.to_article(make_id)
        except BadReferenceError as error:
            yield Flaw(number, byte, str(error))
            continue
        n_repeated += article.pmid in seen
        seen.add(article.pmid)
        yield article
    if n_repeated:
        _logger.warning(
            "%s names %d articles more than once: the last record of each stays", source, n_repeated
        )


def _iter_drafts(
    source: str, kind: str, config: ParseConfig
) -> Iterator[tuple[int, Draft | Article | BadReferenceError]]:
    if kind == "table":
        yield from _iter_table(Path(source))
        return
    read: Mapping[str, Callable[[str], Iterator[Draft | BadReferenceError]]] = {
        "RIS": iter_ris,
        "nbib": iter_nbib,
        "BibTeX": iter_bibtex,
        "CSL-JSON": iter_csl,
        "JATS": iter_jats,
    }
    text = _read(source, config)
    try:
        for item in read[kind](text.lstrip("\ufeff")):
            yield 0, item
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _iter_table(path: Path) -> Iterator[tuple[int, Draft | Article | BadReferenceError]]:
    """Yield the rows of a table; a row of JSON Lines that `search --format jsonl` wrote is a whole record."""
    columns: dict[str, str] | None = None
    for line, row in iter_rows(path):
        if isinstance(row.get("journal"), dict) and "mesh_headings" in row:
            yield line, _read_whole(row)
            continue
        known = {str(name).strip().lower().lstrip("\ufeff"): name for name in row}
        if columns is None or suffix_of(path) in (".jsonl", ".ndjson"):
            columns = {
                field: known[name]
                for field, names in _COLUMNS.items()
                for name in reversed(names)
                if name in known
            }
        if "title" not in columns and "abstract" not in columns:
            raise InputError(
                f"{place_of(path, line)} has no column `title`: found {', '.join(map(str, row))[:200]}; name the columns "
                "title, abstract, authors, journal, year, doi, pmid …"
            )
        yield line, _read_row(row, columns)


def _read_whole(row: Mapping[str, Any]) -> Article | BadReferenceError:
    try:
        journal = {name: row["journal"].get(name) for name in Journal._fields}
        article: Article = record_of(Article, {**row, "journal": journal})
        if not isinstance(article.pmid, int) or not 0 < article.pmid < 2**31:
            raise ValueError("its PMID is no number of an article")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return BadReferenceError(f"it is no record of `search --format jsonl`: {error}")
    return article


def _read_row(row: Mapping[str, Any], columns: Mapping[str, str]) -> Draft:
    cells = {field: row.get(column) for field, column in columns.items()}
    texts = {field: _unquoted(text_of_any(value)) for field, value in cells.items()}
    items = {field: value if isinstance(value, list) else None for field, value in cells.items()}
    lists = {
        field: [text.strip() for text in items[field] or texts[field].split(";") if str(text).strip()]
        for field in _LISTS
        if field in cells
    }
    names = {
        field: people(items[field] or split_names(texts[field]))
        for field in ("authors", "editors")
        if field in cells
    }
    plain = {field: text for field, text in texts.items() if field not in lists and field not in names}
    kind = text_of_any(row.get("type")).lower()
    plain["pmid"] = plain.get("pmid", "").removesuffix(".0")
    draft = Draft(**plain, **lists, **names)  # type: ignore[arg-type]  # each field by its name
    draft.is_book = kind in ("book", "chapter")
    return draft


def _unquoted(cell: str) -> str:
    """Drop the mark that keeps a spreadsheet from reading a text as a formula."""
    return cell[1:] if re.match(r"'\s*[=+@-]", cell) or re.match(r"'[\t\r\n]", cell) else cell


def _read(source: str, config: ParseConfig, n_most: int | None = None) -> str:
    data = b""
    with open_chunks(source, config) as chunks:
        try:
            for chunk in chunks:
                data += chunk
                if n_most is not None and len(data) >= n_most:
                    return data[:n_most].decode(errors="ignore")
        except DamagedStreamError as error:
            if n_most is None:
                raise InputError(f"{source}: {error}") from error
    try:
        return data.decode("utf-8-sig", errors="strict" if n_most is None else "ignore")
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is no text in UTF-8 (byte {error.start}): save it as UTF-8") from error
