"""Balanced pairs: the protocol behind the published Pearson columns.

n pairs that belong together are labeled 1 and n random pairs 0; the figure is Pearson's correlation of
score and label. How the published negatives were drawn is not known; here a seed draws them. The measure
is nearly saturated and rewards scores that form two clusters, so AUC and RR@10 stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pubvec.encoder import BiEncoderScorer, LateInteraction, Scorer, TextEncoder
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.measures import FloatArray, IntArray, Measure
from pubvec.evaluation.pair_scores import (
    PairScores,
    correlation,
    measure_pair_scores,
    measure_probabilities,
    sigmoid,
)
from pubvec.evaluation.ranking import (
    check_finite,
    check_vectors,
    measure_ranking,
    rank_blocks,
    rank_collection,
    rank_documents,
    rerank,
    scan_order,
    score_pairs,
)
from pubvec.evaluation.results import Outcome
from pubvec.evaluation.tasks.columns import text_column
from pubvec.evaluation.tasks.published_sets import find_or_fetch, find_path
from pubvec.evaluation.tasks.sets import PairSet, RetrievalSet, retrieval_of
from pubvec.tablefiles import read_columns

_RANKING = (Measure("RR", 10),)


@dataclass(frozen=True)
class PairTask:
    """The task asks whether a score tells the partner of a text from a random text, by the protocol of this module."""

    name: str
    file: str
    anchor: str
    positive: str
    rule: str | None = None
    """Keep the rows whose column `rule` has this value; None: all rows."""
    stands_in_for: str | None = None
    """The published set that this one replaces; None: it is the set itself, or has no counterpart."""

    def files(self, data: Path) -> list[Path]:
        """Return the files that decide the result."""
        return [find_path(data, self.file)]

    def load(self, data: Path) -> PairSet:
        """Read the pairs.

        Raises:
            InputError: the file or a column is missing, a text is empty, or there are fewer than two pairs.
        """
        path = find_or_fetch(data, self.file)
        columns = read_columns(path, [self.anchor, self.positive, *(["rule"] if self.rule else [])])
        if self.rule is not None:
            keep = [row for row, rule in enumerate(columns["rule"]) if rule == self.rule]
            columns = {name: [values[row] for row in keep] for name, values in columns.items()}
        anchors, positives = (text_column(columns, name, path) for name in (self.anchor, self.positive))
        if len(anchors) < 2:
            of_rule = f" of rule {self.rule}" if self.rule else ""
            raise InputError(f"{path} holds {len(anchors)} pairs{of_rule}: at least 2 are needed")
        return PairSet(anchors, positives)


@dataclass(frozen=True)
class PairRetrievalTask:
    """Find each anchor's positive among the positives of all pairs."""

    pairs: PairTask
    name: str
    measures: tuple[Measure, ...]

    def files(self, data: Path) -> list[Path]:
        """Return the files that decide the result."""
        return self.pairs.files(data)

    def load(self, data: Path) -> RetrievalSet:
        """Read the pairs as a collection; raises as `PairTask.load`."""
        return retrieval_of(self.pairs.load(data), self.measures)


def draw_negatives(n: int, seed: int) -> IntArray:
    """Draw for each of `n` anchors the position of a positive that is not its own.

    *Shape:* (n,)
    """
    return (np.arange(n) + np.random.default_rng(seed).integers(1, n, n)) % n


def evaluate_pairs(
    scorer: Scorer,
    pairs: PairSet,
    *,
    seeds: Sequence[int],
    n_resamples: int,
    first_stage: Scorer | None = None,
    rerank_depth: int = 20,
) -> Outcome:
    """Score positive and negative pairs, and rank each positive among all positives.

    A bi-encoder that is calibrated has the figures of its probabilities beside those of its cosines.
    Late interaction is measured by mean MaxSim, with Pearson of the sum beside it; a cross-encoder by the
    sigmoid of its logit, with Pearson of the logit beside it.

    Args:
        scorer: of any kind.
        pairs: at least two. Equal positives count as one document.
        seeds: one draw of negatives each.
        n_resamples: of the bootstrap over pairs.
        first_stage: finds the positives that a cross-encoder ranks, for which n² pairs are too many; None
            leaves RR out.
        rerank_depth: how many positives it finds for an anchor.

    Raises:
        ConfigError: a cross-encoder does not give logits, late interaction not the mean, or the first
            stage cannot rank.
    """
    collection = retrieval_of(pairs, _RANKING)
    if isinstance(scorer, BiEncoderScorer):
        return _evaluate_cosines(scorer, pairs, collection, seeds, n_resamples)
    if isinstance(scorer, LateInteraction):
        return _evaluate_maxsim(scorer, pairs, collection, seeds, n_resamples)
    outcome = _evaluate_logits(scorer, pairs, collection, seeds, n_resamples)
    if first_stage is None:
        return outcome
    found = rank_collection(first_stage, collection, rerank_depth)
    ranking = measure_ranking(rerank(scorer, collection, found), collection, n_resamples)
    return outcome._replace(figures={**outcome.figures, **ranking})


