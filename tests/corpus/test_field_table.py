"""What PubMed parsers commonly miss, one test an element."""

from __future__ import annotations

import datetime

from makers import make_article, make_deletion, make_document
from pubvec.corpus.config import ParseConfig
from pubvec.corpus.medline import Deletion, parse_records
from pubvec.corpus.scan import RecordScanner
from pubvec.records import Article, Correction, MeshHeading, MeshQualifier, OtherAbstract, Section

MATH = (
    '<mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:msub><mml:mi>V</mml:mi>\n<mml:mn>2</mml:mn>'
    "</mml:msub></mml:math>"
)


def read(record: str) -> Article:
    data = make_document([record]).encode()
    (article,) = parse_records(RecordScanner(iter([data]), "test.xml", ParseConfig().max_record_bytes))
    assert isinstance(article, Article)
    return article


def test_inline_markup() -> None:
    text = "H<sub>2</sub>O, <i>in <b>vivo</b></i> at 10<sup>-3</sup>"
    article = read(make_article(title=text, abstract=text))
    assert article.title == article.abstract == "H2O, in vivo at 10⁻³"


def test_mathml() -> None:
    assert read(make_article(abstract=f"A {MATH} of 3.")).abstract == "A V2 of 3."


def test_structured_abstract() -> None:
    article = read(make_article(abstract={"METHODS": "We slept.", "RESULTS": "We dreamt."}))
    assert article.sections == [
        Section("METHODS", "METHODS", "We slept."),
        Section("RESULTS", "RESULTS", "We dreamt."),
    ]


def test_deletion() -> None:
    data = make_document([make_deletion([(5, 2)])]).encode()
    assert list(parse_records(RecordScanner(iter([data]), "test.xml", 1 << 20))) == [Deletion(5, 2)]


def test_version_status_and_revision() -> None:
    date = "<DateRevised><Year>2024</Year><Month>01</Month><Day>02</Day></DateRevised>"
    article = read(make_article(version=3, extra=date))
    assert (article.version, article.status, article.date_revised) == (
        3,
        "MEDLINE",
        datetime.date(2024, 1, 2),
    )


def test_corrections() -> None:
    element = (
        '<CommentsCorrections RefType="{}"><RefSource>J.</RefSource><PMID>8</PMID></CommentsCorrections>'
    )
    kinds = ["RetractionIn", "ErratumIn", "UpdateOf", "ExpressionOfConcernIn"]
    corrections = f"<CommentsCorrectionsList>{''.join(map(element.format, kinds))}</CommentsCorrectionsList>"
    assert read(make_article(extra=corrections)).corrections == [
        Correction(kind, "J.", 8, None) for kind in kinds
    ]


def test_vernacular_title_and_language() -> None:
    article = read(
        make_article(in_article="<Language>ger</Language><VernacularTitle>Träume.</VernacularTitle>")
    )
    assert (article.vernacular_title, article.languages) == ("Träume.", ["eng", "ger"])


def test_other_abstracts() -> None:
    other = '<OtherAbstract Type="{}" Language="{}"><AbstractText>{}</AbstractText></OtherAbstract>'
    extra = other.format("Publisher", "ger", "Nichts.") + other.format(
        "plain-language-summary", "eng", "Nothing."
    )
    assert read(make_article(extra=extra)).other_abstracts == [
        OtherAbstract("ger", "Publisher", "Nichts."),
        OtherAbstract("eng", "plain-language-summary", "Nothing."),
    ]


def test_mesh_qualifiers_and_majors() -> None:
    heading = (
        '<MeshHeadingList><MeshHeading><DescriptorName UI="D1" MajorTopicYN="N">Sleep</DescriptorName>'
        '<QualifierName UI="Q1" MajorTopicYN="Y">physiology</QualifierName></MeshHeading></MeshHeadingList>'
    )
    expected = MeshHeading("Sleep", "D1", False, [MeshQualifier("physiology", "Q1", True)])
    assert read(make_article(extra=heading)).mesh_headings == [expected]


def test_empty_title() -> None:
    assert read(make_article(title="")).title == ""
    assert read(make_article(title="[Not Available].")).title == "[Not Available]."


def test_book_record() -> None:
    book = (
        "<PubmedBookArticle><BookDocument><PMID>4</PMID><Book><BookTitle>Sleep</BookTitle></Book>"
        "<ArticleTitle>Dreams</ArticleTitle></BookDocument></PubmedBookArticle>"
    )
    article = read(book)
    assert (article.pmid, article.is_book, article.title, article.book_title) == (4, True, "Dreams", "Sleep")


def test_medline_date() -> None:
    date = "<PubDate><MedlineDate>1998 Dec-1999 Jan</MedlineDate></PubDate>"
    article = read(make_article(year=None).replace("<PubDate></PubDate>", date))
    assert (article.year, article.date_published) == (1998, "1998 Dec-1999 Jan")


def test_group_author_marked_up_keyword_and_pmc_id() -> None:
    article = read(
        make_article(
            in_article="<AuthorList><Author><CollectiveName>Sleepers</CollectiveName></Author></AuthorList>",
            extra="<KeywordList><Keyword><i>REM</i> sleep</Keyword></KeywordList>",
        ).replace("</ArticleIdList>", '<ArticleId IdType="pmc">PMC9</ArticleId></ArticleIdList>')
    )
    assert article.authors[0].collective_name == "Sleepers"
    assert (article.keywords[0].text, article.pmc_id) == ("REM sleep", "PMC9")
