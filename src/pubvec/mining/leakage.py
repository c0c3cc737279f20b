"""Leakage control: which articles share a PMID, a title, an abstract or twelve words with an evaluation set.

Texts are compared as `normalize` leaves them, by 64-bit hashes of word sequences. Hashes are taken of all
sequences of a batch at once: with H the prefix sums of byte·pⁱ modulo 2⁶⁴, the hash of bytes a … b is
(H[b] - H[a])·p⁻ᵃ (Karp and Rabin, IBM Journal of Research and Development 31(2), 1987).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from pubvec.mining.exclude import Source
from pubvec.mining.text import normalize

SHINGLE_WORDS = 12
LEAKAGE_RULES = ("pmid", "title", "abstract", "shingle")
"""The rules in their order. An article is dropped by the first rule that fires."""

T = TypeVar("T")
Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_BASE = 0x9E3779B97F4A7C15 | 5
_VALUE_OF_BYTE = np.random.default_rng(2026).integers(1, 2**63, 256, dtype=np.uint64)
_BATCH_BYTES = 1 << 20
_FILTER_BITS = 26


class TextHashes(NamedTuple):
    """Hashes of a batch of texts."""

    whole: Hashes
    """*Shape:* (n_texts,); 0 for a text without words."""
    shingles: Hashes
    """The hash of every sequence of `SHINGLE_WORDS` words. *Shape:* (n_shingles,)"""
    text_of_shingle: Rows
    """*Shape:* (n_shingles,)"""


class Findings(NamedTuple):
    """What leakage control found out about n articles."""

    fires: BoolArray
    """Whether each rule fires, columns as in `LEAKAGE_RULES`. *Shape:* (n, 4)"""
    rows: Rows
    """Rows of the evaluation sets that an article shares something with. *Shape:* (n_found,)"""
    title_hash: Hashes
    """Equal for titles with the same words. *Shape:* (n,)"""
    abstract_hash: Hashes
    """*Shape:* (n,)"""

    @property
    def first_rule(self) -> Rows:
        """Number of the first rule that fires, -1 where none does. *Shape:* (n,)"""
        return np.where(self.fires.any(axis=1), self.fires.argmax(axis=1), -1)


class Lookup:
    """The values of a multiset that occur elsewhere, and the rows they came from.

    Args:
        values: *Shape:* (n,), repeats allowed.
        rows: the row that each value stands for. *Shape:* (n,)
    """

    def __init__(self, values: npt.NDArray[np.uint64], rows: Rows) -> None:
        order = np.argsort(values, kind="stable")
        self._values = values[order]
        self._rows = rows[order].astype(np.uint32)
        self._may_hold = np.zeros(1 << _FILTER_BITS, dtype=bool)
        self._may_hold[_slot(self._values)] = True

    def contains(self, values: npt.NDArray[np.uint64]) -> BoolArray:
        """*Shape:* (n,) → (n,)"""
        # The filter has one byte a slot and excludes almost all values. A binary search decides the others.
        is_in = self._may_hold[_slot(values)]
        candidates = np.flatnonzero(is_in)
        place = np.searchsorted(self._values, values[candidates])
        place[place == len(self._values)] = 0
        is_in[candidates] = self._values[place] == values[candidates] if len(self._values) else False
        return is_in

    def rows_of(self, values: npt.NDArray[np.uint64]) -> Rows:
        """Rows of all occurrences of `values`, each once."""
        found = np.unique(values)
        first = np.searchsorted(self._values, found, side="left")
        last = np.searchsorted(self._values, found, side="right")
        spans = [self._rows[a:b] for a, b in zip(first, last, strict=True)]
        return np.unique(np.concatenate(spans)).astype(np.int64) if spans else np.zeros(0, dtype=np.int64)


class Excluded:
    """The content of evaluation sets, ready to be looked up.

    Args:
        sources: as `read_sources` returns them; none is allowed.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._names = [source.name for source in sources]
        self._starts = np.cumsum([0, *(source.n_rows for source in sources)])
        texts, text_rows = _flatten([source.texts for source in sources], self._starts)
        pmids, pmid_rows = _flatten([source.pmids for source in sources], self._starts)
        hashes = hash_texts(texts)
        self._pmids = Lookup(np.array(pmids, dtype=np.uint64), pmid_rows)
        self._texts = Lookup(hashes.whole, text_rows)
        self._shingles = Lookup(hashes.shingles, text_rows[hashes.text_of_shingle])

    def find(self, pmids: Rows, titles: Sequence[str], abstracts: Sequence[str]) -> Findings:
        """Tell which rules fire for each of n articles. *Shape:* of each argument: (n,)"""
        n = len(titles)
        keys = np.asarray(pmids).astype(np.uint64)
        hashes = hash_texts([*titles, *abstracts])
        is_pmid = self._pmids.contains(keys)
        is_text = self._texts.contains(hashes.whole) & (hashes.whole != 0)
        is_shingle = self._shingles.contains(hashes.shingles)

        has_shingle = np.zeros(n, dtype=bool)
        has_shingle[hashes.text_of_shingle[is_shingle] % n] = True
        rows = [
            self._pmids.rows_of(keys[is_pmid]),
            self._texts.rows_of(hashes.whole[is_text]),
            self._shingles.rows_of(hashes.shingles[is_shingle]),
        ]
        return Findings(
            np.column_stack([is_pmid, is_text[:n], is_text[n:], has_shingle]),
            np.unique(np.concatenate(rows)),
            hashes.whole[:n],
            hashes.whole[n:],
        )

    def counts(self, rows: Rows) -> dict[str, dict[str, int]]:
        """Rows of each file and column, and how many of them are in `rows`, the rows found."""
        is_found = np.zeros(self._starts[-1], dtype=bool)
        is_found[rows] = True
        spans = zip(self._names, self._starts, self._starts[1:], strict=False)
        return {
            name: {"n_rows": int(end - start), "n_rows_found": int(is_found[start:end].sum())}
            for name, start, end in spans
        }


