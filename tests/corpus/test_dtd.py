# ruff: noqa: E501
"""Every element of NLM's DTD is kept in a field of `Article`, or is left out for a reason that stands here.

The names are those of `pubmed_250101.dtd`. Biopython ships that file: where it is installed, the list is compared with it.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from makers import make_document
from pubvec.corpus.config import ParseConfig
from pubvec.corpus.medline import parse_records
from pubvec.corpus.scan import RecordScanner
from pubvec.records import Article
from pubvec.tables import dict_of

WRAPPERS = """
PubmedArticleSet BookDocumentSet PubmedBookArticleSet PubmedArticle PubmedBookArticle BookDocument MedlineCitation PubmedData
PubmedBookData Article Abstract AccessionNumberList AffiliationInfo ArticleIdList AuthorList Book Chemical ChemicalList
CommentsCorrections CommentsCorrectionsList DataBank DataBankList GeneSymbolList Grant GrantList History Investigator
InvestigatorList ItemList Journal JournalIssue KeywordList MedlineJournalInfo MeshHeading MeshHeadingList Pagination
PersonalNameSubject PersonalNameSubjectList PublicationTypeList Publisher Reference ReferenceList Section Sections
SupplMeshList Author
"""
"""Elements that hold other elements only."""
DATES = "Year Month Day Season MedlineDate ArticleDate PubDate BeginningDate EndingDate ContributionDate DateCompleted DateRevised"
MARKUP = "b i sub sup u DispFormula"
DELETIONS = "DeleteCitation DeleteDocument"
FIELDS = {
    "PMID": "pmid",
    "AbstractText": "abstract",
    "AccessionNumber": "data_banks",
    "Acronym": "grants",
    "Affiliation": "authors",
    "Agency": "grants",
    "ArticleId": "other_ids",
    "ArticleTitle": "title",
    "BookTitle": "book_title",
    "Citation": "references",
    "CitationSubset": "citation_subsets",
    "CoiStatement": "coi_statement",
    "CollectionTitle": "collection_title",
    "CollectiveName": "authors",
    "CopyrightInformation": "copyright",
    "Country": "journal",
    "DataBankName": "data_banks",
    "DescriptorName": "mesh_headings",
    "Edition": "edition",
    "ELocationID": "pii",
    "EndPage": "journal",
    "ForeName": "authors",
    "GeneralNote": "notes",
    "GeneSymbol": "gene_symbols",
    "GrantID": "grants",
    "Identifier": "authors",
    "Initials": "authors",
    "Isbn": "isbns",
    "ISOAbbreviation": "journal",
    "ISSN": "journal",
    "ISSNLinking": "journal",
    "Issue": "journal",
    "Item": "item_lists",
    "Keyword": "keywords",
    "Language": "languages",
    "LastName": "authors",
    "LocationLabel": "location_labels",
    "Medium": "medium",
    "MedlinePgn": "journal",
    "MedlineTA": "journal",
    "NameOfSubstance": "chemicals",
    "NlmUniqueID": "journal",
    "Note": "corrections",
    "NumberOfReferences": "n_references",
    "OtherAbstract": "other_abstracts",
    "OtherID": "other_ids",
    "PublicationStatus": "publication_status",
    "PublicationType": "publication_types",
    "PubMedPubDate": "history",
    "PublisherLocation": "publisher_place",
    "PublisherName": "publisher",
    "QualifierName": "mesh_headings",
    "RefSource": "corrections",
    "RegistryNumber": "chemicals",
    "ReportNumber": "report_number",
    "SectionTitle": "book_sections",
    "SpaceFlightMission": "space_flight_missions",
    "StartPage": "journal",
    "Suffix": "authors",
    "SupplMeshName": "supplementary_concepts",
    "Title": "journal",
    "VernacularTitle": "vernacular_title",
    "Volume": "journal",
    "VolumeTitle": "volume_title",
}
"""Element → the field of `Article` that keeps what it holds."""
NOT_KEPT = {
    "ContractNumber": "no element of the DTD may hold it",
    "URL": "no element of the DTD may hold it",
    "Hour": "PubMed's dates count by the day",
    "Minute": "PubMed's dates count by the day",
    "Second": "PubMed's dates count by the day",
    "Object": "it links a record to other data banks of NCBI, which the record's identifiers do as well",
    "ObjectList": "it holds Object only",
    "Param": "it is a part of Object",
}
"""Element → why it is left out."""

ARTICLE = """<PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM"><PMID Version="1">31</PMID>
<DateCompleted><Year>2001</Year><Month>01</Month><Day>02</Day></DateCompleted>
<DateRevised><Year>2002</Year><Month>01</Month><Day>02</Day></DateRevised>
<Article PubModel="Print"><Journal><ISSN IssnType="Print">#ISSN</ISSN><JournalIssue CitedMedium="Print">
<Volume>#Volume</Volume><Issue>#Issue</Issue><PubDate><MedlineDate>1998 #MedlineDate</MedlineDate></PubDate></JournalIssue>
<Title>#Title</Title><ISOAbbreviation>#ISOAbbreviation</ISOAbbreviation></Journal><ArticleTitle>#ArticleTitle</ArticleTitle>
<Pagination><MedlinePgn>#MedlinePgn</MedlinePgn></Pagination><ELocationID EIdType="pii">#ELocationID</ELocationID>
<Abstract><AbstractText>#AbstractText <b>#b</b> <i>#i</i> <sub>#sub</sub> <sup>#sup</sup> <u>#u</u>
<DispFormula><mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:mi>#DispFormula</mml:mi></mml:math></DispFormula>
</AbstractText><CopyrightInformation>#CopyrightInformation</CopyrightInformation></Abstract>
<AuthorList><Author><LastName>#LastName</LastName><ForeName>#ForeName</ForeName><Initials>#Initials</Initials>
<Suffix>#Suffix</Suffix><Identifier Source="ORCID">0000-0002-1825-0097</Identifier>
<AffiliationInfo><Affiliation>#Affiliation</Affiliation></AffiliationInfo></Author>
<Author><CollectiveName>#CollectiveName</CollectiveName></Author>
<Author ValidYN="N"><LastName>#invalid</LastName></Author></AuthorList><Language>#Language</Language>
<DataBankList><DataBank><DataBankName>#DataBankName</DataBankName><AccessionNumberList>
<AccessionNumber>#AccessionNumber</AccessionNumber></AccessionNumberList></DataBank></DataBankList>
<GrantList><Grant><GrantID>#GrantID</GrantID><Acronym>#Acronym</Acronym><Agency>#Agency</Agency></Grant></GrantList>
<PublicationTypeList><PublicationType UI="D1">#PublicationType</PublicationType></PublicationTypeList>
<VernacularTitle>#VernacularTitle</VernacularTitle><ArticleDate><Year>1999</Year><Month>3</Month><Day>4</Day></ArticleDate>
</Article><MedlineJournalInfo><Country>#Country</Country><MedlineTA>#MedlineTA</MedlineTA><NlmUniqueID>#NlmUniqueID</NlmUniqueID>
<ISSNLinking>#ISSNLinking</ISSNLinking></MedlineJournalInfo><ChemicalList><Chemical><RegistryNumber>#RegistryNumber</RegistryNumber>
<NameOfSubstance UI="D2">#NameOfSubstance</NameOfSubstance></Chemical></ChemicalList>
<SupplMeshList><SupplMeshName Type="Disease" UI="C1">#SupplMeshName</SupplMeshName></SupplMeshList>
<CitationSubset>#CitationSubset</CitationSubset><CommentsCorrectionsList><CommentsCorrections RefType="Cites">
<RefSource>#RefSource</RefSource><Note>#Note</Note></CommentsCorrections></CommentsCorrectionsList>
<GeneSymbolList><GeneSymbol>#GeneSymbol</GeneSymbol></GeneSymbolList><MeshHeadingList><MeshHeading>
<DescriptorName UI="D3">#DescriptorName</DescriptorName><QualifierName UI="Q1">#QualifierName</QualifierName></MeshHeading>
</MeshHeadingList><NumberOfReferences>4321</NumberOfReferences><PersonalNameSubjectList><PersonalNameSubject>
<LastName>#subject</LastName></PersonalNameSubject></PersonalNameSubjectList><OtherID Source="NASA">#OtherID</OtherID>
<OtherAbstract Type="Publisher" Language="fre"><AbstractText>#OtherAbstract</AbstractText>
<CopyrightInformation>#rights</CopyrightInformation></OtherAbstract><KeywordList><Keyword>#Keyword</Keyword></KeywordList>
<CoiStatement>#CoiStatement</CoiStatement><SpaceFlightMission>#SpaceFlightMission</SpaceFlightMission>
<InvestigatorList><Investigator><LastName>#investigator</LastName></Investigator></InvestigatorList>
<GeneralNote Owner="NLM">#GeneralNote</GeneralNote></MedlineCitation><PubmedData><History>
<PubMedPubDate PubStatus="medline"><Year>2005</Year><Month>6</Month><Day>7</Day><Hour>8</Hour></PubMedPubDate></History>
<PublicationStatus>#PublicationStatus</PublicationStatus><ArticleIdList><ArticleId IdType="mid">#ArticleId</ArticleId></ArticleIdList>
<ReferenceList><Reference><Citation>#Citation</Citation></Reference></ReferenceList></PubmedData></PubmedArticle>"""
BOOK = """<PubmedBookArticle><BookDocument><PMID Version="1">32</PMID><ArticleIdList><ArticleId IdType="bookaccession">#NBK</ArticleId>
</ArticleIdList><Book><Publisher><PublisherName>#PublisherName</PublisherName><PublisherLocation>#PublisherLocation</PublisherLocation>
</Publisher><BookTitle>#BookTitle</BookTitle><PubDate><Year>1993</Year><Season>#Season</Season></PubDate><BeginningDate><Year>1981</Year>
</BeginningDate><EndingDate><Year>1982</Year></EndingDate><AuthorList Type="editors"><Author><LastName>#editor</LastName></Author></AuthorList>
<InvestigatorList><Investigator><LastName>#member</LastName></Investigator></InvestigatorList><Volume>#volume</Volume>
<VolumeTitle>#VolumeTitle</VolumeTitle><Edition>#Edition</Edition><CollectionTitle>#CollectionTitle</CollectionTitle><Isbn>#Isbn</Isbn>
<ELocationID EIdType="doi">#doi</ELocationID><Medium>#Medium</Medium><ReportNumber>#ReportNumber</ReportNumber></Book>
<LocationLabel Type="chapter">#LocationLabel</LocationLabel><ArticleTitle>#chapter</ArticleTitle><Pagination><StartPage>#StartPage</StartPage>
<EndPage>#EndPage</EndPage></Pagination><Sections><Section><SectionTitle>#SectionTitle</SectionTitle></Section></Sections>
<ItemList ListType="Synonyms"><Item>#Item</Item></ItemList></BookDocument></PubmedBookArticle>"""


