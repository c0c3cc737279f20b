"""The two protocols that join training, evaluation, conversion, retrieval and the server: `Encoder` and `Scorer`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from pubvec.encoder.model_folder import ModelType
from pubvec.encoder.output_format import FloatArray

TextPairs: TypeAlias = Sequence[tuple[str, str]]
"""Each element is a pair of a query and a document."""


class Encoder(Protocol):
    """An encoder turns texts into embeddings."""

    @property
    def name(self) -> str:
        """The name of the system, under which its results are kept."""

    @property
    def dim(self) -> int:
        """The number of dimensions of an embedding."""

    @property
    def max_seq_length(self) -> int | None:
        """The number of tokens of a text that the model reads, special tokens included; the rest is cut off.

        None means that the model reads all tokens.
        """

    def encode(self, texts: Iterable[str], *, normalize_embeddings: bool = True) -> FloatArray:
        """Encode `texts` (n of them) and return their vectors in the same order.

        *Shape:* (n, dim), float32; unit length if `normalize_embeddings`. An empty text is valid.

        Raises:
            InputError: an element is not a string; the message has its position.
        """


@runtime_checkable
class Scorer(Protocol):
    """A scorer rates pairs of a query and a document. All three types of model can do it."""

    model_type: ModelType

    @property
    def name(self) -> str:
        """The name of the system, under which its results are kept."""

    @property
    def dim(self) -> int | None:
        """The number of dimensions of an embedding, of a text or of a token; None if there are no embeddings."""

    @property
    def definition(self) -> str:
        """A short description of what a score is, such as `cosine`."""

    @property
    def lengths(self) -> Mapping[str, int | None]:
        """The number of tokens that the model reads, special tokens included.

        The keys are `max_seq_length` (of a text or a pair), or `query_length` and `document_length`. None means
        that the model reads all tokens, as a static model does.
        """

    def score(self, pairs: TextPairs) -> FloatArray:
        """Score the relevance of each document to its query; a higher score is better.

        *Shape:* (n,), float32

        Raises:
            InputError: an element is not a pair of strings; the message has its position.
        """


@runtime_checkable
class LateInteraction(Scorer, Protocol):
    """A scorer that compares vectors of tokens, so that a document is encoded once for all queries."""

    def encode_queries(self, queries: Sequence[str]) -> Sequence[Any]:
        """Return the vectors of the tokens of each query. *Shape:* (n_tokens, dim) each"""

    def iter_scores(self, query_vectors: Sequence[Any], documents: Sequence[str]) -> Iterator[FloatArray]:
        """Score all queries with all documents, a block of documents at a time, in their order.

        *Shape:* (n_queries, n_block) each, float32
        """
