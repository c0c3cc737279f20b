"""Exports: what other programs' parsers read is what the hit holds."""

from __future__ import annotations

import io
import json
import re
import warnings
from pathlib import Path

import pytest
from citeproc import Citation, CitationItem, CitationStylesBibliography, CitationStylesStyle, formatter
from citeproc.source.json import CiteProcJSON
from hypothesis import example, given
from hypothesis import strategies as st
from reference_readers import (
    View,
    expected,
    read_bibtexparser,
    read_csl,
    read_csv,
    read_nbib,
    read_pybtex,
    read_ris,
    squeezed,
    without_empty,
)
from search_world import make_author, make_journal, make_random_article

from makers_records import make_article
from pubvec.corpus import parse
from pubvec.errors import ConfigError
from pubvec.records import Article, Author, Badge, Correction, Hit, Keyword, MeshHeading, MeshQualifier, Term
from pubvec.retrieval.bibliography import refer_to
from pubvec.retrieval.citations import CSV_COLUMNS, FORMATS, iter_written, write_hits
from pubvec.tables import record_of, rows_of

TEXT = st.text(max_size=60).filter(str.strip)
NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name.strip(" ,;{}") != "")


def make_hit(article: Article, **fields) -> Hit:
    return Hit(article, **({"score": 0.5, "cosine": 0.25, "probability": 0.75, "badges": ()} | fields))


def written(form: str, *hits: Hit) -> str:
    file = io.StringIO(newline="")
    assert write_hits(hits, file, form) == len(hits)
    return file.getvalue()


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


FIELDS = [
    "kind",
    "title",
    "authors",
    "editors",
    "container",
    "abbreviation",
    "series",
    "publisher",
    "place",
    "volume",
    "issue",
    "first",
    "last",
    "number",
    "year",
    "month",
    "label",
    "issn",
    "isbn",
    "doi",
    "pmid",
    "pmc_id",
    "mesh",
    "abstract",
    "original_title",
]
NOT_IN_BIBTEX = ("abbreviation", "original_title")
NOT_IN_CSL = ("first", "last", "month", "label", "mesh")


def made_up_articles() -> list[Article]:
    """A record of every kind, and every part of one that has gone wrong anywhere."""
    number = iter(range(1, 1000))
    page_kinds = [
        "e123-e130",
        "1016-1021.e6",
        "123-30; quiz 131-2",
        "iii-xi",
        "S12-5",
        "1-5, 9",
        "H12-H1-9",
        "1234-45",
        "e99735",
    ]
    date_kinds = [
        "2019",
        "2019-09",
        "2019-09-14",
        "2019 Jul-Aug",
        "2019 Fall",
        "1998 Dec-1999 Jan",
        "Spring 2000",
        "1946-47",
    ]
    names = [
        Author("O'Brien", "Jane Ann", "JA", "Jr", None, "0000-0002-1825-0097", ["An institute."]),
        Author("van der Berg", "Jan", "J", None, None, None, []),
        Author("de Souza e Silva", None, "A", "3rd", None, None, []),
        Author("Sand and Stone", "A", "A", None, None, None, []),
        Author("M S Nizam", None, None, None, None, None, []),
        Author("Plato", None, None, None, None, None, []),
        Author("Roe", None, None, "Sr", None, None, []),
        Author("Śliwiński", "Łukasz", "Ł", None, None, None, []),
        Author(None, None, None, None, "The {Trial} Group and Friends", None, []),
        Author(None, None, None, None, "others", None, []),
    ]
    texts = [
        '50% of mice & men: a_b $5 #1 {curly} ~10µg \\alpha ^2 |x| <y> "z"',
        "An unbalanced { brace -- and ``quotes'' ?` !` ,, --- }}{",
        "Line one\nER  - \r\nTY  - JOUR\x00\x1b[31m",
        "α-synuclein ≥ 5 µm; “quoted” – dash",
        "@article{x, title={",
        "=HYPERLINK(1)",
    ]
    journal = make_journal("The Journal of {Tests} & Trials", "J. Tests")._replace(
        volume="12", issue="3 Suppl", issn="1234-567X", issn_type="Print", issn_linking="1234-5678"
    )
    base = {"journal": journal, "year": 2019, "date_published": "2019-03-07", "languages": ["eng"]}
    chapter = {
        "is_book": True,
        "book_title": "A Book of {Everything}",
        "publisher": "Made-up Press & Sons",
        "publisher_place": "Nowhere (NW)",
        "collection_title": "A Series",
        "edition": "2nd",
        "isbns": ["9780000000001", "9780000000002"],
        "editors": names[:2],
        "authors": names[3:5],
        "year": 2001,
        "date_published": "2001-05-09",
    }
    fields = [
        *({"journal": journal._replace(pages=pages)} for pages in page_kinds),
        *({"date_published": date, "year": refer_year(date)} for date in date_kinds),
        *({"title": text, "abstract": text} for text in texts),
        *({"authors": [name]} for name in names),
        {"authors": names},
        {"pii": "e0123456", "doi": "10.9999/e0123456"},
        {"pii": "S0140-6736(20)30183-5"},
        {"doi": "10.1007/978-3-319-12345-6_12"},
        {"doi": "10.1002/(SICI)1097-0258(19980815/30)17:15/16<1661::AID-SIM968>3.0.CO;2-2"},
        {"doi": "10.1000/a%b#c&d~e{f"},
        {"pmc_id": "PMC123", "mesh_headings": MESH, "keywords": [Keyword("as pirin", False, None)]},
        {"title": "[Not Available].", "vernacular_title": "Zuckerpillen.", "languages": ["ger"]},
        {"title": "[Sugar pills].", "vernacular_title": "Zuckerpillen.", "languages": ["ger"]},
        {**chapter, "title": "A Chapter"},
        {**chapter, "title": "A Book of {Everything}", "pmc_id": "PMC7"},
        {"title": "", "abstract": None, "year": None, "date_published": None, "journal": make_journal(None)},
    ]
    return [make_article(next(number), **(base | each)) for each in fields]


