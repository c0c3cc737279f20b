from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_world import WordEncoder

from pubvec.cli import run
from pubvec.errors import InputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from pubvec.evaluation.pair_scores import PairScores, measure_probabilities
from pubvec.evaluation.plots import plot_results, reliability

PNG = b"\x89PNG\r\n"


@pytest.fixture
def results(data: Path, tmp_path: Path) -> Path:
    models = {"all-MiniLM-L6-v2": WordEncoder(), "own": WordEncoder(dim=16)}
    evaluate(
        models, ["pubmed-qa", "cysticfibrosis"], data, tmp_path / "results", EvaluateConfig(n_resamples=20)
    )
    return tmp_path / "results"


def test_a_picture_of_quality_and_one_of_the_scores_of_each_task_of_pairs(
    results: Path, tmp_path: Path
) -> None:
    drawn = plot_results(results, tmp_path / "plots")
    assert [path.name for path in drawn] == [
        "quality.png",
        "scores-all-MiniLM-L6-v2-pubmed-qa.png",
        "scores-own-pubmed-qa.png",
    ]
    assert all(path.read_bytes().startswith(PNG) for path in drawn)


def test_probabilities_are_drawn_where_the_model_was_calibrated(results: Path, tmp_path: Path) -> None:
    path = results / "own" / "pubmed-qa.json"
    result = json.loads(path.read_text())
    result["scores"]["calibration"] = {"slope": 9.0, "intercept": -4.0}
    path.write_text(json.dumps(result))
    sizes = {path.name: path.stat().st_size for path in plot_results(results, tmp_path / "plots")}
    assert sizes["scores-own-pubmed-qa.png"] > 1.5 * sizes["scores-all-MiniLM-L6-v2-pubmed-qa.png"]


def test_the_points_of_reliability_lie_as_far_off_as_ece_says() -> None:
    rng = np.random.default_rng(0)
    scores = PairScores(rng.beta(3, 1, 300), {0: rng.beta(1, 2, 300)})
    probabilities = np.concatenate([scores.positive, scores.negative[0]])
    predicted, observed = reliability(probabilities, np.repeat([1.0, 0.0], 300))
    assert len(predicted) == 15
    assert np.abs(predicted - observed).mean() == pytest.approx(
        measure_probabilities(scores, 20)["ECE"].value
    )


def test_compare_draws(results: Path, tmp_path: Path) -> None:
    assert run(["compare", str(results), "--plots", str(tmp_path / "plots")]) == 0
    assert (tmp_path / "plots" / "quality.png").exists()


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no result"):
        plot_results(tmp_path, tmp_path / "plots")
