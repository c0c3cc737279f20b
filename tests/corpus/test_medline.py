"""Every field of `records.Article`, from small records written after NLM's description of its elements."""

from __future__ import annotations

import datetime
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from makers import make_article, make_document
from pubvec.corpus.config import ParseConfig
from pubvec.corpus.medline import Deletion, parse_records
from pubvec.corpus.scan import RecordScanner
from pubvec.records import (
    Article,
    Author,
    Chemical,
    Correction,
    Grant,
    HistoryDate,
    Journal,
    Keyword,
    MeshHeading,
    MeshQualifier,
    OtherAbstract,
    Reference,
    Section,
    Term,
    blank_article,
)

MML = 'xmlns:mml="http://www.w3.org/1998/Math/MathML"'


def read(*records: str, root: str = "PubmedArticleSet") -> list[Article]:
    data = make_document(records, root).encode()
    return list(parse_records(RecordScanner(iter([data]), "test.xml", ParseConfig().max_record_bytes)))


def read_one(record: str = "", **parts: object) -> Article:
    (article,) = read(record or make_article(**parts))
    return article


FULL = """<PubmedArticle>
  <MedlineCitation Status="MEDLINE" IndexingMethod="Curated" Owner="NLM">
    <PMID Version="2">12345678</PMID>
    <DateCompleted><Year>2019</Year><Month>11</Month><Day>13</Day></DateCompleted>
    <DateRevised><Year>2020</Year><Month>Feb</Month><Day>3</Day></DateRevised>
    <Article PubModel="Print-Electronic">
      <Journal>
        <ISSN IssnType="Electronic">1234-567X</ISSN>
        <JournalIssue CitedMedium="Internet">
          <Volume>12</Volume><Issue>3 Suppl</Issue>
          <PubDate><Year>2019</Year><Month>Sep</Month><Day>4</Day></PubDate>
        </JournalIssue>
        <Title>Journal of Made-up Results</Title><ISOAbbreviation>J Made-up Res</ISOAbbreviation>
      </Journal>
      <ArticleTitle>[Effects of CO<sub>2</sub> on <i>Escherichia
        coli</i>].</ArticleTitle>
      <Pagination><StartPage>101</StartPage><EndPage>109</EndPage><MedlinePgn>101-9</MedlinePgn></Pagination>
      <ELocationID EIdType="pii" ValidYN="Y">S0000-1</ELocationID>
      <ELocationID EIdType="doi" ValidYN="N">10.1000/wrong</ELocationID>
      <ELocationID EIdType="doi" ValidYN="Y">10.1000/right</ELocationID>
      <Abstract>
        <AbstractText Label="AIMS" NlmCategory="OBJECTIVE">To learn what <b>x</b> is.</AbstractText>
        <AbstractText Label="RESULTS" NlmCategory="RESULTS">It is p&lt;0.05.</AbstractText>
        <CopyrightInformation>&#169; 2019 Nobody.</CopyrightInformation>
      </Abstract>
      <AuthorList CompleteYN="Y">
        <Author ValidYN="Y">
          <LastName>O'Nemo</LastName><ForeName>Ann B</ForeName><Initials>AB</Initials><Suffix>Jr</Suffix>
          <Identifier Source="ORCID">https://orcid.org/0000-0002-1825-009x</Identifier>
          <AffiliationInfo><Affiliation>First Institute.</Affiliation></AffiliationInfo>
          <AffiliationInfo><Affiliation>Second Institute.</Affiliation></AffiliationInfo>
        </Author>
        <Author ValidYN="Y"><CollectiveName>The <i>Made-up</i> Study Group</CollectiveName></Author>
      </AuthorList>
      <Language>fre</Language><Language>eng</Language>
      <GrantList CompleteYN="Y"><Grant><GrantID>R01 1</GrantID><Acronym>AA</Acronym>
        <Agency>Made-up Agency</Agency><Country>Nowhere</Country></Grant></GrantList>
      <PublicationTypeList><PublicationType UI="D016428">Journal Article</PublicationType>
        <PublicationType UI="D016441">Retracted Publication</PublicationType></PublicationTypeList>
      <VernacularTitle>Effets du CO<sub>2</sub>.</VernacularTitle>
      <ArticleDate DateType="Electronic"><Year>2019</Year><Month>08</Month><Day>30</Day></ArticleDate>
    </Article>
    <MedlineJournalInfo><Country>England</Country><MedlineTA>J Made-up Res</MedlineTA>
      <NlmUniqueID>7654321</NlmUniqueID><ISSNLinking>1234-5678</ISSNLinking></MedlineJournalInfo>
    <ChemicalList><Chemical><RegistryNumber>142M471B3J</RegistryNumber>
      <NameOfSubstance UI="D002245">Carbon Dioxide</NameOfSubstance></Chemical></ChemicalList>
    <CommentsCorrectionsList>
      <CommentsCorrections RefType="RetractionIn"><RefSource>J Made-up Res. 2020</RefSource>
        <PMID Version="1">99</PMID><Note>why</Note></CommentsCorrections>
      <CommentsCorrections RefType="ErratumIn"><RefSource>Ibid.</RefSource></CommentsCorrections>
    </CommentsCorrectionsList>
    <MeshHeadingList>
      <MeshHeading><DescriptorName UI="D002245" MajorTopicYN="N">Carbon Dioxide</DescriptorName>
        <QualifierName UI="Q000494" MajorTopicYN="Y">pharmacology</QualifierName>
        <QualifierName UI="Q000633" MajorTopicYN="N">toxicity</QualifierName></MeshHeading>
      <MeshHeading><DescriptorName UI="D006801" MajorTopicYN="Y">Humans</DescriptorName></MeshHeading>
    </MeshHeadingList>
    <OtherAbstract Type="Publisher" Language="fre"><AbstractText Label="BUT">Savoir.</AbstractText>
      <AbstractText>Rien.</AbstractText></OtherAbstract>
    <KeywordList Owner="NOTNLM"><Keyword MajorTopicYN="N">CO<sub>2</sub> <i>in vitro</i></Keyword>
      <Keyword MajorTopicYN="Y">gas</Keyword></KeywordList>
    <KeywordList Owner="NASA"><Keyword MajorTopicYN="N">space</Keyword></KeywordList>
  </MedlineCitation>
  <PubmedData>
    <History><PubMedPubDate PubStatus="received"><Year>2019</Year><Month>1</Month><Day>1</Day></PubMedPubDate>
      <PubMedPubDate PubStatus="entrez"><Year>2019</Year><Month>9</Month><Day>1</Day></PubMedPubDate></History>
    <ArticleIdList><ArticleId IdType="pubmed">12345678</ArticleId><ArticleId IdType="pmc">PMC7654321</ArticleId>
      <ArticleId IdType="doi">10.1000/other</ArticleId></ArticleIdList>
    <ReferenceList><Title>References</Title>
      <Reference><Citation>One A. J <i>X</i>. 1999</Citation><ArticleIdList>
        <ArticleId IdType="pubmed">55</ArticleId><ArticleId IdType="doi">10.1/ref</ArticleId></ArticleIdList>
      </Reference>
      <ReferenceList><Title>Further</Title><Reference><Citation>Two B. 2000</Citation></Reference></ReferenceList>
    </ReferenceList>
  </PubmedData>
</PubmedArticle>
"""


