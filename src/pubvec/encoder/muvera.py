"""MUVERA: one vector for a text of many, whose inner product estimates MaxSim (Dhulipala et al. 2024, arXiv 2405.19504).

Random hyperplanes (SimHash) cut the space into buckets. A query's vectors are summed in each bucket, a document's
averaged, so that the inner product of the two meets each vector of the query with the mean of those of the document
that lie near it. That is repeated with other hyperplanes, and random signs make each bucket narrower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pubvec.encoder.forms import FloatArray
from pubvec.encoder.kinds import Kind
from pubvec.encoder.scorer import DOCUMENTS_PER_BLOCK, TextPairs, distinct, score_in_blocks
from pubvec.errors import ConfigError

if TYPE_CHECKING:
    from pubvec.encoder.late import LateInteractionScorer


@dataclass(frozen=True)
class MuveraConfig:
    """How wide an encoding is, and how exact: 20 × 2⁵ × 16 = 10,240 numbers, as in txtai.

    Raises:
        ConfigError: a number is out of its range.
    """

    n_repetitions: int = 20
    """R_reps: independent partitions."""
    n_bits: int = 5
    """k_sim: hyperplanes of a partition, which has 2 to this power of buckets."""
    projected_dim: int = 16
    """d_proj: numbers of a bucket; vectors that are no wider stay as they are."""
    final_dim: int | None = None
    """d_final: numbers of the whole, by another random projection; None leaves that out."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_repetitions", "projected_dim", "final_dim"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ConfigError(f"muvera: {name} must be at least 1, found {number}")
        if not 0 <= self.n_bits <= 12:
            raise ConfigError(f"muvera: n_bits must be 0 to 12 (4,096 buckets), found {self.n_bits}")
        if self.seed < 0:
            raise ConfigError(f"muvera: the seed must be at least 0, found {self.seed}")


