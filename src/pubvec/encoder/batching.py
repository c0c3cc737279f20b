"""Texts → batches of tokens → vectors in the order of the texts, whatever computes them.

Texts are sorted by length, and share a batch until its budget of tokens is full. Without padding only texts of one length
do: attention is faster, and a vector does not depend on the batch that it was computed in. While a chunk of texts is
computed, the next one is tokenized.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pubvec.encoder.output_format import FloatArray
from pubvec.encoder.tokenizing import TextTokenizer, Truncated
from pubvec.errors import InputError

IntArray = npt.NDArray[np.int64]
Forward = Callable[[IntArray, IntArray], FloatArray]
"""(input_ids, attention_mask), both (n, length) → vectors (n, dim)."""


class Compute(NamedTuple):
    """What computes batches."""

    alone: Forward
    """Compute one batch in the thread of the caller."""
    beside_others: Forward
    """Compute one of many batches, in a thread of `pool` or in one of several threads of a caller."""
    pool: Callable[[], Executor]


CHUNK_SIZE = 1024
"""Number of texts that are tokenized and sorted together. Two chunks are in memory at a time."""


class Batch(NamedTuple):
    """Texts of similar length as one array, padded on the right to its longest."""

    rows: IntArray
    """The numbers of these texts in the chunk. *Shape:* (n,)"""
    input_ids: IntArray
    """*Shape:* (n, length)"""
    attention_mask: IntArray
    """1 for a token, 0 for padding. *Shape:* (n, length)"""


class Chunk(NamedTuple):
    """Texts that are being encoded together."""

    n_texts: int
    batches: Sequence[tuple[Batch, Future[FloatArray]]]


class Batcher:
    """Turns texts into batches.

    Args:
        tokenizer: of the model.
        tokens_per_batch: budget of a batch, padding included; one text is a batch however long it is.
        is_padded: whether a batch takes shorter texts too.
    """

    def __init__(self, tokenizer: TextTokenizer, *, tokens_per_batch: int, is_padded: bool) -> None:
        self.tokenizer = tokenizer
        self.tokens_per_batch = tokens_per_batch
        self.is_padded = is_padded

    def iter_vectors(
        self,
        texts: Iterable[str],
        compute: Compute,
        dim: int,
        *,
        prompt: str = "",
        show_truncated: bool = False,
    ) -> Iterator[FloatArray]:
        """Compute the vectors of `texts`, with `prompt` before each, in their order, a chunk at a time.

        *Shape:* (n, dim) each

        Raises:
            InputError: an element is not a string.
        """
        if isinstance(texts, str | bytes):
            raise InputError("expected a list of texts, found one text: write encode([text])")
        stream, waiting = _check(texts), None
        truncated = Truncated(self.tokenizer.max_seq_length, is_shown=show_truncated)
        try:
            while chunk := list(islice(stream, CHUNK_SIZE)):
                ids = self._tokenize(chunk, prompt, truncated)
                truncated.n_before += len(chunk)
                batches = list(self.iter_batches(ids))
                if len(batches) == 1 and waiting is None and len(chunk) < CHUNK_SIZE:
                    yield _place(batches[0].rows, compute.alone(*batches[0][1:]))
                    break
                submit, forward = compute.pool().submit, compute.beside_others
                started = Chunk(len(chunk), [(batch, submit(forward, *batch[1:])) for batch in batches])
                previous, waiting = waiting, started
                if previous is not None:
                    yield _gather(previous, dim)
            if waiting is not None:
                yield _gather(waiting, dim)
        finally:
            for _, future in waiting.batches if waiting is not None else ():
                future.cancel()
        truncated.warn()

    def compute_tokens(
        self, ids: Sequence[list[int]], compute: Compute, dim: int, *, is_alone: bool
    ) -> FloatArray:
        """Compute the vectors of texts whose tokens are given. Unless `is_alone`, the thread of the caller does it.
        *Shape:* (n, dim)
        """
        batches = list(self.iter_batches(ids))
        if not is_alone:
            vectors = np.empty((len(ids), dim), dtype=np.float32)
            for batch in batches:
                vectors[batch.rows] = compute.beside_others(*batch[1:])
            return vectors
        if len(batches) == 1:
            return _place(batches[0].rows, compute.alone(*batches[0][1:]))
        submit = compute.pool().submit
        return _gather(
            Chunk(len(ids), [(batch, submit(compute.beside_others, *batch[1:])) for batch in batches]), dim
        )

    def tokenize(self, texts: Iterable[str], prompt: str = "") -> list[list[int]]:
        """Token ids of `texts` with `prompt` before each, special ones included, cut at `max_seq_length`."""
        return self._tokenize(list(_check(texts)), prompt, Truncated(None, is_shown=False))

    def _tokenize(self, texts: Sequence[str], prompt: str, truncated: Truncated) -> list[list[int]]:
        ids = self.tokenizer.encode(texts, prompt)
        for number, tokens in enumerate(ids):
            ids[number] = self.tokenizer.cut(tokens)
            if len(ids[number]) < len(tokens):
                truncated.count(number, len(tokens))
        return ids

    def iter_batches(self, ids: Sequence[list[int]]) -> Iterator[Batch]:
        """Yield the batches, the longest texts first. So memory has its peak at the start, and a lack of it shows at
        once.
        """
        lengths = np.array([len(tokens) for tokens in ids])
        order = np.argsort(-lengths, kind="stable")
        start = 0
        while start < len(order):
            longest = int(lengths[order[start]])
            # `longest` may be 0, because a static model may give a text no token at all.
            n_most = max(1, self.tokens_per_batch // max(1, longest))
            rows = order[start : start + n_most]
            if not self.is_padded:
                rows = rows[lengths[rows] == longest]
            start += len(rows)
            attention_mask = (np.arange(longest) < lengths[rows, None]).astype(np.int64)
            input_ids = np.zeros((len(rows), longest), dtype=np.int64)
            input_ids[attention_mask.astype(bool)] = np.concatenate([ids[row] for row in rows])
            yield Batch(rows, input_ids, attention_mask)


def _gather(chunk: Chunk, dim: int) -> FloatArray:
    """Wait for the batches of a chunk and put their vectors in the order of its texts."""
    vectors = np.empty((chunk.n_texts, dim), dtype=np.float32)
    for batch, future in chunk.batches:
        vectors[batch.rows] = future.result()
    return vectors


def _place(rows: IntArray, vectors: FloatArray) -> FloatArray:
    placed = np.empty_like(vectors)
    placed[rows] = vectors
    return placed


def _check(texts: Iterable[str]) -> Iterator[str]:
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(
                f"text {position} (counted from 0): expected a string, found {text!r:.40} "
                f"({type(text).__name__}): drop it or replace it by ''"
            )
        yield text
