"""XML elements → the records they hold. The element names are those of NLM's "MEDLINE/PubMed XML Data Elements"."""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Iterable
from contextlib import suppress

from pubvec.corpus.text import Element, text_of, text_or_none
from pubvec.records import (
    Author,
    Chemical,
    Correction,
    DataBank,
    GeneralNote,
    Grant,
    HistoryDate,
    ItemList,
    Journal,
    Keyword,
    MeshHeading,
    MeshQualifier,
    OtherAbstract,
    OtherId,
    Reference,
    Section,
    SupplementaryConcept,
    Term,
)

_ORCID = re.compile(r"(\d{4})\D?(\d{4})\D?(\d{4})\D?(\d{3}[\dXx])\s*/?\s*$")
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d")
_MONTHS = {name[:3].lower(): f"{number:02d}" for number, name in enumerate(calendar.month_name) if name}
_OWN_FIELDS = {"pubmed", "doi", "pmc"}
"""Types of identifiers that have fields of their own."""
_NOT_GIVEN = "UNLABELLED"
"""NLM's label for a part of a structured abstract that has none in print."""


def children_of(element: Element | None) -> dict[str, Element]:
    """Return the first child of each name, by its name."""
    # Reversed, so that the first of several wins.
    return {} if element is None else {child.tag: child for child in reversed(element)}


def read_date(element: Element | None) -> datetime.date | None:
    """A date of `Year`, `Month`, `Day`; None where a part is missing or impossible."""
    if element is None:
        return None
    year, month, day = (element.findtext(name, "") for name in ("Year", "Month", "Day"))
    with suppress(ValueError):
        return datetime.date(int(year), int(_MONTHS.get(month[:3].lower(), month)), int(day))
    return None


def read_publication_date(element: Element | None) -> tuple[int | None, str | None]:
    """Year and text of a `PubDate`: `2019-09-14`, `2019-09`, `2019 Spring`, `1998 Dec-1999 Jan`."""
    children = children_of(element)
    if not children:
        return None, None
    raw = text_of(children.get("MedlineDate"))
    year, season = text_of(children.get("Year")), text_of(children.get("Season"))
    month, day = text_of(children.get("Month")), text_of(children.get("Day"))
    number = _MONTHS.get(month.lower(), month)
    if raw or not year:
        text = raw or season or month
    elif season or not (number.isdigit() or not number):
        text = " ".join(filter(None, (year, season or month, day)))
    else:
        text = "-".join(part.zfill(2) for part in (year, number, day) if part)
    found = _YEAR.search(year or raw)
    return (int(found.group()) if found else None), text or None


def read_abstract(parts: Iterable[Element]) -> tuple[str | None, list[Section]]:
    """Text and sections of an abstract from its `AbstractText` elements."""
    sections = [Section(part.get("Label"), part.get("NlmCategory"), text_of(part)) for part in parts]
    if len(sections) == 1 and not (sections[0].label or sections[0].nlm_category):
        return sections[0].text or None, []
    sections = [section for section in sections if section.text]
    lines = [
        f"{section.label}: {section.text}" if section.label not in (None, "", _NOT_GIVEN) else section.text
        for section in sections
    ]
    is_structured = any(section.label or section.nlm_category for section in sections)
    return "\n".join(lines) or None, sections if is_structured else []


def read_other_abstracts(citation: Element) -> list[OtherAbstract]:
    """The `OtherAbstract`s of a citation that have text."""
    found = []
    for element in citation.iterchildren("OtherAbstract"):
        text, _ = read_abstract(element.iterchildren("AbstractText"))
        if text:
            rights = text_or_none(element.find("CopyrightInformation"))
            found.append(OtherAbstract(element.get("Language"), element.get("Type"), text, rights))
    return found