def test_every_field_of_a_full_record() -> None:
    assert read_one(FULL) == blank_article(12345678, 2)._replace(
        status="MEDLINE",
        title="[Effects of CO2 on Escherichia coli].",
        vernacular_title="Effets du CO2.",
        abstract="AIMS: To learn what x is.\nRESULTS: It is p<0.05.",
        sections=[
            Section("AIMS", "OBJECTIVE", "To learn what x is."),
            Section("RESULTS", "RESULTS", "It is p<0.05."),
        ],
        other_abstracts=[OtherAbstract("fre", "Publisher", "BUT: Savoir.\nRien.")],
        copyright="© 2019 Nobody.",
        languages=["fre", "eng"],
        journal=Journal(
            title="Journal of Made-up Results",
            iso_abbreviation="J Made-up Res",
            medline_ta="J Made-up Res",
            nlm_id="7654321",
            issn="1234-567X",
            issn_type="Electronic",
            issn_linking="1234-5678",
            country="England",
            volume="12",
            issue="3 Suppl",
            pages="101-9",
        ),
        year=2019,
        date_published="2019-09-04",
        date_electronic=datetime.date(2019, 8, 30),
        date_created=datetime.date(2019, 9, 1),
        date_completed=datetime.date(2019, 11, 13),
        date_revised=datetime.date(2020, 2, 3),
        authors=[
            Author(
                "O'Nemo",
                "Ann B",
                "AB",
                "Jr",
                None,
                "0000-0002-1825-009X",
                ["First Institute.", "Second Institute."],
            ),
            Author(None, None, None, None, "The Made-up Study Group", None, []),
        ],
        mesh_headings=[
            MeshHeading(
                "Carbon Dioxide",
                "D002245",
                False,
                [MeshQualifier("pharmacology", "Q000494", True), MeshQualifier("toxicity", "Q000633", False)],
            ),
            MeshHeading("Humans", "D006801", True, []),
        ],
        keywords=[
            Keyword("CO2 in vitro", False, "NOTNLM"),
            Keyword("gas", True, "NOTNLM"),
            Keyword("space", False, "NASA"),
        ],
        publication_types=[Term("Journal Article", "D016428"), Term("Retracted Publication", "D016441")],
        chemicals=[Chemical("Carbon Dioxide", "D002245", "142M471B3J")],
        grants=[Grant("R01 1", "AA", "Made-up Agency", "Nowhere")],
        doi="10.1000/right",
        pii="S0000-1",
        pmc_id="PMC7654321",
        references=[Reference("One A. J X. 1999", 55, "10.1/ref"), Reference("Two B. 2000", None, None)],
        corrections=[
            Correction("RetractionIn", "J Made-up Res. 2020", 99, "why"),
            Correction("ErratumIn", "Ibid.", None, None),
        ],
        history=[
            HistoryDate("received", datetime.date(2019, 1, 1)),
            HistoryDate("entrez", datetime.date(2019, 9, 1)),
        ],
    )


