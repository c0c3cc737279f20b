"""Snowballing: from a set of articles to those that they cite and those that cite them, as systematic reviews search.

The method is that of Wohlin 2014, "Guidelines for snowballing in systematic literature studies and a replication in software
engineering" (EASE 2014): backward along reference lists, forward along citations, repeated from what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pubvec.errors import ConfigError, InputError
from pubvec.records import Hit
from pubvec.retrieval.constraints import Filters
from pubvec.retrieval.searcher import Searcher

Direction = Literal["both", "backward", "forward"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


class Linked(NamedTuple):
    """An article that snowballing has found."""

    hit: Hit
    """The article; nothing ranked it, so it has no score."""
    round: int
    """The round that found it, counted from 1."""
    cites: list[int]
    """Those of the articles before its round whose PMIDs its reference list names."""
    cited_by: list[int]
    """Those of the articles before its round whose reference lists name it."""


class Snowball(NamedTuple):
    """What snowballing has found."""

    linked: list[Linked]
    """The articles with most links to the set, or to what earlier rounds found, first; ties by PMID."""
    n_found: int
    """The number of articles found, those beyond the wanted number among them."""
    n_absent: int
    """The number of articles that reference lists name and the index lacks."""


def snowball(
    index: Path | str | Searcher,
    pmids: Sequence[int],
    n: int | None = 100,
    *,
    direction: Direction = "both",
    n_rounds: int = 1,
    filters: Filters | None = None,
    check: Callable[[], None] = lambda: None,
) -> Snowball:
    """Find the articles that a set cites (backward) and those that cite it (forward).

    Args:
        index: folder made by `index`, or an open one.
        pmids: the set to start from; none of it is found.
        n: most articles to return; `n_found` counts all. None: all of them.
        direction: "both", "backward" or "forward".
        n_rounds: each round but the first starts from what the one before found.
        filters: conditions that an article must fulfill to be returned; others are followed all the same.
        check: called before each round; an error that it raises ends the search.

    Raises:
        InputError: the set is empty, or the index lacks one of it.
        ConfigError: a direction that is not known, or a number below 1.
    """
    if direction not in DIRECTIONS:
        raise ConfigError(f"the direction must be one of {', '.join(DIRECTIONS)}, not {direction!r}")
    if n_rounds < 1 or (n is not None and n < 1):
        raise ConfigError("the number of rounds and of articles must be 1 or above")
    if not pmids:
        raise InputError("snowballing starts from at least one PMID")
    searcher = index if isinstance(index, Searcher) else Searcher(index)
    searcher.articles(pmids)  # one that is not there is refused
    seen, start, absent = set(pmids), set(pmids), set[int]()
    found: dict[int, tuple[int, list[int], list[int]]] = {}
    for number in range(1, n_rounds + 1):
        check()
        cites, cited_by = _follow(searcher, start, direction)
        new = (cites.keys() | cited_by.keys()) - seen
        present = searcher.held(new)
        absent |= new - present
        for pmid in present:
            found[pmid] = number, sorted(cites.get(pmid, ())), sorted(cited_by.get(pmid, ()))
        seen |= present
        start = present
        if not start:
            break
    if filters is not None and filters.constraint is not None:
        kept = searcher.held(found, filters.constraint)
        found = {pmid: links for pmid, links in found.items() if pmid in kept}
    best = sorted(found, key=lambda pmid: (-len(found[pmid][1]) - len(found[pmid][2]), pmid))[:n]
    hits = searcher.hits_of(best)
    return Snowball([Linked(hit, *found[hit.pmid]) for hit in hits], len(found), len(absent))


def _follow(
    searcher: Searcher, start: set[int], direction: Direction
) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """Return the articles that cite some of `start`, and those that some of `start` cite, each with these."""
    cites: dict[int, set[int]] = {}
    cited_by: dict[int, set[int]] = {}
    if direction != "backward":
        for entry in searcher.lexical.citing(start):
            cites[entry.article.pmid] = start.intersection(entry.cites)
    if direction != "forward":
        for entry in searcher.articles(sorted(start)):
            for pmid in entry.cites:
                cited_by.setdefault(pmid, set()).add(entry.article.pmid)
    return cites, cited_by
