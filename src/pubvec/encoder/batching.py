"""Texts → batches of tokens → vectors in the order of the texts, whatever computes them.

Texts are sorted by length, and texts of one length share a batch until its budget of tokens is full. Only a batch too
small to be worth its start goes on with shorter texts, padded: almost nothing is padding, and attention without
padding is faster. While a chunk of texts is computed, the next one is tokenized.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from pubvec.encoder.forms import FloatArray
from pubvec.errors import InputError

logger = logging.getLogger(__name__)

IntArray = npt.NDArray[np.int64]
Forward = Callable[[IntArray, IntArray], FloatArray]
"""(input_ids, attention_mask), both (n, length) → vectors (n, dim)."""


class Compute(NamedTuple):
    """What computes batches."""

    alone: Forward
    """One batch, called in the thread of the caller."""
    beside_others: Forward
    """One of many batches, called in `pool`."""
    pool: Callable[[], Executor]


CHUNK_SIZE = 1024
"""Texts that are tokenized and sorted together; two chunks are in memory at a time."""
_N_SHOWN = 10
"""Truncated texts that a warning names."""


class Batch(NamedTuple):
    """Texts of similar length as one array, padded on the right to its longest."""

    rows: IntArray
    """Which texts of the chunk these are. *Shape:* (n,)"""
    input_ids: IntArray
    """*Shape:* (n, length)"""
    attention_mask: IntArray
    """1 for a token, 0 for padding. *Shape:* (n, length)"""


class Chunk(NamedTuple):
    """Texts on their way through a model."""

    n_texts: int
    batches: Sequence[tuple[Batch, Future[FloatArray]]]


class Batcher:
    """Turns texts into batches.

    Args:
        tokenizer: its own truncation and padding are replaced.
        max_seq_length: tokens of a text that count, special ones included; None: all.
        tokens_per_batch: budget of a batch, padding included; one text is a batch however long it is.
        min_tokens_per_batch: below this, a batch takes shorter texts too.
        is_lowercased: lowercase texts first.
        has_special_tokens: put the tokenizer's own around each text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_seq_length: int | None,
        tokens_per_batch: int,
        min_tokens_per_batch: int | None = None,
        is_lowercased: bool = False,
        has_special_tokens: bool = True,
    ) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self._n_last = _count_last_special(tokenizer) if has_special_tokens else 0
        self._max_seq_length = max_seq_length
        self._tokens_per_batch = tokens_per_batch
        self._min_tokens_per_batch = min_tokens_per_batch or tokens_per_batch
        self._has_special_tokens = has_special_tokens
        self._is_lowercased = is_lowercased

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
        truncated = _Truncated(self._max_seq_length, is_shown=show_truncated)
        try:
            while chunk := list(islice(stream, CHUNK_SIZE)):
                ids = self._tokenize(chunk, prompt, truncated)
                truncated.n_before += len(chunk)
                batches = list(self._iter_batches(ids))
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

    def tokenize(self, texts: Iterable[str], prompt: str = "") -> list[list[int]]:
        """Token ids of `texts` with `prompt` before each, special ones included, cut at `max_seq_length`."""
        return self._tokenize(list(_check(texts)), prompt, _Truncated(self._max_seq_length, is_shown=False))

    def _tokenize(self, texts: Sequence[str], prompt: str, truncated: _Truncated) -> list[list[int]]:
        """Token ids; a text with too many keeps the first, and the special ones at its end."""
        ids = [encoding.ids for encoding in self._run_tokenizer([prompt + text for text in texts])]
        limit, n_last = self._max_seq_length, self._n_last
        if limit is None:
            return ids
        for number, tokens in enumerate(ids):
            if len(tokens) > limit:
                truncated.count(number, len(tokens))
                ids[number] = tokens[: limit - n_last] + tokens[len(tokens) - n_last :]
        return ids

    def _run_tokenizer(self, texts: Sequence[str]) -> list[Encoding]:
        prepared = [text.lower() if self._is_lowercased else text for text in texts]
        encode = partial(self._tokenizer.encode_batch_fast, add_special_tokens=self._has_special_tokens)
        try:
            return encode(prepared)
        except (UnicodeEncodeError, TypeError):
            # A lone surrogate, which no UTF-8 has: the tokenizer sees "?" in its place.
            return encode([text.encode("utf-8", "replace").decode("utf-8") for text in prepared])

    def _iter_batches(self, ids: Sequence[list[int]]) -> Iterator[Batch]:
        """Longest first, so that memory is at its peak, and fails if it must, at the start."""
        lengths = np.array([len(tokens) for tokens in ids])
        order = np.argsort(-lengths, kind="stable")
        start = 0
        while start < len(order):
            longest = int(lengths[order[start]])
            n_most = max(1, self._tokens_per_batch // max(1, longest))  # a static model's text may be empty
            n_least = min(n_most, -(-self._min_tokens_per_batch // max(1, longest)))
            candidates = order[start : start + n_most]
            n_equal = int((lengths[candidates] == longest).sum())
            rows = candidates[: max(n_least, n_equal)]
            start += len(rows)
            attention_mask = (np.arange(longest) < lengths[rows, None]).astype(np.int64)
            input_ids = np.zeros((len(rows), longest), dtype=np.int64)
            input_ids[attention_mask.astype(bool)] = np.concatenate([ids[row] for row in rows])
            yield Batch(rows, input_ids, attention_mask)


class _Truncated:
    """Counts the texts that were cut, and says so once."""

    def __init__(self, max_seq_length: int | None, *, is_shown: bool) -> None:
        self._max_seq_length = max_seq_length
        self._is_shown = is_shown
        self.n_before = 0
        """Texts of earlier chunks."""
        self._n_truncated = 0
        self._shown: list[str] = []

    def count(self, number: int, n_tokens: int) -> None:
        """Text `number` of the chunk had so many tokens, the special ones included."""
        self._n_truncated += 1
        if self._is_shown and len(self._shown) < _N_SHOWN:
            self._shown.append(f"text {self.n_before + number} ({n_tokens:,} tokens)")

    def warn(self) -> None:
        if self._n_truncated:
            more = [f"{self._n_truncated - _N_SHOWN} more"] if self._n_truncated > _N_SHOWN else []
            which = f": {', '.join([*self._shown, *more])}" if self._shown else ""
            logger.warning(
                "%d of %d texts were cut at %d tokens%s",
                *(self._n_truncated, self.n_before, self._max_seq_length, which),
            )


def _count_last_special(tokenizer: Tokenizer) -> int:
    """Special tokens that the tokenizer puts after a text."""
    is_special = tokenizer.encode("a").special_tokens_mask
    return is_special[::-1].index(0) if 0 in is_special else 0


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
