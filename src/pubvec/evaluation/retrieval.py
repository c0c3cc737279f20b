"""Ranking by exact cosine search, measured query by query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pubvec.encoder.base import Encoder
from pubvec.errors import InputError
from pubvec.evaluation.measures import FloatArray, Run, draw_resamples, interval_of, measure_run
from pubvec.evaluation.results import Figure, Outcome
from pubvec.evaluation.tasks import RetrievalSet

_SEARCH_BLOCK = 256


def encode_texts(encoder: Encoder, texts: Sequence[str], what: str) -> FloatArray:
    """Unit vectors of `texts`. *Shape:* (n_texts, dim)

    Raises:
        InputError: the encoder returned another shape, or a vector that is not finite.
    """
    vectors = encoder.encode(texts, normalize=True)
    if vectors.shape != (len(texts), encoder.dim):
        raise InputError(
            f"{encoder.name} returned vectors of shape {vectors.shape} for {len(texts)} {what}, "
            f"and {(len(texts), encoder.dim)} was expected"
        )
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise InputError(f"{encoder.name} returned a vector that is not finite for text {bad[0]} of {what}")
    return vectors


def rank_documents(
    query_vectors: FloatArray,
    document_vectors: FloatArray,
    *,
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    depth: int,
) -> Run:
    """The `depth` best documents for each query by inner product, by an exact scan.

    *Shape:* `query_vectors`: (n_queries, dim), `document_vectors`: (n_documents, dim), of unit length.
    Equal scores are ordered as `measures` says: document ids descending.
    """
    by_id = np.array(sorted(range(len(doc_ids)), key=lambda column: doc_ids[column], reverse=True))
    candidates = document_vectors[by_id].T
    depth = min(depth, len(doc_ids))
    ranking = np.empty((len(query_ids), depth), dtype=np.int64)
    scores = np.empty((len(query_ids), depth), dtype=np.float32)
    for start in range(0, len(query_ids), _SEARCH_BLOCK):
        block = slice(start, start + _SEARCH_BLOCK)
        block_scores = query_vectors[block] @ candidates
        order = np.argsort(-block_scores, axis=1, kind="stable")[:, :depth]
        ranking[block] = by_id[order]
        scores[block] = np.take_along_axis(block_scores, order, axis=1)
    return Run(query_ids, doc_ids, ranking, scores)


def evaluate_retrieval(
    encoder: Encoder, collection: RetrievalSet, *, depth: int, n_resamples: int
) -> Outcome:
    """Search `collection` with each of its queries and measure the run.

    Args:
        encoder: encodes queries and documents alike.
        collection: documents, queries, judgements, measures.
        depth: length of the ranking; a relevant document below it counts as not found.
        n_resamples: of the bootstrap over queries.
    """
    queries = encode_texts(encoder, list(collection.queries.values()), "queries")
    documents = encode_texts(encoder, list(collection.documents.values()), "documents")
    figures = measure_vectors(queries, documents, collection, depth=depth, n_resamples=n_resamples)
    return Outcome(len(queries), len(documents), figures, scores={})


def measure_vectors(
    query_vectors: FloatArray,
    document_vectors: FloatArray,
    collection: RetrievalSet,
    *,
    depth: int,
    n_resamples: int,
) -> dict[str, Figure]:
    """Measures of the run that vectors in the order of `collection` make: means over queries.

    *Shape:* `query_vectors`: (n_queries, dim), `document_vectors`: (n_documents, dim), of unit length.
    """
    query_ids, doc_ids = list(collection.queries), list(collection.documents)
    run = rank_documents(query_vectors, document_vectors, query_ids=query_ids, doc_ids=doc_ids, depth=depth)
    values = measure_run(run, collection.qrels, collection.measures)
    counts = draw_resamples(len(query_ids), n_resamples)
    return {
        str(measure): Figure(
            value=float(values[measure].mean()),
            interval=interval_of(counts @ values[measure] / len(query_ids)),
            per_query=dict(zip(query_ids, values[measure].tolist(), strict=True)),
        )
        for measure in collection.measures
    }
