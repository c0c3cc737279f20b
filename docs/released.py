"""The README's first sentence and table: the released models beside their rivals, from `results/SYSTEM/TASK.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pubvec.evaluation.results import Figure, read_result, result_path
from pubvec.evaluation.significance import paired_permutation_test
from pubvec.evaluation.systems import SYSTEMS, find_system

MODEL, START = "pubvec-small", "all-MiniLM-L6-v2"
RIVALS = (START, "all-mpnet-base-v2")
OURS = (MODEL, "pubvec-nano", "pubvec-reranker", "pubvec-colbert", "pubvec-base")
COLUMNS = (
    ("PubMed QA", "pubmed-qa", "Pearson"),
    ("title–abstract", "title-abstract", "Pearson"),
    ("article–abstract", "article-abstract", "Pearson"),
    ("PubMed QA, calibrated", "pubmed-qa", "Pearson (calibrated)"),
    ("cystic fibrosis nDCG@10", "cysticfibrosis", "nDCG@10"),
    ("PubMed QA RR", "pubmed-qa-retrieval", "RR"),
)
"""Heading, task and measure; the first three have published figures."""
N_PUBLISHED = 3
LEAST_P = 0.005


def figure(results: Path, system: str, task: str, measure: str) -> Figure | None:
    path = result_path(results, system, task)
    return read_result(path).figures.get(measure) if path.exists() else None


def percent(value: float) -> str:
    return f"{100 * value:.2f}"


def sentence(results: Path) -> str:
    """What pubvec-small is, in its figures."""
    ours, start = (_required(results, system, *COLUMNS[0][1:]) for system in (MODEL, START))
    published = _published("biomedbert-small-embeddings", "pubmed-qa")
    speed = _abstracts_per_s(results)
    return (
        f"**pubvec-small maps biomedical sentences and paragraphs to 384 numbers: 22.7M parameters, Pearson "
        f"{percent(ours.value)} on PubMed QA ({START} {percent(start.value)}, biomedbert-small-embeddings as "
        f"published {percent(published)}), {speed:,.0f} abstracts a second on two CPU cores without torch.**\n"
    )


def table(results: Path) -> str:
    """Ours, measured rivals with published figures beside them, and the published rest."""
    lines = ["| system | " + " | ".join(name for name, *_ in COLUMNS) + " |", "|---|" + "--:|" * len(COLUMNS)]
    measured = [name for name in (*OURS, *RIVALS) if (results / name).is_dir()]
    lines += [_row(results, name) for name in measured]
    lines += [
        _row(results, system.name) for system in SYSTEMS if system.published and system.name not in measured
    ]
    lines += [_error_row(results)]
    return "\n".join([*lines, "", *_tests(results)]) + "\n"


def _row(results: Path, system: str) -> str:
    cells = []
    for _, task, measure in COLUMNS:
        found, known = figure(results, system, task, measure), find_system(system)
        published = known.published.get(task) if known and measure == "Pearson" else None
        parts = [percent(found.value)] if found else []
        parts += [f"({percent(published.value)})"] if published else []
        cells.append(" ".join(parts) or "–")
    name = f"**{system}**" if system in OURS else system
    return f"| {name} | {' | '.join(cells)} |"


def _error_row(results: Path) -> str:
    """How much of MiniLM's distance to 100 pubvec-small removes."""
    cells = []
    for _, task, measure in COLUMNS:
        ours, start = (figure(results, system, task, measure) for system in (MODEL, START))
        cells.append(f"{1 - (1 - ours.value) / (1 - start.value):.0%}" if ours and start else "–")
    return f"| error of {START} that {MODEL} removes | {' | '.join(cells)} |"


def _tests(results: Path) -> list[str]:
    """One sentence for each retrieval measure and rival."""
    lines = []
    for heading, task, measure in COLUMNS[N_PUBLISHED + 1 :]:
        ours = _required(results, MODEL, task, measure)
        for rival in RIVALS:
            theirs = figure(results, rival, task, measure)
            if theirs is None or list(theirs.per_query) != list(ours.per_query):
                continue
            values = (np.array(list(found.per_query.values())) for found in (ours, theirs))
            difference, p = f"{100 * (ours.value - theirs.value):+.2f}", paired_permutation_test(*values)
            shown = f"p = {p:.2f}" if p >= LEAST_P else f"p < {LEAST_P}"
            lines.append(f"- {heading}, {MODEL} − {rival}: {difference}, paired permutation test {shown}")
    return lines


def _required(results: Path, system: str, task: str, measure: str) -> Figure:
    found = figure(results, system, task, measure)
    assert found is not None, f"results/{system}/{task}.json has no {measure}: `pubvec evaluate` makes it"
    return found


def _published(system: str, task: str) -> float:
    known: Any = find_system(system)
    return float(known.published[task].value)


def _abstracts_per_s(results: Path) -> float:
    """Median over rounds of the int8 encoder, from the encoder bench: the shape of the model decides it."""
    from statistics import median

    from pubvec.evaluation.encoder_record import read_record

    record = read_record(results / "bench-encoder.json")
    return float(median(record.contenders["pubvec int8"].rates["abstracts"]["all"]))
