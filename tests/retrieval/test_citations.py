"""Exports: what other programs' parsers read is what the hit holds."""

from __future__ import annotations

import csv
import io
import json

import bibtexparser
import pytest
import rispy
from hypothesis import example, given
from hypothesis import strategies as st
from search_world import make_author, make_journal, make_random_article

from makers_records import make_article
from pubvec.errors import ConfigError
from pubvec.records import Article, Author, Badge, Hit, Keyword, MeshHeading
from pubvec.retrieval.citations import CSV_COLUMNS, FORMATS, write_hits
from pubvec.tables import record_of

TEXT = st.text(max_size=60).filter(str.strip)
NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name.strip(" ,;{}") != "")


def make_hit(article: Article, **fields) -> Hit:
    return Hit(article, **({"score": 0.5, "cosine": 0.25, "probability": 0.75, "badges": ()} | fields))


def written(form: str, *hits: Hit) -> str:
    file = io.StringIO(newline="")
    assert write_hits(hits, file, form) == len(hits)
    return file.getvalue()


def squeezed(text: str | None) -> str:
    """Without what a line of a file cannot hold."""
    kept = "".join(
        " " if c.isspace() or ord(c) < 32 or c in "\x7f\x85" or "\ud800" <= c <= "\udfff" else c
        for c in text or ""
    )
    return " ".join(kept.split())


def full_article(**fields) -> Article:
    journal = make_journal("The Journal of Tests", "J. Tests")._replace(
        volume="12", issue="3", pages="1234-45", issn="1234-5678"
    )
    known = {
        "title": "A {braced} title, 5% of $x_1 & more",
        "authors": [
            Author("O'Brien", "Jane Ann", "JA", "Jr", None, None, []),
            Author(None, None, None, None, "The Trial Group", None, []),
        ],
        "journal": journal,
        "year": 2020,
        "date_published": "2020-03-07",
        "doi": "10.1000/x_y(1)<2>",
        "pmc_id": "PMC123",
        "mesh_headings": [MeshHeading("Stroke", None, False, [])],
        "keywords": [Keyword("aspirin", False, None)],
        "languages": ["eng"],
    }
    return make_random_article(77, **(known | fields))


def test_ris_as_rispy_reads_it():
    (entry,) = rispy.loads(written("ris", make_hit(full_article(), badges=(Badge("retracted", 5),))))
    assert entry["type_of_reference"] == "JOUR"
    assert entry["authors"] == ["O'Brien, Jane Ann, Jr", "The Trial Group"]
    assert entry["title"] == "A {braced} title, 5% of $x_1 & more"
    assert (entry["secondary_title"], entry["alternate_title1"]) == ("The Journal of Tests", "J. Tests")
    assert (entry["start_page"], entry["end_page"]) == ("1234", "1245")
    assert (entry["volume"], entry["number"], entry["issn"]) == ("12", "3", "1234-5678")
    assert (entry["year"], entry["date"], entry["doi"]) == ("2020", "2020/03/07/", "10.1000/x_y(1)<2>")
    assert (entry["accession_number"], entry["custom2"]) == ("77", "PMC123")
    assert entry["keywords"] == ["Stroke", "aspirin"]
    assert entry["notes"] == ["RETRACTED"]
    assert entry["urls"] == ["https://pubmed.ncbi.nlm.nih.gov/77/"]


@given(st.lists(st.tuples(TEXT, TEXT, NAMES), min_size=1, max_size=4))
@example([("ER  - \r\nTY  - JOUR", "a\nAU  - x", "TY  - ")])
def test_ris_round_trips(parts):
    hits = [
        make_hit(make_article(number, title=title, abstract=abstract, authors=[make_author(name)]))
        for number, (title, abstract, name) in enumerate(parts, start=1)
    ]
    entries = rispy.loads(written("ris", *hits))
    assert len(entries) == len(hits)
    for hit, entry in zip(hits, entries, strict=True):
        assert squeezed(entry.get("title")) == squeezed(hit.title)
        assert squeezed(entry.get("abstract")) == squeezed(hit.article.abstract)
        assert [squeezed(name) for name in entry["authors"]] == [
            squeezed(f"{hit.article.authors[0].last_name}, Jane Ann")
        ]
        assert entry["accession_number"] == str(hit.pmid)


