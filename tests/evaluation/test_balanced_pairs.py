from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from pubvec.encoder import load
from pubvec.encoder.scorer import BiEncoderScorer
from pubvec.errors import InputError
from pubvec.evaluation.measures import auc, draw_resamples, spearman
from pubvec.evaluation.pair_scores import (
    PairScores,
    measure_pair_scores,
    measure_probabilities,
    pearson_of_labels,
    resample_auc,
    resample_pearson,
)
from pubvec.evaluation.tasks.pairs import draw_negatives, evaluate_pairs
from pubvec.evaluation.tasks.sets import PairSet
from tiny_models import TEXTS, make_tiny_bert

PAIRS = PairSet([f"topic{n} study" for n in range(30)], [f"topic{n} was found" for n in range(30)])


def evaluate(encoder, pairs: PairSet = PAIRS, seeds=(0, 1, 2)):
    return evaluate_pairs(BiEncoderScorer(encoder), pairs, seeds=seeds, n_resamples=50)


@pytest.mark.parametrize("n", [2, 3, 1000])
def test_negatives_are_never_the_own_positive_and_follow_the_seed(n: int) -> None:
    rows = draw_negatives(n, seed=3)
    assert (rows != np.arange(n)).all()
    assert ((rows >= 0) & (rows < n)).all()
    assert (rows == (np.arange(n) + np.random.default_rng(3).integers(1, n, n)) % n).all()


def test_figures_equal_those_of_the_sentence_transformers_evaluator(tmp_path: Path) -> None:
    """Pearson, and Spearman as it follows from AUC, of a real transformer on the same pairs."""
    evaluation = pytest.importorskip("sentence_transformers.sentence_transformer.evaluation")
    pairs = PairSet([text[:30] for text in TEXTS], [text[20:] for text in TEXTS])
    encoder = load(make_tiny_bert(tmp_path / "tiny"), backend="torch")
    outcome = evaluate(encoder, pairs, seeds=(1,))
    negatives = [pairs.positives[row] for row in draw_negatives(len(TEXTS), seed=1)]
    evaluator = evaluation.EmbeddingSimilarityEvaluator(
        pairs.anchors * 2,
        [*pairs.positives, *negatives],
        [1.0] * len(TEXTS) + [0.0] * len(TEXTS),
        main_similarity="cosine",
        write_csv=False,
    )
    theirs = evaluator(encoder.model)
    positive, negative = (np.array(outcome.scores["positive"]), np.array(outcome.scores["negative"]["1"]))
    labels = np.repeat([1.0, 0.0], len(TEXTS))
    assert outcome.figures["Pearson"].value == pytest.approx(theirs["pearson_cosine"], abs=1e-6)
    assert spearman(np.concatenate([positive, negative]), labels) == pytest.approx(
        theirs["spearman_cosine"], abs=1e-6
    )


def test_value_and_spread_are_over_seeds(encoder) -> None:
    outcome = evaluate(encoder)
    figure = outcome.figures["Pearson"]
    values = list(figure.per_seed.values())
    assert figure.value == pytest.approx(np.mean(values))
    assert figure.spread == pytest.approx(np.std(values, ddof=1))
    assert figure.interval[0] <= figure.value <= figure.interval[1]
    assert evaluate(encoder, seeds=(0,)).figures["AUC"].spread is None


def test_scores_are_kept_by_pair_and_seed(encoder) -> None:
    outcome = evaluate(encoder)
    assert (outcome.n, outcome.n_documents) == (30, 30)
    assert set(outcome.scores["negative"]) == {"0", "1", "2"}
    positive, negative = outcome.scores["positive"], outcome.scores["negative"]["2"]
    assert len(positive) == len(negative) == len(outcome.figures["RR@10"].per_query) == 30
    again = pearson_of_labels(np.array(positive), np.array(negative))
    assert outcome.figures["Pearson"].per_seed[2] == pytest.approx(again, abs=1e-6)


def test_equal_positives_are_one_document(encoder) -> None:
    pairs = PairSet(["liver disease", "liver failure", "heart"], ["the liver", "the liver", "the heart"])
    outcome = evaluate(encoder, pairs)
    assert outcome.n_documents == 2
    assert outcome.figures["RR@10"].value == 1.0


