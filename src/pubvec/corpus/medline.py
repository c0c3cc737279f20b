"""One record of PubMed's XML → `records.Article`. The only module that imports lxml."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lxml import etree

from pubvec.corpus import fields
from pubvec.corpus.fields import children_of
from pubvec.corpus.scan import Flaw, RawRecords, RecordScanner
from pubvec.corpus.text import Element, text_of, text_or_none
from pubvec.records import Article, Author, Reference, Section, blank_article

_MAX_INT32 = 2**31 - 1
_PMC_ID = re.compile(r"PMC\d+")
_WHERE = re.compile(r",? (?:line|column) \d+")
"""Positions in lxml's messages, which count from the start of a run of records."""


class Deletion(NamedTuple):
    """A record that a file withdraws."""

    pmid: int
    version: int


class BadRecordError(Exception):
    """A record is malformed, or has no usable PMID."""


def parse_records(scanner: RecordScanner) -> Iterator[Article | Deletion | Flaw]:
    """Parse each record; a bad one becomes a `Flaw`, flaws pass through."""
    # The scanner never hands a DOCTYPE to this parser, so no entity can be declared. The options below are a second
    # defense.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    for raw in scanner:
        if isinstance(raw, Flaw):
            yield raw
            continue
        try:
            items = _parse(raw, parser)
        except BadRecordError as error:
            if raw.is_run:
                scanner.split(raw)
            else:
                yield Flaw(raw.number, raw.byte, str(error))
        else:
            yield from items


def _parse(raw: RawRecords, parser: Element) -> list[Article | Deletion]:
    try:
        root = etree.fromstring(raw.document, parser)
    except etree.XMLSyntaxError as error:
        raise BadRecordError(f"it is malformed: {_WHERE.sub('', str(error.msg))}") from error
    if len(root) != raw.n_records or any((element.tail or "").strip() for element in root):
        raise BadRecordError("it holds another record or is followed by text")
    items: list[Article | Deletion] = []
    for element in root:
        if element.tag not in _READERS:
            raise BadRecordError(f"unexpected <{element.tag}>")
        items.extend(_READERS[element.tag](element))
    return items


def _read_deletions(element: Element) -> list[Deletion]:
    return [Deletion(*_read_pmid(pmid)) for pmid in element.iterchildren("PMID")]


def _read_pubmed_article(element: Element) -> Article:
    parts = children_of(element)
    return _read_article(parts.get("MedlineCitation"), parts.get("PubmedData"))


def _read_article(citation: Element | None, data: Element | None) -> Article:
    parts = children_of(citation)
    pmid, version = _read_pmid(parts.get("PMID"))
    assert citation is not None  # it has a PMID
    article = children_of(parts.get("Article"))
    journal = children_of(article.get("Journal"))
    data_parts = children_of(data)
    abstract, sections, copyright_text = _read_abstract(article.get("Abstract"))
    year, date_published = fields.read_publication_date(
        children_of(journal.get("JournalIssue")).get("PubDate")
    )
    electronic = article.get("ArticleDate")
    authors, misspelled = _read_authors(article)
    record = blank_article(pmid, version)._replace(
        status=citation.get("Status"),
        title=text_of(article.get("ArticleTitle")),
        vernacular_title=text_or_none(article.get("VernacularTitle")),
        abstract=abstract,
        sections=sections,
        other_abstracts=fields.read_other_abstracts(citation) if "OtherAbstract" in parts else [],
        copyright=copyright_text,
        languages=_read_languages(parts.get("Article")) if "Language" in article else [],
        journal=fields.read_journal(
            journal, children_of(parts.get("MedlineJournalInfo")), article.get("Pagination")
        ),
        year=year or fields.read_publication_date(electronic)[0],
        date_published=date_published,
        date_electronic=fields.read_date(electronic),
        date_created=_read_created(parts.get("DateCreated"), data_parts.get("History")),
        date_completed=fields.read_date(parts.get("DateCompleted")),
        date_revised=fields.read_date(parts.get("DateRevised")),
        authors=authors,
        investigators=fields.read_authors(parts.get("InvestigatorList"), "Investigator"),
        misspelled_authors=misspelled,
    )
    return _add_lists(record, citation, parts, article, data)


