"""The records that rooms exchange, named as the field names them.

Nested records are `NamedTuple`s because Arrow turns them into structs, and structs back into them,
by position: a shard is written from tuples without a dictionary in between.
"""

from __future__ import annotations

import datetime
import re
from typing import Any, NamedTuple, get_origin, get_type_hints

MADE_UP_IDS = 1_000_000_000
"""Numbers from this one on stand for articles that have no PMID (see `corpus.drafts.MadeUpIds`). Real PMIDs have at
most eight digits."""


class Section(NamedTuple):
    """One part of a structured abstract."""

    label: str | None
    """The label is written as the journal printed it: `AIMS`."""
    nlm_category: str | None
    """BACKGROUND, OBJECTIVE, METHODS, RESULTS, CONCLUSIONS or UNASSIGNED."""
    text: str


class OtherAbstract(NamedTuple):
    """An abstract in another language, or written for other readers."""

    language: str | None
    type: str | None
    text: str
    copyright: str | None = None


class Journal(NamedTuple):
    """The journal in which an article was published."""

    title: str | None
    iso_abbreviation: str | None
    medline_ta: str | None
    nlm_id: str | None
    issn: str | None
    issn_type: str | None
    """The medium that `issn` belongs to: `Print` or `Electronic`."""
    issn_linking: str | None
    country: str | None
    volume: str | None
    issue: str | None
    pages: str | None


class Author(NamedTuple):
    """A person, or a group in `collective_name`."""

    last_name: str | None
    fore_name: str | None
    initials: str | None
    suffix: str | None
    collective_name: str | None
    orcid: str | None
    """The bare identifier: `0000-0002-1825-0097`."""
    affiliations: list[str]


class MeshQualifier(NamedTuple):
    """A subheading: `drug therapy`."""

    name: str
    ui: str | None
    is_major: bool


class MeshHeading(NamedTuple):
    """A descriptor with its qualifiers."""

    name: str
    ui: str | None
    is_major: bool
    """Whether the descriptor itself is starred; a qualifier carries its own star."""
    qualifiers: list[MeshQualifier]


class Term(NamedTuple):
    """A term of a controlled list with its unique identifier: a publication type."""

    name: str
    ui: str | None


class Keyword(NamedTuple):
    """A word given by the author or by an indexing service."""

    text: str
    is_major: bool
    owner: str | None


class Chemical(NamedTuple):
    """A substance that the article deals with."""

    name: str
    ui: str | None
    registry_number: str | None


class Grant(NamedTuple):
    """Financial support."""

    grant_id: str | None
    acronym: str | None
    agency: str | None
    country: str | None


class Reference(NamedTuple):
    """An entry of the reference list."""

    citation: str | None
    pmid: int | None
    doi: str | None


class Correction(NamedTuple):
    """A `CommentsCorrections` link: a retraction, an erratum, an update, a comment."""

    type: str
    """NLM's RefType: `RetractionIn`, `ErratumIn`, `UpdateOf`, `CommentOn` …"""
    source: str | None
    pmid: int | None
    note: str | None


class DataBank(NamedTuple):
    """A data bank that holds data of the article: `ClinicalTrials.gov` with `NCT00000102`."""

    name: str | None
    accession_numbers: list[str]


class SupplementaryConcept(NamedTuple):
    """A supplementary concept of MeSH that is no chemical: a disease, protocol, organism, anatomy or population."""

    name: str
    ui: str | None
    type: str | None
    """NLM's word: `Disease`, `Protocol`, `Organism`, `Anatomy` or `Population`."""


class OtherId(NamedTuple):
    """An identifier that has no field of its own."""

    type: str | None
    """The kind, or the source, of the identifier: `mid`, `bookaccession`, `NASA`."""
    value: str


class GeneralNote(NamedTuple):
    """A remark of an indexing service."""

    owner: str | None
    text: str


