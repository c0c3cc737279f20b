"""Files that people hold: each kind is read, our own exports come back, and the rest is refused with a reason."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from makers_records import make_article
from pubvec.collection import Collection
from pubvec.corpus import ParseConfig, parse
from pubvec.engine import LocalEngine
from pubvec.errors import InputError
from pubvec.records import (
    MADE_UP_IDS,
    Article,
    Author,
    Hit,
    Journal,
    Keyword,
    MeshHeading,
    MeshQualifier,
    Term,
)
from pubvec.retrieval import FORMATS, Searcher, index, update, write_hits
from pubvec.retrieval.bibliography import date_of, read_pages
from pubvec.tables import rows_of

_JOURNAL = Journal(
    "Journal of made-up results",
    "J Made Up",
    "J Made Up",
    "999",
    "1234-5678",
    "Print",
    None,
    None,
    "12",
    "3",
    "123-30",
)


def _person(last: str, fore: str, initials: str, suffix: str | None = None) -> Author:
    return Author(last, fore, initials, suffix, None, None, [])


ARTICLES = [
    make_article(
        1201,
        'Effects of {β}-blockers & 5% "salt" in $mice_1: a 10⁻³ study.',
        "First line of a 50% trial.\nCONCLUSIONS: It works – perhaps.",
        authors=[
            _person("Müller-Roe", "Anna B", "AB", "Jr"),
            _person("O'Brien", "Zoë", "Z"),
            Author(None, None, None, None, "The Made-up Group", None, []),
        ],
        journal=_JOURNAL,
        year=2020,
        date_published="2020-03-07",
        doi="10.9999/made_up(20)1",
        pmc_id="PMC999001",
        languages=["eng"],
        mesh_headings=[
            MeshHeading("Asthma", None, True, [MeshQualifier("drug therapy", None, False)]),
            MeshHeading("Humans", None, False, []),
        ],
        keywords=[Keyword("zebrafishology", False, None)],
        publication_types=[Term("Journal Article", None), Term("Review", None)],
    ),
    make_article(
        1202,
        "An article with a number.",
        None,
        authors=[_person("van der Berg", "Jan", "J")],
        journal=_JOURNAL._replace(pages=None, issue=None),
        year=2019,
        date_published="2019 Jul-Aug",
        pii="e0123456",
        languages=["ger"],
        vernacular_title="Ein Artikel mit Nummer.",
    ),
    make_article(
        1203,
        "A chapter.",
        "About a thing.",
        is_book=True,
        book_title="MadeUpReviews",
        publisher="University of Nowhere",
        publisher_place="Seattle (WA)",
        isbns=["978-3-16-148410-0"],
        authors=[_person("Chapterman", "Eve", "E")],
        editors=[_person("Serieseditor", "Max", "M")],
        year=1993,
        date_published="1993",
        languages=["eng"],
    ),
]


def read(path: Path, output: Path, **settings: bool) -> list[Article]:
    parse([path], output, ParseConfig(**settings), engine=LocalEngine(1))
    return [article for table in Collection(output).iter_tables() for article in rows_of(Article, table)]


def parse_text(folder: Path, name: str, text: str | bytes, **settings: bool) -> list[Article]:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(folder / name, folder / f"{name}-articles", **settings)


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "pmids"])
def test_what_search_exports_comes_back(form, tmp_path):
    file = io.StringIO(newline="")
    write_hits([Hit(article, None, None, None, ()) for article in ARTICLES], file, form)
    name = f"export.{FORMATS[form].suffix}"
    found = parse_text(tmp_path, name, file.getvalue())
    assert [article.pmid for article in found] == [article.pmid for article in ARTICLES]
    for old, new in zip(ARTICLES, found, strict=True):
        if form == "jsonl":
            assert new == old
            continue
        assert new.title == old.title
        assert (new.doi, new.pmc_id, new.year, new.is_book) == (old.doi, old.pmc_id, old.year, old.is_book)
        assert " ".join((new.abstract or "").split()) == " ".join((old.abstract or "").split())
        names = [(a.last_name or a.collective_name, (a.initials or "")[:1], a.suffix) for a in new.authors]
        assert names == [
            (a.last_name or a.collective_name, (a.initials or "")[:1], a.suffix) for a in old.authors
        ]
        assert [e.last_name for e in new.editors] == [e.last_name for e in old.editors]
        for part in ("volume", "issue") + (() if form == "csv" else ("title",)):
            assert getattr(new.journal, part) == (
                None if old.is_book and part == "title" else getattr(old.journal, part)
            )
        assert read_pages(new.journal.pages)[:2] == read_pages(old.journal.pages)[:2]
        assert date_of(new)[:3] == date_of(old)[:3]
        assert (new.publisher, new.publisher_place, new.isbns) == (
            old.publisher,
            old.publisher_place,
            old.isbns,
        )
        assert new.book_title == old.book_title
        if form != "bibtex":
            assert new.languages == old.languages
        if old.pii:
            assert new.pii == old.pii
        words = {heading.name for heading in new.mesh_headings} | {word.text for word in new.keywords}
        assert {heading.name for heading in old.mesh_headings} <= words
    if form == "nbib":
        assert found[0].mesh_headings[0] == ARTICLES[0].mesh_headings[0]


def test_a_file_may_be_gzipped_in_utf_16_and_have_any_name(tmp_path):
    ris = "TY  - JOUR\r\nTI  - Größe\r\nPY  - 2001\r\nER  - \r\n"
    for name, data in (
        ("a.ris", ris.encode()),
        ("b.txt", ("\ufeff" + ris).encode()),
        ("c.ris.gz", gzip.compress(ris.encode())),
        ("d.ris", ris.encode("utf-16")),
    ):
        (article,) = parse_text(tmp_path, name, data)
        assert (article.title, article.year) == ("Größe", 2001)
    with pytest.raises(InputError, match=r"e\.ris is no text in UTF-8"):
        parse_text(tmp_path, "e.ris", ris.encode("latin-1"))


def test_a_record_without_a_pmid_gets_the_same_number_everywhere(tmp_path):
    ris = "TY  - JOUR\nTI  - A study\nAU  - Roe, R\nPY  - 2001\nER  - \n"
    bib = "@article{k, title={A Study}, author={Roe, R}, year={2001}}"
    csv = "title,authors,year\nA study,Roe R,2001\n"
    (one,), (two,), (three,) = (
        parse_text(tmp_path, f"a.{suffix}", text)
        for suffix, text in (("ris", ris), ("bib", bib), ("csv", csv))
    )
    assert one.pmid == two.pmid == three.pmid >= MADE_UP_IDS
    (by_doi,) = parse_text(tmp_path, "b.csv", "title,doi\nAnother,https://doi.org/10.9999/X.1\n")
    (again,) = parse_text(tmp_path, "c.csv", "title,doi\nAnother title,10.9999/x.1\n")
    assert by_doi.pmid == again.pmid != one.pmid
    hit = Hit(by_doi, None, None, None, ())
    assert hit.url == "https://doi.org/10.9999/X.1"
    for form in FORMATS:
        if form not in ("pmids", "csv", "jsonl", "nbib"):
            file = io.StringIO()
            write_hits([hit], file, form)
            assert f"{hit.pmid}" not in file.getvalue().replace(f"_{hit.pmid}", ""), "it is no PMID"


def test_pubmeds_own_downloads_are_read(tmp_path):
    nbib = (
        "PMID- 1201\nOWN - NLM\nDP  - 2013 Sep 12\nTI  - A made-up regulation of cell\n      sugar.\nPG  - 1194-205\n"
        "LID - 10.9999/nbib.1201 [doi]\nAB  - An adult pill\n      and chalk.\nFAU - Roe, Ralph T\nAU  - Roe RT\n"
        "LA  - eng\nPT  - Journal Article\nTA  - J Made Up\nJT  - Journal of made-up results\nMH  - *Placebos\n"
    )
    first, second = parse_text(tmp_path, "pubmed-set.txt", f"\n{nbib}\n{nbib.replace('1201', '1209')}")
    assert (first.pmid, second.pmid) == (1201, 1209)
    assert first.title == "A made-up regulation of cell sugar."
    assert first.authors == [_person("Roe", "Ralph T", "RT")]
    assert (first.date_published, first.journal.pages, first.doi) == (
        "2013-09-12",
        "1194-205",
        "10.9999/nbib.1201",
    )
    assert first.mesh_headings == [MeshHeading("Placebos", None, True, [])]
    csv = (
        "\ufeffPMID,Title,Authors,Citation,First Author,Journal/Book,Publication Year,Create Date,PMCID,NIHMS ID,DOI\n"
        '"1202","A made-up title, with comma","Roe RT, Doe J.","J Made Up.","Roe RT","J Made Up","2020","2020/03/01",'
        '"PMC77","","10.9999/x"\n'
    )
    (article,) = parse_text(tmp_path, "csv-set.csv", csv)
    assert (article.pmid, article.year, article.journal.title) == (1202, 2020, "J Made Up")
    assert [author.last_name for author in article.authors] == ["Roe", "Doe"]


@pytest.mark.parametrize("text", ["1204\n1205\n", "PMID: 1204, PMID: 1205", "1204 1205"])
def test_a_list_of_pmids_says_how_to_fetch_them(text, tmp_path):
    with pytest.raises(InputError, match=r"list of PMIDs.*efetch.*retmode=xml&id=1204,1205"):
        parse_text(tmp_path, "a.txt", text)


_JATS = """<article article-type='research-article' xml:lang='en'><front><journal-meta><journal-title-group>
<journal-title>J Made Up</journal-title></journal-title-group><issn>1234-5678</issn></journal-meta><article-meta>
<article-id pub-id-type='pmid'>1194</article-id><article-id pub-id-type='pmc'>77</article-id>
<article-id pub-id-type='doi'>10.9999/j.1</article-id><title-group><article-title>A <i>full</i> text</article-title>
</title-group><contrib-group><contrib contrib-type='author'><name><surname>Roe</surname><given-names>Ralph T</given-names>
</name></contrib></contrib-group><pub-date pub-type='epub'><day>3</day><month>5</month><year>2011</year></pub-date>
<volume>4</volume><fpage>12</fpage><lpage>19</lpage><abstract><sec><title>Aim</title><p>To test.</p></sec><sec>
<title>Result</title><p>It works.</p></sec></abstract></article-meta></front><body><sec><title>Methods</title>
<p>We fed mice.</p><sec><title>Statistics</title><p>A kumquat test.</p></sec></sec></body></article>"""


def test_full_texts_of_pubmed_central(tmp_path, tiny_model):
    article = _JATS
    for name, text in (
        ("one.xml", article),
        ("set.xml", f"<?xml version='1.0'?><pmc-articleset>{article}</pmc-articleset>"),
    ):
        (found,) = parse_text(tmp_path, name, text)
        assert (found.pmid, found.pmc_id, found.title) == (1194, "PMC77", "A full text")
        assert found.abstract == "AIM: To test.\nRESULT: It works."
        assert [(s.label, s.text) for s in found.body] == [
            ("Methods", "We fed mice."),
            ("Methods / Statistics", "A kumquat test."),
        ]
        assert (found.date_published, found.journal.pages, found.authors[0].initials) == (
            "2011-05-03",
            "12-19",
            "RT",
        )
    index(tmp_path / "one.xml-articles", str(tiny_model), tmp_path / "index")
    assert [hit.pmid for hit in Searcher(tmp_path / "index").search('"kumquat test"', 3)] == [1194]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.ris", "TY  - JOUR\nAU  - Roe, R\nER  - \n", "neither a title nor an abstract"),
        ("a.nbib", "PMID- 1201\nAU  - Roe R\n", "neither a title nor an abstract"),
        ("a.nbib", "PMID- 1201\nTI  - A\nnonsense\n", "none of PubMed's format"),
        ("a.bib", "@article{k, author={Roe, R}}", "neither a title nor an abstract"),
        ("a.bib", "@article{k, title={A}, broken", "cannot be read"),
        ("a.json", '[{"id": 1, "title": "A"', "no whole JSON"),
        ("a.json", '[{"name": "A"}]', "none of CSL-JSON"),
        ("a.csv", "name,value\nx,1\n", "has no column `title`"),
        ("a.csv", "title,pmid\nA,12x\n", "its PMID is '12x'"),
        ("a.jsonl", '{"journal": {}, "mesh_headings": [], "pmid": "x"}\n', "no record of"),
        ("a.xml", "<article><front></article>", "malformed"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(name, text, words, tmp_path):
    with pytest.raises(InputError, match=words):
        parse_text(tmp_path, name, text)


def test_bad_records_are_skipped_alone(tmp_path):
    ris = "TY  - JOUR\nTI  - A\nER  - \nTY  - JOUR\nAU  - Roe, R\nER  - \nTY  - JOUR\nTI  - B\nER  - \n"
    assert [a.title for a in parse_text(tmp_path, "a.ris", ris, skip_bad_records=True)] == ["A", "B"]
    csv = "title,pmid\nA,1\n,2\nC,x\nD,4\n"
    assert [a.title for a in parse_text(tmp_path, "b.csv", csv, skip_bad_records=True)] == ["A", "D"]


def test_a_collection_of_ones_own_is_indexed_searched_and_updated(tmp_path, tiny_model):
    ris = "".join(
        f"TY  - JOUR\nTI  - Trial {n} of sartans\nAU  - Roe, R\nPY  - {2000 + n}\nER  - \n" for n in range(5)
    )
    parse_text(tmp_path, "mine.ris", ris)
    index(tmp_path / "mine.ris-articles", str(tiny_model), tmp_path / "index")
    hits = Searcher(tmp_path / "index").search("sartans AND Roe[au] AND 2003[dp]", 5)
    assert [hit.title for hit in hits] == ["Trial 3 of sartans"]
    more = ris.replace("Trial 4 of", "Trial 9 of") + ris.splitlines()[0]
    parse_text(tmp_path, "more.ris", more.rsplit("TY  - ", 1)[0])
    counts = update(tmp_path / "index", tmp_path / "more.ris-articles").manifest.counts
    assert (counts["n_added"], counts["n_revised"]) == (1, 4)