def _add_lists(
    record: Article,
    citation: Element,
    parts: dict[str, Element],
    article: dict[str, Element],
    data: Element | None,
) -> Article:
    """Add the identifiers of an article and what indexers and publishers list of it."""
    data_parts = children_of(data)
    ids = fields.read_ids(data_parts.get("ArticleIdList"))
    return record._replace(
        mesh_headings=fields.read_mesh(parts.get("MeshHeadingList")),
        keywords=fields.read_keywords(citation) if "KeywordList" in parts else [],
        publication_types=fields.read_terms(article.get("PublicationTypeList", ())),
        chemicals=fields.read_chemicals(parts.get("ChemicalList")),
        supplementary_concepts=fields.read_supplementary_concepts(parts.get("SupplMeshList")),
        gene_symbols=_read_texts(parts.get("GeneSymbolList"), "GeneSymbol"),
        personal_name_subjects=fields.read_authors(
            parts.get("PersonalNameSubjectList"), "PersonalNameSubject"
        ),
        data_banks=fields.read_data_banks(article.get("DataBankList")),
        grants=fields.read_grants(article.get("GrantList")),
        doi=(_read_location(parts.get("Article"), "doi") if "ELocationID" in article else None)
        or ids.get("doi"),
        pii=_read_location(parts.get("Article"), "pii") if "ELocationID" in article else None,
        pmc_id=ids.get("pmc") or (_read_pmc_id(citation) if "OtherID" in parts else None),
        other_ids=fields.read_other_ids(
            data_parts.get("ArticleIdList"), citation if "OtherID" in parts else None
        ),
        references=_read_references(data) if "ReferenceList" in data_parts else [],
        n_references=fields.read_number(text_of(parts.get("NumberOfReferences"))),
        corrections=fields.read_corrections(parts.get("CommentsCorrectionsList")),
        coi_statement=text_or_none(parts.get("CoiStatement")),
        notes=fields.read_notes(citation) if "GeneralNote" in parts else [],
        citation_subsets=_read_texts(citation, "CitationSubset") if "CitationSubset" in parts else [],
        space_flight_missions=_read_texts(citation, "SpaceFlightMission")
        if "SpaceFlightMission" in parts
        else [],
        publication_status=text_or_none(data_parts.get("PublicationStatus")),
        history=fields.read_history(data_parts.get("History")),
    )


def _read_pubmed_book(element: Element) -> Article:
    return _read_book(element.find("BookDocument"), element.find("PubmedBookData"))


def _read_book(document: Element | None, book_data: Element | None) -> Article:
    """Read a book or, more often, a chapter of one, such as an entry of GeneReviews."""
    parts = children_of(document)
    pmid, version = _read_pmid(parts.get("PMID"))
    assert document is not None  # it has a PMID
    book = children_of(parts.get("Book"))
    publisher = children_of(book.get("Publisher"))
    data = children_of(book_data)
    id_lists = [
        lists for lists in (parts.get("ArticleIdList"), data.get("ArticleIdList")) if lists is not None
    ]
    ids = {kind: name for lists in id_lists for kind, name in fields.read_ids(lists).items()}
    abstract, sections, copyright_text = _read_abstract(parts.get("Abstract"))
    contributed, published = parts.get("ContributionDate"), book.get("PubDate")
    year, date = fields.read_publication_date(published if contributed is None else contributed)
    book_title = text_or_none(book.get("BookTitle"))
    authors, editors, misspelled = _read_book_authors(document, parts.get("Book"))
    investigators = parts.get("InvestigatorList", book.get("InvestigatorList"))
    return blank_article(pmid, version)._replace(
        is_book=True,
        title=text_of(parts.get("ArticleTitle")) or book_title or "",
        vernacular_title=text_or_none(parts.get("VernacularTitle")),
        book_title=book_title,
        publisher=text_or_none(publisher.get("PublisherName")),
        publisher_place=text_or_none(publisher.get("PublisherLocation")),
        collection_title=text_or_none(book.get("CollectionTitle")),
        edition=text_or_none(book.get("Edition")),
        isbns=_read_texts(parts.get("Book"), "Isbn"),
        book_sections=[text_of(title) for title in document.iterfind("Sections//SectionTitle")],
        abstract=abstract,
        sections=sections,
        copyright=copyright_text,
        languages=_read_languages(document),
        journal=fields.read_journal({"JournalIssue": parts.get("Book")}, {}, parts.get("Pagination")),
        year=year,
        date_published=date,
        date_created=_read_created(None, data.get("History")),
        date_revised=fields.read_date(parts.get("DateRevised")),
        authors=authors,
        editors=editors,
        investigators=fields.read_authors(investigators, "Investigator"),
        misspelled_authors=misspelled,
        keywords=fields.read_keywords(document),
        publication_types=fields.read_terms(document.iterchildren("PublicationType")),
        grants=fields.read_grants(parts.get("GrantList")),
        doi=ids.get("doi") or _read_location(document, "doi") or _read_location(parts.get("Book"), "doi"),
        pii=_read_location(document, "pii") or _read_location(parts.get("Book"), "pii"),
        pmc_id=ids.get("pmc"),
        other_ids=[other for lists in id_lists for other in fields.read_other_ids(lists, None)],
        references=_read_references(document),
        publication_status=text_or_none(data.get("PublicationStatus")),
        history=fields.read_history(data.get("History")),
        volume_title=text_or_none(book.get("VolumeTitle")),
        report_number=text_or_none(book.get("ReportNumber")),
        medium=text_or_none(book.get("Medium")),
        date_begun=fields.read_publication_date(book.get("BeginningDate"))[1],
        date_ended=fields.read_publication_date(book.get("EndingDate"))[1],
        location_labels=_read_texts(document, "LocationLabel"),
        item_lists=fields.read_item_lists(document),
    )


