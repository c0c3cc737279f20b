"""A thin adapter with which the `mteb` package (Muennighoff et al. 2023, arXiv 2210.07316) runs a pubvec encoder.

mteb.evaluate(MtebModel(pubvec.load("pubvec-small")), mteb.get_tasks(["SciFact"]))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pubvec.encoder import Encoder, FloatArray
from pubvec.errors import require


class MtebModel:
    """`mteb`'s `EncoderProtocol` over an `Encoder`: unit vectors, compared by cosine, without instructions.

    Args:
        encoder: encodes queries and documents alike.
        revision: what tells versions of the model apart in mteb's cache of results.

    Raises:
        MissingExtraError: mteb is not installed.
    """

    def __init__(self, encoder: Encoder, revision: str | None = None) -> None:
        self.encoder = encoder
        self._functions = require("mteb.similarity_functions", extra="mteb")
        meta = require("mteb.models.model_meta", extra="mteb").ModelMeta
        owner = "" if "/" in encoder.name else "pubvec/"
        self.mteb_model_meta = meta.create_empty(
            {
                "name": f"{owner}{encoder.name}",
                "revision": revision or "local",
                "embed_dim": encoder.dim,
                "max_tokens": encoder.max_seq_length,
                "similarity_fn_name": "cosine",
            }
        )

    def encode(self, inputs: Iterable[Mapping[str, Sequence[str]]], **_: Any) -> FloatArray:
        """Encode the texts of all batches, in their order. *Shape:* (n_texts, dim), float32"""
        return self.encoder.encode([text for batch in inputs for text in batch["text"]])

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compute the cosine of each with each. *Shape:* (n, dim), (m, dim) → (n, m)"""
        return self._functions.cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compute the cosine row by row. *Shape:* (n, dim), (n, dim) → (n,)"""
        return self._functions.pairwise_cos_sim(embeddings1, embeddings2)
