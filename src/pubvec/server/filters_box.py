"""The boxes of filters beside the hits: values with counts of what choosing them gives, a histogram, and suggestions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from pubvec.records import Article
from pubvec.retrieval import (
    Constraint,
    Filters,
    Not,
    Page,
    Searcher,
    SearchRequest,
    Word,
    Years,
    all_of,
    language_name,
    name_author,
)
from pubvec.server.parameters import Parameters

Field = Literal["mesh", "journal", "author"]
"""Filters whose values are suggested while they are typed."""
_N_COUNTED = 6
"""Number of values of a box that are shown with their count. The others of the best hits are behind "more"."""
_N_READ = 300
"""Number of articles that are read for the suggestions of a beginning of a word."""
_FIRST_DECADE = 1940
_LAST_YEAR = 2100
_FILTERS: dict[str, Any] = {
    name: Parameters.model_fields[name].default
    for name in (
        *("year", "first_year", "last_year", "no_year", "journal", "mesh", "publication_type", "language"),
        *("author", "pmid", "cites", "cited_by", "has_abstract", "not_retracted"),
    )
}
"""The value of each filter that filters nothing."""
_FUNDING = "Research Support"


class Value(NamedTuple):
    """A value of a filter."""

    value: str
    label: str
    n: int | None
    """Number of articles that there are when it is chosen. It is not counted behind "more"."""
    is_chosen: bool


class Box(NamedTuple):
    """A filter with its values, those that are chosen first."""

    name: str
    legend: str
    rule: str
    """How several chosen values are joined, in words."""
    values: list[Value]
    more: list[Value]
    other: str | None
    """Label of the field for another value, if there is one."""


class Bar(NamedTuple):
    """A bar of the histogram of years."""

    label: str
    n: int
    url: str
    share: float
    """Length relative to the longest bar, in percent."""


_BOXES: tuple[tuple[str, str, str, str | None], ...] = (
    ("publication_type", "Publication type", "any of", None),
    ("mesh", "MeSH heading", "all of", "Another heading"),
    ("journal", "Journal", "any of", "Another journal"),
    ("language", "Language", "any of", None),
    ("author", "Author", "any of", "Name, as Smith J"),
)


def view_filters(
    searcher: Searcher,
    request: SearchRequest,
    parameters: Parameters,
    found: Page,
    check: Callable[[], None],
) -> dict[str, Any]:
    """Return the boxes and the histogram of a page of results."""
    bare = parameters.model_copy(update=_FILTERS)
    query = all_of(request.query_constraint, bare.constraint)

    def count(**changes: Any) -> int:
        changed = parameters.model_copy(update=changes)
        return searcher.count(all_of(query, changed.filters.constraint, _no_year(changed)))

    boxes = []
    for name, legend, rule, other in _BOXES:
        check()
        chosen: list[str] = getattr(parameters, name)
        offered = [value for value in getattr(found.facets, name) if not value.name.startswith(_FUNDING)]
        values = [
            Value(
                value.name,
                _label(name, value.name),
                count(**{name: list(chosen) if value.is_chosen else [*chosen, value.name]}),
                value.is_chosen,
            )
            for value in offered[: _N_COUNTED + len(chosen)]
        ]
        more = [
            Value(value.name, _label(name, value.name), None, False)
            for value in offered[_N_COUNTED + len(chosen) :]
        ]
        boxes.append(Box(name, legend, rule, values, more, other))
    check()
    return {"boxes": boxes, "bars": list(_bars(parameters, count))}


def _no_year(parameters: Parameters) -> Constraint | None:
    return Not(Years(1, None)) if parameters.no_year else None


def _label(name: str, value: str) -> str:
    return language_name(value) if name == "language" else value


def _bars(parameters: Parameters, count: Callable[..., int]) -> Iterator[Bar]:
    """Yield the bars of the histogram, the newest first: decades, or the years of a range of a decade or less."""
    first, last = parameters.first_year, parameters.last_year
    if first and last and last - first < 10:
        spans = [(year, year) for year in range(first, last + 1)]
    else:
        spans = [(year, year + 9) for year in range(_FIRST_DECADE, _LAST_YEAR, 10)]
        spans.insert(0, (1, _FIRST_DECADE - 1))
    counted = []
    for start, end in reversed(spans):
        changes: dict[str, Any] = {"year": None, "no_year": False, "first_year": start, "last_year": end}
        label = str(start) if start == end else f"{start}–{end}" if start > 1 else f"until {end}"
        counted.append((label, count(**changes), parameters.url("/", **changes, offset=0)))
    without: dict[str, Any] = {"year": None, "first_year": None, "last_year": None, "no_year": True}
    counted.append(("no year", count(**without), parameters.url("/", **without, offset=0)))
    most = max(n for _, n, _ in counted) or 1
    for label, n, url in counted:
        if n:
            yield Bar(label, n, url, 100 * n / most)


def suggest(searcher: Searcher, field: Field, prefix: str, n: int = 8) -> list[tuple[str, int]]:
    """Return values of a filter that a reader may mean by the beginning of one, each with its number of articles.

    Headings are found by the words of the articles as well: the heading that most articles on a heart attack have is
    Myocardial Infarction.
    """
    words = re.findall(r"\w+", prefix)
    if not words:
        return []
    parts = tuple(Word("text", word, is_prefix=word is words[-1]) for word in words)
    wanted: dict[Field, Constraint | None] = {
        "mesh": all_of(*parts),
        "journal": Filters(journal=(f"{prefix}*",)).constraint,
        "author": Filters(author=(f"{prefix}*",)).constraint,
    }
    hits = searcher.search(searcher.read(constraint=wanted[field]), _N_READ)
    counts = Counter(name for hit in hits for name in set(_names_of(field, hit.article)))
    names = _order(counts, words, is_strict=field != "mesh")[:n]
    return [(name, searcher.count(_filter_by(field, name))) for name in names]


def _filter_by(field: Field, name: str) -> Constraint | None:
    values: dict[str, Any] = {field: (name,)}
    return Filters(**values).constraint


def _names_of(field: Field, article: Article) -> Iterable[str]:
    if field == "mesh":
        return (heading.name for heading in article.mesh_headings)
    if field == "author":
        return (name_author(author) for author in article.authors)
    return filter(None, (article.journal.iso_abbreviation or article.journal.title,))


def _order(counts: Counter[str], words: Sequence[str], *, is_strict: bool) -> list[str]:
    """Return the names that contain words which begin as `words` do, then the others, each the most frequent first.

    A strict order keeps the names whose own words match, unless there are none: a journal may be found by its title and
    shown by its abbreviation.
    """

    def matches(name: str) -> bool:
        own = [word.casefold() for word in re.findall(r"\w+", name)]
        return all(any(each.startswith(word.casefold()) for each in own) for word in words)

    ordered = sorted(counts, key=lambda name: (not matches(name), -counts[name], name))
    matching = [name for name in ordered if matches(name)]
    return matching if is_strict and matching else ordered