def _flatten(columns: Sequence[Sequence[tuple[T, int]]], starts: Rows) -> tuple[list[T], Rows]:
    """Values of all columns, and the row of each counted over all columns."""
    values = [value for column in columns for value, _ in column]
    rows = [start + row for column, start in zip(columns, starts, strict=False) for _, row in column]
    return values, np.array(rows, dtype=np.int64)


def hash_texts(texts: Sequence[str]) -> TextHashes:
    """Hash the normalized form of each text, and each of its sequences of `SHINGLE_WORDS` words."""
    batches = []
    start, batch, n_bytes = 0, list[bytes](), 0
    for number, text in enumerate(texts):
        batch.append(normalize(text).encode())
        n_bytes += len(batch[-1])
        if n_bytes > _BATCH_BYTES or number == len(texts) - 1:
            whole, shingles, text_of = _hash_batch(batch)
            batches.append(TextHashes(whole, shingles, text_of + start))
            start, batch, n_bytes = number + 1, [], 0
    if not batches:
        return TextHashes(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int64))
    return TextHashes(*(np.concatenate(columns) for columns in zip(*batches, strict=True)))


def _hash_batch(texts: list[bytes]) -> TextHashes:
    """Hash texts whose words are separated by one space each."""
    letters = np.frombuffer(b"\n".join(texts) + b"\n", dtype=np.uint8)
    powers, inverses = _powers(_round_up(len(letters) + 1))
    prefix = np.zeros(len(letters) + 1, dtype=np.uint64)
    np.cumsum(_VALUE_OF_BYTE[letters] * powers[: len(letters)], out=prefix[1:])

    ends = np.flatnonzero((letters == 32) | (letters == 10))
    starts = np.concatenate([[0], ends[:-1] + 1])
    text_of_word = np.cumsum(letters[ends] == 10) - (letters[ends] == 10)
    is_word = starts < ends
    starts, ends, text_of_word = starts[is_word], ends[is_word], text_of_word[is_word]

    first = np.searchsorted(text_of_word, np.arange(len(texts)), side="left")
    last = np.searchsorted(text_of_word, np.arange(len(texts)), side="right") - 1
    has_words = first <= last
    whole = np.zeros(len(texts), dtype=np.uint64)
    begin, end = starts[first[has_words]], ends[last[has_words]]
    whole[has_words] = (prefix[end] - prefix[begin]) * inverses[begin]

    head = np.arange(max(0, len(starts) - SHINGLE_WORDS + 1))
    head = head[text_of_word[head] == text_of_word[head + SHINGLE_WORDS - 1]]
    begin, end = starts[head], ends[head + SHINGLE_WORDS - 1]
    return TextHashes(whole, (prefix[end] - prefix[begin]) * inverses[begin], text_of_word[head])


@cache
def _powers(n: int) -> tuple[Hashes, Hashes]:
    """p⁰ … pⁿ⁻¹ and their inverses modulo 2⁶⁴. *Shape:* (n,), (n,)"""
    both = []
    for base in (_BASE, pow(_BASE, -1, 1 << 64)):
        factors = np.full(n, base, dtype=np.uint64)
        factors[0] = 1
        both.append(np.multiply.accumulate(factors))
    return both[0], both[1]


def _round_up(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _slot(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the slot of each value in the filter. A multiplication spreads small numbers, such as PMIDs, over all
    slots.
    """
    slots: npt.NDArray[np.int64] = (values * np.uint64(_BASE) >> np.uint64(64 - _FILTER_BITS)).astype(
        np.int64
    )
    return slots
