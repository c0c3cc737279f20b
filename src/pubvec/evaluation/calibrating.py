"""The verb `calibrate` fits the probability that two texts belong together on held-out pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from pubvec.encoder import (
    BiEncoderScorer,
    Calibration,
    TextEncoder,
    choose_backend,
    load,
    resolve,
)
from pubvec.errors import InputError, OutputError
from pubvec.evaluation.config import CalibrateConfig
from pubvec.evaluation.pair_scores import PairScores, measure_probabilities
from pubvec.evaluation.tasks.pairs import draw_negatives
from pubvec.files import fingerprint, read_manifest

_N_FEWEST = 20


class CalibrateReport(NamedTuple):
    """The report says what was fitted, and how good it is on pairs that the fit has not seen."""

    calibration: Calibration
    figures: dict[str, float]
    """This maps a measure to its mean over two halves of the pairs, each measured with the curve of the other half."""


def calibrate(
    model: str | Path, pairs: Path | str, config: CalibrateConfig | None = None, *, force: bool = False
) -> CalibrateReport:
    """Write `calibration.json` into the folder of `model`, fitted on `dev.parquet` of a `pairs/` folder.

    Args:
        model: a folder.
        pairs: folder made by `pubvec pairs`; its dev pairs are of no article that training has seen.
        config: None: the defaults.
        force: replace an earlier calibration.

    Raises:
        InputError: a folder is missing, or has too few pairs of these rules.
        OutputError: the model is calibrated already and not `force`.
    """
    config = config or CalibrateConfig()
    folder = resolve(model)
    if folder != Path(model).expanduser():
        raise InputError(f"{model} is in a cache, which is left as it is: give a folder")
    if (folder / Calibration.FILE).exists() and not force:
        raise OutputError(f"{folder} has a {Calibration.FILE} already: add --force to replace it")
    anchors, positives = _read(Path(pairs), config)
    backend, precision = choose_backend(folder, config.backend, config.precision)
    encoder = load(
        folder,
        backend=backend,
        precision=precision,
        max_seq_length=config.max_seq_length,
    )
    scores = _score(encoder, anchors, positives, config)
    made_from = {
        "pairs": fingerprint(pairs),
        "rules": list(config.rules) or "all",
        "n_pairs": len(anchors),
        "seeds": list(config.seeds),
        "prior": 0.5,
        "encoder": type(encoder).__name__,
        "backend": backend,
        "precision": precision,
        "max_seq_length": encoder.max_seq_length,
    }
    figures = _cross_fit(scores)
    calibration = replace(_fit(scores), made_from={**made_from, "cross_fitted": figures})
    calibration.write(folder)
    return CalibrateReport(calibration, figures)


def _read(pairs: Path, config: CalibrateConfig) -> tuple[list[str], list[str]]:
    read_manifest(pairs, made_by="pairs")
    table = pq.read_table(pairs / "dev.parquet", columns=["anchor", "positive", "rule"]).to_pylist()
    rows = [row for row in table if not config.rules or row["rule"] in config.rules]
    if len(rows) < _N_FEWEST:
        rules = ", ".join(config.rules) or "any"
        raise InputError(
            f"{pairs} has {len(rows)} dev pairs of rule {rules}: expected {_N_FEWEST} or more, see n_dev"
        )
    return [row["anchor"] for row in rows], [row["positive"] for row in rows]


def _score(
    encoder: TextEncoder, anchors: list[str], positives: list[str], config: CalibrateConfig
) -> PairScores:
    scorer = BiEncoderScorer(encoder)
    left, right = scorer.encode_queries(anchors), scorer.encode_documents(positives)
    columns = [np.arange(len(left)), *(draw_negatives(len(left), seed) for seed in config.seeds)]
    return PairScores.of(config.seeds, [np.einsum("ij,ij->i", left, right[column]) for column in columns])


def _fit(scores: PairScores) -> Calibration:
    return Calibration.fit(scores.positive, np.concatenate(list(scores.negative.values())))


def _cross_fit(scores: PairScores) -> dict[str, float]:
    """Measure each half of the pairs with the curve of the other half, and return the means."""
    halves: list[Any] = [scores.map(lambda values, start=start: values[start::2]) for start in (0, 1)]  # type: ignore[misc]
    measured = [
        measure_probabilities(seen.map(_fit(unseen).apply), n_resamples=1)
        for seen, unseen in (halves, halves[::-1])
    ]
    return {
        name: round(float(np.mean([figures[name].value for figures in measured])), 6) for name in measured[0]
    }