class HistoryDate(NamedTuple):
    """The day on which an article reached a state."""

    status: str | None
    """NLM's word: `received`, `accepted`, `entrez` (PubMed created the record), `pubmed`, `medline` (MeSH was added)."""
    date: datetime.date


class ItemList(NamedTuple):
    """A list in a book record, such as the synonyms of the disease that a chapter describes."""

    type: str | None
    items: list[str]


class Article(NamedTuple):
    """One PubMed record. Missing text is None (`title`: ""), missing lists are empty."""

    pmid: int
    version: int
    status: str | None
    is_book: bool
    title: str
    vernacular_title: str | None
    book_title: str | None
    publisher: str | None
    """The publisher of a book."""
    publisher_place: str | None
    """The place where a book was published: `Seattle (WA)`."""
    collection_title: str | None
    """The series that a book belongs to."""
    edition: str | None
    """The edition of a book, as it is printed."""
    isbns: list[str]
    """The ISBNs of a book, as they are printed."""
    book_sections: list[str]
    """Headings of a book record's text, which PubMed does not hold."""
    abstract: str | None
    """The whole abstract; sections follow each other on lines of their own as `LABEL: text`."""
    sections: list[Section]
    """Empty where the abstract is not structured."""
    other_abstracts: list[OtherAbstract]
    copyright: str | None
    languages: list[str]
    journal: Journal
    year: int | None
    """Year of publication, from PubDate, else its MedlineDate, else the electronic date; of a chapter, the
    year of its contribution."""
    date_published: str | None
    """PubDate as given: `2019-09`, `2019 Spring`, `1998 Dec-1999 Jan`."""
    date_electronic: datetime.date | None
    date_created: datetime.date | None
    """When NLM made the record: DateCreated, else the day it entered PubMed."""
    date_completed: datetime.date | None
    date_revised: datetime.date | None
    authors: list[Author]
    editors: list[Author]
    """The editors of a book, or of the book that a chapter belongs to."""
    investigators: list[Author]
    """The people who took part in the study as members of a group that is an author."""
    misspelled_authors: list[Author]
    """Authors as an earlier record spelled them (`ValidYN="N"`); the valid spelling is in `authors`."""
    mesh_headings: list[MeshHeading]
    keywords: list[Keyword]
    publication_types: list[Term]
    chemicals: list[Chemical]
    supplementary_concepts: list[SupplementaryConcept]
    gene_symbols: list[str]
    """The symbols of genes that indexers of 1991 to 1995 added."""
    personal_name_subjects: list[Author]
    """The people whom the article is about."""
    data_banks: list[DataBank]
    grants: list[Grant]
    doi: str | None
    pii: str | None
    """The publisher's identifier that stands in the place of pages (`ELocationID` of type `pii`): `e0123456`."""
    pmc_id: str | None
    other_ids: list[OtherId]
    references: list[Reference]
    n_references: int | None
    """The number of references as the record states it; `references` may hold fewer."""
    corrections: list[Correction]
    coi_statement: str | None
    """The statement on conflicts of interest."""
    notes: list[GeneralNote]
    citation_subsets: list[str]
    """The codes of NLM's subsets that hold the citation: `IM`."""
    space_flight_missions: list[str]
    publication_status: str | None
    """NLM's word: `ppublish`, `epublish` or `aheadofprint`."""
    history: list[HistoryDate]
    volume_title: str | None
    """The title of a volume of a book."""
    report_number: str | None
    """The number of a report that is a book."""
    medium: str | None
    """The medium of a book: `Internet`."""
    date_begun: str | None
    """The first day of a book that is published over years."""
    date_ended: str | None
    """The last day of a book that is published over years."""
    location_labels: list[str]
    """The place of a chapter in its book: `Chapter 3`."""
    item_lists: list[ItemList]
    body: list[Section]
    """The sections of a full text; PubMed's records have none."""


