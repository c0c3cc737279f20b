"""Map of a query: its best hits as points in a plane, in groups named by their typical terms."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import faiss
import numpy as np

from pubvec.encoder import FloatArray
from pubvec.records import Hit
from pubvec.retrieval import IntArray, Searcher
from pubvec.server.parameters import Parameters, find_hits

Words = Callable[[str], list[str]]
"""Function that returns the stems of a text."""
N_PLACES = 500
_N_GROUPS = 8
_N_ROUNDS = 25
_N_STARTS = 4
_N_NAMES = 2
_WORD = re.compile(r"[^\W\d_][\w-]{3,}")
_CHECK_TAGS = re.compile(
    "Humans|Animals|Male|Female|Adult|Young Adult|Middle Aged|Aged|Aged, 80 and over|Adolescent|Child|Child, Preschool|"
    "Infant|Infant, Newborn|Pregnancy|Mice|Rats|Rabbits|Dogs|Cats|Cattle|Swine|Sheep"
)
"""NLM's check tags and similar headings. They are given to articles of every topic, so they name no group."""
_METHOD_WORDS = re.compile(
    r"after|against|among|analys[ei]s|approach|associat(ed|ion)|before|based|between|cases?|clinical|comparison|cohort|data|development|does|during|effects?|evaluation|factors?|"
    r"evidence|following|from|groups?|high|human|impact|models?|outcomes?|patients?|prospective|randomi[sz]ed|reports?|"
    r"response|results?|retrospective|review|role|stud(y|ies)|systematic|treatment|trials?|using|what|when|whether|with"
)
"""Words of titles that name no topic."""


class Place(NamedTuple):
    """A hit and its place on the map."""

    hit: Hit
    x: float
    y: float
    group: int


class FieldMap(NamedTuple):
    """A map of hits. Both coordinates lie between -1 and 1."""

    places: list[Place]
    """The hits, the best first."""
    groups: list[str]
    """Names of the groups, the largest group first."""
    explained: float
    """Fraction of the variance of the vectors that the plane shows."""


def map_field(
    searcher: Searcher,
    parameters: Parameters,
    n: int = N_PLACES,
    check: Callable[[], None] = lambda: None,
) -> FieldMap:
    """Place the best `n` hits by the two principal components of their vectors, and group them by k-means.

    The groups are those of the whole vectors, not of their places in the plane. `check` is called between the steps.

    Raises:
        InputError: The query is empty or malformed.
    """
    hits = find_hits(searcher, parameters.model_copy(update={"n": n, "offset": 0}), check)
    if not hits:
        return FieldMap([], [], 0.0)
    vectors = searcher.vectors([hit.pmid for hit in hits])
    check()
    points, explained = project(vectors)
    groups = group_vectors(vectors, max(1, min(_N_GROUPS, len(hits) // 5)))
    names = name_groups(hits, groups, searcher.words, parameters.q)
    places = [
        Place(hit, float(x), float(y), int(group))
        for hit, (x, y), group in zip(hits, points, groups, strict=True)
    ]
    return FieldMap(places, names, explained)


def project(vectors: FloatArray) -> tuple[FloatArray, float]:
    """Project vectors onto their first two principal components.

    Args:
        vectors: *Shape:* (n, dim)

    Returns:
        Points between -1 and 1, *shape* (n, 2), and the fraction of the variance that they show.
    """
    centered = (vectors - vectors.mean(axis=0)).astype(np.float64)
    variances, axes = np.linalg.eigh(centered.T @ centered)  # ascending order
    points = centered @ axes[:, :-3:-1]
    points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    # The sign of a component is arbitrary. The farthest point is put on the positive side, so that maps are reproducible.
    points *= np.where(points.max(axis=0) < -points.min(axis=0), -1, 1)
    explained = float(variances[-2:].sum() / max(float(variances.sum()), 1e-12))
    scaled: FloatArray = (points / max(float(np.abs(points).max()), 1e-9)).astype(np.float32)
    return scaled, explained


def group_vectors(vectors: FloatArray, n_groups: int) -> IntArray:
    """Group vectors by k-means with a fixed seed.

    Args:
        vectors: *Shape:* (n, dim)
        n_groups: Maximum number of groups. Fewer distinct vectors give fewer groups.

    Returns:
        The group of each vector, *shape* (n,). Groups are numbered from 0, the largest first.
    """
    n_groups = min(n_groups, len(np.unique(vectors, axis=0)))
    kmeans = faiss.Kmeans(
        vectors.shape[1], n_groups, niter=_N_ROUNDS, nredo=_N_STARTS, seed=0, min_points_per_centroid=1
    )
    data = np.ascontiguousarray(vectors, np.float32)
    kmeans.train(data)
    _, nearest = kmeans.index.search(data, 1)
    _, groups = np.unique(nearest[:, 0], return_inverse=True)
    order = np.argsort(-np.bincount(groups), kind="stable")
    rank: IntArray = np.argsort(order)[groups]
    return rank


def name_groups(hits: Sequence[Hit], groups: IntArray, words_of: Words, query: str = "") -> list[str]:
    """Name each group by the MeSH headings that set it apart, preferably not by words of `query`.

    A group without such headings is named by words of its titles.
    """
    asked, used = set(words_of(query)), set[str]()
    headings = [_headings_of(hit, words_of) for hit in hits]
    words = [_words_of(hit, words_of) for hit in hits]
    names = []
    for group in range(int(groups.max()) + 1):
        chosen: list[str] = []
        for terms in (headings, words):
            best = _weigh(terms, groups, group)
            chosen = (
                _choose_apart([term for term in best if not asked.issuperset(term.split())], used) or best[:1]
            )
            if chosen:
                spelled = {term: name for own in terms for term, name in own.items()}
                names.append(" · ".join(spelled[term] for term in chosen))
                break
        if not chosen:
            names.append(f"group {group + 1}")
    return names


def _weigh(terms: Sequence[dict[str, str]], groups: IntArray, group: int) -> list[str]:
    """Return the terms that set a group apart, the weightiest first.

    A term weighs as much as it contributes to the Kullback-Leibler divergence of the group from all hits: it must be
    frequent in the group, and more frequent than elsewhere.
    """
    everywhere = Counter(term for own in terms for term in own)
    inside = [own for own, of in zip(terms, groups, strict=True) if of == group]
    counts = Counter(term for own in inside for term in own)
    weight = {
        term: n * math.log(n / len(inside) * len(terms) / everywhere[term])
        for term, n in counts.items()
        if n > 1
    }
    return sorted((term for term in weight if weight[term] > 0), key=lambda term: (-weight[term], term))


def _choose_apart(terms: Sequence[str], used: set[str]) -> list[str]:
    """Return the first terms that share no stem with `used`, and add their stems to it."""
    chosen: list[str] = []
    for term in terms:
        stems = set(term.split())
        if len(chosen) < _N_NAMES and not stems & used:
            chosen.append(term)
            used |= stems
    return chosen


def _headings_of(hit: Hit, words_of: Words) -> dict[str, str]:
    """Map the stems of each MeSH heading to its name."""
    names = [h.name for h in hit.article.mesh_headings if not _CHECK_TAGS.fullmatch(h.name)]
    return {key: name for name in names if (key := " ".join(words_of(name)))}


def _words_of(hit: Hit, words_of: Words) -> dict[str, str]:
    """Map the stem of each word of the title to its spelling."""
    words = [word for word in _WORD.findall(hit.title.casefold()) if not _METHOD_WORDS.fullmatch(word)]
    return {key: word for word in words if (key := " ".join(words_of(word)))}