BOOK = """<PubmedBookArticle>
  <BookDocument>
    <PMID Version="1">20301425</PMID>
    <ArticleIdList><ArticleId IdType="bookaccession">NBK1</ArticleId></ArticleIdList>
    <Book><Publisher><PublisherName>Made-up Press</PublisherName><PublisherLocation>Nowhere</PublisherLocation></Publisher>
      <BookTitle book="gene">Made-up<sup>&#174;</sup> Reviews</BookTitle><PubDate><Year>1993</Year></PubDate>
      <AuthorList Type="editors"><Author><LastName>Editor</LastName></Author></AuthorList>
      <Volume>7</Volume><Edition>2nd</Edition><CollectionTitle>Made-up Series</CollectionTitle>
      <Isbn>9780000000001</Isbn><Isbn>9780000000002</Isbn></Book>
    <ArticleTitle book="gene" part="x">A Made-up Syndrome</ArticleTitle>
    <Language>eng</Language>
    <AuthorList Type="authors"><Author><LastName>Writer</LastName><ForeName>W</ForeName></Author></AuthorList>
    <PublicationType UI="D016454">Review</PublicationType>
    <Abstract><AbstractText Label="DISEASE">Rare.</AbstractText></Abstract>
    <Sections><Section><SectionTitle book="gene" part="x" sec="a">Summary</SectionTitle>
      <Section><SectionTitle>Scope</SectionTitle></Section></Section></Sections>
    <KeywordList Owner="NLM"><Keyword>XYZ1</Keyword></KeywordList>
    <ContributionDate><Year>1998</Year><Month>9</Month><Day>4</Day></ContributionDate>
    <DateRevised><Year>2016</Year><Month>12</Month><Day>15</Day></DateRevised>
  </BookDocument>
  <PubmedBookData>
    <History><PubMedPubDate PubStatus="entrez"><Year>2010</Year><Month>3</Month><Day>20</Day></PubMedPubDate></History>
    <ArticleIdList><ArticleId IdType="pubmed">20301425</ArticleId></ArticleIdList>
  </PubmedBookData>
</PubmedBookArticle>
"""


