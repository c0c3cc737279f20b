"""Pictures of a `results/` folder show quality by speed and size, distributions of scores, and reliability diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pubvec.encoder import Calibration
from pubvec.errors import require
from pubvec.evaluation.comparing import read_results
from pubvec.evaluation.measures import FloatArray
from pubvec.evaluation.pair_scores import PairScores
from pubvec.evaluation.results import Result
from pubvec.evaluation.systems import SYSTEMS, find_system

QUALITIES = (("pubmed-qa", "Pearson"), ("pubmed-qa-retrieval", "RR"), ("cysticfibrosis", "nDCG@10"))
"""The picture of quality shows these tasks and measures, where they were measured."""
_N_BINS = 15


def plot_results(results: Path | str, output: Path | str) -> list[Path]:
    """Draw a `results/` folder into PNG files in the folder `output`, and return them.

    `quality.png`, if one of `QUALITIES` was measured: each system's figure against the texts that it took a second while it
    was measured, and against its parameters, published systems that were not measured as empty marks.
    `scores-SYSTEM-TASK.png` for each task of pairs: histograms of positives' and negatives' scores; of a calibrated model
    also those of its probabilities, and its reliability diagram.

    Raises:
        InputError: the folder is missing or holds no result, or a file in it is damaged.
        MissingExtraError: matplotlib is not installed.
    """
    found, output = read_results(results), Path(output)
    output.mkdir(parents=True, exist_ok=True)
    measured = [(task, name) for task, name in QUALITIES if _of_task(found, task, name)]
    paths = []
    if measured:
        paths.append(output / "quality.png")
        _plot_quality(found, measured, paths[-1])
    for result in found:
        if "positive" in result.scores:
            paths.append(output / f"scores-{result.system}-{result.task}.png")
            _plot_scores(result, paths[-1])
    return paths


def reliability(probabilities: FloatArray, labels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute the points of a reliability diagram: mean probability and share of positives, in bins of as many pairs each.

    The bins are those of ECE (`pair_scores.measure_probabilities`). *Shape:* (n,), (n,) → (n_bins,), (n_bins,)
    """
    order = np.argsort(probabilities, kind="stable")
    bins = np.array_split(order, min(_N_BINS, len(order)))
    means = [(probabilities[rows].mean(), labels[rows].mean()) for rows in bins]
    predicted, observed = np.array(means, dtype=float).T
    return predicted, observed


def _of_task(results: Sequence[Result], task: str, measure: str) -> list[Result]:
    return [result for result in results if result.task == task and measure in result.figures]


def _plot_quality(results: Sequence[Result], measured: Sequence[tuple[str, str]], path: Path) -> None:
    plt = open_pyplot()
    figure, rows = plt.subplots(
        len(measured), 2, figsize=(11, 3.4 * len(measured)), squeeze=False, sharey="row"
    )
    for (by_speed, by_size), (task, measure) in zip(rows, measured, strict=True):
        of_task = _of_task(results, task, measure)
        for result in of_task:
            value = 100 * result.figures[measure].value
            _mark(by_speed, (result.n + result.n_documents) / result.seconds, value, result.system)
            if (system := find_system(result.system)) is not None:
                _mark(by_size, system.n_parameters, value, result.system)
        known = {result.system for result in of_task}
        for system in SYSTEMS:
            figure_of = system.published.get(task)
            if system.name not in known and figure_of is not None and figure_of.measure == measure:
                _mark(by_size, system.n_parameters, 100 * figure_of.value, system.name, is_published=True)
        by_speed.set(xlabel="texts a second while measured", ylabel=f"{task} {measure}", xscale="log")
        by_size.set(xlabel="parameters (empty: as published)", xscale="log")
    save_figure(plt, figure, path)


def _mark(axes: Any, x: float, y: float, name: str, *, is_published: bool = False) -> None:
    axes.plot(
        [x],
        [y],
        "o",
        color="tab:gray" if is_published else "tab:blue",
        fillstyle="none" if is_published else "full",
    )
    axes.annotate(name, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7)
    axes.margins(x=0.35, y=0.15)


def _plot_scores(result: Result, path: Path) -> None:
    scores = PairScores.from_lists(result.scores)
    calibration = _calibration_of(result)
    plt = open_pyplot()
    figure, panels = plt.subplots(
        1, 3 if calibration else 1, figsize=(12 if calibration else 5, 3.4), squeeze=False
    )
    _plot_histogram(panels[0][0], scores, result.score_definition.removeprefix("sigmoid of the "))
    if calibration is not None:
        scores = scores.map(calibration.apply)
        _plot_histogram(panels[0][1], scores, "calibrated probability")
        negative = np.concatenate([*scores.negative.values()])
        positive = np.tile(scores.positive, len(scores.negative))
        labels = np.repeat([1.0, 0.0], len(negative))
        axes = panels[0][2]
        axes.plot([0, 1], [0, 1], "--", color="gray")
        axes.plot(*reliability(np.concatenate([positive, negative]), labels), "o-")
        axes.set(xlabel="mean probability", ylabel="share of positives")
    figure.suptitle(f"{result.system}, {result.task}")
    save_figure(plt, figure, path)


def _calibration_of(result: Result) -> Calibration | None:
    fitted = result.scores.get("calibration")
    return None if fitted is None else Calibration(fitted["slope"], fitted["intercept"])


def _plot_histogram(axes: Any, scores: PairScores, label: str) -> None:
    negative = np.concatenate([*scores.negative.values()])
    edges = np.histogram_bin_edges(np.concatenate([scores.positive, negative]), 50)
    for values, name in ((negative, "random pairs"), (scores.positive, "pairs that belong together")):
        axes.hist(values, edges, density=True, alpha=0.6, label=name)
    axes.set(xlabel=label, ylabel="density")
    axes.legend(fontsize=8)


def open_pyplot() -> Any:
    """Return the pyplot of matplotlib, set to draw into files alone.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib", extra="train").use("Agg")
    return require("matplotlib.pyplot", extra="train")


def save_figure(plt: Any, figure: Any, path: Path) -> None:
    """Write a figure as PNG and close it."""
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
