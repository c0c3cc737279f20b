"""Parameters → what a page of hits shows; it delegates to `Searcher`."""

from __future__ import annotations

from typing import NamedTuple

from pubvec.records import Hit
from pubvec.retrieval import N_BEST as N_BEST
from pubvec.retrieval import N_BY_YEAR as N_BY_YEAR
from pubvec.retrieval import Decade as Decade
from pubvec.retrieval import Facets as Facets
from pubvec.retrieval import FacetValue as Value  # noqa: F401  the page's templates name it
from pubvec.retrieval import Searcher, SearchRequest
from pubvec.retrieval import name_author as name_author
from pubvec.server.parameters import MAX_HITS, Parameters


class Found(NamedTuple):
    """A page of hits."""

    hits: list[Hit]
    n_matching: int
    """Number of articles that fulfill the conditions; without conditions, all articles of the index."""
    is_narrowed: bool
    """Whether there are conditions."""
    has_more: bool
    """Whether there is a next page."""
    facets: Facets


class RankedHits(NamedTuple):
    """Hits in the order that was asked for."""

    ordered: list[Hit]


def read(searcher: Searcher, parameters: Parameters) -> SearchRequest:
    """Read the search that `parameters` ask for."""
    like = () if parameters.like is None else parameters.like
    return searcher.read(parameters.q, like=like, filters=parameters.filters, ranking=parameters.ranking)


def find(searcher: Searcher, parameters: Parameters) -> Found:
    """Find the hits that `parameters` want, with passages.

    Raises:
        InputError: the query is empty or malformed, or an article is not there.
    """
    request = read(searcher, parameters)
    page = searcher.page(request, parameters.n, parameters.offset, sort=parameters.sort)
    assert page.facets is not None
    has_more = page.has_more and parameters.end + parameters.n <= MAX_HITS
    return Found(page.hits, page.n_matching, page.is_narrowed, has_more, page.facets)


def rank_hits(searcher: Searcher, parameters: Parameters, n: int) -> RankedHits:
    """Find the `n` best hits, without passages."""
    request = read(searcher, parameters)
    page = searcher.page(request, n, sort=parameters.sort, with_passages=False, with_facets=False)
    return RankedHits(page.hits)