MESH = [
    MeshHeading("Carbon Dioxide", None, False, [MeshQualifier("toxicity", None, True)]),
    MeshHeading("Humans", None, True, []),
]


def refer_year(date: str) -> int:
    return int(re.search(r"\d{4}", date)[0])


@pytest.fixture(scope="session")
def genuine(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Article]:
    """All genuine records of the shared files."""
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("genuine") / "articles"
    parse(sorted(path for path in (shared / "xml").iterdir() if ".xml" in path.name), folder)
    tables = [pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))]
    return [article for table in tables for article in rows_of(Article, table)]


def check_every_field(articles: list[Article], form: str, views: list[View], absent: tuple[str, ...]) -> None:
    names = [name for name in FIELDS if name not in absent]
    assert len(views) == len(articles)
    for article, view in zip(articles, views, strict=True):
        known = expected(article, names)
        assert {name: view[name] for name in view if name in names} == known, f"{form}, PMID {article.pmid}"


def as_ris(article: Article) -> Article:
    """RIS has one list for headings and keywords, and no way to tell a comma in the name of a group from others."""
    keywords = [MeshHeading(keyword.text, None, False, []) for keyword in article.keywords]
    return article._replace(
        mesh_headings=article.mesh_headings + keywords,
        authors=[
            Author(*author.collective_name.split(", ", 1), *[None] * 4, [])
            if author.collective_name and ", " in author.collective_name
            else author
            for author in article.authors
        ],
    )


def as_bibtex(article: Article) -> Article:
    """BibTeX's date is a month and a year, and its links cannot hold a brace."""
    return article._replace(doi=article.doi and article.doi.replace("{", "%7B"))


def check_all_formats(articles: list[Article]) -> None:
    hits = [make_hit(article) for article in articles]
    check_every_field([as_ris(each) for each in articles], "ris", read_ris(written("ris", *hits)), ())
    text = written("bibtex", *hits)
    absent = (*NOT_IN_BIBTEX, "label", "month")  # checked by themselves
    for reader in (read_pybtex, read_bibtexparser):
        check_every_field([as_bibtex(each) for each in articles], "bibtex", reader(text), absent)
    check_every_field(articles, "csl-json", read_csl(written("csl-json", *hits)), NOT_IN_CSL)
    check_csv(articles, read_csv(written("csv", *hits)))
    check_nbib(articles, read_nbib(written("nbib", *hits)))


