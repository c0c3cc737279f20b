"""Phrases of titles, which stand in for the short queries that people type."""

from __future__ import annotations

from functools import cache

from pubvec.errors import require

_PUNCTUATION = ".,;:!?()[]{}\"'“”‘’–—-/"


def phrases_of(title: str) -> list[str]:
    """Runs of words of `title` between stop words and punctuation.

    Candidate keywords as in RAKE (Rose et al. 2010, doi:10.1002/9780470689646.ch1), with the stop words of bm25s.
    """
    phrases: list[list[str]] = [[]]
    for word in title.split():
        bare = word.strip(_PUNCTUATION)
        if not bare or bare.lower() in _stop_words():
            phrases.append([])
            continue
        if word[0] in _PUNCTUATION:
            phrases.append([])
        phrases[-1].append(bare)
        if word[-1] in _PUNCTUATION:
            phrases.append([])
    return [" ".join(phrase) for phrase in phrases if phrase]


@cache
def _stop_words() -> frozenset[str]:
    return frozenset(require("bm25s.stopwords", extra="train").STOPWORDS_EN_PLUS)