@pytest.mark.parametrize("root", ["PubmedArticleSet", "PubmedBookArticleSet"])
def test_book_record(root: str) -> None:
    (book,) = read(BOOK, root=root)
    assert book.is_book and (book.pmid, book.title) == (20301425, "A Made-up Syndrome")
    assert (book.book_title, book.publisher) == ("Made-up® Reviews", "Made-up Press")
    assert book.book_sections == ["Summary", "Scope"]
    assert (book.year, book.date_published) == (1998, "1998-09-04")
    assert book.date_revised == datetime.date(2016, 12, 15)
    assert book.date_created == datetime.date(2010, 3, 20)
    assert [author.last_name for author in book.authors] == ["Writer"]
    assert [editor.last_name for editor in book.editors] == ["Editor"]
    assert (book.publisher_place, book.collection_title, book.edition) == ("Nowhere", "Made-up Series", "2nd")
    assert book.isbns == ["9780000000001", "9780000000002"]
    assert book.abstract == "DISEASE: Rare." and book.languages == ["eng"]
    assert book.publication_types == [Term("Review", "D016454")]
    assert book.keywords == [Keyword("XYZ1", False, "NLM")]
    assert book.journal.volume == "7"


def test_whole_book_has_the_title_and_the_editors_of_the_book() -> None:
    record = re.sub(r"<ArticleTitle.*?</ArticleTitle>|<AuthorList Type=\"authors\".*?</AuthorList>", "", BOOK)
    record = re.sub(r"<ContributionDate>.*?</ContributionDate>", "", record)
    (book,) = read(record)
    assert book.title == "Made-up® Reviews"
    assert (book.authors, book.editors[0].last_name) == ([], "Editor")
    assert (book.year, book.date_published) == (1993, "1993")


@pytest.mark.parametrize("types", [("editors", "authors"), ("authors", "editors"), ("editors", None)])
def test_authors_of_a_whole_book_are_not_its_editors(types: tuple[str | None, ...]) -> None:
    record = re.sub(r"<ArticleTitle.*?</ArticleTitle>|<AuthorList Type.*?</AuthorList>", "", BOOK)
    lists = ""
    for kind in types:
        mark = "" if kind is None else f' Type="{kind}"'
        name = f"<LastName>The {kind or 'authors'}</LastName>"
        lists += f"<AuthorList{mark}><Author>{name}</Author></AuthorList>"
    (book,) = read(record.replace("<Volume>", f"{lists}<Volume>"))
    assert [author.last_name for author in book.authors] == ["The authors"]
    assert [editor.last_name for editor in book.editors] == ["The editors"]