def check_csv(articles: list[Article], rows: list[dict[str, str]]) -> None:
    for article, row in zip(articles, rows, strict=True):
        assert tuple(row) == CSV_COLUMNS
        reference, journal = refer_to(article), article.journal
        known = {
            "pmid": str(article.pmid),
            "title": reference.title,
            "journal": journal.iso_abbreviation or journal.title,
            "year": "" if article.year is None else str(article.year),
            "volume": journal.volume,
            "issue": journal.issue,
            "pages": journal.pages,
            "doi": article.doi,
            "type": reference.kind,
            "abstract": article.abstract,
            "book_title": article.book_title,
            "mesh": "; ".join(heading.name for heading in article.mesh_headings),
            "isbn": "; ".join(article.isbns),
        }
        for name, text in known.items():
            text = (text or "").replace("\x00", "").encode("utf-8", "replace").decode()
            assert row[name] in (text, f"'{text}"), (name, article.pmid)
            assert not row[name].lstrip().startswith(("=", "+", "-", "@"))


def check_nbib(articles: list[Article], views: list[View]) -> None:
    """The library `nbib` takes an author without a person's name for none, and the last language for all."""
    for article, view in zip(articles, views, strict=True):
        reference, journal = refer_to(article), article.journal
        people = [author for author in article.authors if not author.collective_name]
        known = {
            "pmid": article.pmid,
            "title": squeezed(reference.title),
            "authors": [
                squeezed(
                    f"{author.last_name}, {author.fore_name or author.initials or ''} {author.suffix or ''}"
                )
                if author.fore_name or author.initials or author.suffix
                else author.last_name
                for author in people
            ],
            "doi": article.doi,
            "pages": journal.pages,
            "volume": journal.volume,
            "issue": journal.issue,
            "journal": journal.title,
            "abbreviation": journal.medline_ta or journal.iso_abbreviation,
            "abstract": squeezed(article.abstract),
            "keywords": [f"{'*' if each.is_major else ''}{squeezed(each.text)}" for each in article.keywords],
        }
        names = known.keys()
        assert {name: view[name] for name in view if name in names} == without_empty(known), article.pmid
        mesh = {each["descriptor"] for each in view.get("mesh", [])}
        assert mesh == {heading.name.split("/")[0] for heading in article.mesh_headings}, article.pmid


def test_every_kind_of_record_in_every_program():
    check_all_formats(made_up_articles())


@pytest.mark.slow
def test_genuine_records_in_every_program(genuine):
    assert len(genuine) == 1469
    check_all_formats(genuine)


@pytest.mark.parametrize(
    ("date", "month"),
    [
        ("2019-09-14", "September"),
        ("2019 Jul-Aug", "Jul-Aug"),
        ("2005 Jan - Feb", "Jan-Feb"),
        ("2019 Fall", "Fall"),
        ("1998 Dec-1999 Jan", "Dec-Jan"),
        ("Dec 1979-Jan 1980", "Dec-Jan"),
        ("Winter 1975-1976", "Winter"),
        ("1946-47", None),
        ("19990101-19990131", "January"),
        ("2019", None),
    ],
)
def test_months_of_bibtex(date, month):
    """The macros of single months are resolved by the program, ranges and seasons are printed."""
    import pybtex.database

    text = written("bibtex", make_hit(make_article(date_published=date, year=2019)))
    (entry,) = pybtex.database.parse_string(text, "bibtex").entries.values()
    assert entry.fields.get("month") == month


def test_ris_says_what_is_wrong_with_an_article():
    text = written("ris", make_hit(full_article(), badges=(Badge("retracted", 5),)))
    assert text.startswith("TY  - JOUR\r\n") and text.endswith("ER  - \r\n\r\n")
    assert "N1  - RETRACTED\r\n" in text
    text = written("bibtex", make_hit(full_article(), badges=(Badge("retracted", 5), Badge("erratum", 6))))
    assert "  note = {retracted; erratum},\n" in text
    (item,) = json.loads(written("csl-json", make_hit(full_article(), badges=(Badge("retracted", 5),))))
    assert item["note"] == "retracted"


