"""The inputs of `shared/cases` from the file to the hit, each with the right value that its README gives.

The same kinds are tested without the shared folder in `test_elements`, `test_pubmed_queries`, and the tests of `corpus`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pubvec.collection import Collection
from pubvec.corpus import ParseConfig, parse
from pubvec.engine import LocalEngine
from pubvec.errors import InputError
from pubvec.follow import update
from pubvec.records import Article, Badge
from pubvec.retrieval import Searcher, index
from pubvec.tables import rows_of

_QUERIED = ("01", "04", "05", "07", "08", "09", "10", "12", "13f", "19", "20", "21")
_READ = {  # file → PMIDs
    "01-nested-markup.xml": [101],
    "02-bold-lines-structured.xml": [102],
    "03-doi-and-references.xml": [103, 1031, 1032, 1033],
    "11a-deletecitation.xml": [],
    "11b-deletedocument.xml": [1141],
    "12-books.xml": [1141, 1142],
    "13a-bom.xml": [1151],
    "13b-utf16-declared.xml": [1152],
    "13c-utf16-powershell.xml": [1153],
    "13d-latin1.xml": [1154],
    "14a-multimember.xml.gz": [1161, 1162],
    "14c-not-gz.xml.gz": [1161, 1162],
    "15-stylesheet-pi.xml": [1171],
    "16-concatenated.xml": [1181, 1182, 1183, 1184, 1185],
    "17f-empty-set.xml": [],
    "17l-set-with-attributes.xml": [1197],
    "18a-pubmed-format.nbib": [1201],
    "18b-pubmed-export.csv": [1202, 1203],
    "26-html-in-text.xml": [2101, 2102, 2103, 2104],
}
_REFUSED = {  # file → words of the message
    "13e-cp1252-says-utf8.xml": "malformed: Invalid bytes in character encoding",
    "14b-cut.xml.gz": "the gzip stream is cut off",
    "17a-efetch-error.xml": "Cannot retrieve history data",
    "17b-error-after-set.xml": "Unable to obtain query #1",
    "17c-esummary.xml": "found the root <eSummaryResult>",
    "17d-json-ratelimit.xml": "API rate limit exceeded",
    "17e-html.xml": "found the root <html>",
    "17g-single-article-root.xml": "found the root <PubmedArticle>",
    "17h-pre-wrapped.xml": "found the root <pre>",
    "17i-jats.xml": "an article in <pmc-articleset> has neither a title nor an abstract",
    "18c-pmid-list.txt": "is a list of PMIDs, which holds no records: fetch them",
    "17j-dtd-subset.xml": "the DOCTYPE declares entities",
    "17k-html-entity.xml": "Entity 'eacute' not defined",
}
_FOUND = {  # query → PMIDs
    "drug therapy [sh]": {1241},
    'asthma AND "drug therapy"[sh]': {1241},
    "wheeze AND humans[Filter]": {1241},
    "Roe RT[1au]": {1081, 1217},
    "Roe RT[Author - First]": {1081, 1217},
    '"blood glucose"[tiab:~2]': {1245},
    "wheeze AND english[lang]": {1241, 1242},
    "asthma/drug therapy[mh]": {1241},
    '"heart attac*"[tiab]': {1243},
    "1241": {1241},
    "PMID: 1241": {1241},
    "10.1007/978-3-319-12345-6_12": {1211},
    "2019[dp] AND wheeze": {1241},
    "New England Journal of Medicine[ta]": {1241},
    "zebrafishology[tiab]": {1241},
    "Sorensten[au]": {1084},
    "Kolodziejk[au]": {1084},
    "Dordevicin[au]": {1084},
    "Aegisdottir L[au]": {1084},
    "O'Brannigan[au]": {1084},
    "Roe Ralph[au]": {1081, 1217},
    "Roe RT Jr[au]": {1081, 1217},
    '"Sjögren syndrome"': {1221},
    "hypertension[tiab]": {1226},
    "cardiomyopathy[tiab]": {1229},
    '"TNF-alpha"': {1222, 1223},
    '"5 \u00b5M"': {1224, 1225},
    '"5 \u03bcM"': {1224, 1225},
    '"beta-blocker"': {1232},
    '"zuckerpillen"': {1218},
    "zebrafish[tiab]": {1093, 1094},
    "NCT99999901[si]": {1101},
    "Helperova AB[ir]": {1081, 1083},
}
_BADGES = {
    1111: Badge("retracted", 1112),
    1113: Badge("expression of concern", 1114),
    1115: Badge("expression of concern", 1114),
    1116: Badge("erratum", None),
    1118: Badge("erratum", 1117),
    1119: Badge("retracted", None),
}


def _read(folder: Path) -> list[Article]:
    return [article for table in Collection(folder).iter_live_tables() for article in rows_of(Article, table)]


def _parse(path: Path, output: Path, *, skip: bool = False) -> list[Article]:
    parse([path], output, ParseConfig(skip_bad_records=skip), engine=LocalEngine(1))
    return _read(output)


@pytest.fixture(scope="module")
def found(shared: Path, tiny_model: Path, tmp_path_factory) -> Searcher:
    folder = tmp_path_factory.mktemp("cases")
    files = [next((shared / "cases").glob(f"{number}-*.xml")) for number in _QUERIED]
    parse(files, folder / "articles", engine=LocalEngine(1))
    index(folder / "articles", str(tiny_model), folder / "index")
    return Searcher(folder / "index")


def test_files_are_read_or_refused_with_the_reason(shared, tmp_path):
    for name, pmids in _READ.items():
        articles = _parse(shared / "cases" / name, tmp_path / name)
        assert [article.pmid for article in articles] == pmids, name
    for name, words in _REFUSED.items():
        with pytest.raises(InputError) as error:
            _parse(shared / "cases" / name, tmp_path / f"refused-{name}")
        assert words in str(error.value), name
    kept = _parse(shared / "cases" / "16-concatenated.xml", tmp_path / "skipping", skip=True)
    assert [article.pmid for article in kept] == [1181, 1182, 1183, 1184, 1185]


def test_records_hold_what_the_files_say(shared, tmp_path):
    def read(name: str) -> dict[int, Article]:
        path = next((shared / "cases").glob(f"{name}-*.xml"))
        return {article.pmid: article for article in _parse(path, tmp_path / name)}

    nested = read("01")[101]
    assert nested.title == "Effect of E2 on Ca2+ in E. coli: a pilot."
    assert nested.abstract.endswith("Slope a/b was small.")
    assert len(read("02")[102].sections) == 3
    dois = {pmid: article.doi for pmid, article in read("03").items()}
    assert dois == {
        103: "10.9999/real.103",
        1031: "10.9999/list.1031",
        1032: None,
        1033: "10.9999/right.1033",
    }
    years = [1998, 2000, 2000, 2000, 1990, 1975, 1978, 1999, 2011, 1986, 1946, 1890, 1979]
    assert [article.year for article in read("04").values()] == years
    people = read("07")
    assert all(
        "Helperova" in [person.last_name for person in people[pmid].investigators] for pmid in (1081, 1083)
    )
    assert [author.last_name for author in people[1082].authors if author.last_name.startswith("Sm")] == [
        "Smythe"
    ]
    assert (read("08")[1093].abstract, len(read_again(tmp_path / "08")[1093].other_abstracts)) == (None, 2)
    lists = read("09")[1101]
    assert (
        len(lists.supplementary_concepts),
        len(lists.gene_symbols),
        len(lists.personal_name_subjects),
    ) == (2, 1, 1)
    assert "NCT99999901" in [number for bank in lists.data_banks for number in bank.accession_numbers]
    assert lists.coi_statement and lists.notes and lists.pmc_id == "PMC9990110"
    books = read("12")
    assert (books[1141].authors[0].last_name, books[1141].book_title) == ("Chapterman", "MadeUpReviews®")
    assert (books[1142].authors[0].last_name, books[1142].editors[0].last_name) == (
        "Bookwriter",
        "Serieseditor",
    )
    assert "Café placebo in Zürich." in [_parse_one(shared, tmp_path, name).title for name in ("13a", "13d")]


def read_again(folder: Path) -> dict[int, Article]:
    return {article.pmid: article for article in _read(folder)}


def _parse_one(shared: Path, tmp_path: Path, name: str) -> Article:
    path = next((shared / "cases").glob(f"{name}-*.xml"))
    return _parse(path, tmp_path / f"one-{name}")[0]


def test_queries_find_what_they_mean(found):
    for query, pmids in _FOUND.items():
        page = found.page(found.read(query), 50, with_passages=False, with_facets=False)
        assert {hit.pmid for hit in page.hits} == pmids, query
    for query, words in (("sugar[Filter]", "does not hold this filter"), ("#1 AND #2", "cannot be named")):
        with pytest.raises(InputError, match=words):
            found.read(query)


def test_notices_mark_their_targets_and_versions_count(shared, found, tiny_model, tmp_path):
    entries = {entry.article.pmid: entry for entry in found.articles(list(_BADGES))}
    for pmid, badge in _BADGES.items():
        assert badge in entries[pmid].badges
    _parse(shared / "cases" / "06-versions.xml", tmp_path / "06")
    current = {
        a.pmid: a.version for t in Collection(tmp_path / "06").iter_tables() for a in rows_of(Article, t)
    }
    assert current[1071] == 2
    _parse(shared / "cases" / "25a-base.xml", tmp_path / "25a")
    index(tmp_path / "25a", str(tiny_model), tmp_path / "index")
    update(tmp_path / "index", [str(shared / "cases" / "25b-update.xml")])
    searcher = Searcher(tmp_path / "index")
    assert 2001 not in searcher.lexical.pmids_of_rows().values()
    said = {e.article.pmid: e.badges for e in searcher.articles([2002, 2003, 2004])}
    assert said == {
        2002: (Badge("retracted", 2005),),
        2003: (),
        2004: (Badge("expression of concern", 2006),),
    }
    assert searcher.articles([2003])[0].article.version == 2
    assert "revised" in searcher.articles([2004])[0].article.title
