"""The scorer of a bi-encoder, and what the scorers of all three model types share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from pubvec.encoder.batching import IntArray
from pubvec.encoder.model_folder import ModelType, Prompts
from pubvec.encoder.output_format import FloatArray
from pubvec.encoder.protocols import Encoder, TextPairs
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.errors import InputError

Similarity = Literal["mean", "sum"]

DOCUMENTS_PER_BLOCK = 256
"""Late interaction keeps the token vectors of this many documents in memory at a time."""
_PAIRS_PER_BLOCK = 1024


class BiEncoderScorer:
    """The score is the cosine of two embeddings.

    Args:
        encoder: encodes queries and documents, with the prompts that its checkpoint has for them.
    """

    model_type: ModelType = "bi-encoder"
    definition = "cosine"

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @property
    def name(self) -> str:
        """See `Scorer.name`."""
        return self.encoder.name

    @property
    def dim(self) -> int:
        """See `Scorer.dim`."""
        return self.encoder.dim

    @property
    def lengths(self) -> Mapping[str, int | None]:
        """See `Scorer.lengths`."""
        return {"max_seq_length": self.encoder.max_seq_length}

    def score(self, pairs: TextPairs) -> FloatArray:
        """See `Scorer.score`. A text that occurs often is encoded once, or once with each prompt."""
        check_pairs(pairs)
        if not pairs:
            return np.empty(0, np.float32)
        columns: list[Sequence[str]] = list(zip(*pairs, strict=True))
        if self.prompts.query == self.prompts.document:
            texts, rows = distinct([*columns[0], *columns[1]])
            queries, documents = np.split(self.encode_queries(texts)[rows], 2)
        else:
            (texts, rows), (others, other_rows) = map(distinct, columns)
            queries, documents = self.encode_queries(texts)[rows], self.encode_documents(others)[other_rows]
        return np.asarray(np.einsum("ij,ij->i", queries, documents), np.float32)

    @property
    def prompts(self) -> Prompts:
        """The encoder's prompts; an encoder that pubvec did not load has none."""
        return self.encoder.prompts if isinstance(self.encoder, TextEncoder) else Prompts()

    def encode_queries(self, queries: Sequence[str]) -> FloatArray:
        """Return the unit vectors of queries, with their prompt. *Shape:* (n, dim)"""
        return self._encode(queries, self.prompts.query)

    def encode_documents(self, documents: Sequence[str]) -> FloatArray:
        """Return the unit vectors of documents, with their prompt. *Shape:* (n, dim)"""
        return self._encode(documents, self.prompts.document)

    def _encode(self, texts: Sequence[str], prompt: str) -> FloatArray:
        if isinstance(self.encoder, TextEncoder):
            return self.encoder.encode(texts, prompt=prompt)
        return self.encoder.encode(texts)


def distinct(texts: Sequence[str]) -> tuple[list[str], IntArray]:
    """Return the distinct texts, and the row among them of each text. *Shape:* (n_texts,)"""
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    return list(row_of), np.array([row_of[text] for text in texts], np.intp)


def check_pairs(pairs: TextPairs) -> None:
    """Check that every element is a pair of strings.

    Raises:
        InputError: one is not.
    """
    for position, pair in enumerate(pairs):
        is_pair = not isinstance(pair, str) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        if not is_pair:
            raise InputError(
                f"pair {position} (counted from 0): expected two strings, found {pair!r:.60}: "
                "write score([(query, document)])"
            )


def score_in_blocks(pairs: TextPairs, score_block: Callable[[TextPairs], FloatArray]) -> FloatArray:
    """Score `pairs`, 1,024 at a time. *Shape:* (n,), float32

    Raises:
        InputError: an element is not a pair of strings.
    """
    check_pairs(pairs)
    blocks = range(0, len(pairs), _PAIRS_PER_BLOCK)
    scores = [score_block(pairs[start : start + _PAIRS_PER_BLOCK]) for start in blocks]
    return np.concatenate([np.empty(0, np.float32), *scores])