def test_the_key_of_an_entry():
    text = written("bibtex", make_hit(full_article()))
    assert text.startswith("@article{obrien2020_77,\n")
    (item,) = json.loads(written("csl-json", make_hit(full_article())))
    assert item["id"] == "obrien2020_77"


def test_a_doi_is_a_link():
    """No sign of a DOI is escaped, for programs follow it as it is."""
    for doi in ("10.1007/978-3-319-12345-6_12", "10.1000/a%b#c&d~e", "10.1002/x<1661::AID-SIM968>3.0.CO;2-2"):
        assert f"  doi = {{{doi}}},\n" in written("bibtex", make_hit(full_article(doi=doi)))


def test_nbib_is_laid_out_as_pubmed_does():
    article = full_article(
        title="A title that is so long that its line has to be broken somewhere near the eighty-seventh column.",
        authors=[Author("Roe", "Ralph T", "RT", "Jr", None, "0000-0002-1825-0097", ["First.", "Second."])],
        corrections=[
            Correction("RetractionIn", "J Tests. 2021", 99, None),
            Correction("Cites", "x", 5, None),
        ],
        publication_types=[Term("Retracted Publication", None)],
        mesh_headings=MESH,
    )
    lines = written("nbib", make_hit(article)).split("\n")
    assert lines[:2] == ["PMID- 77", "OWN - NLM"] and lines[-2:] == ["", ""]
    assert all(len(line) <= 87 and re.match(r"[A-Z]{2,4} *- |      \S", line) for line in lines if line)
    for line in (
        "IS  - 1234-5678 (Undetermined)",
        "DP  - 2020 Mar 7",
        "PG  - 1234-45",
        "FAU - Roe, Ralph T Jr",
        "AU  - Roe RT Jr",
        "AUID- ORCID: 0000-0002-1825-0097",
        "AD  - Second.",
        "PT  - Retracted Publication",
        "MH  - Carbon Dioxide/*toxicity",
        "MH  - *Humans",
        "RIN - J Tests. 2021 PMID: 99",
        "LID - 10.1000/x_y(1)<2> [doi]",
        "SO  - J. Tests. 2020 Mar 7;12(3):1234-45. doi: 10.1000/x_y(1)<2>.",
    ):
        assert line in lines
    assert not any("Cites" in line or line.endswith(" x") for line in lines)