def test_old_citations_without_pubmed_data() -> None:
    citation = """<MedlineCitation Owner="NLM" Status="MEDLINE"><PMID>7</PMID>
      <DateCreated><Year>1996</Year><Month>01</Month><Day>31</Day></DateCreated>
      <Article><Journal><JournalIssue><PubDate><MedlineDate>1995 Dec-1996 Jan</MedlineDate></PubDate></JournalIssue>
      </Journal><ArticleTitle/><Affiliation>Old Institute.</Affiliation>
      <AuthorList><Author><LastName>A</LastName></Author>
      <Author><LastName>B</LastName><Affiliation>Other.</Affiliation></Author></AuthorList></Article>
      <OtherID Source="KIE">1</OtherID><OtherID Source="NLM">PMC12 [Available on 01/01/97]</OtherID>
      </MedlineCitation>"""
    deletion = '<DeleteCitation><PMID Version="2">5</PMID><PMID>6</PMID></DeleteCitation>'
    article, *deletions = read(citation, deletion, root="MedlineCitationSet")
    assert deletions == [Deletion(5, 2), Deletion(6, 1)]
    assert (article.pmid, article.version, article.title, article.abstract) == (7, 1, "", None)
    assert article.date_created == datetime.date(1996, 1, 31)
    assert (article.year, article.date_published) == (1995, "1995 Dec-1996 Jan")
    assert [author.affiliations for author in article.authors] == [["Old Institute."], ["Other."]]
    assert article.pmc_id == "PMC12"


@pytest.mark.parametrize(
    ("date", "year", "text"),
    [
        ("<Year>2019</Year>", 2019, "2019"),
        ("<Year>2019</Year><Month>9</Month>", 2019, "2019-09"),
        ("<Year>2019</Year><Month>Sep</Month><Day>04</Day>", 2019, "2019-09-04"),
        ("<Year>2019</Year><Season>Spring</Season>", 2019, "2019 Spring"),
        ("<Year>2019</Year><Month>Jul-Aug</Month>", 2019, "2019 Jul-Aug"),
        ("<MedlineDate>1998 Dec-1999 Jan</MedlineDate>", 1998, "1998 Dec-1999 Jan"),
        ("<MedlineDate>Winter 1975-1976</MedlineDate>", 1975, "Winter 1975-1976"),
        ("<MedlineDate>undated</MedlineDate>", None, "undated"),
        ("", None, None),
    ],
)
def test_publication_date(date: str, year: int | None, text: str | None) -> None:
    article = read_one(make_article(year=None).replace("<PubDate></PubDate>", f"<PubDate>{date}</PubDate>"))
    assert (article.year, article.date_published) == (year, text)


def test_year_falls_back_on_the_electronic_date() -> None:
    date = '<ArticleDate DateType="Electronic"><Year>2001</Year><Month>2</Month><Day>31</Day></ArticleDate>'
    article = read_one(year=None, in_article=date)
    assert (article.year, article.date_electronic) == (2001, None)  # there is no February 31


@pytest.mark.parametrize(
    ("identifier", "orcid"),
    [
        ("0000-0002-1825-0097", "0000-0002-1825-0097"),
        ("http://orcid.org/0000-0002-1825-0097/", "0000-0002-1825-0097"),
        ("000000021825009X", "0000-0002-1825-009X"),
        ("unknown", None),
    ],
)
def test_orcid(identifier: str, orcid: str | None) -> None:
    authors = (
        '<AuthorList><Author><LastName>A</LastName><Identifier Source="GRID">grid.1</Identifier>'
        f'<Identifier Source="ORCID">{identifier}</Identifier></Author></AuthorList>'
    )
    assert read_one(in_article=authors).authors[0].orcid == orcid


def test_title_is_empty_and_abstract_missing() -> None:
    article = read_one(title="", abstract=None)
    assert (article.title, article.abstract, article.sections) == ("", None, [])


