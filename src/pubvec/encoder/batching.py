"""Texts → batches of tokens → vectors in the order of the texts, whatever computes them.

Texts are sorted by length, and a batch takes as many as fit its budget of tokens, so almost nothing is
padding: sorting is where most of the speed on a processor comes from (design.md §6).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from pubvec.encoder.base import FloatArray
from pubvec.errors import InputError

logger = logging.getLogger(__name__)

IntArray = npt.NDArray[np.int64]
Forward = Callable[[IntArray, IntArray], FloatArray]
"""(input_ids, attention_mask), both (n, length) → vectors (n, dim)."""

CHUNK_SIZE = 4096
"""Texts that are tokenized and sorted together; what is in memory beside the vectors."""


class Batch(NamedTuple):
    """Texts of similar length as one array, padded on the right to its longest."""

    rows: IntArray
    """Which texts of the chunk these are. *Shape:* (n,)"""
    input_ids: IntArray
    """*Shape:* (n, length)"""
    attention_mask: IntArray
    """1 for a token, 0 for padding. *Shape:* (n, length)"""


class Batcher:
    """Turns texts into batches.

    Args:
        tokenizer: its own truncation and padding are replaced.
        max_seq_length: tokens of a text that count, special ones included.
        tokens_per_batch: budget of a batch, padding included; one text is a batch however long it is.
        prompt: put before every text.
        is_lowercased: lowercase texts first.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_seq_length: int,
        tokens_per_batch: int,
        prompt: str = "",
        is_lowercased: bool = False,
    ) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_seq_length)
        self._tokenizer = tokenizer
        self._max_seq_length = max_seq_length
        self._tokens_per_batch = tokens_per_batch
        self._prompt = prompt
        self._is_lowercased = is_lowercased

    def encode(self, texts: Iterable[str], forward: Forward, dim: int) -> FloatArray:
        """Compute the vectors of `texts`, in their order, a chunk at a time.

        *Shape:* (n, dim)

        Raises:
            InputError: an element is not a string.
        """
        if isinstance(texts, str | bytes):
            raise InputError("expected a list of texts, found one text: write encode([text])")
        stream, chunks = _check(texts), []
        n_texts = n_truncated = 0
        while chunk := list(islice(stream, CHUNK_SIZE)):
            encodings = self._tokenize(chunk)
            n_texts += len(chunk)
            n_truncated += sum(bool(encoding.overflowing) for encoding in encodings)
            vectors = np.empty((len(chunk), dim), dtype=np.float32)
            for batch in self._iter_batches(encodings):
                vectors[batch.rows] = forward(batch.input_ids, batch.attention_mask)
            chunks.append(vectors)
        if n_truncated:
            logger.warning("%d of %d texts were cut at %d tokens", n_truncated, n_texts, self._max_seq_length)
        return np.concatenate(chunks) if chunks else np.empty((0, dim), dtype=np.float32)

    def _tokenize(self, texts: Sequence[str]) -> list[Encoding]:
        prepared = [self._prompt + (text.lower() if self._is_lowercased else text) for text in texts]
        try:
            return self._tokenizer.encode_batch_fast(prepared)
        except (UnicodeEncodeError, TypeError):
            # A lone surrogate, which no UTF-8 has: the tokenizer sees "?" in its place.
            return self._tokenizer.encode_batch_fast(
                [text.encode("utf-8", "replace").decode("utf-8") for text in prepared]
            )

    def _iter_batches(self, encodings: Sequence[Encoding]) -> Iterator[Batch]:
        """Longest first, so that memory is at its peak, and fails if it must, at the start."""
        ids = [encoding.ids for encoding in encodings]
        lengths = np.array([len(tokens) for tokens in ids])
        order = np.argsort(-lengths, kind="stable")
        start = 0
        while start < len(order):
            longest = int(lengths[order[start]])
            rows = order[start : start + max(1, self._tokens_per_batch // longest)]
            start += len(rows)
            attention_mask = (np.arange(longest) < lengths[rows, None]).astype(np.int64)
            input_ids = np.zeros((len(rows), longest), dtype=np.int64)
            input_ids[attention_mask.astype(bool)] = np.concatenate([ids[row] for row in rows])
            yield Batch(rows, input_ids, attention_mask)


def _check(texts: Iterable[str]) -> Iterator[str]:
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(
                f"text {position} (counted from 0): expected a string, found {text!r:.40} "
                f"({type(text).__name__}): drop it or replace it by ''"
            )
        yield text
