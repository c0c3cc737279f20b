"""Queries that name articles rather than describe them: PMIDs, PMC numbers, DOIs, and addresses that hold one of these."""

from __future__ import annotations

import re
from urllib.parse import unquote

from pubvec.retrieval.constraints import Pmids, Term

_LABEL = re.compile(r"\b(?:pubmed\s*id|pmids?|pmcids?|dois?)\s*[:#=]?\s*(?=PMC\d|\d)", re.IGNORECASE)
_SEPARATOR = re.compile(r"[\s,|]+|;(?!\d-)")
"""Separators of identifiers. A semicolon before a digit and a hyphen is none: DOIs that hold a serial item identifier
have such a `;2-` near their end."""
_PMID = re.compile(r"\d{1,9}")
_PMC = re.compile(r"PMC\d{1,9}(?:\.\d+)?", re.IGNORECASE)
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"\[\]]+", re.IGNORECASE)
_PUBMED_URL = re.compile(
    r"(?:https?://)?(?:[\w.-]*\.)?(?:pubmed\.ncbi\.nlm\.nih\.gov|ncbi\.nlm\.nih\.gov/pubmed|pubmed\.gov)/"
    r"(?:\?term=)?(\d{1,9})(?:[/?#].*)?",
    re.IGNORECASE,
)
_PMC_URL = re.compile(
    r"(?:https?://)?(?:[\w.-]*\.)?(?:pmc\.ncbi\.nlm\.nih\.gov|ncbi\.nlm\.nih\.gov/pmc|europepmc\.org)/"
    r"(?:articles?/)?(?:pmc/)?(PMC\d{1,9})(?:[/?#.].*)?",
    re.IGNORECASE,
)
_TRAILING = ".,;:)]}>'\"”’"

KnownItem = Pmids | Term


def read_identifiers(query: str) -> list[KnownItem]:
    """Return what each identifier of `query` asks for; nothing where the query is more than identifiers.

    PMIDs stand alone (`29768149`), with their label (`PMID: 29768149`) or in the address of a page at PubMed; several are
    separated by spaces, commas or semicolons. PMC numbers and DOIs may be mixed with them.
    """
    found: list[KnownItem] = []
    for piece in _SEPARATOR.split(_LABEL.sub(" ", query).strip()):
        if not piece:
            continue
        item = _read_identifier(piece.lstrip("<([{\"'“"))
        if item is None:
            return []
        found.append(item)
    return found


def describe_item(item: KnownItem) -> str:
    """Write an identifier as people write it."""
    if isinstance(item, Pmids):
        return f"PMID {next(iter(item.pmids))}"
    return item.value.upper() if item.field == "pmc_id" else f"DOI {item.value}"


def _read_identifier(text: str) -> KnownItem | None:
    text = text.rstrip(_TRAILING)
    if _PMID.fullmatch(text):
        return Pmids(frozenset([int(text)]))
    if _PMC.fullmatch(text):
        return Term("pmc_id", text.partition(".")[0].lower())
    if url := _PUBMED_URL.fullmatch(text):
        return Pmids(frozenset([int(url[1])]))
    if url := _PMC_URL.fullmatch(text):
        return Term("pmc_id", url[1].lower())
    is_address = "://" in text or text.lower().startswith(("www.", "doi.org/", "dx.doi.org/"))
    doi = _DOI.search(unquote(text)) if is_address else _DOI.fullmatch(text)
    if doi is None:
        return None
    found = re.split(r"[?#]", doi[0])[0] if is_address else doi[0]
    return Term("doi", found.rstrip(_TRAILING + "/").lower())