def read_journal(journal: dict[str, Element], info: dict[str, Element], pages: Element | None) -> Journal:
    """Read a journal from the children of `Journal` and `MedlineJournalInfo`, and from `Pagination`."""
    issue = children_of(journal.get("JournalIssue"))
    return Journal(
        title=text_or_none(journal.get("Title")),
        iso_abbreviation=text_or_none(journal.get("ISOAbbreviation")),
        medline_ta=text_or_none(info.get("MedlineTA")),
        nlm_id=text_or_none(info.get("NlmUniqueID")),
        issn=text_or_none(journal.get("ISSN")),
        issn_type=None if "ISSN" not in journal else journal["ISSN"].get("IssnType"),
        issn_linking=text_or_none(info.get("ISSNLinking")),
        country=text_or_none(info.get("Country")),
        volume=text_or_none(issue.get("Volume")),
        issue=text_or_none(issue.get("Issue")),
        pages=_read_pages(pages),
    )


def read_authors(people: Element | None, name: str = "Author", *, is_valid: bool = True) -> list[Author]:
    """Read the people called `name` in a list; `is_valid` tells whether those whose names are right, or the others."""
    return [
        _read_author(person) for person in _iter(people, name) if (person.get("ValidYN") != "N") == is_valid
    ]


def read_mesh(headings: Element | None) -> list[MeshHeading]:
    """Read the headings of a `MeshHeadingList`."""
    return [_read_heading(heading) for heading in _iter(headings, "MeshHeading") if len(heading)]


def read_keywords(citation: Element) -> list[Keyword]:
    """Read the keywords of every `KeywordList` of a citation."""
    return [
        Keyword(text, keyword.get("MajorTopicYN") == "Y", group.get("Owner"))
        for group in citation.iterchildren("KeywordList")
        for keyword in group.iterchildren("Keyword")
        if (text := text_of(keyword))
    ]


def read_terms(elements: Iterable[Element]) -> list[Term]:
    """Read the types of `PublicationType` elements."""
    return [Term(name, element.get("UI")) for element in elements if (name := text_of(element))]


def read_chemicals(chemicals: Element | None) -> list[Chemical]:
    """Read the chemicals of a `ChemicalList`."""
    found = []
    for chemical in _iter(chemicals, "Chemical"):
        children = children_of(chemical)
        name = children.get("NameOfSubstance")
        if name is not None:
            found.append(
                Chemical(text_of(name), name.get("UI"), text_or_none(children.get("RegistryNumber")))
            )
    return found


def read_supplementary_concepts(concepts: Element | None) -> list[SupplementaryConcept]:
    """Read a `SupplMeshList`."""
    return [
        SupplementaryConcept(name, element.get("UI"), element.get("Type"))
        for element in _iter(concepts, "SupplMeshName")
        if (name := text_of(element))
    ]


def read_data_banks(banks: Element | None) -> list[DataBank]:
    """Read a `DataBankList`."""
    return [
        DataBank(
            text_or_none(children.get("DataBankName")),
            [
                text
                for number in _iter(children.get("AccessionNumberList"), "AccessionNumber")
                if (text := text_of(number))
            ],
        )
        for children in map(children_of, _iter(banks, "DataBank"))
    ]


def read_notes(citation: Element) -> list[GeneralNote]:
    """Read every `GeneralNote` of a citation."""
    return [
        GeneralNote(element.get("Owner"), text)
        for element in citation.iterchildren("GeneralNote")
        if (text := text_of(element))
    ]


def read_history(history: Element | None) -> list[HistoryDate]:
    """Read a `History`; a date that is incomplete or impossible is left out."""
    return [
        HistoryDate(element.get("PubStatus"), date)
        for element in _iter(history, "PubMedPubDate")
        if (date := read_date(element))
    ]


def read_item_lists(document: Element) -> list[ItemList]:
    """Read every `ItemList` of a book record."""
    return [
        ItemList(element.get("ListType"), [text for item in element if (text := text_of(item))])
        for element in document.iterchildren("ItemList")
    ]


