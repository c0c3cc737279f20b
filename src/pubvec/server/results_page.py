"""What the page of results shows beside its hits: counts in words, filters in force, reasons for no hits, and faults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

from pubvec.retrieval import N_BEST, N_BY_YEAR, Page, Searcher, SearchRequest
from pubvec.server.ask_stream import N_EVIDENCE
from pubvec.server.filters_box import view_filters
from pubvec.server.glance import find_divider
from pubvec.server.parameters import MAX_HITS, QUICK_FILTERS, Parameters, find_page, read_request
from pubvec.server.search_service import Cancellation

_LISTS = ("publication_type", "mesh", "journal", "language", "author", "pmid", "cites", "cited_by")
_PREFIXES = {"pmid": "PMID ", "cites": "cites PMID ", "cited_by": "cited by PMID "}
_COLUMN = re.compile(r"\bat column (\d+)")
_SYNTAX = re.compile(r"\[[^\]]*\]?|[\"“”()*\[\]]|\b(?:AND|OR|NOT)\b")
_N_CHIPS = 12


class Chip(NamedTuple):
    """A filter in force, and the address of the same search without it."""

    label: str
    url: str


class Fault(NamedTuple):
    """A query that was refused, split at the character where the fault is."""

    before: str
    at: str
    after: str


def view_results(parameters: Parameters, searcher: Searcher, cancellation: Cancellation) -> dict[str, Any]:
    """Search, and return the values that the template of the page shows."""
    request = read_request(searcher, parameters)
    found = find_page(searcher, parameters, cancellation.check, request)
    offset, n = parameters.offset, parameters.n
    bare = Parameters(q=parameters.q, like=parameters.like, ranking=parameters.ranking, sort=parameters.sort)
    return {
        "parameters": parameters,
        "found": found,
        **view_filters(searcher, request, parameters, found, cancellation.check),
        "heading": heading_of(searcher, parameters),
        "seed": None if parameters.like is None else searcher.articles([parameters.like])[0].article,
        "count": count_line(found, parameters),
        "strong": _name_strong(found),
        "divider": find_divider(found.hits, found.n_strong) if parameters.sort == "relevance" else None,
        "chips": list(_chips(parameters)),
        "n_chips": _N_CHIPS,
        "quick": _quick_filters(parameters),
        "reasons": [] if found.hits else _reasons(found, searcher, request),
        "unfiltered": None if bare.is_empty else bare.url("/"),
        "previous_url": parameters.url("/", offset=max(0, offset - n)) if offset else None,
        "next_url": parameters.url("/", offset=offset + n) if found.has_more else None,
        "plain_url": plain_url(parameters.q, [pair for pair in parameters.pairs(offset=0) if pair[0] != "q"]),
        "first_url": parameters.url("/", offset=0),
        "answer_url": parameters.url("/", offset=0, sort="relevance", n=max(n, N_EVIDENCE), answer=True),
        "ask_url": parameters.url("/ask"),
        "feed_url": parameters.url("/feed.rss", n=10, offset=0, sort="relevance"),
        "best_url": parameters.url("/", sort="relevance", offset=0),
        "newest_url": parameters.url("/", sort="year", offset=0),
        "n_best": min(N_BEST, found.n_matching),
        "n_by_year": N_BY_YEAR,
        "max_hits": MAX_HITS,
    }


def heading_of(searcher: Searcher, parameters: Parameters) -> str:
    """Return the heading of a page of results or of a map."""
    if parameters.like is None:
        return parameters.q.strip() or "Articles that meet the filters"
    title = searcher.articles([parameters.like])[0].article.title
    return f"Similar to: {title or f'PMID {parameters.like}'}"


def count_line(found: Page, parameters: Parameters) -> str:
    """Return how many hits there are and which of them the page shows."""
    n = found.n_matching
    if not found.hits:
        return "This page lies past the last hit" if parameters.offset and n else "No hits"
    first, last = parameters.offset + 1, parameters.offset + len(found.hits)
    shown = f"Hits {first:,}–{last:,}" if last > first else f"Hit {first:,}"
    articles = "article" if n == 1 else "articles"
    if not found.is_narrowed:
        return f"{shown} of {n:,} {articles}"
    return f"{shown} of {n:,} {articles} that {'meets' if n == 1 else 'meet'} all conditions"


def _name_strong(found: Page) -> str:
    """Return the number of strong matches in words, or an empty text if nothing ranked the hits."""
    n = found.n_strong
    if n is None or not found.hits:
        return ""
    more = " or more" if n == N_BEST else ""
    return "no strong match" if not n else f"{n}{more} strong match{'' if n == 1 else 'es'}"


def name_years(years: str) -> str:
    """Return a range of years in words: `2010..` is "2010 and later"."""
    first, dots, last = re.sub(r"[:–-]", "..", years, count=1).partition("..")
    if not dots or first == last:
        return first
    return f"{first}–{last}" if first and last else f"{first} and later" if first else f"until {last}"


def find_fault(query: str, messages: list[str]) -> Fault | None:
    """Return the place in a query that one of `messages` names by its column."""
    for message in messages:
        if (match := _COLUMN.search(message)) and 0 < int(match[1]) <= len(query):
            place = int(match[1]) - 1
            return Fault(query[:place], query[place], query[place + 1 :])
    return None


def plain_words_of(query: str) -> str:
    """Return the words of a query without operators, field tags, quotation marks and parentheses."""
    return " ".join(_SYNTAX.sub(" ", query).split())


def plain_url(query: str, others: list[tuple[str, str]]) -> str | None:
    """Return the address of the search for the plain words of `query` with the other parameters.

    A query that has plain words only gives None.
    """
    words = plain_words_of(query)
    return f"/?{urlencode([('q', words), *others])}" if words and words != " ".join(query.split()) else None


def _quick_filters(parameters: Parameters) -> list[tuple[str, str, bool, str]]:
    """Return the name, label, state and address of each quick filter. The address changes its state."""
    found: list[tuple[str, str, bool, str]] = []
    for name, (label, _) in QUICK_FILTERS.items():
        is_on = name in parameters.quick
        quick = [other for other in parameters.quick if other != name] + ([] if is_on else [name])
        found.append((name, label, is_on, parameters.url("/", quick=quick, offset=0)))
    return found


def _reasons(found: Page, searcher: Searcher, request: SearchRequest) -> list[str]:
    """Return sentences on why there are no hits."""
    if found.n_matching:
        return []
    reading = searcher.explain(request)
    return [line for line in reading.lines(has_hits=False) if not line.startswith(("Ranked by", "Left out"))]


def _chips(parameters: Parameters) -> Iterator[Chip]:
    """Yield the filters in force."""
    years = parameters.filters.year
    if years:
        yield Chip(
            name_years(years), parameters.url("/", year=None, first_year=None, last_year=None, offset=0)
        )
    for quick in parameters.quick:
        rest = [other for other in parameters.quick if other != quick]
        yield Chip(QUICK_FILTERS[quick][0], parameters.url("/", quick=rest, offset=0))
    for name in _LISTS:
        values: list[Any] = getattr(parameters, name)
        if name == "pmid" and len(set(values)) > _N_CHIPS:
            yield Chip(f"{len(set(values)):,} selected articles", parameters.url("/", pmid=[], offset=0))
            continue
        for value in dict.fromkeys(values):
            others = [other for other in values if other != value]
            yield Chip(f"{_PREFIXES.get(name, '')}{value}", parameters.url("/", **{name: others}, offset=0))
    for name, label in (
        ("no_year", "no year"),
        ("has_abstract", "with an abstract"),
        ("not_retracted", "not retracted"),
    ):
        if getattr(parameters, name):
            yield Chip(label, parameters.url("/", **{name: False}, offset=0))
