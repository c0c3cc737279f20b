"""Classification by a linear probe: how much of a text's class can be read off its embedding?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pubvec.encoder import BiEncoderScorer
from pubvec.errors import InputError, require
from pubvec.evaluation.measures import FloatArray, IntArray, draw_resamples, interval_of
from pubvec.evaluation.ranking import check_vectors
from pubvec.evaluation.results import Figure, Outcome
from pubvec.evaluation.tasks.columns import text_column
from pubvec.evaluation.tasks.published_sets import find_path
from pubvec.evaluation.tasks.sets import LabeledSet
from pubvec.tablefiles import read_columns

_MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class ClassificationTask:
    """The task reads texts, each with its class, from two columns of a file."""

    name: str
    file: str
    text: str
    label: str
    """The column of classes: texts or whole numbers."""
    n_folds: int = 5
    seed: int = 0

    def files(self, data: Path) -> list[Path]:
        """Return the files that decide the result."""
        return [find_path(data, self.file)]

    def load(self, data: Path) -> LabeledSet:
        """Read the texts.

        Raises:
            InputError: the file or a column is missing, a text is blank, a label is neither text nor whole number,
                or there is one class, or one of fewer texts than folds.
        """
        (path,) = self.files(data)
        columns = read_columns(path, [self.text, self.label])
        columns[self.label] = [
            str(label) if isinstance(label, int) else label for label in columns[self.label]
        ]
        labels = text_column(columns, self.label, path)
        counts = Counter(labels)
        rarest = min(counts, key=lambda label: counts[label])
        if len(counts) < 2 or counts[rarest] < self.n_folds:
            raise InputError(
                f"{path}: {self.label!r} has {len(counts)} classes, and {rarest!r} has {counts[rarest]} texts: "
                f"expected 2 or more classes of {self.n_folds} or more texts"
            )
        return LabeledSet(text_column(columns, self.text, path), labels, self.n_folds, self.seed)


def evaluate_classification(scorer: BiEncoderScorer, labeled: LabeledSet, *, n_resamples: int) -> Outcome:
    """Measure accuracy and macro F1 of logistic regression on frozen unit vectors, with intervals over texts.

    Each text is classified by the regression that was fitted on the folds without it; scikit-learn's defaults
    (L2, C = 1), stratified folds. F1 is the mean over classes of F1 over all texts together.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    vectors = check_vectors(scorer.encode_documents(labeled.texts), labeled.texts, scorer)
    classes, labels = np.unique(labeled.labels, return_inverse=True)
    predicted = _predict(vectors, labels, labeled)
    counts = draw_resamples(len(labels), n_resamples)
    is_right = (predicted == labels).astype(float)
    once = np.ones((1, len(labels)))
    figures = {
        "Accuracy": Figure(
            float(is_right.mean()),
            interval_of(counts @ is_right / len(labels)),
            per_query={str(row): value for row, value in enumerate(is_right.tolist())},
        ),
        "F1": Figure(
            float(macro_f1(labels, predicted, once)[0]), interval_of(macro_f1(labels, predicted, counts))
        ),
    }
    scores = {"label": labeled.labels, "predicted": classes[predicted].tolist()}
    return Outcome(len(labels), len(classes), figures, scores, "logistic regression on the embedding")


def macro_f1(labels: IntArray, predicted: IntArray, counts: FloatArray) -> FloatArray:
    """Compute the mean over classes of F1 in each resample; a class that a resample lacks is left out of its mean.

    *Shape:* `labels`, `predicted`: (n,); `counts`: (n_resamples, n); returns (n_resamples,)
    """
    classes = np.unique(labels)
    is_label, is_predicted = labels[:, None] == classes, predicted[:, None] == classes
    n_either = counts @ (is_label.astype(float) + is_predicted)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(2 * (counts @ (is_label & is_predicted)) / n_either, axis=1))


def _predict(vectors: FloatArray, labels: IntArray, labeled: LabeledSet) -> IntArray:
    """Predict the class of each text by the regression that was fitted on the other folds. *Shape:* (n,)"""
    linear = require("sklearn.linear_model", extra="train")
    selection = require("sklearn.model_selection", extra="train")
    folds = selection.StratifiedKFold(labeled.n_folds, shuffle=True, random_state=labeled.seed)
    probe = linear.LogisticRegression(max_iter=_MAX_ITERATIONS)
    return np.asarray(selection.cross_val_predict(probe, vectors, labels, cv=folds))
