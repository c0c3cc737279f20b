"""Queries as PubMed's users write them, over made-up records: each finds its articles, or is refused with a way out."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from makers_records import make_article, make_articles_folder
from pubvec.errors import InputError
from pubvec.records import (
    Article,
    Author,
    Chemical,
    Grant,
    Journal,
    Keyword,
    MeshHeading,
    MeshQualifier,
    OtherAbstract,
    Reference,
    Term,
)
from pubvec.retrieval.constraints import Filters
from pubvec.retrieval.grammar import parse_query
from pubvec.retrieval.indexing import index
from pubvec.retrieval.known_items import read_identifiers
from pubvec.retrieval.searcher import Searcher

NEJM = Journal(
    "The New England journal of medicine", "N Engl J Med", "N Engl J Med", "0255562", "1533-4406", None, "0028-4793",
    "United States", "380", "4", "11-22",
)  # fmt: skip
NEJM_PRINT = NEJM._replace(
    issn="0028-4793", title="The New England Journal of Medicine (Boston, Mass. : 1928)"
)
BMJ = Journal(
    "BMJ (Made up ed.)",
    "BMJ",
    "BMJ",
    "8900488",
    "1756-1833",
    None,
    "0959-8138",
    "England",
    "12",
    "3",
    "e99735",
)


def person(
    last: str, fore: str | None, initials: str | None, suffix: str | None = None, **more: Any
) -> Author:
    return Author(last, fore, initials, suffix, None, more.get("orcid"), more.get("affiliations", []))


def heading(name: str, *qualifiers: str, is_major: bool = False) -> MeshHeading:
    return MeshHeading(name, None, is_major, [MeshQualifier(q, None, False) for q in qualifiers])


ARTICLES = [
    make_article(
        1241,
        title="Wheeze and inhaled sugar in a school",
        abstract="We gave sugar. Blood sugar and glucose were measured.",
        journal=NEJM,
        year=2020,
        date_published="2020-03",
        date_electronic=datetime.date(2019, 11, 5),
        date_created=datetime.date(2019, 10, 1),
        date_revised=datetime.date(2021, 6, 30),
        languages=["eng"],
        doi="10.1056/NEJMoa1715274",
        pmc_id="PMC6050025",
        mesh_headings=[heading("Asthma", "drug therapy", is_major=True), heading("Humans")],
        publication_types=[Term("Randomized Controlled Trial", "D016449"), Term("Journal Article", None)],
        keywords=[Keyword("zebrafishology", False, None)],
        authors=[person("Roe", "Ralph T", "RT", "Jr"), person("Bixler", "Edward O", "EO")],
        chemicals=[Chemical("Sucrose", "D013395", "57-50-1")],
        grants=[Grant("R01 HL123456", "HL", "NHLBI NIH HHS", "United States")],
        references=[Reference("x", 1242, None), Reference("y", 777, None)],
        status="MEDLINE",
    ),
    make_article(
        1242,
        title="Wheeze in winter",
        abstract="The glucose of the blood was low.",
        journal=NEJM_PRINT,
        year=2015,
        date_published="2015 Jul-Aug",
        languages=["eng"],
        mesh_headings=[heading("Embolism, Air", "prevention & control"), heading("Animals")],
        publication_types=[Term("Review", None), Term("Case Reports", None)],
        authors=[person("Sørensten", "Ann", "A"), person("Kołodziejk", "Jan", "J"), person("Roe", "Ralph T", "RT")],
        references=[Reference("z", 777, None)],
        status="PubMed-not-MEDLINE",
    ),
    make_article(
        1243,
        title="Heart attacks and air embolisms",
        abstract="Blood and the level of glucose.",
        journal=BMJ,
        year=2010,
        date_published="2010-05-12",
        languages=["fre"],
        vernacular_title="Zuckerpillen und Herz",
        other_abstracts=[OtherAbstract("ger", None, "Kaninchen")],
        publication_types=[Term("Meta-Analysis", None)],
        authors=[
            person("O’Brannigan", "Mary-Jane", "MJ", orcid="0000-0002-1825-0097", affiliations=["Boston Hospital"]),
            person("Đorđevićin", "Æsa", "Æ"),
        ],
    ),
    make_article(
        1222,
        title="TNF-α in Sjo\u0308gren syndrome",
        abstract="hyper\u00adtension, cardio\u200bmyopathy, 5 µM of CO₂, IL‐6 and TNFα.",
        year=1998,
        date_published="1998 Dec-1999 Jan",
        authors=[person("Ægisdóttir", "Lóa", "L"), person("van der Berg", "Piet", "P")],
        languages=["ger"],
    ),
    make_article(
        1223,
        title="TNF-alpha, a beta-blocker and its ﬁbres",
        abstract="5 μM and the β-blocker",
        year=2001,
        authors=[Author(None, None, None, None, "Made-Up Trial Consortium", None, [])],
        languages=["scr"],
        is_book=True,
        book_title="Handbook of Invented Care",
        isbns=["978-3-319-12345-6"],
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Searcher:
    folder = tmp_path_factory.mktemp("pubmed")
    make_articles_folder(folder / "articles", ARTICLES)
    index(folder / "articles", str(tiny_model), folder / "index")
    return Searcher(folder / "index")


def found(library: Searcher, query: str, **options: Any) -> set[int]:
    request = library.read(query, **options)
    assert request.constraint is not None, f"{query} was read as a question"
    return {hit.pmid for hit in library.search(request, 100)}


@pytest.mark.parametrize(
    ("query", "pmids"),
    [
        ("drug therapy[sh]", {1241}),
        ("drug therapy [sh]", {1241}),
        ("dt[sh]", {1241}),
        ('wheeze AND "drug therapy"[Subheading]', {1241}),
        ("asthma/drug therapy[mh]", {1241}),
        ("asthma/dt[mh]", {1241}),
        ("asthma/surgery[mh]", set()),
        ('"Asthma/drug therapy"[MeSH Major Topic]', set()),
        ("Asthma[majr]", {1241}),
        ("humans[majr]", set()),
        ("wheeze AND humans[Filter]", {1241}),
        ("english[Filter]", {1241, 1242}),
        ("air embolism[mh]", {1242}),
        ("embolism, air[MeSH Terms:noexp]", {1242}),
        ("air embolism/pc[mh]", {1242}),
        ("Roe RT[1au]", {1241}),
        ("Roe RT[Author - First]", {1241}),
        ("Roe[lastau]", {1242}),
        ("Roe Ralph[au]", {1241, 1242}),
        ("Ralph Roe[au]", {1241, 1242}),
        ("Ralph T Roe[AU]", {1241, 1242}),
        ("R Roe[au]", {1241, 1242}),
        ("Roe RT Jr[au]", {1241}),
        ("Roe R[au]", {1241, 1242}),
        ("Roe X[au]", set()),
        ("Bixler Edward[au]", {1241}),
        ("Bixler Edward O[au]", {1241}),
        ("Bixler EO[au]", {1241}),
        ("Bixler E O[au]", {1241}),
        ("Edward Bixler[Author]", {1241}),
        ("Bixler Edwina[au]", set()),
        ("Bix*[au]", {1241}),
        ("Sorensten[au]", {1242}),
        ("SØRENSTEN A[au]", {1242}),
        ("Kolodziejk[au]", {1242}),
        ("Dordevicin[au]", {1243}),
        ("Aegisdottir L[au]", {1222}),
        ("O'Brannigan[au]", {1243}),
        ("O’Brannigan MJ[au]", {1243}),
        ("OBrannigan Mary Jane[au]", {1243}),
        ("van der Berg P[au]", {1222}),
        ("Piet van der Berg[au]", {1222}),
        ("Made Up Trial Consortium[au]", {1223}),
        ("made-up trial consortium[cn]", {1223}),
        ("0000-0002-1825-0097[auid]", {1243}),
        ("0000-0002-1825-0097[au]", {1243}),
        ("Boston[ad]", {1243}),
        ("boston hospital[Affiliation]", {1243}),
        ("New England Journal of Medicine[ta]", {1241, 1242}),
        ("The New England Journal of Medicine[jour]", {1241, 1242}),
        ("N Engl J Med[Journal]", {1241, 1242}),
        ("N. Engl. J. Med.[ta]", {1241, 1242}),
        ("0028-4793[ta]", {1241, 1242}),
        ("1533-4406[is]", {1241, 1242}),
        ("0255562[jid]", {1241, 1242}),
        ("bmj[ta]", {1243}),
        ("new england*[ta]", {1241, 1242}),
        ("380[vi] AND 4[ip] AND 11[pg]", {1241, 1242}),
        ("e99735[pg]", {1243}),
        ("2019[dp]", {1241}),
        ("2020[dp]", {1241}),
        ("2019/11[dp]", {1241}),
        ("2019/11/05[dp]", {1241}),
        ("2019/12[dp]", set()),
        ("2019/11/06:2020/02[dp]", set()),
        ("2019/12:2020/03[dp]", {1241}),
        ("2015/08[dp]", {1242}),
        ("2010-2015[dp]", {1242, 1243}),
        ("2010:2015[dp]", {1242, 1243}),
        ("2010 - 2015[dp]", {1242, 1243}),
        ("2011:[dp]", {1241, 1242}),
        ('"2010/01/01"[Date - Publication] : "2015/12/31"[Date - Publication]', {1242, 1243}),
        ("2010/05/12:2010/05/12[dp]", {1243}),
        ("2001/01/01:2001/12/31[dp]", {1223}),
        ("1999[dp]", {1222}),
        ("1999/01[dp]", {1222}),
        ("May 2010[dp]", {1243}),
        ("2010 May 12[dp]", {1243}),
        ("2019/10/01[crdt]", {1241}),
        ("2021[lr]", {1241}),
        ("english[la]", {1241, 1242}),
        ("en[la]", {1241, 1242}),
        ("eng[Language]", {1241, 1242}),
        ("croatian[la]", {1223}),
        ("wheeze AND english[lang]", {1241, 1242}),
        ("rct[pt]", {1241}),
        ("randomised controlled trial[pt]", {1241}),
        ("clinical trial[pt]", {1241}),
        ("clinical trial[pt:noexp]", set()),
        ("case report[Publication Type]", {1242}),
        ("metaanalysis[ptyp]", {1243}),
        ("meta analysis[pt]", {1243}),
        ("zebrafishology[tiab]", {1241}),
        ("zebrafishology[ot]", {1241}),
        ("kaninchen[tiab]", {1243}),
        ("zuckerpillen", None),
        ('"zuckerpillen"', {1243}),
        ("zuckerpillen[tt]", {1243}),
        ("zuckerpillen[ti]", set()),
        ("invented care[book]", {1223}),
        ("9783319123456[isbn]", {1223}),
        ("sucrose[nm]", {1241}),
        ("57-50-1[rn]", {1241}),
        ("R01 HL123456[gr]", {1241}),
        ("10.1056/nejmoa1715274[doi]", {1241}),
        ("10.1056/NEJMoa1715274[lid]", {1241}),
        ("medline[sb]", {1241}),
        ("pubmed pmc[sb]", {1241}),
        ("hasabstract AND wheeze", {1241, 1242}),
        ('"Sjögren syndrome"', {1222}),
        ("sjogren[ti]", {1222}),
        ("hypertension[tiab]", {1222}),
        ("cardiomyopathy[tiab]", {1222}),
        ('"5 µM"', {1222, 1223}),
        ('"5 μM"', {1222, 1223}),
        ('"TNF-alpha"', {1222, 1223}),
        ('"TNF-α"', {1222, 1223}),
        ("TNFα[tiab]", {1222, 1223}),
        ("TNFalpha[ti]", {1222, 1223}),
        ('"beta-blocker"', {1223}),
        ('"β-blocker"[tiab]', {1223}),
        ("co2[tiab]", {1222}),
        ('"IL-6"', {1222}),
        ("fibres[ti]", {1223}),
        ("embol*[tiab]", {1243}),
        ('"heart attac*"[tiab]', {1243}),
        ('"air embol*"', {1243}),
        ('"hear* attacks and"[ti]', {1243}),
        ('"blood glucose"[tiab:~0]', set()),
        ('"blood glucose"[tiab:~1]', set()),
        ('"blood glucose"[tiab:~2]', {1241, 1242}),
        ('"glucose blood"[Title/Abstract:~2]', {1241, 1242}),
        ('"blood glucose"[tiab:~4]', {1241, 1242, 1243}),
        ("wheeze[ti] and winter[ti]", {1242}),
        ("winter[ti] or heart[ti]", {1242, 1243}),
        ("wheeze[ti] not winter", {1241}),
        ("wheeze AND NOT winter", {1241}),
        ("wheeze AND the school", {1241}),
    ],
)  # fmt: skip
def test_a_query_finds_its_articles(library, query, pmids):
    if pmids is None:
        assert library.read(query).constraint is None
    else:
        assert found(library, query) == pmids


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("sugar[Filter]", r"sugar\[Filter\] at column 1 cannot be answered"),
        ("free full text[sb]", r"pubmed pmc\[sb\]"),
        ("systematic[sb]", r"systematic review\[pt\]"),
        ("asthma[foo]", r"unknown field \[foo\] at column 7"),
        ("asthma [a very long field]", r"unknown field \[a very long field\] at column 8"),
        ("asthma[Titel]", r"did you mean \[title\]\?"),
        ("asthma AND sugar[pharmacological action]", "the index does not hold pharmacological actions"),
        ("#1 AND #2", "#1 at column 1: lines of a search history cannot be named"),
        ("emb*[tiab]", "after 4 letters"),
        ("em*bol[tiab]", "stands at the end of a word"),
        ("blood glucose[tiab:~2]", "put the words that are to be near in quotes"),
        ('"a b c d e f"[tiab:~2]', "takes 5 words at most"),
        ('"asthma"[mh:~2]', "words near to each other are found in"),
        (" ".join(f"word{n}*" for n in range(60)), "40 truncated words at most"),
        ("2019/02/30[dp]", "is no date"),
        ("(asthma wheeze)[ti]", "put the field after each term"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_with_a_way_out(library, query, reason):
    with pytest.raises(InputError, match=reason):
        library.search(query)


@pytest.mark.parametrize(
    ("query", "pmids"),
    [
        ("1241", [1241]),
        ("PMID: 1241", [1241]),
        ("pmid 1241", [1241]),
        ("PubMed ID: 1241", [1241]),
        ("1223 1241", [1223, 1241]),
        ("1223, 1241;1222\n", [1223, 1241, 1222]),
        ("PMID: 1223, PMID: 1241", [1223, 1241]),
        ("PMC6050025", [1241]),
        ("pmcid: PMC6050025", [1241]),
        ("10.1056/NEJMoa1715274", [1241]),
        ("doi:10.1056/nejmoa1715274", [1241]),
        ("DOI: 10.1056/NEJMoa1715274.", [1241]),
        ("https://doi.org/10.1056/NEJMoa1715274", [1241]),
        ("doi.org/10.1056%2FNEJMoa1715274", [1241]),
        ("https://www.nejm.org/doi/full/10.1056/NEJMoa1715274?query=x", [1241]),
        ("https://pubmed.ncbi.nlm.nih.gov/1241/", [1241]),
        ("pubmed.ncbi.nlm.nih.gov/1241?x=y", [1241]),
        ("https://www.ncbi.nlm.nih.gov/pubmed/1241", [1241]),
        ("https://pmc.ncbi.nlm.nih.gov/articles/PMC6050025/", [1241]),
        ("https://www.ncbi.nlm.nih.gov/pmc/articles/PMC6050025/#abstract", [1241]),
        ("10.1056/NEJMoa1715274 1222", [1241, 1222]),
    ],
)
def test_identifiers_give_their_articles(library, query, pmids):
    request = library.read(query)
    assert [hit.pmid for hit in library.search(request, 10)] == pmids
    assert library.explain(request).known == pmids
    assert [hit.pmid for hit in library.page(request, 10).hits] == pmids


def test_old_dois_are_read_whole():
    sici = "10.1002/(SICI)1097-0258(19980815/30)17:15/16<1661::AID-SIM968>3.0.CO;2-2"
    for query in (sici, f"doi:{sici}", f"https://doi.org/{sici}"):
        assert [item.value for item in read_identifiers(query)] == [sici.lower()]
    assert read_identifiers("10.1056/x[doi]") == [] == read_identifiers("aspirin 1241")


def test_an_identifier_that_is_not_there_is_named(library):
    request = library.read("1241 999")
    assert [hit.pmid for hit in library.search(request)] == [1241]
    assert library.explain(request).notes == ["PMID 999 is not in the index."]
    assert library.search("10.5555/nowhere") == []
    assert library.search(library.read("1241", filters=Filters(year="1990"))) == []


@pytest.mark.parametrize(
    "query",
    [
        "Heart attacks and air embolisms",
        "heart attacks and air embolisms.",
        "HEART ATTACKS AND “AIR” EMBOLISMS",
    ],
)
def test_a_whole_title_gives_its_article_first(library, query):
    request = library.read(query)
    hits = library.search(request)
    assert hits[0].pmid == 1243 and len({hit.pmid for hit in hits}) == len(hits) == 5
    assert library.explain(request).known == [1243]
    assert [hit.pmid for hit in library.page(request, 3, 1).hits] == [hit.pmid for hit in hits[1:4]]


def test_filters_mean_what_the_query_means(library):
    def filtered(**options: Any) -> set[int]:
        return found(library, "", filters=Filters(**options))

    assert (
        filtered(year="2010-2015")
        == filtered(year="2010:2015")
        == filtered(year="2010..2015")
        == {1242, 1243}
    )
    assert filtered(year="2019") == {1241}
    assert filtered(language=("english",)) == {1241, 1242}
    assert (
        filtered(journal=("New England Journal of Medicine",))
        == filtered(journal=("0028-4793",))
        == {1241, 1242}
    )
    assert filtered(mesh=("Asthma", "Humans")) == {1241} and filtered(mesh=("Asthma", "Animals")) == set()
    assert filtered(any_mesh=("Asthma", "Animals")) == {1241, 1242}
    assert filtered(publication_type=("rct", "review")) == {1241, 1242}
    assert filtered(author=("Edward Bixler",)) == {1241}
    assert filtered(cites=(777,)) == {1241, 1242}
    assert filtered(cited_by=(1241,)) == {1242} and filtered(cited_by=(1222,)) == set()


def test_a_search_tells_how_it_was_read(library):
    reading = library.explain(library.read("wheeze AND the asthma[mh] AND 1900[dp]"))
    assert [(condition.text, condition.n) for condition in reading.conditions] == [
        ("wheeze[all]", 2), ("the asthma[mh]", 0), ("1900[dp]", 0),
    ]  # fmt: skip
    assert "No article fulfills 1900[dp]." in reading.lines()
    assert library.explain(library.read("wheeze AND with sugar")).ignored == ["with"]
    assert library.explain(library.read("wheze in winter")).suggestions == [("wheze", "wheeze")]
    assert not library.explain(library.read("wheez* AND child*")).suggestions
    assert library.explain(library.read("wheeze in winter time")).lines() == []


def test_search_details_of_pubmed_run(library):
    query = (
        '("asthma"[MeSH Terms] OR "asthma"[All Fields] OR "wheeze"[Title/Abstract]) AND '
        '("sugar s"[All Fields] OR "sugars"[All Fields] OR "sugar"[All Fields]) AND '
        '("humans"[MeSH Terms] AND 2019/01/01:2021/12/31[Date - Publication] AND "english"[Language])'
    )
    assert found(library, query) == {1241}


def test_relative_dates_count_from_today():
    today = datetime.date(2024, 2, 29)
    for query, first in (
        ("last 5 years[dp]", 20190228),
        ('"last 30 days"[dp]', 20240130),
        ("past 2 months[dp]", 20231229),
    ):
        assert parse_query(query, today).constraint.first == first
    assert parse_query("y_10[Filter]", today).constraint.first // 10000 == 2014


def test_the_same_article_is_found_after_another_version(tmp_path, tiny_model):
    """Fields of an index that was compacted are those of the index it was made of, citations too."""
    from pubvec.retrieval.indexing import compact

    articles: list[Article] = ARTICLES
    make_articles_folder(tmp_path / "articles", articles)
    index(tmp_path / "articles", str(tiny_model), tmp_path / "index")
    compact(tmp_path / "index")
    after = Searcher(tmp_path / "index")
    assert found(after, "", filters=Filters(cited_by=(1241,))) == {1242}
    assert found(after, "Bixler Edward[au]") == {1241}
