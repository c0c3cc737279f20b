from __future__ import annotations

from dataclasses import replace

import ir_measures
import numpy as np
import pytest

from pubvec.encoder.scorer import BiEncoderScorer
from pubvec.evaluation.measures import parse_measure
from pubvec.evaluation.ranking import evaluate_retrieval, rank_documents
from pubvec.evaluation.tasks import find_task

MEASURES = tuple(parse_measure(text) for text in ("nDCG@10", "R@100", "RR"))


def test_figures_equal_ir_measures_over_the_whole_way(encoder, data) -> None:
    """Texts → vectors → run → measures; word counts tie often, and a tie must not matter."""
    collection = replace(find_task("pubmed-qa-retrieval").load(data), measures=MEASURES)
    outcome = evaluate_retrieval(BiEncoderScorer(encoder), collection, depth=1000, n_resamples=10)
    queries = encoder.encode(collection.queries.values())
    documents = encoder.encode(collection.documents.values())
    run = {
        query_id: dict(zip(collection.documents, map(float, row), strict=True))
        for query_id, row in zip(collection.queries, queries @ documents.T, strict=True)
    }
    qrels = {query_id: dict.fromkeys(judged, 1) for query_id, judged in collection.qrels.items()}
    parsed = [ir_measures.parse_measure(str(measure)) for measure in MEASURES]
    expected = {(str(v.measure), v.query_id): v.value for v in ir_measures.iter_calc(parsed, qrels, run)}
    for measure in MEASURES:
        figure = outcome.figures[str(measure)]
        for query_id, value in figure.per_query.items():
            assert value == pytest.approx(expected[str(measure), query_id], abs=1e-9)
        assert figure.value == pytest.approx(np.mean(list(figure.per_query.values())))
        assert figure.interval[0] <= figure.value <= figure.interval[1]
    assert (outcome.n, outcome.n_documents) == (80, 80)


def test_the_ranking_is_that_of_an_exact_scan() -> None:
    rng = np.random.default_rng(0)
    queries, documents = rng.normal(size=(300, 16)), rng.normal(size=(500, 16))
    run = rank_documents(
        queries,
        documents,
        query_ids=[str(row) for row in range(300)],
        doc_ids=[str(row) for row in range(500)],
        depth=7,
    )
    scores = queries @ documents.T
    assert (run.ranking == np.argsort(-scores, axis=1)[:, :7]).all()
    assert run.scores == pytest.approx(np.sort(scores, axis=1)[:, :-8:-1].astype(np.float32))


def test_depth_cuts_the_ranking(encoder, data) -> None:
    collection = find_task("cysticfibrosis").load(data)
    deep = evaluate_retrieval(BiEncoderScorer(encoder), collection, depth=100, n_resamples=10)
    shallow = evaluate_retrieval(BiEncoderScorer(encoder), collection, depth=1, n_resamples=10)
    assert deep.figures["R@100"].value == 1.0
    assert shallow.figures["R@100"].value < 1.0
