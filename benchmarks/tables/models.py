"""The tables of the released models beside their rivals, from `results/SYSTEM/TASK.json`: short ones for the README."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

from benchmarks.encoder import read_record
from pubvec.evaluation.comparing import Cell, Column, Row, compare, error_removed
from pubvec.evaluation.results import read_result, result_path
from pubvec.evaluation.significance import p_value

MODEL, START = "pubvec-small", "all-MiniLM-L6-v2"
RIVALS = (START, "all-mpnet-base-v2")
OURS = (MODEL, "pubvec-nano", "pubvec-reranker", "pubvec-colbert", "pubvec-base")
MODELS = Path(__file__).parents[2] / "models"
COLUMNS = (
    ("PubMed QA", Column("pubmed-qa", "Pearson")),
    ("title–abstract", Column("title-abstract", "Pearson")),
    ("article–abstract", Column("article-abstract", "Pearson")),
    ("PubMed QA, calibrated", Column("pubmed-qa", "Pearson (calibrated)")),
    ("cystic fibrosis nDCG@10", Column("cysticfibrosis", "nDCG@10")),
    ("PubMed QA RR", Column("pubmed-qa-retrieval", "RR")),
)
"""Heading and measure; the last ones are of retrieval."""
SHORT_COLUMNS = (
    ("PubMed QA, Pearson", Column("pubmed-qa", "Pearson")),
    ("PubMed QA, RR", Column("pubmed-qa-retrieval", "RR")),
    ("cystic fibrosis, nDCG@10", Column("cysticfibrosis", "nDCG@10")),
    ("MedQuAD, nDCG@10", Column("medquad", "nDCG@10")),
)
"""The columns of the README."""
N_CITATIONS = 137_394
"""The largest number of real citations that the search was measured on; larger indexes are copies of them."""
N_PAIR_MEASURES = 4
LEAST_P = 0.005

Cells = dict[Column, Cell | None]


@cache
def cells_by_system(results: Path) -> dict[str, Cells]:
    """All that is known of each system but ours that are not released: the measured ones, then the published rest."""
    table = compare(results, with_published=True)

    def cells_of(row: Row) -> Cells:
        return dict(zip(table.columns, row.cells, strict=True))

    return {row.system: cells_of(row) for row in table.rows if row.system == marked(row.system)}


def marked(system: str) -> str:
    """The name of a system, and of one of ours that it is not released."""
    is_open = system not in OURS or (MODELS / system).is_dir()
    return system if is_open else f"{system} (not released)"


def percent(value: float | None) -> str:
    """Return a fraction in percent, with two digits."""
    return "–" if value is None else f"{100 * value:.2f}"


def short_table(results: Path) -> str:
    """Return the README's table: three systems that were measured alike, and four measures."""
    cells = cells_by_system(results)
    lines = [
        "| in percent | " + " | ".join(name for name, _ in SHORT_COLUMNS) + " |",
        "|---|" + "--:|" * len(SHORT_COLUMNS),
    ]
    for system in (MODEL, *RIVALS):
        values = [cells[system].get(column) or Cell(None) for _, column in SHORT_COLUMNS]
        shown = " | ".join(percent(cell.value) for cell in values)
        lines.append(f"| {f'**{system}**' if system in OURS else system} | {shown} |")
    return "\n".join(lines) + "\n"


def speed(results: Path) -> str:
    """Return the README's rows on speed, each a benchmark with the figure of what it was compared with."""
    record = read_record(results / "bench-encoder.json")
    ours, theirs = (
        float(median(record.contenders[name].rates["abstracts"]["all"]))
        for name in ("pubvec int8", "sentence-transformers")
    )
    searches = json.loads((results / "bench-search.json").read_text())["points"]
    whole = next(point for point in searches if point["n_articles"] == N_CITATIONS)
    parsing = json.loads((results / "bench-parse.json").read_text())
    records = {
        name: parsing["counts"]["records"] / median(sample["seconds"] for sample in timing["samples"])
        for name, timing in parsing["timings"].items()
    }
    rows = (
        ("whole abstracts encoded a second", f"{ours:.0f}", f"{theirs:.0f}, sentence-transformers"),
        (
            "records of PubMed's XML parsed a second",
            f"{records['pubvec']:,.0f}",
            f"{records['pubmed-parser']:,.0f}, pubmed-parser",
        ),
        (
            f"hybrid search among {N_CITATIONS:,} articles",
            f"{whole['hybrid']['p50_ms']:.0f} ms",
            "–",
        ),
    )
    lines = [f"| on two cores, medians | {MODEL} | beside it |", "|---|--:|--:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def table(results: Path) -> str:
    """Ours, measured rivals with published figures beside them, and the published rest."""
    cells = cells_by_system(results)
    first = [name for name in (*OURS, *RIVALS) if name in cells]
    lines = ["| system | " + " | ".join(name for name, _ in COLUMNS) + " |", "|---|" + "--:|" * len(COLUMNS)]
    lines += [_row(name, cells[name]) for name in dict.fromkeys([*first, *cells])]
    removed = [
        _removed(cells[MODEL].get(column), cells[START].get(column), column.measure) for _, column in COLUMNS
    ]
    lines += [f"| error of {START} that {MODEL} removes | {' | '.join(removed)} |"]
    return "\n".join([*lines, "", *_iter_tests(results)]) + "\n"


def _row(system: str, cells: Cells) -> str:
    shown = []
    for _, column in COLUMNS:
        cell = cells.get(column) or Cell(None)
        parts = [percent(cell.value)] if cell.value is not None else []
        parts += [f"({percent(cell.published)})"] if cell.published is not None else []
        shown.append(" ".join(parts) or "–")
    name = f"**{system}**" if system in OURS else system
    return f"| {name} | {' | '.join(shown)} |"


def _removed(ours: Cell | None, start: Cell | None, measure: str) -> str:
    if ours is None or start is None or ours.value is None or start.value is None:
        return "–"
    removed = error_removed(ours.value, start.value, measure)
    return "–" if removed is None else f"{removed:.0%}"


def _iter_tests(results: Path) -> Iterator[str]:
    """One sentence for each retrieval measure and rival."""
    for heading, column in COLUMNS[N_PAIR_MEASURES:]:
        ours, *others = (
            read_result(result_path(results, system, column.task)) for system in (MODEL, *RIVALS)
        )
        for theirs in others:
            difference = ours.figures[column.measure].value - theirs.figures[column.measure].value
            p = p_value(ours, theirs, column.measure)
            assert p is not None, f"{column.measure} has a value for each query"
            shown = f"p = {p:.2f}" if p >= LEAST_P else f"p < {LEAST_P}"
            yield (
                f"- {heading}, {MODEL} − {theirs.system}: {100 * difference:+.2f}, "
                f"paired permutation test {shown}"
            )
