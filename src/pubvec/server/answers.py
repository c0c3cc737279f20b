"""What the search API answers, as JSON has it."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from pubvec.records import Hit
from pubvec.retrieval import Answer, Entry, badges_of
from pubvec.server.asking import Failure, Piece, describe
from pubvec.server.field_map import FieldMap
from pubvec.server.finding import Facets, Found, name_author
from pubvec.tables import dict_of


class FoundBadge(BaseModel):
    """What a reader must know of an article before they rely on it."""

    kind: str
    pmid: int | None
    """The article that says so, or that is spoken of."""


class FoundPassage(BaseModel):
    """The sentence of the abstract that is nearest to the query."""

    text: str
    start: int
    """Of it in the abstract, in characters."""
    highlights: list[tuple[int, int]]
    """Words of the query: start and end in `text`."""


class FoundHit(BaseModel):
    """One hit."""

    pmid: int
    title: str
    abstract: str | None
    authors: list[str]
    journal: str | None
    year: int | None
    publication_types: list[str]
    languages: list[str]
    mesh_headings: list[str]
    score: float
    """What hits are sorted by; compare it within one answer only."""
    cosine: float
    probability: float | None
    """The cosine calibrated; null where the model has no calibration."""
    badges: list[FoundBadge]
    passage: FoundPassage | None
    url: str
    doi_url: str | None
    pmc_url: str | None


class FoundValue(BaseModel):
    """A value that a filter can take, and how many of the best hits have it."""

    value: str
    n: int


class SearchAnswer(BaseModel):
    """A page of hits."""

    n_matching: int
    """Articles that fulfill the conditions; without any, all of the index."""
    next: str | None
    """Where the next page is."""
    hits: list[FoundHit]
    facets: dict[str, list[FoundValue]]
    """Of the best 100 hits; a value's name is what the filter of that name takes."""
    version: int
    """Of the index."""


class ArticleAnswer(BaseModel):
    """A record as the index holds it."""

    article: dict[str, Any]
    badges: list[FoundBadge]
    added: int
    """Version of the index that it came in with."""


class MapPlace(BaseModel):
    """A hit in the plane."""

    pmid: int
    title: str
    journal: str | None
    year: int | None
    is_retracted: bool
    x: float
    y: float
    group: int
    """Position in `groups`."""


class MapAnswer(BaseModel):
    """The neighborhood of a query; both coordinates lie in -1..1."""

    groups: list[str]
    """Their names, the largest first."""
    explained: float
    """Part of the vectors' variance that the plane shows."""
    places: list[MapPlace]
    """Best hit first."""


def describe_page(found: Found, next_url: str, version: int) -> SearchAnswer:
    """A page of hits."""
    return SearchAnswer(
        n_matching=found.n_matching,
        next=next_url if found.has_more else None,
        hits=[describe_hit(hit) for hit in found.hits],
        facets=_describe_facets(found.facets),
        version=version,
    )


def describe_article(entry: Entry) -> ArticleAnswer:
    """A record."""
    badges = [FoundBadge(**badge._asdict()) for badge in badges_of(entry.article, entry.retracted_by)]
    return ArticleAnswer(article=dict_of(entry.article), badges=badges, added=entry.added)


def describe_hit(hit: Hit) -> FoundHit:
    """A hit."""
    article = hit.article
    return FoundHit(
        pmid=hit.pmid,
        title=hit.title,
        abstract=article.abstract,
        authors=[name_author(author) for author in article.authors],
        journal=hit.journal,
        year=article.year,
        publication_types=[term.name for term in article.publication_types],
        languages=article.languages,
        mesh_headings=[heading.name for heading in article.mesh_headings],
        score=hit.score,
        cosine=hit.cosine,
        probability=hit.probability,
        badges=[FoundBadge(**badge._asdict()) for badge in hit.badges],
        passage=_describe_passage(hit),
        url=hit.url,
        doi_url=hit.doi_url,
        pmc_url=hit.pmc_url,
    )


def _describe_passage(hit: Hit) -> FoundPassage | None:
    if hit.passage is None:
        return None
    start, end, highlights = hit.passage
    text = (hit.article.abstract or "")[start:end]
    return FoundPassage(text=text, start=start, highlights=[(a - start, b - start) for a, b in highlights])


def _describe_facets(facets: Facets) -> dict[str, list[FoundValue]]:
    values = {
        name: [FoundValue(value=value.name, n=value.n) for value in getattr(facets, name)]
        for name in ("publication_type", "journal", "mesh", "language", "author")
    }
    decades = [FoundValue(value=f"{first}..{last}", n=n) for first, last, n in facets.decades]
    return {"year": decades, **values}


def describe_map(found: FieldMap) -> MapAnswer:
    """A map."""
    places = [
        MapPlace(
            pmid=hit.pmid,
            title=hit.title,
            journal=hit.journal,
            year=hit.article.year,
            is_retracted=hit.is_retracted,
            x=x,
            y=y,
            group=group,
        )
        for hit, x, y, group in found.places
    ]
    return MapAnswer(groups=found.groups, explained=found.explained, places=places)


def write_piece(piece: Piece | Answer | Failure) -> str:
    """A line of a streamed answer."""
    if isinstance(piece, Answer):
        evidence = [describe_hit(hit).model_dump() for hit in piece.evidence]
        fields = {"type": "answer", **piece._asdict(), "evidence": evidence, "note": describe(piece)}
    elif isinstance(piece, Failure):
        fields = {"type": "failure", **piece._asdict()}
    else:
        fields = {"type": "text" if piece.pmid is None else "citation", **piece._asdict()}
    return json.dumps(fields, ensure_ascii=False)
