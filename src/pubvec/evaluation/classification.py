"""Classification by a linear probe: what can be read from frozen embeddings by logistic regression.

As SentEval does it (Conneau and Kiela 2018, arXiv 1803.05449): five stratified folds, each predicted by a model of the rest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pubvec.encoder.scorer import BiEncoderScorer, Scorer
from pubvec.errors import ConfigError, InputError, require
from pubvec.evaluation.datafiles import read_columns, text_column
from pubvec.evaluation.measures import FloatArray, IntArray, draw_resamples, interval_of
from pubvec.evaluation.results import Figure, Outcome
from pubvec.evaluation.retrieval import check_vectors

_N_FOLDS = 5
_MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class LabeledSet:
    """Texts and their classes. *Shape:* (n,) each"""

    texts: list[str]
    labels: list[str]


@dataclass(frozen=True)
class ClassificationTask:
    """Two columns of a Parquet, CSV, TSV or JSON Lines file: a text and its label."""

    name: str
    file: str
    text: str
    label: str

    def files(self, data: Path) -> list[Path]:
        """The files that decide the result."""
        return [data / self.file]

    def load(self, data: Path) -> LabeledSet:
        """Read the texts.

        Raises:
            InputError: the file or a column is missing, a text or label is empty, there is one class, or a class has
                fewer texts than there are folds.
        """
        (path,) = self.files(data)
        columns = read_columns(path, [self.text, self.label])
        columns[self.label] = [None if value is None else str(value) for value in columns[self.label]]
        labels = text_column(columns, self.label, path)
        rarest, n_rarest = min(Counter(labels).items(), key=lambda item: item[1])
        if len(set(labels)) < 2 or n_rarest < _N_FOLDS:
            raise InputError(
                f"{path}: {n_rarest} texts have the label {rarest!r} of {len(set(labels))}: expected two labels or more, "
                f"of {_N_FOLDS} texts at least"
            )
        return LabeledSet(text_column(columns, self.text, path), labels)


def evaluate_classification(scorer: Scorer, texts: LabeledSet, *, n_resamples: int) -> Outcome:
    """Accuracy, and F1 as the mean over classes, of texts that the probe has not seen; intervals over texts.

    Raises:
        ConfigError: the scorer has no embeddings of texts.
        MissingExtraError: scikit-learn is not installed.
    """
    if not isinstance(scorer, BiEncoderScorer):
        raise ConfigError(f"{scorer.name} is a {scorer.kind}: a linear probe needs a bi-encoder's embeddings")
    classes, labels = np.unique(texts.labels, return_inverse=True)
    predicted = _predict(check_vectors(scorer.encode_documents(texts.texts), texts.texts, scorer), labels)
    is_right = (predicted == labels).astype(np.float64)
    counts = draw_resamples(len(labels), n_resamples)
    once = np.ones((1, len(labels)), np.float32)
    figures = {
        "accuracy": Figure(
            float(is_right.mean()),
            interval_of(counts @ is_right / len(labels)),
            per_query={str(row): value for row, value in enumerate(is_right.tolist())},
        ),
        "F1 (macro)": Figure(
            float(_macro_f1(labels, predicted, once)[0]), interval_of(_macro_f1(labels, predicted, counts))
        ),
    }
    return Outcome(len(labels), len(classes), figures, {}, "logistic regression on the embedding")


def _predict(vectors: FloatArray, labels: IntArray) -> IntArray:
    """The class of each text by a model of the other folds. *Shape:* (n, dim), (n,) → (n,)"""
    linear, selection = (
        require(f"sklearn.{module}", extra="train") for module in ("linear_model", "model_selection")
    )
    folds = selection.StratifiedKFold(_N_FOLDS, shuffle=True, random_state=0)
    model = linear.LogisticRegression(max_iter=_MAX_ITERATIONS)
    return np.asarray(selection.cross_val_predict(model, vectors, labels, cv=folds))


def _macro_f1(labels: IntArray, predicted: IntArray, counts: FloatArray) -> FloatArray:
    """Mean over classes of 2 · hits / (true + predicted) in each resample; 0 for a class that is in neither.

    *Shape:* (n,), (n,), (n_resamples, n) → (n_resamples,)
    """
    values = []
    for number in range(int(labels.max()) + 1):
        hits = counts @ ((labels == number) & (predicted == number))
        total = counts @ ((labels == number).astype(np.float32) + (predicted == number))
        values.append(np.divide(2 * hits, total, out=np.zeros(len(counts)), where=total > 0))
    return np.asarray(np.mean(values, axis=0))
