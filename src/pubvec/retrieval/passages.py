"""The sentence of an abstract that answers a query best, and the query's words in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pubvec.encoder import Encoder, FloatArray
from pubvec.errors import require
from pubvec.records import Hit, Passage
from pubvec.retrieval.lexical import Lexical

N_PASSAGES = 100
"""Passages are found for this many hits unless more are asked for: each costs the encoding of a whole abstract."""
_WORD = re.compile(r"\w+")


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Return start and end of each sentence of `text`, without the white space between.

    Sentences end where the rules of segtok (https://github.com/fnl/segtok) end them and the next one does not begin with
    a small letter, and at the end of each line. A heading in the line (`Results.`) goes with what follows it.
    `tests/retrieval/test_passages.py` measures how often that is right.

    Raises:
        MissingExtraError: segtok is not installed.
    """
    segmenter = require("segtok.segmenter", extra="search")
    spans: list[tuple[int, int]] = []
    for line in re.finditer(r"[^\n]+", text):
        place = line.start()
        for sentence in segmenter.split_single(line[0], join_on_lowercase=True):
            # segtok changes the white space of a sentence, so its place in the line is found by counting the other
            # characters.
            n_letters = len("".join(sentence.split()))
            start, end = _span(text, place, n_letters)
            if n_letters == 0:
                continue
            last = text[slice(*spans[-1])] if spans else ""
            if _is_heading(last) and "\n" not in text[spans[-1][1] : start]:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
            place = end
    return spans


def _is_heading(sentence: str) -> bool:
    return len(sentence.split()) == 1


def _span(text: str, place: int, n_letters: int) -> tuple[int, int]:
    """Return start and end of the next `n_letters` characters that are no white space."""
    while place < len(text) and text[place].isspace():
        place += 1
    start = place
    while n_letters:
        n_letters -= not text[place].isspace()
        place += 1
    return start, place


def find_passages(
    query: str,
    vector: FloatArray,
    hits: Sequence[Hit],
    encoder: Encoder,
    lexical: Lexical,
    n_most: int = N_PASSAGES,
) -> list[Hit]:
    """Return `hits`, the first `n_most` of them with the sentence of the abstract that is nearest to `query`.

    Args:
        query: what was asked; its words are highlighted.
        vector: the unit vector of `query`. *Shape:* (dim,)
        hits: the best first.
        encoder: what encodes sentences.
        lexical: what cuts texts into words.
        n_most: passages to find; the hits after them have none.
    """
    rest, hits = list(hits[n_most:]), hits[:n_most]
    spans = [split_sentences(hit.article.abstract or "") for hit in hits]
    sentences = [
        (hit.article.abstract or "")[start:end]
        for hit, own in zip(hits, spans, strict=True)
        for start, end in own
    ]
    if not sentences:
        return [*hits, *rest]
    cosines = encoder.encode(sentences) @ vector
    wanted = set(lexical.words(query))
    found, done = [], 0
    for hit, own in zip(hits, spans, strict=True):
        best = int(np.argmax(cosines[done : done + len(own)])) if own else None
        done += len(own)
        passage = None if best is None else _passage(hit.article.abstract or "", own[best], wanted, lexical)
        found.append(hit._replace(passage=passage))
    return [*found, *rest]


def _passage(abstract: str, span: tuple[int, int], wanted: set[str], lexical: Lexical) -> Passage:
    words = _WORD.finditer(abstract, *span)
    highlights = [word.span() for word in words if wanted & set(lexical.words(word[0]))]
    return Passage(*span, highlights)