def test_unlabelled_abstract_has_no_sections() -> None:
    article = read_one(abstract="One.</AbstractText><AbstractText>Two.")
    assert (article.abstract, article.sections) == ("One.\nTwo.", [])
    article = read_one(abstract={"UNLABELLED": "One.", "RESULTS": "Two.", "METHODS": ""})
    assert article.abstract == "One.\nRESULTS: Two."
    assert [section.label for section in article.sections] == ["UNLABELLED", "RESULTS"]


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ("CO<sub>2</sub> and Ca<sup>2+</sup>", "CO2 and Ca2+"),
        ("a<i>b<b>c</b></i> <u>d</u>", "abc d"),
        ("one\n      <i>two</i>\n  three\t&#160;four", "one two three four"),
        ("x<!-- not this -->y<?nor this?>z", "xyz"),
        ("a &lt; b &amp; &#x3b1;<![CDATA[ <i> ]]>.", "a < b & α <i> ."),
        (
            f"of <mml:math {MML}>\n  <mml:mi>x</mml:mi>\n  <mml:mo>=</mml:mo>\n <mml:mn>5</mml:mn></mml:math>, is",
            "of x=5, is",
        ),
        (f"take<mml:math {MML}><mml:mi>x</mml:mi></mml:math>to", "take x to"),
        (f"(<mml:math {MML}><mml:mi>x</mml:mi></mml:math>)", "(x)"),
        (f"<mml:math {MML}><mml:mfrac><mml:mn>1</mml:mn> <mml:mn>2</mml:mn></mml:mfrac></mml:math>", "1/2"),
        (f"<i>n<mml:math {MML}><mml:mtext>if so</mml:mtext></mml:math></i>x", "n if so x"),
    ],
)
def test_text(xml: str, text: str) -> None:
    article = read_one(title=xml, abstract=xml)
    assert (article.title, article.abstract) == (text, text)


WORDS = st.lists(st.text("abcXYZ0123αβ-", min_size=1, max_size=5), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(WORDS, st.data())
def test_markup_neither_loses_nor_glues_nor_tears_words(words: list[str], data: st.DataObject) -> None:
    tags = st.sampled_from(["{}", "{}", "<i>{}</i>", "<sup>{}</sup>", "<b><sub>{}</sub></b>", "<!-- c -->{}"])
    spaces = st.sampled_from([" ", "\n   ", " \t", "&#160;", "\u2009"])
    xml = ""
    for word in words:
        cut = data.draw(st.integers(0, len(word)))
        xml += data.draw(tags).format(word[:cut]) + data.draw(tags).format(word[cut:]) + data.draw(spaces)
    article = read_one(title=xml, abstract=xml)
    lowered = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    assert article.title == article.abstract
    assert article.title.translate(lowered) == " ".join(words)


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ("10<sup>-3</sup> M", "10⁻³ M"),
        ("10<sup> \u22123 </sup>M", "10⁻³M"),
        ("2.5 &#215; 10<sup>6</sup>", "2.5 × 10⁶"),
        ("mg L<sup>-1</sup> s<sup>\u20132</sup>", "mg L⁻¹ s⁻²"),
        ("<i>10<sup>12</sup></i>/L", "10¹²/L"),
        ("Ca<sup>2+</sup>, Cl<sup>-</sup>, CO<sub>2</sub>", "Ca2+, Cl-, CO2"),
        ("<sup>131</sup>I at 5<sup>th</sup> m<sup>2</sup>", "131I at 5th m2"),
        ("10<sup><i>n</i></sup> and 2<sup>n</sup>", "10n and 2n"),
        ("a <sup>1</sup> b", "a 1 b"),
    ],
)
def test_exponents_keep_their_meaning(xml: str, text: str) -> None:
    assert read_one(title=xml, abstract=None).title == text


def test_records_are_those_of_the_whole_tree(shared: Path) -> None:
    """Cutting into runs gives what parsing the document as a whole gives."""
    for path in sorted((shared / "xml").iterdir()):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        root = etree.fromstring(data)
        expected = [
            int(x)
            for x in root.xpath("*/PMID/text() | */MedlineCitation/PMID/text() | */BookDocument/PMID/text()")
        ]
        by_chunk = [
            list(parse_records(RecordScanner(_cut(data, n_bytes), path.name, 1 << 24)))
            for n_bytes in (3000, 1 << 20)
        ]
        assert by_chunk[0] == by_chunk[1]
        assert [item.pmid for item in by_chunk[0]] == expected, path.name


def _cut(data: bytes, n_bytes: int) -> Iterator[bytes]:
    return (data[i : i + n_bytes] for i in range(0, len(data), n_bytes))
