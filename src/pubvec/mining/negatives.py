"""Ranks titles and documents by BM25: similar titles and hard negatives come from the rankings."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pubvec.errors import require
from pubvec.mining.text import normalize
from pubvec.progress import track

_MAX_DOCUMENT_FRACTION = 0.1
"""Words that occur in a greater share of the titles are not searched for: *of*, *in*, or *COVID* in a collection
about it."""
_MIN_DOCUMENTS = 25
_MIN_SCORE = 0.15
"""Titles whose score, relative to that of the title itself, is lower are no neighbors."""


class Neighbors(NamedTuple):
    """The titles nearest to each title by BM25, itself left out, best first."""

    number: npt.NDArray[np.int32]
    """-1 where there is none. *Shape:* (n_titles, n_neighbors)"""
    score: npt.NDArray[np.float32]
    """BM25 score over the greater of the two titles' scores with themselves, so that a title which another
    merely contains is not the same; 0 where there is none. *Shape:* (n_titles, n_neighbors)"""


def find_neighbors(titles: Sequence[str], n_neighbors: int) -> Neighbors:
    """Find the `n_neighbors` nearest titles of each title, by Lucene's BM25 (k1 1.5, b 0.75).

    Titles with equal scores follow each other in the order of `titles`.
    """
    vocabulary: dict[str, int] = {}
    tokens = [_tokenize(title, vocabulary) for title in titles]
    queries = _without_common_words(tokens, tokens, len(vocabulary))
    number = np.full((len(titles), n_neighbors), -1, dtype=np.int32)
    score = np.zeros((len(titles), n_neighbors), dtype=np.float32)
    self_score = np.zeros(len(titles), dtype=np.float32)
    if not any(queries):
        return Neighbors(number, score)

    index = _index(tokens, vocabulary)
    for title, query in enumerate(track(queries, "titles compared", len(queries))):
        scores = index.get_scores_from_ids(query)
        self_score[title] = scores[title]
        scores[title] = 0.0
        nearest = _best(scores, n_neighbors, above=_MIN_SCORE * self_score[title])
        number[title, : len(nearest)] = nearest
        score[title, : len(nearest)] = scores[nearest]
    greater = np.maximum(self_score[:, None], self_score[number])
    return Neighbors(number, np.divide(score, greater, out=np.zeros_like(score), where=number >= 0))


def rank_documents(queries: Sequence[str], documents: Sequence[str], n_ranks: int) -> npt.NDArray[np.int32]:
    """Find the `n_ranks` best documents for each query, by Lucene's BM25 (k1 1.5, b 0.75), best first.

    Words of more than a tenth of the documents do not count. Documents with equal scores follow each other in their order.

    *Shape:* (n_queries, n_ranks), numbers of documents; -1 where no further document shares a word with the query.
    """
    best = np.full((len(queries), n_ranks), -1, dtype=np.int32)
    vocabulary: dict[str, int] = {}
    tokens = [_tokenize(document, vocabulary) for document in documents]
    if not n_ranks or not vocabulary:
        return best
    n_words = len(vocabulary)  # words of queries alone come after these
    known = [[word for word in _tokenize(query, vocabulary) if word < n_words] for query in queries]
    index = _index(tokens, dict(list(vocabulary.items())[:n_words]))
    asked = _without_common_words(known, tokens, n_words)
    for number, words in enumerate(track(asked, "anchors compared", len(asked))):
        if words:
            nearest = _best(index.get_scores_from_ids(words), n_ranks, above=0.0)
            best[number, : len(nearest)] = nearest
    return best


def _tokenize(text: str, vocabulary: dict[str, int]) -> list[int]:
    """The words of `text` as numbers; new words join the vocabulary."""
    return [vocabulary.setdefault(word, len(vocabulary)) for word in normalize(text).split()]


def _index(tokens: Sequence[Sequence[int]], vocabulary: Mapping[str, int]) -> Any:
    """The BM25 index of tokenized documents."""
    bm25s = require("bm25s", extra="train")
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets DEBUG for itself
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index((tokens, vocabulary), create_empty_token=False, show_progress=False)
    return index


def _without_common_words(
    queries: Sequence[Sequence[int]], documents: Sequence[Sequence[int]], n_words: int
) -> list[list[int]]:
    """Return the queries without words that occur in too many documents to distinguish them."""
    n_documents = np.zeros(n_words, dtype=np.int64)
    for document in documents:
        n_documents[list(set(document))] += 1
    is_common = n_documents > max(_MIN_DOCUMENTS, _MAX_DOCUMENT_FRACTION * len(documents))
    return [[word for word in query if not is_common[word]] for query in queries]


def _best(scores: npt.NDArray[np.float32], n: int, *, above: float) -> npt.NDArray[np.intp]:
    """Places of the `n` highest scores that exceed `above`, best first, ties in order. *Shape:* (≤ n,)"""
    places = np.flatnonzero(scores > above)
    if len(places) > n:
        # A partition leaves the order of ties open; the n-th score alone does not depend on it.
        nth = np.partition(scores[places], -n)[-n]
        places = places[scores[places] >= nth]
    return places[np.argsort(-scores[places], kind="stable")][:n]
