"""What a page of hits is: its hits, how many articles match, and the facets by which a reader narrows the search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from pubvec.records import Author, Hit
from pubvec.retrieval.constraints import Filters
from pubvec.retrieval.fields import journal_key

Sort = Literal["relevance", "year", "citations"]
"""Orders of a page: by relevance, the newest year first, or what the index cites most first."""
SORTS: tuple[Sort, ...] = ("relevance", "year", "citations")
Strength = Literal["strong", "possible", "weak"]
_STRONG, _POSSIBLE = 0.3, 0.03
"""Least calibrated probabilities of a strong and of a possible match."""
N_BEST = 100
"""The facets count the values of this many of the best hits."""
N_BY_YEAR = 1000
"""A sort by year or by citations takes in this many of the best hits."""
_N_VALUES = 100


class FacetValue(NamedTuple):
    """A value that a filter can take."""

    name: str
    n: int
    """Number of the counted hits that have this value."""
    is_chosen: bool


class Decade(NamedTuple):
    """A range of years that the filter by year can take."""

    first: int
    last: int
    n: int


class Facets(NamedTuple):
    """The values that the best hits have, the most frequent first; decades run from the newest to the oldest."""

    decades: list[Decade]
    publication_type: list[FacetValue]
    journal: list[FacetValue]
    mesh: list[FacetValue]
    language: list[FacetValue]
    author: list[FacetValue]


class Page(NamedTuple):
    """One page of hits."""

    hits: list[Hit]
    n_matching: int
    """Number of articles that fulfill the conditions; without conditions, all articles of the index."""
    is_narrowed: bool
    """Whether the search has conditions."""
    has_more: bool
    """Whether another page follows."""
    facets: Facets | None
    """None where they were not asked for."""
    n_strong: int | None = None
    """Number of strong matches among the best 100 hits; None where facets were not asked for, or nothing is calibrated."""


def strength_of(hit: Hit) -> Strength | None:
    """Return how well a hit matches, in a word; None where it has no calibrated probability."""
    if hit.probability is None:
        return None
    return "strong" if hit.probability >= _STRONG else "possible" if hit.probability >= _POSSIBLE else "weak"


def count_strong(hits: Sequence[Hit]) -> int | None:
    """Count the strong matches; None where no hit has a calibrated probability."""
    strengths = [strength_of(hit) for hit in hits]
    return strengths.count("strong") if any(strengths) else None


def count_facets(hits: Sequence[Hit], chosen: Filters) -> Facets:
    """Count the values of `hits`; values of the filters in force are marked as chosen and come first."""
    articles = [hit.article for hit in hits]
    decades = Counter(article.year // 10 * 10 for article in articles if article.year)
    return Facets(
        [Decade(first, first + 9, decades[first]) for first in sorted(decades, reverse=True)],
        _count_values(
            (term.name for article in articles for term in article.publication_types), chosen.publication_type
        ),
        _count_values(_journal_names(hits), chosen.journal),
        _count_values(
            (name for article in articles for name in {h.name for h in article.mesh_headings}), chosen.mesh
        ),
        _count_values((language for article in articles for language in article.languages), chosen.language),
        _count_values(
            (name_author(author) for article in articles for author in article.authors), chosen.author
        ),
    )


def _journal_names(hits: Sequence[Hit]) -> list[str]:
    """Return the name of the journal of each hit. A journal with several spellings has the most frequent one."""
    spellings: dict[str, Counter[str]] = {}
    for hit in hits:
        if hit.journal:
            spellings.setdefault(journal_key(hit.article.journal), Counter())[hit.journal] += 1
    names = {key: counts.most_common(1)[0][0] for key, counts in spellings.items()}
    return [names[journal_key(hit.article.journal)] for hit in hits if hit.journal]


def name_author(author: Author) -> str:
    """Write an author as reference lists do: `Smith JA`, or the name of a group."""
    names = (author.last_name, author.initials or author.fore_name, author.suffix)
    return author.collective_name or " ".join(name for name in names if name)


def sort_hits(hits: Sequence[Hit], sort: Sort) -> list[Hit]:
    """Put hits that come best first into the order of `sort`."""
    if sort == "relevance":
        return list(hits)
    if sort == "citations":
        return sorted(hits, key=lambda hit: -(hit.n_cited_by or 0))
    return sorted(hits, key=lambda hit: -(hit.article.year or 0))


def _count_values(names: Iterable[str], chosen: Sequence[str]) -> list[FacetValue]:
    counts = Counter(names)
    others = sorted(counts.keys() - set(chosen), key=lambda name: (-counts[name], name))
    return [FacetValue(name, counts[name], True) for name in dict.fromkeys(chosen)] + [
        FacetValue(name, counts[name], False) for name in others[:_N_VALUES]
    ]
