"""The page of an article: the whole record, links into the index and out of it, and references to copy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pubvec.records import Article, Author, Hit, MeshHeading
from pubvec.retrieval import Entry, Filters, Searcher, name_author
from pubvec.server.citing import refer
from pubvec.server.glance import number_affiliations
from pubvec.server.search_service import Cancellation

FILES = (("ris", "RIS"), ("bib", "BibTeX"), ("nbib", ".nbib"), ("json", "CSL-JSON"))
"""Suffix and label of each format for reference managers."""
_N_SIMILAR = 6
_N_LISTED = 50
"""Maximum number of titles in the lists of references and of citing articles."""
_RELATIONS = {
    "AssociatedDataset": "Data set",
    "AssociatedPublication": "Publication about the data",
    "CommentIn": "Comment in",
    "CommentOn": "Comment on",
    "CorrectedandRepublishedFrom": "Corrected and republished from",
    "CorrectedandRepublishedIn": "Corrected and republished in",
    "ErratumFor": "Erratum for",
    "ErratumIn": "Erratum in",
    "ExpressionOfConcernFor": "Expression of concern for",
    "ExpressionOfConcernIn": "Expression of concern in",
    "OriginalReportIn": "Original report in",
    "PartialRetractionIn": "Partial retraction in",
    "PartialRetractionOf": "Partial retraction of",
    "RepublishedFrom": "Republished from",
    "RepublishedIn": "Republished in",
    "RetractedandRepublishedFrom": "Retracted and republished from",
    "RetractedandRepublishedIn": "Retracted and republished in",
    "RetractionIn": "Retraction in",
    "RetractionOf": "Retraction of",
    "SummaryForPatientsIn": "Summary for patients in",
    "UpdateIn": "Update in",
    "UpdateOf": "Update of",
}
"""NLM's RefType in words."""
_BANKS = {
    "ClinicalTrials.gov": "https://clinicaltrials.gov/study/{}",
    "ISRCTN": "https://www.isrctn.com/{}",
    "GENBANK": "https://www.ncbi.nlm.nih.gov/nuccore/{}",
    "RefSeq": "https://www.ncbi.nlm.nih.gov/nuccore/{}",
    "GEO": "https://www.ncbi.nlm.nih.gov/geo/query/acc.cgi?acc={}",
    "SRA": "https://www.ncbi.nlm.nih.gov/sra/{}",
    "BioProject": "https://www.ncbi.nlm.nih.gov/bioproject/{}",
    "dbGaP": "https://www.ncbi.nlm.nih.gov/projects/gap/cgi-bin/study.cgi?study_id={}",
    "OMIM": "https://www.omim.org/entry/{}",
    "PDB": "https://www.rcsb.org/structure/{}",
    "UniProtKB": "https://www.uniprot.org/uniprotkb/{}",
    "Dryad": "https://doi.org/{}",
    "figshare": "https://doi.org/{}",
    "PROSPERO": "https://www.crd.york.ac.uk/PROSPERO/view/{}",
    "EudraCT": "https://www.clinicaltrialsregister.eu/ctr-search/search?query={}",
}
"""Page of an accession number, for each data bank that has stable addresses."""


class Relation(NamedTuple):
    """A correction of an article, a comment on it, or the other way around."""

    name: str
    source: str
    pmid: int | None
    is_held: bool
    """True if the index has the other article."""


class Linked(NamedTuple):
    """Articles of the index that an article cites, or that cite it."""

    hits: list[Hit]
    """The first of them, the newest first."""
    n: int
    """Number of all of them."""


def view_article(entry: Entry, searcher: Searcher, cancellation: Cancellation) -> dict[str, Any]:
    """Return the values that the template of the page shows."""
    article, hit = entry.article, entry.hit
    authors, places = number_affiliations(article.authors)
    cited_by = find_citing(searcher, article.pmid)
    cancellation.check()
    references = _find(searcher, Filters(cited_by=(article.pmid,))) if entry.cites else Linked([], 0)
    cancellation.check()
    similar = searcher.like(article.pmid, _N_SIMILAR)
    cancellation.check()
    return {
        "article": article,
        "hit": hit,
        "authors": authors,
        "places": places,
        "relations": _relations_of(entry, searcher),
        "references": references,
        "n_references": max(len(entry.cites), article.n_references or 0, len(article.references)),
        "cited_by": cited_by,
        "similar": similar,
        "citations": refer(hit),
        "files": FILES,
        "headings": list(map(_heading_of, article.mesh_headings)),
        "facts": _facts_of(article),
        "banks": [(bank.name or "Data", _accessions_of(bank)) for bank in article.data_banks],
    }


def find_citing(searcher: Searcher, pmid: int) -> Linked:
    """Return the articles of the index that cite the article with this PMID."""
    return _find(searcher, Filters(cites=(pmid,)))


def _find(searcher: Searcher, filters: Filters) -> Linked:
    n = searcher.count(filters.constraint)
    return Linked(searcher.search(searcher.read(filters=filters), _N_LISTED) if n else [], n)


def _relations_of(entry: Entry, searcher: Searcher) -> list[Relation]:
    article = entry.article
    named = [(_RELATIONS.get(link.type, link.type), link.source, link.pmid) for link in article.corrections]
    said = {pmid for _, _, pmid in named}
    named += [(mark.kind.capitalize(), None, mark.pmid) for mark in entry.marks if mark.pmid not in said]
    held = searcher.held(pmid for _, _, pmid in named if pmid)
    return [Relation(name, source or "", pmid, pmid in held) for name, source, pmid in named]


def _heading_of(heading: MeshHeading) -> tuple[MeshHeading, str]:
    """Return a heading and the query that searches for it."""
    return heading, f'"{heading.name}"[mh]'


def _accessions_of(bank: Any) -> list[tuple[str, str | None]]:
    address = _BANKS.get(bank.name or "")
    return [(number, address.format(number) if address else None) for number in bank.accession_numbers]


def _facts_of(article: Article) -> list[tuple[str, str]]:
    """Return further fields of the record as pairs of a label and a text."""
    people = {
        "Editors": article.editors,
        "Investigators": article.investigators,
        "Persons as subjects": article.personal_name_subjects,
    }
    grants = [
        " ".join(filter(None, (grant.grant_id, grant.agency, grant.country))) for grant in article.grants
    ]
    texts: dict[str, str | None] = {
        **{label: _names(persons) for label, persons in people.items()},
        "Book": article.book_title,
        "Publisher": ", ".join(filter(None, (article.publisher, article.publisher_place))),
        "Grants": "; ".join(grants),
        "Supplementary concepts": "; ".join(concept.name for concept in article.supplementary_concepts),
        "Gene symbols": ", ".join(article.gene_symbols),
        "Status": article.status,
        "Published": article.date_published,
        "Published online": str(article.date_electronic or ""),
        "Revised by NLM": str(article.date_revised or ""),
        "Conflicts of interest": article.coi_statement,
        "Copyright": article.copyright,
    }
    return [(label, text) for label, text in texts.items() if text]


def _names(persons: Iterable[Author]) -> str:
    return ", ".join(filter(None, map(name_author, persons)))