def read(record: str) -> Article:
    data = make_document([record]).encode()
    (article,) = parse_records(RecordScanner(iter([data]), "test.xml", ParseConfig().max_record_bytes))
    assert isinstance(article, Article)
    return article


def test_every_element_has_a_place_or_a_reason() -> None:
    listed = [*WRAPPERS.split(), *DATES.split(), *MARKUP.split(), *DELETIONS.split(), *FIELDS, *NOT_KEPT]
    assert len(listed) == len(set(listed))
    assert set(FIELDS.values()) <= set(Article._fields)
    found = importlib.util.find_spec("Bio")
    if found is None or found.origin is None:
        pytest.skip("Biopython, whose copy of the DTD the list is compared with, is not installed")
    dtd = (Path(found.origin).parent / "Entrez" / "DTDs" / "pubmed_250101.dtd").read_text(encoding="utf-8")
    assert set(re.findall(r"<!ELEMENT\s+(\w+)", dtd)) == set(listed)


def test_what_an_element_holds_is_in_its_field() -> None:
    """Each element holds a text of its own in two records that have all of them."""
    kept = [dict_of(read(ARTICLE)), dict_of(read(BOOK))]
    numbers = {"PMID": "31", "NumberOfReferences": "4321", "Identifier": "0000-0002-1825-0097"}
    numbers |= {"PubMedPubDate": "2005-06-07"}
    for element, field in FIELDS.items():
        text = numbers.get(element, f"#{element}")
        assert any(text in str(record[field]) for record in kept), f"{element} is not in {field}"
    for element in MARKUP.split():
        assert f"#{element}" in kept[0]["abstract"]


def test_nothing_that_stands_in_a_record_is_lost() -> None:
    """Every text of the two records is somewhere in the article that is read of them."""
    for record in (ARTICLE, BOOK):
        kept = str(dict_of(read(record)))
        texts = re.findall(r"#\w+", record)
        assert texts and [text for text in texts if text not in kept] == []


def test_dates_are_kept() -> None:
    article, book = read(ARTICLE), read(BOOK)
    assert article.date_published == "1998 #MedlineDate"
    assert [
        str(date) for date in (article.date_completed, article.date_revised, article.date_electronic)
    ] == [
        "2001-01-02",
        "2002-01-02",
        "1999-03-04",
    ]
    assert (book.date_published, book.date_begun, book.date_ended) == ("1993 #Season", "1981", "1982")


def test_an_author_whose_name_is_invalid_is_none() -> None:
    article = read(ARTICLE)
    assert [author.last_name for author in article.authors] == ["#LastName", None]
    assert [author.last_name for author in article.misspelled_authors] == ["#invalid"]
