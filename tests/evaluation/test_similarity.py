from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from evaluation_world import write_parquet

from pubvec.encoder import BiEncoderScorer, load_scorer
from pubvec.errors import InputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from pubvec.evaluation.tasks import find_task
from pubvec.evaluation.tasks.sets import RatedSet
from pubvec.evaluation.tasks.similarity import evaluate_similarity
from tiny_models import TEXTS

RATED = RatedSet(list(TEXTS), [text[15:] for text in TEXTS], [4, 3, 3, 5, 1, 2.5, 2, 0, 1, 4.5])


def test_figures_equal_scipy_and_sentence_transformers(tiny_model: Path) -> None:
    evaluation = pytest.importorskip("sentence_transformers.sentence_transformer.evaluation")
    scorer = load_scorer(tiny_model, backend="torch")
    outcome = evaluate_similarity(scorer, RATED, n_resamples=50)
    evaluator = evaluation.EmbeddingSimilarityEvaluator(
        RATED.texts, RATED.others, RATED.ratings, main_similarity="cosine", write_csv=False
    )
    theirs = evaluator(scorer.encoder.model)
    scores = outcome.scores["score"]
    assert len(scores) == outcome.n == 10
    for name, statistic in (("Spearman", scipy.stats.spearmanr), ("Pearson", scipy.stats.pearsonr)):
        figure = outcome.figures[name]
        assert figure.value == pytest.approx(theirs[f"{name.lower()}_cosine"], abs=1e-6)
        assert figure.value == pytest.approx(statistic(scores, RATED.ratings).statistic, abs=1e-6)
        assert figure.interval[0] < figure.value < figure.interval[1]


def test_the_interval_is_close_to_scipys(encoder) -> None:
    rng = np.random.default_rng(0)
    words = rng.choice([f"w{n}" for n in range(9)], (200, 8))
    texts = [" ".join(row) for row in words]
    others = [" ".join([*row[:n], "x"]) for row, n in zip(words, rng.integers(1, 8, 200), strict=True)]
    ratings = [
        float(len(text.split())) + noise for text, noise in zip(others, rng.normal(0, 2, 200), strict=True)
    ]
    outcome = evaluate_similarity(
        BiEncoderScorer(encoder), RatedSet(texts, others, ratings), n_resamples=2000
    )
    scores = np.array(outcome.scores["score"])
    expected = scipy.stats.bootstrap(
        (scores, np.array(ratings)),
        lambda x, y: scipy.stats.spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert outcome.figures["Spearman"].interval == pytest.approx(tuple(expected), abs=0.02)


def test_every_kind_of_scorer(late: Path, cross: Path) -> None:
    for model in (late, cross):
        outcome = evaluate_similarity(load_scorer(model), RATED, n_resamples=5)
        assert set(outcome.figures) == {"Spearman", "Pearson"}
    assert outcome.score_definition == "logit"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_with_human_scores(suffix: str, encoder, tmp_path: Path) -> None:
    path = tmp_path / f"biosses.{suffix}"
    if suffix == "csv":
        path.write_text("a,b,score\nthe liver,liver,4\nthe heart,skin,0.5\nan eye,an eye,4.5\n")
    else:
        columns = {"a": ["the liver", "the heart", "an eye"], "b": ["liver", "skin", "an eye"]}
        write_parquet(path, **columns, score=[4.0, 0.5, 4.5])
    (result,) = evaluate(
        [encoder], [f"sts:{path}:a,b,score"], tmp_path, tmp_path / "out", EvaluateConfig(n_resamples=9)
    )
    assert (result.task, result.n, result.score_definition) == ("sts-biosses", 3, "cosine")
    assert result.scores["rating"] == [4.0, 0.5, 4.5]
    assert result.figures["Spearman"].value == 1.0
    assert evaluate(
        [encoder], [f"sts:{path}:a,b,score"], tmp_path, tmp_path / "out", EvaluateConfig(n_resamples=9)
    ) == [result]


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        ([1.0, float("nan")], "row 1: 'r' is nan, and a number is needed"),
        ([1.0, None], "row 1: 'r' is None, and a number is needed"),
        (["1", "two"], "row 1: 'r' is 'two', and a number is needed"),
        ([True, False], "row 0: 'r' is True, and a number is needed"),
        ([1.0, 1.0], "all of 2 ratings in 'r' are 1: a correlation needs values that differ"),
    ],
)
def test_bad_ratings(ratings: list, message: str, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "own.parquet", a=["x", "y"], b=["x", "z"], r=ratings)
    with pytest.raises(InputError, match=message):
        find_task(f"sts:{path}:a,b,r").load(tmp_path)