_LIST_FIELDS = [name for name, hint in get_type_hints(Article).items() if get_origin(hint) is list]
_OTHER_FIELDS: dict[str, Any] = dict.fromkeys(
    name for name in Article._fields if name not in ("pmid", "version", *_LIST_FIELDS)
)
_OTHER_FIELDS |= {"is_book": False, "title": "", "journal": Journal(*[None] * len(Journal._fields))}


def blank_article(pmid: int, version: int = 1) -> Article:
    """Return a record without content, whose lists are its own."""
    lists: dict[str, Any] = {name: [] for name in _LIST_FIELDS}
    return Article(pmid=pmid, version=version, **_OTHER_FIELDS, **lists)


class DeletedCitation(NamedTuple):
    """A PMID that a file of the collection withdraws."""

    pmid: int
    version: int
    shard: int
    """Number of the shard whose file withdraws it: it deletes from this shard and those before."""


class Pair(NamedTuple):
    """A training example."""

    anchor: str
    positive: str
    negatives: list[str]
    rule: str
    pmid: int


class Badge(NamedTuple):
    """What a reader must know of an article before they rely on it."""

    kind: str
    """`retracted`, `retraction notice`, `expression of concern`, `erratum`, `updated`, `preprint`."""
    pmid: int | None
    """The article that says so, or that is spoken of."""


class Passage(NamedTuple):
    """The part of an abstract that answers best."""

    start: int
    end: int
    """Characters `abstract[start:end]`."""
    highlights: list[tuple[int, int]]
    """Words of the query in it, as characters of the abstract."""


class Hit(NamedTuple):
    """One search answer."""

    article: Article
    score: float | None
    """What hits are sorted by: a cosine, BM25, a reciprocal rank sum or a reranker's logit. It is None where a query had
    conditions alone, so that nothing ranked."""
    cosine: float | None
    """The cosine of the vectors of query and article; None where nothing ranked."""
    probability: float | None
    """The calibrated probability that the article is relevant, if ten articles of the index are relevant to the
    query. It is computed from the cosine, and None if the model has no calibration."""
    badges: tuple[Badge, ...]
    passage: Passage | None = None
    n_cited_by: int | None = None
    """The number of articles in the index whose reference lists name it; None where it was not counted."""

    @property
    def pmid(self) -> int:
        """The article's PMID."""
        return self.article.pmid

    @property
    def title(self) -> str:
        """The article's title, see `title_of`."""
        return title_of(self.article)

    @property
    def journal(self) -> str | None:
        """The journal as citations abbreviate it, else its title."""
        return self.article.journal.iso_abbreviation or self.article.journal.title

    @property
    def is_retracted(self) -> bool:
        """Whether the article has been retracted."""
        return any(badge.kind == "retracted" for badge in self.badges)

    @property
    def url(self) -> str:
        """The article's page at PubMed; of an article without a PMID the address of its DOI, else ""."""
        if self.pmid >= MADE_UP_IDS:
            return self.doi_url or ""
        return f"https://pubmed.ncbi.nlm.nih.gov/{self.pmid}/"

    @property
    def doi_url(self) -> str | None:
        """The address to which its DOI leads."""
        return f"https://doi.org/{self.article.doi}" if self.article.doi else None

    @property
    def pmc_url(self) -> str | None:
        """Its full text in PubMed Central."""
        return (
            f"https://pmc.ncbi.nlm.nih.gov/articles/{self.article.pmc_id}/" if self.article.pmc_id else None
        )


_NO_TITLE = re.compile(r"\[?\s*not available\.?\s*\]?\.?", re.IGNORECASE)
"""The words that PubMed has in the place of a title that nobody has translated."""


def title_of(article: Article) -> str:
    """Return the title to show: where PubMed has no translation, the one in the article's own language; else ""."""
    if article.vernacular_title and (not article.title or _NO_TITLE.fullmatch(article.title.strip())):
        return article.vernacular_title
    return article.title


def article_text(title: str, abstract: str | None) -> str:
    """Return the text of an article that is encoded: its title and abstract, joined as in the training of the models."""
    return f"{title} {abstract}" if abstract else title
