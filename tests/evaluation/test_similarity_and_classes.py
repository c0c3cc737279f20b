"""Human scores and linear probes, against scipy, sentence-transformers and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from evaluation_world import DRUGS, ORGANS, WordEncoder, write_parquet
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluate import evaluate
from pubvec.evaluation.tasks import find_task

CONFIG = EvaluateConfig(n_resamples=50)


@pytest.fixture
def graded(tmp_path: Path) -> Path:
    """Pairs that share a drug, an organ, both or neither, with whole and half grades."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        drugs, organs = rng.choice(DRUGS, 2), rng.choice(ORGANS, 2)
        grade = float((drugs[0] == drugs[1]) + 2 * (organs[0] == organs[1])) + float(rng.integers(3)) / 2
        rows.append((f"{drugs[0]} in the {organs[0]}", f"{organs[1]} under {drugs[1]}", grade))
    return write_parquet(
        tmp_path / "graded.parquet",
        **dict(zip(("a", "b", "score"), map(list, zip(*rows, strict=True)), strict=True)),
    )


@pytest.fixture
def labeled(tmp_path: Path) -> Path:
    texts = [f"{drug} in the {organ}, {n}" for n in range(3) for organ in ORGANS[:4] for drug in DRUGS]
    labels = [organ for n in range(3) for organ in ORGANS[:4] for drug in DRUGS]
    labels[0] = ORGANS[1]
    return write_parquet(tmp_path / "labeled.parquet", text=texts, label=labels)


def test_similarity_equals_scipy_and_sentence_transformers(
    graded: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (result,) = evaluate([tiny_model], [f"sts:{graded}:a,b,score"], tmp_path, tmp_path / "results", CONFIG)
    scores, human = result.scores["score"], result.scores["human"]
    assert result.figures["Spearman"].value == pytest.approx(
        scipy.stats.spearmanr(scores, human)[0], abs=1e-6
    )
    assert result.figures["Pearson (human)"].value == pytest.approx(
        scipy.stats.pearsonr(scores, human)[0], abs=1e-6
    )
    pairs = find_task(f"sts:{graded}:a,b,score").load(tmp_path).pairs
    evaluator = EmbeddingSimilarityEvaluator(
        *map(list, zip(*pairs, strict=True)), human, main_similarity="cosine"
    )
    library = evaluator(SentenceTransformer(str(tiny_model), device="cpu"))
    assert result.figures["Spearman"].value == pytest.approx(library["spearman_cosine"], abs=1e-6)
    low, high = result.figures["Spearman"].interval
    assert low < result.figures["Spearman"].value < high
    assert result.n == 60


def test_classification_equals_scikit_learn(labeled: Path, tmp_path: Path) -> None:
    encoder = WordEncoder()
    (result,) = evaluate(
        {"words": encoder}, [f"classify:{labeled}:text,label"], tmp_path, tmp_path / "r", CONFIG
    )
    texts = find_task(f"classify:{labeled}:text,label").load(tmp_path)
    predicted = cross_val_predict(
        LogisticRegression(max_iter=1000),
        encoder.encode(texts.texts),
        texts.labels,
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
    )
    assert result.figures["accuracy"].value == pytest.approx(
        accuracy_score(texts.labels, predicted), abs=1e-12
    )
    assert result.figures["F1 (macro)"].value == pytest.approx(
        f1_score(texts.labels, predicted, average="macro"), abs=1e-6
    )
    assert 0.9 < result.figures["accuracy"].value < 1, "words tell organs apart, but for the wrong label"
    assert (result.n, result.n_documents) == (96, 4)


def test_a_probe_needs_embeddings(labeled: Path, cross: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="is a cross-encoder: a linear probe needs a bi-encoder's embeddings"
    ):
        evaluate([cross], [f"classify:{labeled}:text,label"], tmp_path, tmp_path / "results", CONFIG)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"score": [1.0, float("nan")]}, "row 1: 'score' is nan, and a number is needed"),
        ({"score": ["1", "high"]}, "row 1: 'score' is 'high', and a number is needed"),
        ({"score": [None, 1.0]}, "row 0: 'score' is None"),
        ({"score": [2.0, 2.0]}, "all values of 'score' are 2.0"),
        ({"score": [1, 2], "b": ["x", " "]}, "row 1: 'b' is blank"),
        ({"grade": [1, 2]}, "lacks the column 'score'"),
    ],
)
def test_bad_grades(columns: dict, message: str, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "bad.parquet", **({"a": ["p", "q"], "b": ["r", "s"]} | columns))
    with pytest.raises(InputError, match=message):
        find_task(f"sts:{path}:a,b,score").load(tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["x"] * 12, "12 texts have the label 'x' of 1: expected two labels or more"),
        (["x"] * 8 + ["y"] * 4, "4 texts have the label 'y' of 2"),
        (["x"] * 11 + [None], "row 11: 'label' is None"),
    ],
)
def test_bad_labels(labels: list, message: str, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "bad.parquet", text=[f"text {n}" for n in range(12)], label=labels)
    with pytest.raises(InputError, match=message):
        find_task(f"classify:{path}:text,label").load(tmp_path)
