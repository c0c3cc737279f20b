"""Articles → pairs: a rule for each, a positive, hard negatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pubvec.mining.config import RULES, PairsConfig
from pubvec.mining.negatives import Neighbors, find_neighbors
from pubvec.mining.rules import Candidate, is_possible, make_negative, make_texts
from pubvec.records import Pair

_MAX_NEIGHBORS = 50


class Pairing:
    """Makes the pairs of a set of articles out of these articles alone.

    Args:
        articles: those that may yield pairs, with different titles.
        config: rules, their weights, and where negatives come from.
        rng: all chance comes from it.
    """

    def __init__(self, articles: Sequence[Candidate], config: PairsConfig, rng: np.random.Generator) -> None:
        self.n_random_negatives = 0
        self._articles = articles
        self._config = config
        self._rng = rng
        n_neighbors = max(config.negative_ranks[1], _MAX_NEIGHBORS)
        self._neighbors = find_neighbors([article.title for article in articles], n_neighbors)
        self._similar = _first_similar(self._neighbors, config)

    def iter_pairs(self) -> Iterator[Pair]:
        """Yield the pairs of each article in turn."""
        for number, rules in enumerate(self._draw_rules()):
            for rule in rules:
                yield self._make(number, rule)

    def _draw_rules(self) -> list[list[str]]:
        """Draw rules for each article, by weight and without repeats, among those possible for it.

        The least of exponential variates with rates w₁ … wₙ is the i-th with probability wᵢ/Σw, so their
        order is a weighted draw without replacement (Efraimidis and Spirakis, Information Processing
        Letters 97(5), 2006).
        """
        mix = {rule: self._config.mix[rule] for rule in RULES if self._config.mix.get(rule)}
        delays = self._rng.exponential(size=(len(self._articles), len(mix))) / np.array(list(mix.values()))
        rules = np.array(list(mix))[np.argsort(delays, axis=1)].tolist()
        return [
            [rule for rule in order if self._can_make(number, rule)][: self._config.pairs_per_article]
            for number, order in enumerate(rules)
        ]

    def _can_make(self, number: int, rule: str) -> bool:
        if rule == "similar-title":
            return bool(self._similar[number] >= 0)
        return is_possible(rule, self._articles[number])

    def _make(self, number: int, rule: str) -> Pair:
        article = self._articles[number]
        similar = self._similar[number]
        texts = make_texts(rule, article, self._articles[similar] if similar >= 0 else None, self._rng)
        negatives = [
            make_negative(rule, self._articles[other], texts.category, self._rng)
            for other in self._draw_negatives(number)
        ]
        return Pair(texts.anchor, texts.positive, negatives, rule, article.pmid)

    def _draw_negatives(self, number: int) -> list[int]:
        """Draw among neighbors of the configured ranks that are not similar; from all where too few."""
        first, last = self._config.negative_ranks
        others = self._neighbors.number[number, first - 1 : last]
        scores = self._neighbors.score[number, first - 1 : last]
        hard_ones = others[(others >= 0) & (scores < self._config.similar_score)]
        hard: list[int] = self._rng.permutation(hard_ones)[: self._config.n_negatives].tolist()
        n_missing = min(self._config.n_negatives, len(self._articles) - 1) - len(hard)
        return hard + self._draw_random(n_missing, without={number, *hard}) if n_missing > 0 else hard

    def _draw_random(self, n: int, without: set[int]) -> list[int]:
        self.n_random_negatives += n
        drawn: list[int] = []
        while len(drawn) < n:
            other = int(self._rng.integers(len(self._articles)))
            if other not in without:
                without.add(other)
                drawn.append(other)
        return drawn


def _first_similar(neighbors: Neighbors, config: PairsConfig) -> npt.NDArray[np.int64]:
    """The nearest title that is similar and not the same, -1 where there is none. *Shape:* (n_titles,)"""
    is_similar = (neighbors.score >= config.similar_score) & (neighbors.score < config.duplicate_score)
    nearest = neighbors.number[np.arange(len(is_similar)), is_similar.argmax(axis=1)]
    return np.where(is_similar.any(axis=1), nearest, -1)
