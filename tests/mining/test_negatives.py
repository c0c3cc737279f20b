from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from pairs_world import make_world

from pubvec.mining import negatives
from pubvec.mining.negatives import find_neighbors
from pubvec.mining.text import normalize
from pubvec.records import Article


def brute_force(titles: list[str], max_documents: float) -> np.ndarray:
    """Lucene's BM25 (k1 1.5, b 0.75) of each title against each. *Shape:* (n, n)"""
    documents = [normalize(title).split() for title in titles]
    n, length = len(documents), sum(map(len, documents)) / len(documents)
    frequency = Counter(word for document in documents for word in set(document))
    scores = np.zeros((n, n))
    for i, query in enumerate(documents):
        for word in query:
            if frequency[word] > max_documents:
                continue
            idf = math.log(1 + (n - frequency[word] + 0.5) / (frequency[word] + 0.5))
            for j, document in enumerate(documents):
                tf = document.count(word)
                scores[i, j] += idf * tf / (tf + 1.5 * (0.25 + 0.75 * len(document) / length))
    return scores


def test_neighbors_are_those_of_brute_force(world: list[Article]) -> None:
    titles = [article.title for article in world]
    scores = brute_force(titles, max_documents=25)
    own = scores.diagonal()
    neighbors = find_neighbors(titles, 10)
    for i in range(len(titles)):
        others = scores[i].copy()
        others[i] = 0
        expected = np.sort(others[others > 0.15 * own[i]])[::-1][:10]
        found = neighbors.number[i][: len(expected)]
        assert i not in found
        assert len({*found}) == len(expected)
        assert np.allclose(others[found], expected, rtol=1e-5)
        assert np.allclose(
            neighbors.score[i][: len(expected)], expected / np.maximum(own[i], own[found]), rtol=1e-5
        )
        assert (neighbors.number[i][len(expected) :] == -1).all()


def test_ties_follow_the_order_of_titles() -> None:
    titles = ["brudock in shrews"] + ["zanroot of voles"] * 6
    assert find_neighbors(titles, 3).number[4].tolist() == [1, 2, 3]
    assert find_neighbors(titles, 3).number[0].tolist() == [-1, -1, -1]


def test_titles_without_words_have_no_neighbors() -> None:
    neighbors = find_neighbors(["", "—", "brudock in shrews"], 2)
    assert (neighbors.number == -1).all()
    assert (neighbors.score == 0).all()
    assert (find_neighbors(["", ""], 2).number == -1).all()


def test_a_title_that_contains_another_is_not_the_same() -> None:
    titles = [
        "Kelwort",
        "Kelwort and the growth of bone marrow in very old shrews and voles",
        "Staleaf in mice",
    ]
    neighbors = find_neighbors(titles, 1)
    assert neighbors.number[0, 0] == 1
    assert neighbors.score[0, 0] < 0.5


def test_common_words_do_not_look_for_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    titles = [article.title for article in make_world(60, seed=9)]
    everywhere = find_neighbors([f"{title} shrewology" for title in titles], 59)
    monkeypatch.setattr(negatives, "_MIN_DOCUMENTS", 60)
    assert (everywhere.number >= 0).sum() < (find_neighbors(titles, 59).number >= 0).sum()