def _evaluate_cosines(
    scorer: BiEncoderScorer, pairs: PairSet, collection: RetrievalSet, seeds: Sequence[int], n_resamples: int
) -> Outcome:
    texts = list(collection.documents.values())
    anchors = check_vectors(scorer.encode_queries(pairs.anchors), pairs.anchors, scorer)
    documents = check_vectors(scorer.encode_documents(texts), texts, scorer)
    scores = PairScores.of(
        seeds, [_cosines(anchors, documents[columns]) for columns in _columns(pairs, seeds)]
    )
    ids = {"query_ids": list(collection.queries), "doc_ids": list(collection.documents)}
    run = rank_documents(anchors, documents, **ids, depth=len(anchors))
    encoder = scorer.encoder
    calibration = encoder.calibration if isinstance(encoder, TextEncoder) else None
    figures = {
        **measure_pair_scores(scores, n_resamples),
        **(measure_probabilities(scores.map(calibration.apply), n_resamples) if calibration else {}),
        **measure_ranking(run, collection, n_resamples),
    }
    kept = scores.as_lists()
    if calibration is not None:
        kept["calibration"] = {"slope": calibration.slope, "intercept": calibration.intercept}
    return Outcome(len(anchors), len(documents), figures, kept, "cosine")


def _evaluate_maxsim(
    scorer: LateInteraction,
    pairs: PairSet,
    collection: RetrievalSet,
    seeds: Sequence[int],
    n_resamples: int,
) -> Outcome:
    """Evaluate in one pass over the matrix of all anchors and all positives, of which no more than a block exists."""
    _expect(scorer, scorer.definition.startswith("mean"), "the mean over query tokens")
    queries = scorer.encode_queries(pairs.anchors)
    query_ids, doc_ids = list(collection.queries), list(collection.documents)
    documents, order = list(collection.documents.values()), scan_order(doc_ids)
    places = np.argsort(order)[_columns(pairs, seeds)]
    picked = np.empty(places.shape, np.float32)
    blocks = scorer.iter_scores(queries, [documents[column] for column in order])
    depth = max(measure.cutoff or len(doc_ids) for measure in collection.measures)
    run = rank_blocks(_picking(blocks, places, picked), query_ids=query_ids, doc_ids=doc_ids, depth=depth)
    check_finite(picked, scorer)
    scores = PairScores.of(seeds, list(picked))
    sums = PairScores.of(seeds, list(picked * [len(query) for query in queries]))
    figures = {
        **measure_pair_scores(scores, n_resamples),
        "Pearson (sum)": correlation(sums, n_resamples),
        **measure_ranking(run, collection, n_resamples),
    }
    return Outcome(len(queries), len(documents), figures, scores.as_lists(), scorer.definition)


def _evaluate_logits(
    scorer: Scorer, pairs: PairSet, collection: RetrievalSet, seeds: Sequence[int], n_resamples: int
) -> Outcome:
    """Evaluate logits. AUC is computed from them, because sigmoids order pairs alike, except those that round to 1."""
    _expect(scorer, scorer.definition == "logit", "logits")
    documents, columns = list(collection.documents.values()), _columns(pairs, seeds)
    texts = [
        (anchor, documents[column])
        for row in columns
        for anchor, column in zip(pairs.anchors, row, strict=True)
    ]
    logits = score_pairs(scorer, texts).reshape(columns.shape)
    scores = PairScores.of(seeds, list(logits))
    of_logits = measure_pair_scores(scores, n_resamples)
    figures = {
        "Pearson": correlation(scores.map(sigmoid), n_resamples),
        "AUC": of_logits["AUC"],
        "Pearson (logit)": of_logits["Pearson"],
    }
    n = len(pairs.anchors)
    return Outcome(n, len(documents), figures, scores.as_lists(), "sigmoid of the logit")


def _expect(scorer: Scorer, is_met: bool, what: str) -> None:
    if not is_met:
        raise ConfigError(
            f"{scorer.name} gives {scorer.definition}: evaluation computes its figures from {what}, load it so"
        )


def _columns(pairs: PairSet, seeds: Sequence[int]) -> IntArray:
    """Return which distinct positive each anchor meets: its own, then one at random for each seed.

    *Shape:* (1 + n_seeds, n_pairs)
    """
    column_of = {text: column for column, text in enumerate(dict.fromkeys(pairs.positives))}
    own = np.array([column_of[text] for text in pairs.positives])
    return np.stack([own, *(own[draw_negatives(len(own), seed)] for seed in seeds)])


def _picking(blocks: Iterable[FloatArray], places: IntArray, picked: FloatArray) -> Iterator[FloatArray]:
    """Yield `blocks` of documents and copy from each what `places` names into `picked`.

    *Shape:* `blocks`: (n_queries, n_block) each; `places`, `picked`: (n, n_queries).
    """
    n_before = 0
    for block in blocks:
        rows, queries = np.nonzero((places >= n_before) & (places < n_before + block.shape[1]))
        picked[rows, queries] = block[queries, places[rows, queries] - n_before]
        n_before += block.shape[1]
        yield block


def _cosines(a: FloatArray, b: FloatArray) -> FloatArray:
    """Compute cosines row by row. *Shape:* `a`, `b`: (n, dim), of unit length; returns (n,)"""
    return np.asarray(np.einsum("ij,ij->i", a, b))
