"""The neighborhood of a query at a glance: its best hits as points in a plane, in groups that name themselves."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pubvec.encoder import FloatArray
from pubvec.records import Hit
from pubvec.retrieval import IntArray, Lexical, Pmids, Searcher
from pubvec.server.finding import rank_hits
from pubvec.server.parameters import Parameters

N_PLACES = 500
_N_GROUPS = 8
_N_ROUNDS = 25
_N_STARTS = 4
_N_BASIS = 10
_N_POWERS = 12
_N_NAMES = 2
_WORD = re.compile(r"[^\W\d_][\w-]{3,}")
_CHECK_TAGS = re.compile(
    "Humans|Animals|Male|Female|Adult|Young Adult|Middle Aged|Aged|Aged, 80 and over|Adolescent|Child|Child, Preschool|"
    "Infant|Infant, Newborn|Pregnancy|Mice|Rats|Rabbits|Dogs|Cats|Cattle|Swine|Sheep"
)
"""NLM's check tags and the like, given to every article that they hold for: they name no topic."""
_METHOD_WORDS = re.compile(
    r"after|against|among|analys[ei]s|approach|associat(ed|ion)|before|based|between|cases?|clinical|comparison|cohort|data|development|does|during|effects?|evaluation|factors?|"
    r"evidence|following|from|groups?|high|human|impact|models?|outcomes?|patients?|prospective|randomi[sz]ed|reports?|"
    r"response|results?|retrospective|review|role|stud(y|ies)|systematic|treatment|trials?|using|what|when|whether|with"
)
"""Words in titles of every field."""


class Place(NamedTuple):
    """A hit in the plane."""

    hit: Hit
    x: float
    y: float
    group: int


class FieldMap(NamedTuple):
    """Hits in the plane; both coordinates lie in -1..1."""

    places: list[Place]
    """Best hit first."""
    groups: list[str]
    """Names, the group with most hits first."""
    explained: float
    """Part of the vectors' variance that the plane shows, 0..1."""


