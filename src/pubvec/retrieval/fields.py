"""What the index knows of an article: the values that queries compare, made from the record in one place."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping

from pubvec.records import Article, Author, Badge
from pubvec.retrieval.constraints import TermField

RETRACTED = "retracted"
_BADGE_OF_LINK = {
    "RetractionIn": RETRACTED,
    "PartialRetractionIn": "partly retracted",
    "RetractionOf": "retraction notice",
    "ExpressionOfConcernIn": "expression of concern",
    "ErratumIn": "erratum",
    "RetractedandRepublishedIn": "retracted and republished",
    "CorrectedandRepublishedIn": "corrected and republished",
    "UpdateIn": "updated",
}
"""NLM's RefType, https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html#commentscorrectionslist"""
_BADGE_OF_TYPE = {
    "retracted publication": RETRACTED,
    "retraction of publication": "retraction notice",
    "expression of concern": "expression of concern notice",
    "preprint": "preprint",
}


def fold(text: str) -> str:
    """The form in which values of lists are compared: no case, accents, periods or doubled spaces."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(bare.casefold().replace(".", " ").split())


def text_hash(text: str) -> int:
    """64 bits that tell whether a text must be encoded again."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def terms_of(article: Article) -> Mapping[TermField, set[str]]:
    """Folded values of each list of `article`."""
    journal, headings = article.journal, article.mesh_headings
    names = (
        journal.title,
        journal.iso_abbreviation,
        journal.medline_ta,
        journal.nlm_id,
        journal.issn,
        journal.issn_linking,
    )
    is_major = [heading.is_major or any(q.is_major for q in heading.qualifiers) for heading in headings]
    return {
        "author": {form for author in article.authors for form in _author_forms(author)},
        "mesh": _folded(value for heading in headings for value in (heading.name, heading.ui)),
        "major_mesh": _folded(
            value
            for heading, major in zip(headings, is_major, strict=True)
            if major
            for value in (heading.name, heading.ui)
        ),
        "journal": _folded(names),
        "type": _folded(value for term in article.publication_types for value in (term.name, term.ui)),
        "language": _folded(article.languages),
    }


def badges_of(article: Article, retracted_by: Iterable[int] = ()) -> tuple[Badge, ...]:
    """What a reader must know of `article`; `retracted_by`: notices elsewhere in the index that name it."""
    found = {
        (_BADGE_OF_LINK[link.type], link.pmid) for link in article.corrections if link.type in _BADGE_OF_LINK
    }
    found |= {(RETRACTED, pmid) for pmid in retracted_by}
    said = {kind for kind, _ in found}
    types = {_BADGE_OF_TYPE.get(fold(term.name)) for term in article.publication_types}
    found |= {(kind, None) for kind in types if kind and kind not in said}
    ranked = sorted(found, key=lambda badge: (badge[0] != RETRACTED, badge[0], badge[1] or 0))
    return tuple(Badge(kind, pmid) for kind, pmid in ranked)


def _folded(values: Iterable[str | None]) -> set[str]:
    return {fold(value) for value in values if value}


def _author_forms(author: Author) -> set[str]:
    """As people look for an author: `smith`, `smith j`, `smith ja`, `smith john a`; a group by its name."""
    if author.collective_name:
        return {fold(author.collective_name)}
    if not author.last_name:
        return set()
    first = (author.initials or "")[:1]
    given = {"", first, author.initials or "", author.fore_name or ""}
    forms = {fold(f"{author.last_name} {name}") for name in given}
    return forms | ({fold(author.orcid)} if author.orcid else set())
