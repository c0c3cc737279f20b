"""The sentence of an abstract that answers a query best, and the query's words in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pubvec.encoder import Encoder, FloatArray
from pubvec.records import Hit, Passage
from pubvec.retrieval.lexical import Lexical

_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*(?:[.!?]+(?=\s|$))?")
"""Up to a mark that white space follows: `p < 0.05` and `e.g.x` stay whole."""
_WORD = re.compile(r"\w+")
_MIN_CHARACTERS = 20
"""A shorter piece, as the `vs.` of an abbreviation leaves it, joins the next one."""


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence of `text`, without the white space between."""
    spans: list[tuple[int, int]] = []
    for found in _SENTENCE.finditer(text):
        start = found.start() + len(found[0]) - len(found[0].lstrip())
        end = found.start() + len(found[0].rstrip())
        if start >= end:
            continue
        if spans and spans[-1][1] - spans[-1][0] < _MIN_CHARACTERS:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def find_passages(
    query: str, vector: FloatArray, hits: Sequence[Hit], encoder: Encoder, lexical: Lexical
) -> list[Hit]:
    """Return `hits` with the sentence of each abstract that is nearest to `query`, whose unit vector is `vector` (dim,)."""
    spans = [split_sentences(hit.article.abstract or "") for hit in hits]
    sentences = [
        (hit.article.abstract or "")[start:end]
        for hit, own in zip(hits, spans, strict=True)
        for start, end in own
    ]
    if not sentences:
        return list(hits)
    cosines = encoder.encode(sentences) @ vector
    wanted = set(lexical.words(query))
    found, done = [], 0
    for hit, own in zip(hits, spans, strict=True):
        best = int(np.argmax(cosines[done : done + len(own)])) if own else None
        done += len(own)
        passage = None if best is None else _passage(hit.article.abstract or "", own[best], wanted, lexical)
        found.append(hit._replace(passage=passage))
    return found


def _passage(abstract: str, span: tuple[int, int], wanted: set[str], lexical: Lexical) -> Passage:
    words = _WORD.finditer(abstract, *span)
    highlights = [word.span() for word in words if wanted & set(lexical.words(word[0]))]
    return Passage(*span, highlights)