def cite(items: list[dict]) -> list[str]:
    """Bibliography entries that citeproc makes of CSL-JSON."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the style asks for variables that citeproc-py does not know
        style = CitationStylesStyle("harvard-cite-them-right", validate=False)
        bibliography = CitationStylesBibliography(style, CiteProcJSON(items), formatter.plain)
        for item in items:
            bibliography.register(Citation([CitationItem(item["id"].lower())]))
        return [str(entry) for entry in bibliography.bibliography()]


def test_citeproc_cites_every_kind_of_record():
    articles = [article for article in made_up_articles() if article.title and "{" not in article.title]
    items = json.loads(written("csl-json", *map(make_hit, articles)))
    cited = cite(items)
    assert len(cited) == len(articles)
    text = "\n".join(cited)
    for part in (
        "e123–e130",
        "1016–1021.e6",
        "123–130",
        "iii–xi",
        "e0123456",
        "Zuckerpillen",
        "A Chapter",
        "Made-up Press",
    ):
        assert part in text, part


def test_citeproc_cites_all_genuine_records(genuine):
    items = json.loads(written("csl-json", *map(make_hit, genuine)))
    assert len({item["id"] for item in items}) == len({article.pmid for article in genuine})
    entries = cite(items[::15])
    for item, entry in zip(items[::15], entries, strict=True):
        dates = item["issued"]["date-parts"]
        # Where a style shows the year alone, citeproc-py prints nothing of a range within one year.
        if len(dates) == 1 or dates[0][0] != dates[1][0]:
            assert str(dates[0][0]) in entry
        if page := item.get("page"):
            assert page.split("-")[0] in entry


@given(st.lists(st.tuples(TEXT, TEXT, NAMES), min_size=1, max_size=4))
@example([("ER  - \r\nTY  - JOUR", "a\nAU  - x", "TY  - ")])
@example([("}@article{x, title={", "\\", "{"), ("a and b", "``--''", "and")])
def test_any_text_round_trips(parts):
    articles = [
        make_article(number, title=title, abstract=abstract, authors=[make_author(name)])
        for number, (title, abstract, name) in enumerate(parts, start=1)
    ]
    hits = [make_hit(article) for article in articles]
    names = ("pmid", "title", "abstract")
    for form, reader in (("ris", read_ris), ("csl-json", read_csl), ("nbib", read_nbib)):
        views = reader(written(form, *hits))
        for article, view in zip(articles, views, strict=True):
            assert {name: view[name] for name in names if name in view} == expected(article, names)
    for reader in (read_pybtex, read_bibtexparser):
        views = reader(written("bibtex", *hits))
        assert [view["pmid"] for view in views] == [article.pmid for article in articles]
        assert all(len(view["authors"]) == 1 for view in views)


LATEX_TEXT = st.text(st.sampled_from("ab {}\\$%&#_~^<>|-'`?!,\"é"), max_size=20)


@given(LATEX_TEXT, LATEX_TEXT)
def test_signs_of_tex_round_trip(title, last_name):
    article = make_article(title=title, authors=[make_author(last_name or "x")])
    for reader in (read_pybtex, read_bibtexparser):
        (view,) = reader(written("bibtex", make_hit(article)))
        known = expected(article, ["title", "authors"])
        assert view.get("title") == known.get("title")
        assert view["authors"] == known["authors"]


@given(st.lists(st.tuples(TEXT, TEXT), max_size=4))
@example([("=HYPERLINK(1)", '+1\n"x"'), ("-2 and @x", "\t=1"), (" =1", "＝1"), ("Foo;=1+1", "a,=1")])
def test_csv_round_trips_and_computes_nothing(parts):
    hits = [
        make_hit(make_article(number, title=title, abstract=abstract), score=-0.5)
        for number, (title, abstract) in enumerate(parts, start=1)
    ]
    rows = read_csv(written("csv", *hits))
    assert [row["pmid"] for row in rows] == [str(hit.pmid) for hit in hits]
    for hit, row in zip(hits, rows, strict=True):
        assert tuple(row) == CSV_COLUMNS
        assert row["score"] == "-0.5"
        for name, text in (("title", hit.title), ("abstract", hit.article.abstract)):
            assert (
                not row[name].lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
            )
            text = text.replace("\x00", "").encode("utf-8", "replace").decode()
            assert row[name].removeprefix("'") == text.removeprefix("'")


def test_a_semicolon_starts_no_cell():
    """Programs that split at semicolons too keep what stands in quotes together."""
    text = written("csv", make_hit(make_article(1, title="Foo;=1+1")))
    assert '"Foo;=1+1"' in text


def test_a_hit_that_only_met_conditions_has_no_score():
    hit = make_hit(make_article(1), score=None, cosine=None, probability=None)
    (row,) = read_csv(written("csv", hit))
    assert (row["score"], row["cosine"], row["probability"]) == ("", "", "")
    fields = json.loads(written("jsonl", hit))
    assert (fields["score"], fields["cosine"], fields["probability"]) == (None, None, None)


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
    article = make_article()
    hits = (make_hit(article._replace(pmid=pmid)) for pmid in range(1, 20_001))
    file = io.StringIO()
    assert write_hits(hits, file, "pmids") == 20_000
    assert file.getvalue().split() == [str(pmid) for pmid in range(1, 20_001)]


def test_an_empty_article_in_every_format():
    for form in FORMATS:
        assert written(form, make_hit(make_article(5, title="", abstract=None), probability=None))


def test_no_hits_in_every_format():
    assert written("csl-json").split() == ["[", "]"]
    assert read_csv(written("csv")) == []
    for form in ("ris", "bibtex", "nbib", "jsonl", "pmids"):
        assert written(form) == ""
    for form in FORMATS:
        assert "".join(iter_written([], form)) == written(form)


def test_an_unknown_format():
    known = "ris, bibtex, nbib, csl-json, csv, jsonl, pmids"
    with pytest.raises(ConfigError, match=f"'docx' is no format: use one of {known}"):
        write_hits([], io.StringIO(), "docx")
