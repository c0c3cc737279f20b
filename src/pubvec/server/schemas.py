"""JSON schemas of the search API, and the functions that fill them."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from pubvec.records import Hit
from pubvec.retrieval import Answer, Entry, Facets, Page, Snowball, name_author
from pubvec.server.answer_blocks import blocks_of, sources_of
from pubvec.server.ask_stream import Failure, Piece, describe
from pubvec.server.field_map import FieldMap
from pubvec.tables import dict_of

_N_VALUES = 8
"""Maximum number of values of a facet in JSON."""


class BadgeSchema(BaseModel):
    """A warning about an article, or a note that it corrects another one."""

    kind: str
    pmid: int | None
    """PMID of the notice or of the article that it is about."""


class PassageSchema(BaseModel):
    """The sentence of the abstract that is most similar to the query."""

    text: str
    start: int
    """Position of the sentence in the abstract, in characters."""
    highlights: list[tuple[int, int]]
    """Start and end of each word of the query within `text`, in characters."""


class HitSchema(BaseModel):
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
    score: float | None
    """Score that orders the hits. It is comparable within one response only."""
    cosine: float | None
    probability: float | None
    """Calibrated probability of relevance. It is null if the model has no calibration."""
    badges: list[BadgeSchema]
    passage: PassageSchema | None
    url: str
    doi_url: str | None
    pmc_url: str | None
    n_cited_by: int | None
    """Number of articles of the index whose reference lists name this one."""


class LinkedSchema(BaseModel):
    """An article that snowballing has found."""

    hit: HitSchema
    round: int
    """Number of the round that found it, from 1."""
    cites: list[int]
    """PMIDs of the articles before its round that it cites."""
    cited_by: list[int]
    """PMIDs of the articles before its round that cite it."""


class SnowballResponse(BaseModel):
    """Articles that a set cites or that cite it, those with most links first."""

    n_found: int
    """Number of all articles that were found."""
    n_absent: int
    """Number of articles that reference lists name and the index lacks."""
    linked: list[LinkedSchema]
    version: int
    """Number of the version of the index."""


class FacetValue(BaseModel):
    """A value that a filter accepts, and the number of the best hits that have it."""

    value: str
    n: int


class SearchResponse(BaseModel):
    """A page of hits."""

    n_matching: int
    """Number of articles that meet the conditions. Without conditions it is the size of the index."""
    next: str | None
    """Address of the next page."""
    hits: list[HitSchema]
    facets: dict[str, list[FacetValue]]
    """Facets of the best 100 hits. The filter of the same name accepts each value."""
    version: int
    """Number of the version of the index."""


class ArticleResponse(BaseModel):
    """A record as the index stores it."""

    article: dict[str, Any]
    badges: list[BadgeSchema]
    added: int
    """Number of the version of the index that added the article."""
    cites: list[int] = []
    """PMIDs of the reference list."""
    cited_by: list[int] = []
    """PMIDs of articles of the index that cite this one, the newest 50 at most."""
    citations: dict[str, str] = {}
    """References to the article as text in the styles `ama`, `vancouver` and `apa`."""


class MapPlace(BaseModel):
    """A hit on the map."""

    pmid: int
    title: str
    journal: str | None
    year: int | None
    is_retracted: bool
    x: float
    y: float
    group: int
    """Index into `groups`."""


class MapResponse(BaseModel):
    """A map of the best hits. Both coordinates lie between -1 and 1."""

    groups: list[str]
    """Names of the groups, the largest group first."""
    explained: float
    """Fraction of the variance of the vectors that the plane shows."""
    places: list[MapPlace]
    """The hits, the best first."""


def describe_page(page: Page, next_url: str, version: int) -> SearchResponse:
    """Return the schema of a page of hits."""
    return SearchResponse(
        n_matching=page.n_matching,
        next=next_url if page.has_more else None,
        hits=[describe_hit(hit) for hit in page.hits],
        facets={} if page.facets is None else _describe_facets(page.facets),
        version=version,
    )


def describe_article(entry: Entry) -> ArticleResponse:
    """Return the schema of a record."""
    badges = [BadgeSchema(**badge._asdict()) for badge in entry.badges]
    return ArticleResponse(
        article=dict_of(entry.article), badges=badges, added=entry.added, cites=entry.cites
    )


def describe_hit(hit: Hit) -> HitSchema:
    """Return the schema of a hit."""
    article = hit.article
    return HitSchema(
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
        badges=[BadgeSchema(**badge._asdict()) for badge in hit.badges],
        passage=_describe_passage(hit),
        url=hit.url,
        doi_url=hit.doi_url,
        pmc_url=hit.pmc_url,
        n_cited_by=hit.n_cited_by,
    )


def describe_snowball(found: Snowball, version: int) -> SnowballResponse:
    """Return the schema of what snowballing found."""
    linked = [
        LinkedSchema(hit=describe_hit(each.hit), round=each.round, cites=each.cites, cited_by=each.cited_by)
        for each in found.linked
    ]
    return SnowballResponse(n_found=found.n_found, n_absent=found.n_absent, linked=linked, version=version)


def _describe_passage(hit: Hit) -> PassageSchema | None:
    if hit.passage is None:
        return None
    start, end, highlights = hit.passage
    text = (hit.article.abstract or "")[start:end]
    return PassageSchema(text=text, start=start, highlights=[(a - start, b - start) for a, b in highlights])


def _describe_facets(facets: Facets) -> dict[str, list[FacetValue]]:
    values = {
        name: [FacetValue(value=value.name, n=value.n) for value in getattr(facets, name)[:_N_VALUES]]
        for name in ("publication_type", "journal", "mesh", "language", "author")
    }
    decades = [FacetValue(value=f"{first}..{last}", n=n) for first, last, n in facets.decades]
    return {"year": decades, **values}


def describe_map(found: FieldMap) -> MapResponse:
    """Return the schema of a map."""
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
    return MapResponse(groups=found.groups, explained=found.explained, places=places)


def dump_piece(piece: Piece | Answer | Failure) -> str:
    """Return one line of a streamed answer."""
    if isinstance(piece, Answer):
        evidence = [describe_hit(hit).model_dump() for hit in piece.evidence]
        fields = {
            "type": "answer",
            **piece._asdict(),
            "evidence": evidence,
            "note": describe(piece),
            "blocks": blocks_of(piece),
            "sources": sources_of(piece),
        }
    elif isinstance(piece, Failure):
        fields = {"type": "failure", **piece._asdict()}
    else:
        fields = {"type": "text" if piece.pmid is None else "citation", **piece._asdict()}
    return json.dumps(fields, ensure_ascii=False)