def read_other_ids(ids: Element | None, citation: Element | None) -> list[OtherId]:
    """Read the identifiers of an `ArticleIdList`, and every `OtherID`, that have no field of their own."""
    found = [
        OtherId(element.get("IdType"), text)
        for element in _iter(ids, "ArticleId")
        if element.get("IdType", "pubmed") not in _OWN_FIELDS and (text := text_of(element))
    ]
    found.extend(
        OtherId(element.get("Source"), text)
        for element in _iter(citation, "OtherID")
        if (text := text_of(element))
    )
    return found


def read_grants(grants: Element | None) -> list[Grant]:
    """Read the grants of a `GrantList`."""
    return [
        Grant(*(text_or_none(children.get(name)) for name in ("GrantID", "Acronym", "Agency", "Country")))
        for children in map(children_of, _iter(grants, "Grant"))
    ]


def read_corrections(corrections: Element | None) -> list[Correction]:
    """Read the links of a `CommentsCorrectionsList`."""
    return [
        Correction(
            type=element.get("RefType", ""),
            source=text_or_none(children.get("RefSource")),
            pmid=read_number(text_of(children.get("PMID"))),
            note=text_or_none(children.get("Note")),
        )
        for element in _iter(corrections, "CommentsCorrections")
        for children in (children_of(element),)
    ]


def read_references(parents: Iterable[Element]) -> list[Reference]:
    """Read the references of the `ReferenceList`s in `parents`, which may be nested."""
    found = []
    for parent in parents:
        for reference in parent.iter("Reference"):
            ids = read_ids(reference.find("ArticleIdList"))
            citation = text_or_none(reference.find("Citation"))
            found.append(Reference(citation, read_number(ids.get("pubmed", "")), ids.get("doi")))
    return found


def read_ids(ids: Element | None) -> dict[str, str]:
    """Return the first identifier of each type in an `ArticleIdList`, by its type."""
    found: dict[str, str] = {}
    for element in _iter(ids, "ArticleId"):
        found.setdefault(element.get("IdType", "pubmed"), text_of(element))
    return found


def _read_pages(pagination: Element | None) -> str | None:
    children = children_of(pagination)
    printed = text_of(children.get("MedlinePgn"))
    ends = [text_of(children.get(name)) for name in ("StartPage", "EndPage")]
    return printed or "-".join(filter(None, ends)) or None


def _read_author(author: Element) -> Author:
    children = children_of(author)
    identifier = children.get("Identifier")
    return Author(
        last_name=text_or_none(children.get("LastName")),
        fore_name=text_or_none(children.get("ForeName", children.get("FirstName"))),
        initials=text_or_none(children.get("Initials")),
        suffix=text_or_none(children.get("Suffix")),
        collective_name=text_or_none(children.get("CollectiveName")),
        orcid=None if identifier is None else _read_orcid(author),
        affiliations=[text for element in author.iter("Affiliation") if (text := text_of(element))],
    )


def _read_orcid(author: Element) -> str | None:
    for identifier in author.iterchildren("Identifier"):
        found = _ORCID.search(text_of(identifier))
        if identifier.get("Source") == "ORCID" and found:
            return "-".join(found.groups()).upper()
    return None


def _read_heading(heading: Element) -> MeshHeading:
    (name, ui, is_major), *qualifiers = [
        (text_of(element), element.get("UI"), element.get("MajorTopicYN") == "Y") for element in heading
    ]
    return MeshHeading(name, ui, is_major, [MeshQualifier(*qualifier) for qualifier in qualifiers])


def read_number(text: str) -> int | None:
    """Read a whole number of 31 bits; None for another text."""
    return int(text) if text.isdecimal() and len(text) <= 10 and int(text) < 2**31 else None


def _iter(parent: Element | None, name: str) -> Iterable[Element]:
    return () if parent is None else parent.iterchildren(name)
