"""A logistic curve from cosine to probability, fitted on pairs and kept with the model as `calibration.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pubvec.encoder.output_format import FloatArray
from pubvec.errors import InputError
from pubvec.files import json_ready, write_json

_Array = npt.NDArray[np.float64]
_N_STEPS = 50
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Calibration:
    """The probability that two texts belong together is 1 / (1 + exp(-(slope · cosine + intercept))).

    The curve was fitted on pairs of which one in two belongs together. Among the articles that a search ranks far fewer
    do; `apply` takes that share as `prior` and corrects the probability for it.
    """

    FILE: ClassVar[str] = "calibration.json"
    """The place of the calibration in a model folder."""

    slope: float
    intercept: float
    made_from: Mapping[str, Any] = field(default_factory=dict)
    """The pairs that it was fitted on, their number and hash, and the encoder."""

    def apply(self, cosines: FloatArray, *, prior: float = 0.5) -> FloatArray:
        """Turn cosines into probabilities. *Shape:* any; the result has the same shape, float32

        Args:
            cosines: the cosine of each pair.
            prior: the share of such pairs that belong together, between 0 and 1.
        """
        logits = (
            self.slope * np.asarray(cosines, dtype=np.float64) + self.intercept + np.log(prior / (1 - prior))
        )
        # The exponent is never positive, so exp does not overflow.
        small = np.exp(-np.abs(logits))
        probabilities: FloatArray = np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(
            np.float32
        )
        return probabilities

    @property
    def threshold(self) -> float:
        """The cosine at which the probability is one half."""
        return -self.intercept / self.slope

    @classmethod
    def read(cls, folder: Path) -> Calibration:
        """Read the calibration of the model in `folder`.

        Raises:
            InputError: it has none, or a damaged one.
        """
        path = folder / cls.FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(float(values["slope"]), float(values["intercept"]), values["made_from"])
        except FileNotFoundError as error:
            raise InputError(
                f"{folder} has no {cls.FILE}: `pubvec calibrate {folder} --pairs PAIRS` makes it"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error}): calibrate again with --force") from error

    def write(self, folder: Path) -> None:
        """Write `calibration.json` into `folder`, atomically."""
        write_json(folder / self.FILE, json_ready(self))

    @classmethod
    def fit(cls, positive: FloatArray, negative: FloatArray) -> Calibration:
        """Fit the most likely logistic curve by Newton's method; both kinds of pair weigh the same.

        Targets are smoothed as in Platt 1999 (Advances in Large Margin Classifiers, "Probabilistic outputs for support
        vector machines"), so that separable scores have a finite slope.

        *Shape:* `positive` (n_positives,) and `negative` (n_negatives,) are cosines of pairs

        Raises:
            InputError: there is no score of one kind, or positives do not score above negatives on average.
        """
        n_positives, n_negatives = len(positive), len(negative)
        if not n_positives or not n_negatives or np.mean(positive) <= np.mean(negative):
            raise InputError(
                f"{n_positives} positive and {n_negatives} negative scores show no difference to fit a curve on"
            )
        scores = np.concatenate([positive, negative]).astype(np.float64)
        targets = np.repeat(
            [(n_positives + 1) / (n_positives + 2), 1 / (n_negatives + 2)], [n_positives, n_negatives]
        )
        weights = np.repeat([0.5 / n_positives, 0.5 / n_negatives], [n_positives, n_negatives])
        inputs = np.column_stack([scores, np.ones_like(scores)])
        curve = np.zeros(2)
        for _ in range(_N_STEPS):
            probabilities = 1 / (1 + np.exp(-np.clip(inputs @ curve, -500, 500)))
            gradient = inputs.T @ (weights * (probabilities - targets))
            curvature = (inputs.T * (weights * probabilities * (1 - probabilities))) @ inputs
            step = np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient)
            curve = curve - _shorten(step, inputs, targets, weights, curve)
            if np.abs(step).max() < _TOLERANCE * (1 + np.abs(curve).max()):
                break
        return cls(float(curve[0]), float(curve[1]))


def _shorten(step: _Array, inputs: _Array, targets: _Array, weights: _Array, curve: _Array) -> _Array:
    """Halve a Newton step until the loss does not rise."""

    def loss(candidate: _Array) -> float:
        logits = inputs @ candidate
        return float(weights @ (np.logaddexp(0, logits) - targets * logits))

    before = loss(curve)
    while loss(curve - step) > before and np.abs(step).max() > _TOLERANCE:
        step = step / 2
    return step