def _read_pmid(element: Element | None) -> tuple[int, int]:
    """PMID and version; the version is 1 where it is not given, as before 2010."""
    if element is None:
        raise BadRecordError("it has no PMID")
    version = element.get("Version")
    return _read_number("PMID", text_of(element)), 1 if version is None else _read_number("version", version)


def _read_number(name: str, text: str) -> int:
    if text.isdecimal() and text.isascii() and 0 < int(text[:20]) <= _MAX_INT32:
        return int(text)
    raise BadRecordError(f"its {name} must be a number from 1 to {_MAX_INT32}, not {text[:40]!r}")


def _read_abstract(abstract: Element | None) -> tuple[str | None, list[Section], str | None]:
    """Text, sections and copyright."""
    if abstract is None:
        return None, [], None
    parts = [part for part in abstract if part.tag == "AbstractText"]
    rest = None if len(parts) == len(abstract) else abstract.find("CopyrightInformation")
    return *fields.read_abstract(parts), text_or_none(rest)


def _read_languages(parent: Element) -> list[str]:
    return _read_texts(parent, "Language")


def _read_texts(parent: Element | None, name: str) -> list[str]:
    """The texts of the children called `name` that have any."""
    if parent is None:
        return []
    return [text for element in parent.iterchildren(name) if (text := text_of(element))]


def _read_book_authors(
    document: Element, book: Element | None
) -> tuple[list[Author], list[Author], list[Author]]:
    """Read the authors, the editors, and the authors that are misspelled, of a book record.

    The lists of a chapter stand in the document, those of its book in `Book`; a record of a whole book may have its authors
    in either place. A list that does not say its type names authors.
    """
    lists = [*document.iterchildren("AuthorList"), *(() if book is None else book.iterchildren("AuthorList"))]
    of_type: dict[str, list[Author]] = {"authors": [], "editors": []}
    misspelled: list[Author] = []
    for element in lists:
        people = of_type["editors" if element.get("Type") == "editors" else "authors"]
        if not people:
            people.extend(fields.read_authors(element))
            misspelled.extend(fields.read_authors(element, is_valid=False))
    return of_type["authors"], of_type["editors"], misspelled


def _read_authors(article: dict[str, Element]) -> tuple[list[Author], list[Author]]:
    """Read the valid and the misspelled authors; an address of the whole article, as before 2013, is the first author's."""
    element = article.get("AuthorList")
    authors = fields.read_authors(element)
    address = text_of(article.get("Affiliation"))
    if address and authors and not authors[0].affiliations:
        authors[0] = authors[0]._replace(affiliations=[address])
    return authors, fields.read_authors(element, is_valid=False)


def _read_created(created: Element | None, history: Element | None) -> datetime.date | None:
    """`DateCreated`, which NLM's files no longer have since 2018, else the day PubMed took the record in."""
    if created is None and history is not None:
        created = history.find("PubMedPubDate[@PubStatus='entrez']")
    return fields.read_date(created)


def _read_location(parent: Element, kind: str) -> str | None:
    """The first valid `ELocationID` of type `kind`."""
    for element in parent.iterchildren("ELocationID"):
        if element.get("EIdType") == kind and element.get("ValidYN") != "N":
            return text_or_none(element)
    return None


def _read_pmc_id(citation: Element) -> str | None:
    """Read the PMC number from `OtherID`, where files without `PubmedData` have it."""
    for element in citation.iterchildren("OtherID"):
        if found := _PMC_ID.match(text_of(element)):
            return found.group()
    return None


def _read_references(parent: Element) -> list[Reference]:
    return fields.read_references(parent.iterchildren("ReferenceList"))


_READERS: Mapping[str, Callable[[Element], Sequence[Article | Deletion]]] = {
    "PubmedArticle": lambda element: [_read_pubmed_article(element)],
    "MedlineCitation": lambda element: [_read_article(element, None)],
    "PubmedBookArticle": lambda element: [_read_pubmed_book(element)],
    "BookDocument": lambda element: [_read_book(element, None)],
    "DeleteCitation": _read_deletions,
    "DeleteDocument": _read_deletions,
}
"""The function that reads each kind of record, by the name of its element."""
