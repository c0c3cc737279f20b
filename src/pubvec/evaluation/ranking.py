"""Rankings by exact search, or of what a first stage found, which are measured query by query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pubvec.encoder import BiEncoderScorer, LateInteraction, Scorer, TextPairs
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.measures import FloatArray, IntArray, Run, draw_resamples, interval_of, measure_run
from pubvec.evaluation.results import Figure, Outcome
from pubvec.evaluation.tasks.sets import RetrievalSet
from pubvec.progress import track

_SEARCH_BLOCK = 256
_SCORED_BLOCK = 1024


def check_vectors(vectors: FloatArray, texts: Sequence[str], scorer: BiEncoderScorer) -> FloatArray:
    """Return `vectors` after checking that each text has one, and that it is finite. *Shape:* (n_texts, dim)

    Raises:
        InputError: the encoder returned another shape, or a vector that is not finite.
    """
    if vectors.shape != (len(texts), scorer.dim):
        raise InputError(
            f"{scorer.name} returned vectors of shape {vectors.shape} for {len(texts)} texts, "
            f"and {(len(texts), scorer.dim)} was expected"
        )
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise InputError(
            f"{scorer.name} returned a vector that is not finite for text {bad[0]}: {texts[bad[0]]!r:.60}"
        )
    return vectors


def score_pairs(scorer: Scorer, pairs: TextPairs) -> FloatArray:
    """Score `pairs` and report progress. *Shape:* (n,)

    Raises:
        InputError: a score is not finite.
    """
    blocks = range(0, len(pairs), _SCORED_BLOCK)
    scores = [
        scorer.score(pairs[start : start + _SCORED_BLOCK])
        for start in track(blocks, f"blocks of {_SCORED_BLOCK} pairs scored", len(blocks))
    ]
    return check_finite(np.concatenate([np.empty(0, np.float32), *scores]), scorer)


def check_finite(scores: FloatArray, scorer: Scorer) -> FloatArray:
    """Return `scores` after checking that all of them are finite.

    Raises:
        InputError: one is not.
    """
    if not np.isfinite(scores).all():
        raise InputError(f"{scorer.name} returned a score that is not finite: the model is damaged")
    return scores


def rank_documents(
    query_vectors: FloatArray,
    document_vectors: FloatArray,
    *,
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    depth: int,
) -> Run:
    """Rank the `depth` best documents for each query by inner product, with an exact scan.

    *Shape:* `query_vectors`: (n_queries, dim), `document_vectors`: (n_documents, dim), of unit length.
    Equal scores are ordered as `measures` says: document ids descending.
    """
    by_id = scan_order(doc_ids)
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


def scan_order(doc_ids: Sequence[str]) -> IntArray:
    """Return the positions of the documents, ids descending: in this order a stable sort by score settles ties.

    *Shape:* (n_documents,)
    """
    columns = sorted(range(len(doc_ids)), key=lambda column: doc_ids[column], reverse=True)
    return np.array(columns, dtype=np.int64)


def rank_blocks(
    blocks: Iterable[FloatArray], *, query_ids: Sequence[str], doc_ids: Sequence[str], depth: int
) -> Run:
    """Rank the `depth` best documents for each query from scores that come a block of documents at a time.

    *Shape:* `blocks`: (n_queries, n_block) each, documents in the order of `scan_order`.
    """
    by_id = scan_order(doc_ids)
    ranking: IntArray = np.empty((len(query_ids), 0), dtype=np.int64)
    scores: FloatArray = np.empty((len(query_ids), 0), dtype=np.float32)
    n_before = 0
    for block in blocks:
        columns = by_id[n_before : n_before + block.shape[1]]
        n_before += len(columns)
        ranking = np.concatenate([ranking, np.broadcast_to(columns, block.shape)], axis=1)
        scores = np.concatenate([scores, block], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        ranking = np.take_along_axis(ranking, best, axis=1)
        scores = np.take_along_axis(scores, best, axis=1)
    return Run(query_ids, doc_ids, ranking, scores)


def rank_collection(scorer: Scorer, collection: RetrievalSet, depth: int) -> Run:
    """Rank all documents for each query, exactly.

    Raises:
        ConfigError: a cross-encoder cannot score all documents.
    """
    query_ids, doc_ids = list(collection.queries), list(collection.documents)
    queries, documents = list(collection.queries.values()), list(collection.documents.values())
    if isinstance(scorer, BiEncoderScorer):
        return rank_documents(
            check_vectors(scorer.encode_queries(queries), queries, scorer),
            check_vectors(scorer.encode_documents(documents), documents, scorer),
            query_ids=query_ids,
            doc_ids=doc_ids,
            depth=depth,
        )
    if isinstance(scorer, LateInteraction):
        in_order = [documents[column] for column in scan_order(doc_ids)]
        blocks = scorer.iter_scores(scorer.encode_queries(queries), in_order)
        checked = (check_finite(block, scorer) for block in blocks)
        return rank_blocks(checked, query_ids=query_ids, doc_ids=doc_ids, depth=depth)
    raise ConfigError(
        f"{scorer.name} is a {scorer.model_type}, which ranks what another model has found: give a first stage"
    )


def rerank(scorer: Scorer, collection: RetrievalSet, first: Run) -> Run:
    """Rank the documents of `first` anew for each query, by `scorer`; all others count as not found."""
    documents = list(collection.documents.values())
    pairs = [
        (query, documents[column])
        for query, columns in zip(collection.queries.values(), first.ranking, strict=True)
        for column in columns
    ]
    scores: FloatArray = score_pairs(scorer, pairs).reshape(first.ranking.shape)
    place_of = np.argsort(scan_order(first.doc_ids))
    order = np.lexsort((place_of[first.ranking], -scores), axis=1)
    ranking = np.take_along_axis(first.ranking, order, axis=1)
    return Run(first.query_ids, first.doc_ids, ranking, np.take_along_axis(scores, order, axis=1))


def evaluate_retrieval(
    scorer: Scorer,
    collection: RetrievalSet,
    *,
    depth: int,
    n_resamples: int,
    first_stage: Scorer | None = None,
    rerank_depth: int = 100,
) -> Outcome:
    """Search `collection` with each of its queries and measure the run.

    Args:
        scorer: ranks all documents; a cross-encoder the best of the first stage.
        collection: documents, queries, judgements, measures.
        depth: length of the ranking; a relevant document below it counts as not found.
        n_resamples: of the bootstrap over queries.
        first_stage: what a cross-encoder needs: a scorer of another kind.
        rerank_depth: how many of its documents are ranked anew; one below counts as not found.

    Raises:
        ConfigError: a cross-encoder has no first stage, or one that cannot rank.
    """
    if first_stage is not None and scorer.model_type == "cross-encoder":
        run = rerank(scorer, collection, rank_collection(first_stage, collection, min(depth, rerank_depth)))
    else:
        run = rank_collection(scorer, collection, depth)
    figures = measure_ranking(run, collection, n_resamples)
    return Outcome(len(run.query_ids), len(run.doc_ids), figures, {}, scorer.definition)


def measure_ranking(run: Run, collection: RetrievalSet, n_resamples: int) -> dict[str, Figure]:
    """Compute the measures of the collection for `run`, as means over queries."""
    query_ids = run.query_ids
    values = measure_run(run, collection.qrels, collection.measures, collection.own_documents)
    counts = draw_resamples(len(query_ids), n_resamples)
    return {
        str(measure): Figure(
            value=float(values[measure].mean()),
            interval=interval_of(counts @ values[measure] / len(query_ids)),
            per_query=dict(zip(query_ids, values[measure].tolist(), strict=True)),
        )
        for measure in collection.measures
    }
