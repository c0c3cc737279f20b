from __future__ import annotations

import ir_measures
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.measures import (
    Measure,
    Run,
    auc,
    draw_resamples,
    interval_of,
    measure_run,
    parse_measure,
    pearson,
    spearman,
)
from pubvec.evaluation.ranking import rank_documents

MEASURES = [parse_measure(text) for text in ("nDCG@10", "nDCG@3", "nDCG", "R@5", "R@100", "RR")]

coarse_scores = st.integers(-4, 4).map(lambda score: score / 4)
"""Exact in float32, and often tied."""


@st.composite
def collections(draw: st.DrawFn) -> tuple[np.ndarray, list[str], dict[str, dict[str, int]]]:
    """Scores (n_queries, n_docs), document ids and judgements, with many ties and unjudged documents."""
    n_queries, n_docs = draw(st.integers(1, 4)), draw(st.integers(1, 25))
    scores = draw(hnp.arrays(np.float32, (n_queries, n_docs), elements=coarse_scores))
    ids = draw(st.lists(st.integers(0, 200).map(str), min_size=n_docs, max_size=n_docs, unique=True))
    judged = st.dictionaries(st.sampled_from([*ids, "elsewhere"]), st.integers(0, 3), min_size=1)
    return scores, ids, {f"q{row}": draw(judged) for row in range(n_queries)}


def rank(scores: np.ndarray, ids: list[str]) -> Run:
    """The run of `scores`, by an encoder-free search: each document is an axis."""
    query_ids = [f"q{row}" for row in range(len(scores))]
    vectors = np.eye(len(ids), dtype=np.float32)
    return rank_documents(scores, vectors, query_ids=query_ids, doc_ids=ids, depth=1000)


def reference(
    scores: np.ndarray, ids: list[str], qrels: dict, measures: list[str]
) -> dict[tuple[str, str], float]:
    run = {
        f"q{row}": dict(zip(ids, (float(score) for score in values), strict=True))
        for row, values in enumerate(scores)
    }
    parsed = [ir_measures.parse_measure(measure) for measure in measures]
    values = ir_measures.iter_calc(parsed, qrels, run)
    return {(str(value.measure), value.query_id): value.value for value in values}


@settings(max_examples=150, deadline=None)
@given(collections())
def test_ranking_measures_equal_ir_measures_on_ties_too(world) -> None:
    scores, ids, qrels = world
    run = rank(scores, ids)
    ours = measure_run(run, qrels, MEASURES)
    theirs = reference(scores, ids, qrels, [str(measure) for measure in MEASURES])
    for measure, values in ours.items():
        for query_id, value in zip(run.query_ids, values, strict=True):
            assert value == pytest.approx(theirs.get((str(measure), query_id), 0.0), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(collections(), st.integers(1, 12))
def test_cut_off_reciprocal_rank(world, cutoff: int) -> None:
    """As RR of ir_measures on ties, and as its RR@k where nothing ties."""
    scores, ids, qrels = world
    measure = Measure("RR", cutoff)
    whole = reference(scores, ids, qrels, ["RR"])
    for query_id, value in zip(qrels, measure_run(rank(scores, ids), qrels, [measure])[measure], strict=True):
        expected = whole.get(("RR", query_id), 0.0)
        assert value == pytest.approx(expected if expected >= 1 / cutoff - 1e-12 else 0.0, abs=1e-9)

    untied = np.argsort(np.argsort(scores, axis=1, kind="stable"), axis=1).astype(np.float32)
    theirs = reference(untied, ids, qrels, [f"RR@{cutoff}"])
    for query_id, value in zip(qrels, measure_run(rank(untied, ids), qrels, [measure])[measure], strict=True):
        assert value == pytest.approx(theirs.get((str(measure), query_id), 0.0), abs=1e-9)


def test_tied_documents_are_ordered_by_id_descending_as_text() -> None:
    run = rank(np.zeros((1, 4), dtype=np.float32), ["10", "9", "b", "a"])
    assert [run.doc_ids[column] for column in run.ranking[0]] == ["b", "a", "9", "10"]


def test_fractional_gains() -> None:
    run = Run(["q"], ["a", "b"], np.array([[0, 1]]), np.array([[1.0, 0.5]]))
    values = measure_run(run, {"q": {"a": 0.25, "b": 1.75}}, [Measure("nDCG", 10)])
    ideal = 1.75 + 0.25 / np.log2(3)
    assert values[Measure("nDCG", 10)][0] == pytest.approx((0.25 + 1.75 / np.log2(3)) / ideal)


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(3, 40), st.just(2)), elements=st.floats(-5, 5, width=16)))
def test_correlations_equal_scipy(columns: np.ndarray) -> None:
    x, y = columns.T
    if np.ptp(x) < 1e-3 or np.ptp(y) < 1e-3:
        return
    assert pearson(x, y) == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-9)
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.lists(coarse_scores, min_size=1, max_size=30), st.lists(coarse_scores, min_size=1, max_size=30))
def test_auc_equals_mann_whitney(positive: list[float], negative: list[float]) -> None:
    expected = scipy.stats.mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))
    assert auc(np.array(positive), np.array(negative)) == pytest.approx(expected, abs=1e-9)


def test_spearman_of_balanced_labels_follows_from_auc() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(1, 1, 500), rng.normal(0, 1, 500)
    scores, labels = np.concatenate([positive, negative]), np.repeat([1.0, 0.0], 500)
    assert spearman(scores, labels) == pytest.approx(3**0.5 / 2 * (2 * auc(positive, negative) - 1), abs=1e-5)


@pytest.mark.parametrize("text", ["nDCG@10", "R@100", "RR", "RR@10", "Pearson", "Spearman", "AUC", "nDCG"])
def test_measures_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_measure(text)) == text


@pytest.mark.parametrize("text", ["", "ndcg@10", "nDCG@0", "nDCG@x", "R", "Pearson@3", "MAP", "nDCG@10@2"])
def test_unknown_measures_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"measure|cutoff"):
        parse_measure(text)


@pytest.mark.parametrize(
    ("x", "message"),
    [([0.1, float("nan"), 0.3], "score 1 of 3 is nan"), ([1.0, 1.0, 1.0], "all scores"), ([], "none")],
)
def test_scores_that_have_no_correlation(x: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pearson(np.array(x), np.arange(float(len(x))))


def test_auc_refuses_nan() -> None:
    with pytest.raises(InputError, match="score 0 of 1 is nan"):
        auc(np.array([np.nan]), np.array([1.0]))


def test_a_score_measure_is_no_ranking_measure() -> None:
    run = Run(["q"], ["a"], np.array([[0]]), np.array([[1.0]]))
    with pytest.raises(ConfigError, match="does not measure a ranking"):
        measure_run(run, {"q": {"a": 1.0}}, [Measure("AUC")])


def test_bootstrap_of_a_mean_is_near_its_normal_interval() -> None:
    values = np.random.default_rng(3).normal(0, 1, 400)
    counts = draw_resamples(400, 2000)
    assert counts.shape == (2000, 400)
    assert (counts.sum(axis=1) == 400).all()
    low, high = interval_of(counts @ values / 400)
    half_width = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half_width, abs=0.01)
    assert high == pytest.approx(values.mean() + half_width, abs=0.01)