def map_field(searcher: Searcher, parameters: Parameters, n: int = N_PLACES) -> FieldMap:
    """The best `n` hits by the two principal components of their vectors, grouped by k-means on the whole vectors.

    Raises:
        InputError: the query is empty or malformed.
    """
    hits = rank_hits(searcher, parameters, n).ordered[:n]
    if not hits:
        return FieldMap([], [], 0.0)
    vectors = _vectors_of(searcher, hits)
    points, explained = project(vectors)
    groups = group_vectors(vectors, max(1, min(_N_GROUPS, len(hits) // 5)))
    names = name_groups(hits, groups, searcher.lexical, parameters.q)
    places = [
        Place(hit, float(x), float(y), int(group))
        for hit, (x, y), group in zip(hits, points, groups, strict=True)
    ]
    return FieldMap(places, names, explained)


def project(vectors: FloatArray) -> tuple[FloatArray, float]:
    """Principal components of `vectors` (n, dim): points (n, 2) in -1..1, and the part of the variance that they show.

    By power iteration from a random basis: Halko, Martinsson and Tropp 2011, "Finding structure with randomness", 4.4.
    A whole SVD of 500 vectors takes seconds where the cores are busy.
    """
    centered = vectors - vectors.mean(axis=0)
    basis = centered @ np.random.default_rng(0).standard_normal((vectors.shape[1], _N_BASIS), np.float32)
    for _ in range(_N_POWERS):
        basis, _ = np.linalg.qr(centered @ (centered.T @ basis))
    left, lengths, _ = np.linalg.svd(basis.T @ centered, full_matrices=False)
    points: FloatArray = basis @ left[:, :2] * lengths[:2]
    points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    # The sign of a component is arbitrary: the farthest point is put on the positive side, so that maps look alike.
    points *= np.where(points.max(axis=0) < -points.min(axis=0), -1, 1)
    explained = float((lengths[:2] ** 2).sum() / max(float((centered**2).sum()), 1e-12))
    return points / max(float(np.abs(points).max()), 1e-9), explained


def group_vectors(vectors: FloatArray, n_groups: int) -> IntArray:
    """Group of each of `vectors` (n, dim) by k-means, the largest group 0: the best of a few starts, with a fixed seed."""
    draw = np.random.default_rng(0)
    tried = [_run_kmeans(vectors, _choose_centers(vectors, n_groups, draw)) for _ in range(_N_STARTS)]
    groups, _ = min(tried, key=lambda one: one[1])
    order = np.argsort(-np.bincount(groups), kind="stable")
    rank: IntArray = np.argsort(order)[groups]
    return rank


def _choose_centers(vectors: FloatArray, n_groups: int, draw: np.random.Generator) -> FloatArray:
    """Arthur and Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding". *Shape:* (n_groups or fewer, dim)"""
    centers = vectors[[draw.integers(len(vectors))]]
    while len(centers) < n_groups:
        gap = _squared_distances(vectors, centers).min(axis=1)
        if gap.sum() <= 0:  # fewer different vectors than groups
            break
        centers = np.concatenate([centers, vectors[[draw.choice(len(vectors), p=gap / gap.sum())]]])
    return centers


def _run_kmeans(vectors: FloatArray, centers: FloatArray) -> tuple[IntArray, float]:
    """Groups, numbered without gaps, and the sum of squared distances to their centers."""
    groups = np.full(len(vectors), -1)
    for _ in range(_N_ROUNDS):
        before = groups
        gaps = _squared_distances(vectors, centers)
        _, groups = np.unique(gaps.argmin(axis=1), return_inverse=True)
        if np.array_equal(groups, before):
            break
        centers = np.stack([vectors[groups == group].mean(axis=0) for group in range(groups.max() + 1)])
    return groups, float(gaps.min(axis=1).sum())


def name_groups(hits: Sequence[Hit], groups: IntArray, lexical: Lexical, query: str = "") -> list[str]:
    """What sets each group apart: the MeSH headings and words of titles most typical of it, rather not those of `query`."""
    asked, used = set(lexical.words(query)), set[str]()
    terms = [_terms_of(hit, lexical) for hit in hits]
    everywhere = Counter(term for own in terms for term in own)
    spelled = {term: name for own in terms for term, name in own.items()}
    names = []
    for group in range(int(groups.max()) + 1):
        inside = [own for own, of in zip(terms, groups, strict=True) if of == group]
        counts = Counter(term for own in inside for term in own)
        # Its share of the Kullback-Leibler divergence of group and whole: frequent here, and more so than elsewhere.
        weight = {
            term: n * math.log(n / len(inside) * len(hits) / everywhere[term])
            for term, n in counts.items()
            if n > 1
        }
        best = sorted((term for term in weight if weight[term] > 0), key=lambda term: (-weight[term], term))
        chosen = (
            _choose_apart([term for term in best if not asked.issuperset(term.split())], used) or best[:1]
        )
        names.append(" · ".join(spelled[term] for term in chosen) or f"group {group + 1}")
    return names


def _choose_apart(terms: Sequence[str], used: set[str]) -> list[str]:
    """The first of `terms` without a stem that is `used`; theirs are added."""
    chosen: list[str] = []
    for term in terms:
        stems = set(term.split())
        if len(chosen) < _N_NAMES and not stems & used:
            chosen.append(term)
            used |= stems
    return chosen


def _terms_of(hit: Hit, lexical: Lexical) -> dict[str, str]:
    """Stems of a heading or of a word → it as it is written."""
    headings = [h.name for h in hit.article.mesh_headings if not _CHECK_TAGS.fullmatch(h.name)]
    words = [word for word in _WORD.findall(hit.title.casefold()) if not _METHOD_WORDS.fullmatch(word)]
    return {key: text for text in (*words, *headings) if (key := " ".join(lexical.words(text)))}


def _squared_distances(vectors: FloatArray, centers: FloatArray) -> FloatArray:
    """*Shape:* (n, n_centers)"""
    products = vectors @ centers.T
    squares: FloatArray = (vectors**2).sum(axis=1)[:, None] - 2 * products + (centers**2).sum(axis=1)
    return np.maximum(squares, 0)


def _vectors_of(searcher: Searcher, hits: Sequence[Hit]) -> FloatArray:
    """*Shape:* (n, dim)"""
    rows = searcher.lexical.rows(Pmids(frozenset(hit.pmid for hit in hits)))
    row_of = dict(zip(searcher.dense.keys["pmid"][rows].tolist(), rows.tolist(), strict=True))
    return searcher.dense.vectors(np.array([row_of[hit.pmid] for hit in hits]))