@pytest.mark.parametrize(
    ("pages", "first", "last"),
    [
        ("1234-45", "1234", "1245"),
        ("e12", "e12", None),
        ("S1-12", "S1", "S12"),
        ("99-101", "99", "101"),
        ("1-2, 7", "1-2, 7", None),
        (None, None, None),
    ],
)
def test_pages(pages, first, last):
    article = make_article(journal=make_journal("J")._replace(pages=pages))
    (entry,) = rispy.loads(written("ris", make_hit(article)))
    assert (entry.get("start_page"), entry.get("end_page")) == (first, last)


def test_bibtex_as_bibtexparser_reads_it():
    library = bibtexparser.parse_string(written("bibtex", make_hit(full_article())))
    assert not library.failed_blocks
    (entry,) = library.entries
    assert (entry.entry_type, entry.key) == ("article", "obrien2020_77")
    fields = {field.key: field.value for field in entry.fields}
    assert fields["author"] == "O'Brien, Jr, Jane Ann and {The Trial Group}"
    assert fields["title"] == r"{A \{braced\} title, 5\% of \$x\_1 \& more}"
    assert (fields["pages"], fields["month"], fields["year"], fields["pmid"]) == (
        "1234--1245",
        "3",
        "2020",
        "77",
    )


@given(st.lists(st.tuples(TEXT, NAMES), min_size=1, max_size=4))
@example([("}@article{x, title={", "a and b"), ("\\", "{")])
def test_bibtex_stays_whole_whatever_is_in_it(parts):
    hits = [
        make_hit(make_article(number, title=title, authors=[make_author(name)]))
        for number, (title, name) in enumerate(parts, start=1)
    ]
    library = bibtexparser.parse_string(written("bibtex", *hits))
    assert not library.failed_blocks
    assert [entry.fields_dict["pmid"].value for entry in library.entries] == [str(hit.pmid) for hit in hits]
    for entry in library.entries:
        assert entry.fields_dict["author"].value.count(" and ") in (0, 1)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=4))
@example([("=HYPERLINK(1)", '+1\n"x"'), ("-2 and @x", "\t=1")])
def test_csv_round_trips_and_computes_nothing(parts):
    hits = [
        make_hit(make_article(number, title=title, abstract=abstract), score=-0.5)
        for number, (title, abstract) in enumerate(parts, start=1)
    ]
    rows = list(csv.DictReader(io.StringIO(written("csv", *hits), newline="")))
    assert [row["pmid"] for row in rows] == [str(hit.pmid) for hit in hits]
    for hit, row in zip(hits, rows, strict=True):
        assert tuple(row) == CSV_COLUMNS
        assert row["score"] == "-0.5"
        for name, text in (("title", hit.title), ("abstract", hit.article.abstract)):
            assert not row[name].startswith(("=", "+", "-", "@", "\t", "\r"))
            text = text.replace("\x00", "").encode("utf-8", "replace").decode()
            assert row[name].removeprefix("'") == text.removeprefix("'")


@given(TEXT, TEXT)
def test_json_lines_give_the_article_back(title, abstract):
    article = full_article(title=title, abstract=abstract)
    (line,) = written("jsonl", make_hit(article, badges=(Badge("erratum", 5),))).split("\n")[:-1]
    fields = json.loads(line)
    known = {name: fields[name] for name in Article._fields}
    expected = article._replace(
        title=title.encode("utf-8", "replace").decode(), abstract=abstract.encode("utf-8", "replace").decode()
    )
    assert record_of(Article, known) == expected
    assert fields["badges"] == [{"kind": "erratum", "pmid": 5}]
    assert (fields["score"], fields["cosine"], fields["probability"]) == (0.5, 0.25, 0.75)


def test_there_is_no_upper_limit():
    hits = (make_hit(make_article(pmid)) for pmid in range(1, 20_001))
    file = io.StringIO()
    assert write_hits(hits, file, "pmids") == 20_000
    assert file.getvalue().split() == [str(pmid) for pmid in range(1, 20_001)]


def test_an_empty_article_in_every_format():
    for form in FORMATS:
        assert written(form, make_hit(make_article(5, title="", abstract=None), probability=None))


def test_an_unknown_format():
    with pytest.raises(ConfigError, match="'docx' is no format: use one of ris, bibtex, csv, jsonl, pmids"):
        write_hits([], io.StringIO(), "docx")