def test_resampled_figures_equal_those_of_the_drawn_pairs() -> None:
    rng = np.random.default_rng(5)
    positive = rng.normal(0.6, 0.2, 40).round(1)
    scores = PairScores(positive, {seed: rng.normal(0.3, 0.2, 40).round(1) for seed in (0, 1)})
    counts = draw_resamples(40, 5)
    for row, count in enumerate(counts):
        drawn = np.repeat(np.arange(40), count.astype(int))
        for resample, statistic in ((resample_pearson, pearson_of_labels), (resample_auc, auc)):
            expected = np.mean(
                [statistic(positive[drawn], negative[drawn]) for negative in scores.negative.values()]
            )
            assert resample(scores, counts)[row] == pytest.approx(expected, abs=1e-5)


def test_scores_of_any_scorer_can_be_measured() -> None:
    """The seam for late interaction and cross-encoders: scores are enough."""
    scores = PairScores(np.array([4.0, 5.0, 6.0]), {0: np.array([-3.0, -2.0, 1.0])})
    figures = measure_pair_scores(scores, n_resamples=20)
    assert figures["AUC"].value == 1.0
    expected = scipy.stats.pearsonr([4, 5, 6, -3, -2, 1], [1, 1, 1, 0, 0, 0]).statistic
    assert figures["Pearson"].value == pytest.approx(expected, abs=1e-9)


def test_an_encoder_without_usable_vectors_is_named(encoder) -> None:
    encoder.encode = lambda texts, normalize_embeddings=True: np.full(
        (len(list(texts)), encoder.dim), np.nan, np.float32
    )
    with pytest.raises(InputError, match="words returned a vector that is not finite for text 0: "):
        evaluate(encoder)
    encoder.encode = lambda texts, normalize_embeddings=True: np.zeros((len(list(texts)), 3), np.float32)
    with pytest.raises(InputError, match=r"shape \(30, 3\) .* \(30, 64\) was expected"):
        evaluate(encoder)


def test_an_encoder_that_knows_nothing_has_no_correlation(encoder) -> None:
    encoder.encode = lambda texts, normalize_embeddings=True: np.eye(1, encoder.dim, dtype=np.float32).repeat(
        len(list(texts)), axis=0
    )
    with pytest.raises(InputError, match="all scores"):
        evaluate(encoder)


def draw_probabilities(n: int = 300) -> PairScores:
    rng = np.random.default_rng(0)
    return PairScores(rng.beta(5, 2, n), {seed: rng.beta(2, 5, n) for seed in (0, 1)})


def test_brier_is_the_mean_squared_distance_to_the_label():
    scores = draw_probabilities()
    figure = measure_probabilities(scores, 200)["Brier"]
    for seed, negative in scores.negative.items():
        expected = (np.sum((1 - scores.positive) ** 2) + np.sum(negative**2)) / 600
        assert figure.per_seed[seed] == pytest.approx(expected)
    assert figure.interval[0] < figure.value < figure.interval[1]


def test_ece_is_the_mean_gap_of_fifteen_bins():
    scores = draw_probabilities()
    figure = measure_probabilities(scores, 200)["ECE"]
    for seed, negative in scores.negative.items():
        probabilities = np.concatenate([scores.positive, negative])
        labels = np.repeat([1.0, 0.0], 300)
        bins = np.array_split(np.argsort(probabilities), 15)  # 600 / 15 each
        expected = np.mean([abs(probabilities[rows].mean() - labels[rows].mean()) for rows in bins])
        assert figure.per_seed[seed] == pytest.approx(expected)
    assert figure.interval[0] < figure.interval[1]


def test_probabilities_that_made_the_labels_are_calibrated_and_shifted_ones_are_not():
    rng = np.random.default_rng(1)
    probabilities = rng.random(60_000)
    is_positive = rng.random(60_000) < probabilities
    n = min(is_positive.sum(), (~is_positive).sum())
    scores = PairScores(probabilities[is_positive][:n], {0: probabilities[~is_positive][:n]})
    assert measure_probabilities(scores, 1)["ECE"].value < 0.02
    assert measure_probabilities(scores.map(np.sqrt), 1)["ECE"].value > 0.1
