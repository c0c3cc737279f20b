from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_world import DRUGS, ORGANS, write_parquet

from pubvec.encoder.scorer import BiEncoderScorer
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from pubvec.evaluation.tasks import find_task
from pubvec.evaluation.tasks.classification import evaluate_classification, macro_f1
from pubvec.evaluation.tasks.sets import LabeledSet

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is of the train extra")

TEXTS = [f"{drug} harms the {organ} of {other}" for organ in ORGANS[:4] for drug in DRUGS for other in DRUGS]
LABELS = [text.split()[3] if n % 3 else text.split()[0] for n, text in enumerate(TEXTS)]


@pytest.fixture
def labeled() -> LabeledSet:
    """256 texts of twelve classes of unlike size, which cannot all be told."""
    return LabeledSet(TEXTS, LABELS, n_folds=5, seed=0)


def test_figures_equal_scikit_learns(encoder, labeled: LabeledSet) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    outcome = evaluate_classification(BiEncoderScorer(encoder), labeled, n_resamples=200)
    vectors, labels = encoder.encode(TEXTS), np.array(LABELS)
    predicted = np.empty_like(labels)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(vectors, labels):
        probe = LogisticRegression(max_iter=1000).fit(vectors[train], labels[train])
        predicted[test] = probe.predict(vectors[test])
    assert outcome.scores == {"label": LABELS, "predicted": predicted.tolist()}
    figures = outcome.figures
    assert figures["Accuracy"].value == pytest.approx(metrics.accuracy_score(labels, predicted), abs=1e-6)
    expected = metrics.f1_score(labels, predicted, average="macro")
    assert figures["F1"].value == pytest.approx(expected, abs=1e-6)
    assert (outcome.n, outcome.n_documents) == (256, 12)
    assert figures["Accuracy"].per_query["0"] == float(predicted[0] == labels[0])
    assert np.mean(list(figures["Accuracy"].per_query.values())) == pytest.approx(figures["Accuracy"].value)
    for figure in figures.values():
        assert figure.interval[0] < figure.value < figure.interval[1]


def test_f1_of_a_resample_is_that_of_the_drawn_texts() -> None:
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    counts = rng.multinomial(60, np.full(60, 1 / 60), 5)
    for row, count in enumerate(counts):
        drawn = np.repeat(np.arange(60), count)
        expected = metrics.f1_score(labels[drawn], predicted[drawn], average="macro")
        assert macro_f1(labels, predicted, counts)[row] == pytest.approx(expected, abs=1e-6)


def test_a_file_with_labels(encoder, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "drugs.parquet", text=TEXTS, label=[n % 2 for n in range(len(TEXTS))])
    task = f"classify:{path}:text,label"
    config = EvaluateConfig(n_resamples=20)
    (result,) = evaluate([encoder], [task], tmp_path, tmp_path / "out", config)
    assert result.task == "classify-drugs"
    assert result.identity.config["task"]["n_folds"] == 5
    assert set(result.figures) == {"Accuracy", "F1"}
    assert evaluate([encoder], [task], tmp_path, tmp_path / "out", config) == [result]


@pytest.mark.parametrize("kind", ["late", "cross"])
def test_only_embeddings_can_be_probed(
    kind: str, encoder, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = write_parquet(tmp_path / "drugs.parquet", text=TEXTS, label=LABELS)
    model = request.getfixturevalue(kind)
    with pytest.raises(ConfigError, match="classify-drugs needs an embedding of a text: give bi-encoders"):
        evaluate([encoder, model], [f"classify:{path}:text,label"], tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists(), "refused before a model runs"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 10, "'label' has 1 classes, and 'a' has 10 texts: expected 2 or more classes of 5"),
        (
            ["a"] * 6 + ["b"] * 4,
            "'label' has 2 classes, and 'b' has 4 texts: expected 2 or more classes of 5",
        ),
        (["a"] * 5 + ["b"] * 4 + [None], "row 9: 'label' is None"),
        ([0.5] * 5 + [1.5] * 5, "row 0: 'label' is 0.5"),
    ],
)
def test_bad_labels(labels: list, message: str, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "own.parquet", text=TEXTS[:10], label=labels)
    with pytest.raises(InputError, match=message):
        find_task(f"classify:{path}:text,label").load(tmp_path)
