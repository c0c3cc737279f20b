"""What other programs' parsers read in an exported file, in one form, so that it can be compared with the article.

Each reader returns for each record the fields that its format holds; text has its white space squeezed.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import bibtexparser
import nbib
import pybtex.database
import rispy
from bibtexparser.middlewares import SeparateCoAuthors, SplitNameParts
from pylatexenc.latex2text import LatexNodes2Text

from pubvec.records import Article, Author
from pubvec.retrieval.bibliography import refer_to

View = dict[str, Any]
_read_latex = LatexNodes2Text(strict_latex_spaces=True, keep_comments=True).latex_to_text
_RIS_KINDS = {"JOUR": "article", "CHAP": "chapter", "BOOK": "book"}
_BIBTEX_KINDS = {"article": "article", "incollection": "chapter", "book": "book"}
_CSL_KINDS = {"article-journal": "article", "chapter": "chapter", "book": "book"}


@cache  # it is slow, and two programs read the same files
def _decode(text: str) -> str:
    # The reader takes the circumflex for its modifier letter.
    return _read_latex(text).replace("ˆ", "^") if set(text) & set("\\{}$~-'`") else text


def squeezed(text: str | None) -> str:
    """`text` without what a line of a file cannot hold."""
    kept = "".join(
        " " if c.isspace() or ord(c) < 32 or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" else c
        for c in text or ""
    )
    return " ".join(kept.split())


def without_empty(view: View) -> View:
    return {name: value for name, value in view.items() if value not in (None, "", [])}


def expected(article: Article, names: Iterable[str]) -> View:
    """What a reader that returns the fields `names` must find."""
    reference, journal = refer_to(article), article.journal
    pages, number = reference.pages, reference.article_number
    is_article = reference.kind == "article"
    view: View = {
        "kind": reference.kind,
        "title": squeezed(reference.title),
        "authors": [name for author in article.authors if (name := _name_of(author))],
        "editors": [name for editor in article.editors if (name := _name_of(editor))],
        "container": squeezed(reference.container_title),
        "abbreviation": squeezed(journal.iso_abbreviation) if is_article else None,
        "series": squeezed(article.collection_title),
        "publisher": squeezed(article.publisher),
        "place": squeezed(article.publisher_place),
        "volume": squeezed(journal.volume),
        "issue": squeezed(journal.issue),
        "first": pages.first or number,
        "last": pages.last,
        "number": number,
        "year": reference.date.year,
        "month": reference.date.month if reference.date.label is None else None,
        "label": reference.date.label,
        "issn": journal.issn if is_article else None,
        "isbn": " ".join(article.isbns),
        "doi": squeezed(article.doi),
        "pmid": article.pmid,
        "pmc_id": article.pmc_id,
        "mesh": [squeezed(heading.name) for heading in article.mesh_headings],
        "keywords": [squeezed(keyword.text) for keyword in article.keywords],
        "languages": article.languages,
        "abstract": squeezed(article.abstract),
        "original_title": squeezed(reference.original_title),
    }
    return without_empty({name: view[name] for name in names})


def _name_of(author: Author) -> tuple[str, ...]:
    if author.collective_name:
        return (squeezed(author.collective_name),)
    parts = (author.last_name, author.fore_name or author.initials, author.suffix)
    return tuple(text for part in parts if (text := squeezed(part)))


def read_ris(text: str) -> list[View]:
    return [_view_ris(entry) for entry in rispy.loads(text)]


def _view_ris(entry: dict[str, Any]) -> View:
    _, month, _, label = [*entry.get("date", "").split("/", 3), "", "", "", ""][:4]
    kind = _RIS_KINDS[entry["type_of_reference"]]
    return without_empty(
        {
            "kind": kind,
            "title": entry.get("title"),
            "authors": [tuple(name.split(", ")) for name in entry.get("authors", [])],
            "editors": [
                tuple(name.split(", "))
                for name in entry.get("secondary_authors" if kind == "chapter" else "tertiary_authors", [])
            ],
            "container": entry.get("secondary_title") if kind != "book" else None,
            "series": entry.get("secondary_title" if kind == "book" else "tertiary_title"),
            "abbreviation": entry.get("alternate_title1"),
            "publisher": entry.get("publisher"),
            "place": entry.get("place_published"),
            "volume": entry.get("volume"),
            "issue": entry.get("number"),
            "first": entry.get("start_page"),
            "last": entry.get("end_page"),
            "number": entry.get("custom7"),
            "year": int(entry["year"]) if entry.get("year") else None,
            "month": int(month) if month else None,
            "label": label,
            "issn": entry.get("issn") if kind == "article" else None,
            "isbn": entry.get("issn") if kind != "article" else None,
            "doi": entry.get("doi"),
            "pmid": int(entry["accession_number"]),
            "pmc_id": entry.get("custom2") or _labeled(entry.get("notes", []), "PMCID"),
            "mesh": entry.get("keywords", []),
            "abstract": entry.get("abstract"),
            "original_title": entry.get("translated_title"),
        }
    )


def _labeled(notes: Iterable[str], label: str) -> str | None:
    return next((note.removeprefix(f"{label}: ") for note in notes if note.startswith(f"{label}: ")), None)


def read_pybtex(text: str) -> list[View]:
    library = pybtex.database.parse_string(text, "bibtex")
    return [
        _view_bibtex(
            entry.type,
            {key: squeezed(_decode(value)) for key, value in entry.fields.items() if key not in _LINKS},
            {key: entry.fields[key] for key in _LINKS if key in entry.fields},
            {role: [_pybtex_name(each) for each in people] for role, people in entry.persons.items()},
        )
        for entry in library.entries.values()
    ]


_LINKS = ("doi", "pmid", "pmcid", "issn", "isbn", "url")


def _pybtex_name(person: pybtex.database.Person) -> tuple[str, ...]:
    last = person.prelast_names + person.last_names
    parts = (last, person.first_names + person.middle_names, person.lineage_names)
    return tuple(text for part in parts if (text := squeezed(_decode(" ".join(part)))))


def read_bibtexparser(text: str) -> list[View]:
    library = bibtexparser.parse_string(text, append_middleware=[SeparateCoAuthors(), SplitNameParts()])
    assert not library.failed_blocks
    views = []
    for entry in library.entries:
        values = {field.key: field.value for field in entry.fields}
        people = {
            role: [_bibtexparser_name(each) for each in values.pop(role, [])] for role in ("author", "editor")
        }
        links = {key: values.pop(key) for key in _LINKS if key in values}
        texts = {key: squeezed(_decode(value)) for key, value in values.items()}
        views.append(_view_bibtex(entry.entry_type, texts, links, people))
    return views


def _bibtexparser_name(name: Any) -> tuple[str, ...]:
    parts = (name.von + name.last, name.first, name.jr)
    return tuple(text for part in parts if (text := squeezed(_decode(" ".join(part)))))


_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def _view_bibtex(
    kind: str, texts: dict[str, str], links: dict[str, str], people: dict[str, list[tuple[str, ...]]]
) -> View:
    first, _, last = texts.get("pages", "").partition("–")
    month = texts.get("month", "")
    months = [
        name for name in _MONTHS if name.lower() in (month.lower(), f"{month.lower()}{name[3:].lower()}")
    ]
    return without_empty(
        {
            "kind": _BIBTEX_KINDS[kind],
            "title": texts.get("title"),
            "authors": people.get("author"),
            "editors": people.get("editor"),
            "container": texts.get("journal") or texts.get("booktitle"),
            "series": texts.get("series"),
            "publisher": texts.get("publisher"),
            "place": texts.get("address"),
            "volume": texts.get("volume"),
            "issue": texts.get("number"),
            "first": first,
            "last": last,
            "number": texts.get("eid"),
            "year": int(texts["year"]) if "year" in texts else None,
            "month": _MONTHS.index(months[0]) + 1 if len(months) == 1 else None,
            "label": month if month and not months else None,
            "issn": links.get("issn"),
            "isbn": links.get("isbn"),
            "doi": links.get("doi"),
            "pmid": int(links["pmid"]),
            "pmc_id": links.get("pmcid"),
            "mesh": texts["keywords"].split("; ") if "keywords" in texts else None,
            "abstract": texts.get("abstract"),
        }
    )


def read_csl(text: str) -> list[View]:
    return [_view_csl(item) for item in json.loads(text)]


def _view_csl(item: dict[str, Any]) -> View:
    kind = _CSL_KINDS[item["type"]]
    first, last = item.get("page", ""), ""
    parts = item.get("issued", {}).get("date-parts", [[]])
    return without_empty(
        {
            "kind": kind,
            "title": squeezed(item.get("title")),
            "authors": [_csl_name(name) for name in item.get("author", [])],
            "editors": [_csl_name(name) for name in item.get("editor", [])],
            "container": item.get("container-title"),
            "abbreviation": item.get("container-title-short"),
            "series": item.get("collection-title"),
            "publisher": item.get("publisher"),
            "place": item.get("publisher-place"),
            "volume": item.get("volume"),
            "issue": item.get("issue"),
            "pages": (first + last) or None,
            "number": item.get("number"),
            "year": parts[0][0] if parts[0] else None,
            "issn": item.get("ISSN"),
            "isbn": item.get("ISBN"),
            "doi": item.get("DOI"),
            "pmid": int(item["PMID"]),
            "pmc_id": item.get("PMCID"),
            "abstract": squeezed(item.get("abstract")),
            "original_title": item.get("original-title"),
        }
    )


def _csl_name(name: dict[str, str]) -> tuple[str, ...]:
    return tuple(name[key] for key in ("literal", "family", "given", "suffix") if key in name)


def read_nbib(text: str) -> list[View]:
    """Fields of the library `nbib`, which knows neither books nor suffixes."""
    return [
        without_empty(
            {
                "pmid": found["pubmed_id"],
                "title": found.get("title"),
                "authors": [each.get("author") for each in found.get("authors", [])],
                "doi": found.get("doi"),
                "pages": found.get("pages"),
                "volume": found.get("journal_volume"),
                "issue": found.get("journal_issue"),
                "date": found.get("publication_date"),
                "journal": found.get("journal"),
                "abbreviation": found.get("journal_abbreviated"),
                "abstract": found.get("abstract"),
                "languages": found.get("language"),
                "types": found.get("publication_types"),
                "keywords": found.get("keywords"),
                "mesh": found.get("descriptors"),
            }
        )
        for found in nbib.read(text)
    ]


def read_csv(text: str) -> list[dict[str, str]]:
    """Rows of a CSV file, each cell of which must be in quotes."""
    assert text.startswith("\ufeff")
    bare = re.sub(r'"(?:[^"]|"")*"', "", text[1:])
    assert set(bare) <= set(",\r\n")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))
