"""Parameters → what a page of hits shows. Blocking: the server calls it in a thread of its own for each request.

Safe in threads: a version of an index never changes, tantivy's searcher and faiss only read, and the encoder is made for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pubvec.records import Author, Hit
from pubvec.retrieval import Constraint, Searcher, all_of, find_passages, parse_query
from pubvec.server.parameters import MAX_HITS, Parameters

N_BEST = 100
"""Hits whose facets are counted. A ranking gives no fewer to the fusion, so that these are the command line's hits."""
N_BY_YEAR = 1000
"""Best hits that a sort by year takes in."""
_N_VALUES = 8


class Value(NamedTuple):
    """A value that a filter can take."""

    name: str
    n: int
    """Of the best `N_BEST` hits."""
    is_chosen: bool


class Decade(NamedTuple):
    """Years that a filter can take."""

    first: int
    last: int
    n: int


class Facets(NamedTuple):
    """What the best hits are, most frequent first; decades newest first."""

    decades: list[Decade]
    publication_type: list[Value]
    journal: list[Value]
    mesh: list[Value]
    language: list[Value]
    author: list[Value]


class Found(NamedTuple):
    """A page of hits."""

    hits: list[Hit]
    n_matching: int
    """Articles that fulfill the conditions; without any, all of the index."""
    is_narrowed: bool
    """Whether there are conditions."""
    has_more: bool
    """Whether there is a next page."""
    facets: Facets


def find(searcher: Searcher, parameters: Parameters) -> Found:
    """The hits that `parameters` want, with passages.

    Raises:
        InputError: the query is empty or malformed, or an article is not there.
    """
    end = parameters.end
    ranked = rank_hits(searcher, parameters, min(max(end + 1, N_BEST), MAX_HITS))
    shown = ranked.ordered[parameters.offset : end]
    text = _text_of(searcher, parameters)
    constraint = _constraint_of(parameters)
    return Found(
        find_passages(text, shown, searcher.encoder, searcher.lexical) if text else shown,
        len(searcher) if constraint is None else searcher.lexical.count(constraint),
        constraint is not None,
        len(ranked.ordered) > end and end + parameters.n <= MAX_HITS,
        _count_facets(ranked.best, parameters),
    )


class RankedHits(NamedTuple):
    """Hits twice."""

    best: list[Hit]
    """The best `N_BEST` or fewer, best first."""
    ordered: list[Hit]
    """As the sort wants them."""


def rank_hits(searcher: Searcher, parameters: Parameters, n: int) -> RankedHits:
    """The `n` best hits or a few more, without passages. A hit's place does not depend on `n`: pages fit together.

    A deeper fusion orders anew what a shallow one gave, so what is found at a depth stays before what a greater one adds.
    """
    n = max(n, N_BY_YEAR) if parameters.sort == "year" else n
    hits: list[Hit] = []
    for depth in (N_BEST, N_BY_YEAR, MAX_HITS):
        seen = {hit.pmid for hit in hits}
        found = _search(searcher, parameters, depth)
        hits += [hit for hit in found if hit.pmid not in seen][: depth - len(hits)]
        if len(hits) >= n or len(found) < depth:
            break
    if parameters.sort == "relevance":
        return RankedHits(hits[:N_BEST], hits)
    return RankedHits(hits[:N_BEST], sorted(hits[:N_BY_YEAR], key=lambda hit: -(hit.article.year or 0)))


def _constraint_of(parameters: Parameters) -> Constraint | None:
    asked = parse_query(parameters.q).constraint if parameters.like is None else None
    return all_of(asked, parameters.filters.constraint)


def _search(searcher: Searcher, parameters: Parameters, n: int) -> list[Hit]:
    if parameters.like is not None:
        return searcher.like(parameters.like, n, filters=parameters.filters)
    return searcher.search(parameters.q, n, ranking=parameters.ranking, filters=parameters.filters)


def _text_of(searcher: Searcher, parameters: Parameters) -> str:
    """What passages are to be near to: the words of the query, or the title of the article that hits are like."""
    if parameters.like is None:
        return parse_query(parameters.q).text
    return searcher.articles([parameters.like])[0].article.title


def _count_facets(hits: Sequence[Hit], parameters: Parameters) -> Facets:
    articles = [hit.article for hit in hits]
    decades = Counter(article.year // 10 * 10 for article in articles if article.year)
    return Facets(
        [Decade(first, first + 9, decades[first]) for first in sorted(decades, reverse=True)],
        _values(
            (term.name for article in articles for term in article.publication_types),
            parameters.publication_type,
        ),
        _values((hit.journal for hit in hits if hit.journal), parameters.journal),
        _values(
            (name for article in articles for name in {h.name for h in article.mesh_headings}),
            parameters.mesh,
        ),
        _values((language for article in articles for language in article.languages), parameters.language),
        _values(
            (name_author(author) for article in articles for author in article.authors), parameters.author
        ),
    )


def name_author(author: Author) -> str:
    """As a list of references has it: `Smith JA`, or the name of a group."""
    names = (author.last_name, author.initials or author.fore_name, author.suffix)
    return author.collective_name or " ".join(name for name in names if name)


def _values(names: Iterable[str], chosen: Sequence[str]) -> list[Value]:
    """What is chosen, whether a hit has it or not, then the most frequent others."""
    counts = Counter(names)
    others = sorted(counts.keys() - set(chosen), key=lambda name: (-counts[name], name))
    return [Value(name, counts[name], True) for name in dict.fromkeys(chosen)] + [
        Value(name, counts[name], False) for name in others[:_N_VALUES]
    ]
