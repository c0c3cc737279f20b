"""Late interaction as a `Scorer`: a vector for each token, and the best match of each token of the query.

MaxSim (Khattab and Zaharia 2020, doi:10.1145/3397271.3401075): for each token of the query the greatest cosine with
a token of the document; the score is the sum over the query's tokens, or the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.util import maxsim, maxsim_pairwise

from pubvec.encoder.model_folder import ModelType
from pubvec.encoder.output_format import FloatArray
from pubvec.encoder.protocols import TextPairs
from pubvec.encoder.scorer import DOCUMENTS_PER_BLOCK, Similarity, score_in_blocks
from pubvec.encoder.torch_encoder import load_library_model
from pubvec.errors import InputError

_QUERY_LENGTH = 32
"""Queries are expanded to this many tokens where neither the model nor the user says it, as in ColBERT."""
_CHUNK_ELEMENTS = 16_000_000
"""Number of products of tokens that are in memory at a time: 64 MB."""


class LateInteractionScorer:
    """MaxSim of a `MultiVectorEncoder`, with the prefixes, the query expansion and the skipped tokens of its checkpoint.

    Args:
        model: the lengths are set on it.
        name: of the system.
        query_length: tokens of a query that count. Above the length to which the checkpoint expands queries,
            longer queries are read further and shorter ones expanded as before. None: what the model says.
        query_expansion: whether short queries are filled up with [MASK], whose vectors are scored too; on, in a model
            without it, to `query_length`. None: what the model says.
        document_length: tokens of a document that count. None: what the model says.
        similarity: mean or sum over the tokens of the query.
        batch_size: texts; texts of like length share a batch.
    """

    model_type: ModelType = "late interaction"

    def __init__(
        self,
        model: MultiVectorEncoder,
        *,
        name: str,
        query_length: int | None = None,
        query_expansion: bool | None = None,
        document_length: int | None = None,
        similarity: Similarity = "mean",
        batch_size: int = 32,
    ) -> None:
        self.name = name
        self.model = model
        self.similarity = similarity
        self.dim = int(model.get_embedding_dimension() or 0)
        self._batch_size = batch_size
        if document_length is not None:
            model[0].document_length = document_length
        if query_expansion is not None:
            set_query_expansion(model, is_on=query_expansion)
        if query_length is not None:
            set_query_length(model, query_length)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        name: str,
        query_length: int | None = None,
        query_expansion: bool | None = None,
        document_length: int | None = None,
        similarity: Similarity = "mean",
        n_threads: int | None = None,
        trust_remote_code: bool = False,
    ) -> LateInteractionScorer:
        """Load a model folder, on a GPU if there is one. `n_threads` is torch's own, for the whole process.

        Raises:
            InputError: the folder needs code of its own, or sentence-transformers cannot load it.
        """
        model = load_library_model(
            MultiVectorEncoder, folder, n_threads=n_threads, trust_remote_code=trust_remote_code
        )
        return cls(
            model,
            name=name,
            query_length=query_length,
            query_expansion=query_expansion,
            document_length=document_length,
            similarity=similarity,
        )

    @property
    def definition(self) -> str:
        """See `Scorer.definition`."""
        expansion = self.model[0].query_expansion
        queries = f"expanded to {expansion['length']} tokens" if expansion else "not expanded"
        return f"{self.similarity} over query tokens of the greatest cosine (MaxSim), queries {queries}"

    @property
    def lengths(self) -> Mapping[str, int | None]:
        """See `Scorer.lengths`."""
        transformer, n_most = self.model[0], int(self.model.max_seq_length)
        expansion = transformer.query_expansion
        is_fixed = expansion is not None and expansion["strategy"] == "fixed"
        query_length = expansion["length"] if is_fixed else transformer.query_length
        return {
            "query_length": int(query_length or n_most),
            "document_length": int(transformer.document_length or n_most),
        }

    def encode_queries(self, queries: Sequence[str]) -> list[torch.Tensor]:
        """Unit vectors of the tokens of each query, expansion included. *Shape:* (n_tokens, dim) each"""
        vectors: list[torch.Tensor] = self.model.encode_query(
            list(queries), batch_size=self._batch_size, show_progress_bar=False
        )
        return vectors

    def encode_documents(self, documents: Sequence[str]) -> list[torch.Tensor]:
        """Unit vectors of the tokens of each document that are not skipped. *Shape:* (n_tokens, dim) each"""
        vectors: list[torch.Tensor] = self.model.encode_document(
            list(documents), batch_size=self._batch_size, show_progress_bar=False
        )
        return vectors

    def score(self, pairs: TextPairs) -> FloatArray:
        """See `Scorer.score`. Within a block of pairs, a text that occurs often is encoded once."""
        return score_in_blocks(pairs, self._score_block)

    def iter_scores(
        self, query_vectors: Sequence[torch.Tensor], documents: Sequence[str]
    ) -> Iterator[FloatArray]:
        """See `LateInteraction.iter_scores`. The vectors of 256 documents are in memory at a time."""
        for start in range(0, len(documents), DOCUMENTS_PER_BLOCK):
            block = self.encode_documents(documents[start : start + DOCUMENTS_PER_BLOCK])
            scores = maxsim(
                list(query_vectors),
                block,
                chunk_elements=_CHUNK_ELEMENTS,
                length_normalize=self.similarity == "mean",
            )
            yield scores.cpu().numpy()

    def _score_block(self, pairs: TextPairs) -> FloatArray:
        columns = []
        for texts, encode in zip(
            zip(*pairs, strict=True), (self.encode_queries, self.encode_documents), strict=True
        ):
            distinct = list(dict.fromkeys(texts))
            vector_of = dict(zip(distinct, encode(distinct), strict=True))
            columns.append([vector_of[text] for text in texts])
        scores = maxsim_pairwise(
            *columns, chunk_elements=_CHUNK_ELEMENTS, length_normalize=self.similarity == "mean"
        )
        return np.asarray(scores.cpu().numpy())


def set_query_expansion(model: MultiVectorEncoder, *, is_on: bool) -> None:
    """Turn query expansion on or off. Without it, as many tokens of a query are read as with it.

    Raises:
        InputError: the tokenizer has no mask to expand with.
    """
    transformer = model[0]
    expansion, length = transformer.query_expansion, transformer.query_length
    if is_on == (expansion is not None):
        return
    transformer.query_expansion = None
    if not is_on:
        transformer.query_length = length or expansion["length"]
        return
    try:
        transformer.query_expansion = {
            "strategy": "fixed",
            "attend": False,
            "length": length or _QUERY_LENGTH,
        }
    except ValueError as error:
        raise InputError(f"queries cannot be expanded: {str(error).splitlines()[0]}") from error


def set_query_length(model: MultiVectorEncoder, query_length: int) -> None:
    """Set the number of tokens of a query that are read. Query expansion still ends at the length of the model."""
    transformer = model[0]
    expansion = transformer.query_expansion
    transformer.query_expansion = None  # the library checks each setting against the one that is in force
    transformer.query_length = query_length
    if expansion is not None:
        length = min(expansion["length"], query_length)
        strategy = "fixed" if length == query_length else "min"
        transformer.query_expansion = {**expansion, "strategy": strategy, "length": length}