class FixedDimensionalEncoder:
    """Fixed-dimensional encodings, scaled so that their inner product estimates the sum of MaxSim.

    Args:
        vector_dim: width of a token's vector.
        config: None: the defaults.
    """

    def __init__(self, vector_dim: int, config: MuveraConfig | None = None) -> None:
        self.config = config = config or MuveraConfig()
        rng = np.random.default_rng(config.seed)
        self._planes = rng.standard_normal((config.n_repetitions, config.n_bits, vector_dim), np.float32)
        width = min(config.projected_dim, vector_dim)
        self._signs = _signs(rng, (config.n_repetitions, width, vector_dim)) if width < vector_dim else None
        bits = (np.arange(2**config.n_bits)[:, None] >> np.arange(config.n_bits)) & 1
        self._sides_of_buckets = np.asarray(2 * bits - 1, np.float32)
        self.dim = config.n_repetitions * 2**config.n_bits * width
        self._final = None
        if config.final_dim is not None:
            self._final, self.dim = _signs(rng, (config.final_dim, self.dim)), config.final_dim

    def encode_query(self, vectors: FloatArray) -> FloatArray:
        """Sums of the vectors in each bucket. *Shape:* (n_vectors, vector_dim) → (dim,)"""
        _, sums, _ = self._fill_buckets(vectors)
        return self._finish(sums)

    def encode_document(self, vectors: FloatArray) -> FloatArray:
        """Means of the vectors in each bucket; an empty one takes the vector that fewest hyperplanes part from it.

        *Shape:* (n_vectors, vector_dim) → (dim,)
        """
        sides, sums, projected = self._fill_buckets(vectors)
        if not len(vectors):
            return self._finish(sums)
        n_parting = ((len(self._sides_of_buckets[0]) - sides @ self._sides_of_buckets.T) / 2).swapaxes(1, 2)
        counts = (n_parting == 0).sum(axis=2)[:, :, None]
        nearest = np.take_along_axis(projected, n_parting.argmin(axis=2)[:, :, None], axis=1)
        return self._finish(np.where(counts > 0, sums / np.maximum(counts, 1), nearest))

    def _fill_buckets(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The side of each hyperplane (±1) that a vector is on, the sums of all buckets, and the vectors in them.

        *Shape:* (n_repetitions, n_vectors, n_bits); (n_repetitions, n_buckets, width); (n_repetitions, n_vectors, width)
        """
        n_repetitions, n_bits = self.config.n_repetitions, self.config.n_bits
        is_above = np.einsum("rbd,nd->rnb", self._planes, vectors) > 0
        codes = is_above @ (1 << np.arange(n_bits))
        if self._signs is None:
            projected = np.broadcast_to(vectors, (n_repetitions, *vectors.shape))
        else:
            projected = np.einsum("rwd,nd->rnw", self._signs, vectors)
        sums = np.zeros((n_repetitions, 2**n_bits, projected.shape[2]), np.float32)
        np.add.at(sums, (np.arange(n_repetitions)[:, None], codes), projected)
        return np.where(is_above, np.float32(1), np.float32(-1)), sums, projected

    def _finish(self, buckets: FloatArray) -> FloatArray:
        whole = buckets.reshape(-1) / np.float32(np.sqrt(self.config.n_repetitions))
        return np.asarray(whole if self._final is None else self._final @ whole, np.float32)


class MuveraScorer:
    """Late interaction by inner products of fixed-dimensional encodings: fast to search, and an estimate.

    Args:
        base: makes the vectors of tokens, and says whether a score is their mean or sum.
        config: None: the defaults.
    """

    kind: Kind = "late interaction"

    def __init__(self, base: LateInteractionScorer, config: MuveraConfig | None = None) -> None:
        self.base = base
        self.encoder = FixedDimensionalEncoder(base.dim, config)
        self.name = f"{base.name}-muvera"
        self.dim = self.encoder.dim

    @property
    def definition(self) -> str:
        """See `Scorer.definition`."""
        return f"{self.base.definition}, estimated by encodings of {self.dim:,} numbers (MUVERA)"

    @property
    def lengths(self) -> Mapping[str, int | None]:
        """See `Scorer.lengths`."""
        return self.base.lengths

    def encode_queries(self, queries: Sequence[str]) -> Sequence[Any]:
        """Unit vectors of the tokens of each query. *Shape:* (n_tokens, token_dim) each"""
        return self.base.encode_queries(queries)

    def score(self, pairs: TextPairs) -> FloatArray:
        """See `Scorer.score`. Within a block of pairs, a text that occurs often is encoded once."""
        return score_in_blocks(pairs, self._score_block)

    def iter_scores(self, query_vectors: Sequence[Any], documents: Sequence[str]) -> Iterator[FloatArray]:
        """See `LateInteraction.iter_scores`. The encodings of 256 documents are in memory at a time."""
        queries = self._encode_queries(query_vectors)
        for start in range(0, len(documents), DOCUMENTS_PER_BLOCK):
            yield queries @ self._encode_documents(documents[start : start + DOCUMENTS_PER_BLOCK]).T

    def _score_block(self, pairs: TextPairs) -> FloatArray:
        (queries, rows), (documents, columns) = map(distinct, zip(*pairs, strict=True))
        left = self._encode_queries(self.encode_queries(queries))[rows]
        return np.asarray(np.einsum("ij,ij->i", left, self._encode_documents(documents)[columns]))

    def _encode_queries(self, query_vectors: Sequence[Any]) -> FloatArray:
        encodings = self._encode(self.encoder.encode_query, query_vectors)
        if self.base.similarity == "mean":
            encodings /= np.array([[max(1, len(vectors))] for vectors in query_vectors], np.float32)
        return encodings

    def _encode_documents(self, documents: Sequence[str]) -> FloatArray:
        return self._encode(self.encoder.encode_document, self.base.encode_documents(documents))

    def _encode(self, encode: Callable[[FloatArray], FloatArray], texts: Sequence[Any]) -> FloatArray:
        encodings = [encode(vectors.float().cpu().numpy()) for vectors in texts]
        return np.stack(encodings) if encodings else np.empty((0, self.dim), np.float32)


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Random ±1, scaled to keep inner products in expectation; the axis before the last is the new width."""
    signs = rng.integers(0, 2, shape, np.int8) * 2 - 1
    return np.asarray(signs / np.sqrt(shape[-2]), np.float32)
