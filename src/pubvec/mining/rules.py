"""Pair rules decide which text of an article is paired with which other text, and so what a model learns.

Title–abstract and title–similar title are the published recipe (model
card of NeuML/pubmedbert-base-embeddings). A model trained on whole abstracts alone loses on questions whose
answers are conclusions, so titles meet conclusions and passages too. One trained on whole titles alone loses on
short queries, so phrases of titles meet abstracts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pubvec.mining.abstracts import Part, by_category, text_of
from pubvec.mining.phrases import phrases_of

PASSAGE_SENTENCES = 3
_MIN_SENTENCES = 4
"""An abstract with fewer sentences has no conclusion and no passage, because these would hardly differ from it."""
_MIN_WORDS = 12
"""The fewest words of a conclusion or a section. `Implications are discussed.` is too short to be one."""
_MAX_CONCLUSION_SENTENCES = 5
"""A conclusion has at most this many sentences. Of a longer section, such as a discussion, the end is taken."""


_MAX_PHRASES = 3
"""A query takes at most this many phrases of a title, and one more where they make a single word."""
_MIN_QUERY_WORDS = 2


class Candidate(NamedTuple):
    """An article that may yield pairs."""

    pmid: int
    title: str
    parts: list[Part]


class Texts(NamedTuple):
    """The two sides of a pair, and the role that a negative must have to stand beside the positive."""

    anchor: str
    positive: str
    category: str = ""


def is_possible(rule: str, article: Candidate) -> bool:
    """Tell whether `article` has the texts that `rule` needs. Similar titles depend on the other articles and always
    count as possible.
    """
    if rule == "title-conclusion":
        conclusions = by_category(article.parts).get("CONCLUSIONS", "")
        return _is_long(conclusions) or len(_sentences(article)) >= _MIN_SENTENCES
    if rule == "title-passage":
        return len(_sentences(article)) >= _MIN_SENTENCES
    if rule == "section-section":
        return len(_long_categories(article)) >= 2
    if rule == "phrases-abstract":
        return len(phrases_of(article.title)) >= 2
    return True


def make_texts(rule: str, article: Candidate, similar: Candidate | None, rng: np.random.Generator) -> Texts:
    """Anchor and positive of `article` by a rule that is possible for it; `similar` has the similar title."""
    if rule == "section-section":
        texts = by_category(article.parts)
        anchor, positive = rng.permutation(_long_categories(article))[:2]
        return Texts(texts[anchor], texts[positive], positive)
    if rule == "similar-title":
        assert similar is not None
        return Texts(article.title, similar.title)
    if rule == "phrases-abstract":
        return Texts(_draw_phrases(article.title, rng), text_of(article.parts))
    return Texts(article.title, make_negative(rule, article, "", rng))


def make_negative(rule: str, article: Candidate, category: str, rng: np.random.Generator) -> str:
    """Text of the kind that `rule` has as positives, or what comes nearest to it in `article`."""
    if rule in ("title-abstract", "phrases-abstract"):
        return text_of(article.parts)
    if rule == "title-conclusion":
        return _conclusion(article, rng)
    if rule == "similar-title":
        return article.title
    section = by_category(article.parts).get(category, "") if category else ""
    return section if _is_long(section) else _passage(article, rng)


def _draw_phrases(title: str, rng: np.random.Generator) -> str:
    """A few phrases of `title` in its order, of two words at least: what someone might type who looks for it."""
    phrases = phrases_of(title)
    order = rng.permutation(len(phrases)).tolist()
    n = int(rng.integers(1, min(_MAX_PHRASES, len(phrases) - 1) + 1))
    while n < len(order) and sum(len(phrases[place].split()) for place in order[:n]) < _MIN_QUERY_WORDS:
        n += 1
    return " ".join(phrases[place] for place in sorted(order[:n]))


def _conclusion(article: Candidate, rng: np.random.Generator) -> str:
    """The section with the conclusions, else the last one to three sentences."""
    concluding = [s for part in article.parts if part.category == "CONCLUSIONS" for s in part.sentences]
    if concluding and _is_long(" ".join(concluding)):
        n = PASSAGE_SENTENCES if len(concluding) > _MAX_CONCLUSION_SENTENCES else len(concluding)
        return " ".join(concluding[-n:])
    sentences = _sentences(article)
    n = int(rng.integers(1, PASSAGE_SENTENCES + 1))
    while n < len(sentences) and not _is_long(" ".join(sentences[-n:])):
        n += 1
    return " ".join(sentences[-n:])


def _passage(article: Candidate, rng: np.random.Generator) -> str:
    sentences = _sentences(article)
    start = int(rng.integers(max(1, len(sentences) - PASSAGE_SENTENCES + 1)))
    return " ".join(sentences[start : start + PASSAGE_SENTENCES])


def _sentences(article: Candidate) -> Sequence[str]:
    if len(article.parts) == 1:
        return article.parts[0].sentences
    return [sentence for part in article.parts for sentence in part.sentences]


def _long_categories(article: Candidate) -> list[str]:
    return [category for category, text in by_category(article.parts).items() if _is_long(text)]


def _is_long(text: str) -> bool:
    return len(text.split(maxsplit=_MIN_WORDS)) >= _MIN_WORDS
