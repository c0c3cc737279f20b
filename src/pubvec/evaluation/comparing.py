"""The verb `compare` shows a `results/` folder as one table, with published figures beside measured ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pubvec.errors import InputError
from pubvec.evaluation.measures import LOWER_IS_BETTER
from pubvec.evaluation.models import name_model
from pubvec.evaluation.results import Result, read_result
from pubvec.evaluation.significance import p_values
from pubvec.evaluation.systems import SYSTEMS, find_system
from pubvec.evaluation.tasks import TASKS

_SIGNIFICANT = 0.05
LEGEND = (
    "In percent, ± spread over draws of negatives, in parentheses what others published, then the share of {}'s error "
    "that is removed. †: differs from it with p < 0.05 (paired permutation test over queries, paired bootstrap over pairs; "
    "not corrected for the number of comparisons)."
)


@dataclass(frozen=True, order=True)
class Column:
    """A column of the table shows one measure of one task."""

    task: str
    measure: str

    def __str__(self) -> str:
        return f"{self.task} {self.measure}"


@dataclass(frozen=True)
class Cell:
    """A cell holds a figure of one system. All values are fractions; what is not known is None."""

    value: float | None
    interval: tuple[float, float] | None = None
    spread: float | None = None
    published: float | None = None
    p_value: float | None = None
    """This is the p-value of the difference to the baseline."""
    error_removed: float | None = None
    """This is the share of the baseline's error that the system removes. The error is the distance to 1, or to 0 for a
    measure that is better when it is lower."""


@dataclass(frozen=True)
class Row:
    """A row holds the cells of one system in the order of the columns; None stands where nothing is known."""

    system: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Table:
    """A table of systems (rows) and measures of tasks (columns)."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    baseline: str | None = None
    precisions: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """This maps each task to the precisions of the weights, and each precision to the systems measured with it."""


def compare(results: Path | str, *, with_published: bool = False, baseline: str | None = None) -> Table:
    """Collect a `results/` folder into a table, its systems in alphabetical order.

    Args:
        results: written by `evaluate`.
        with_published: add a row for each published system that was not measured here.
        baseline: a measured system that all others are tested against, and whose error they remove.

    Raises:
        InputError: the folder is missing, holds no result, or a file in it is damaged; there is no such baseline, or
            another system was measured on other data.
    """
    found = read_results(results)
    columns = _columns(found)
    by_system: dict[str, dict[str, Result]] = {}
    for result in found:
        by_system.setdefault(result.system, {})[result.task] = result
    if baseline is not None and (baseline := name_model(baseline)) not in by_system:
        raise InputError(
            f"{results} has no results of the baseline {baseline}: it has {', '.join(by_system)}"
        )
    against = by_system[baseline] if baseline else {}
    tests = {
        task: p_values(
            [result for result in found if result.task == task and result.system != baseline], base
        )
        for task, base in against.items()
    }
    rows = [_measured_row(name, by_system[name], columns, against, tests) for name in sorted(by_system)]
    if with_published:
        rows += _published_rows(set(by_system), columns)
    return Table(columns, tuple(rows), baseline, _precisions(by_system))


def read_results(results: Path | str) -> list[Result]:
    """Read all results of a folder, in alphabetical order.

    Raises:
        InputError: the folder is missing, holds no result, or a file in it is damaged.
    """
    found = [read_result(path) for path in sorted(Path(results).glob("*/*.json"))]
    if not found:
        raise InputError(f"{results} holds no result SYSTEM/TASK.json: `pubvec evaluate` writes them")
    return found


def to_markdown(table: Table) -> str:
    """Write the table in percent, as `value ± spread over seeds (published)`.

    With a baseline, each cell also has the share of its error that is removed, and † where p < 0.05.
    """
    lines = [
        ["system", *map(str, table.columns)],
        ["---", *["--:"] * len(table.columns)],
        *([row.system, *map(_percent, row.cells)] for row in table.rows),
    ]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = [LEGEND.format(table.baseline)] if table.baseline is not None else []
    if note := precision_note(table):
        notes.append(note)
    return "\n".join([text, *(f"{note}\n" for note in notes)]) if notes else text


def precision_note(table: Table) -> str:
    """Name the systems of each precision for the tasks in which they differ; "" where all have one."""
    tasks_of: dict[str, list[str]] = {}
    for task in dict.fromkeys(column.task for column in table.columns):
        precisions = table.precisions.get(task, {})
        if len(precisions) > 1:
            shown = "; ".join(
                f"{precision}: {', '.join(systems)}" for precision, systems in precisions.items()
            )
            tasks_of.setdefault(shown, []).append(task)
    parts = (f"in {', '.join(tasks)} {shown}" for shown, tasks in tasks_of.items())
    return f"Weights are not all of one precision: {'. '.join(parts)}." if tasks_of else ""


def to_tsv(table: Table) -> str:
    """Write one line for each cell that is known, in fractions; a value that is not known is empty."""
    names = (
        "system",
        "task",
        "measure",
        "value",
        "low",
        "high",
        "spread",
        "published",
        "p_value",
        "error_removed",
    )
    return "".join("\t".join(line) + "\n" for line in [names, *_iter_lines(table)])


def to_json(table: Table) -> str:
    """Write columns, and rows of cells in fractions, as indented JSON."""
    return json.dumps(asdict(table), indent=2) + "\n"


def error_removed(value: float, base: float, measure: str) -> float | None:
    """Return the share of the error of `base` that `value` does not have; None where `base` has no error."""
    goal = 0.0 if measure in LOWER_IS_BETTER else 1.0
    return 1 - abs(goal - value) / abs(goal - base) if base != goal else None


def _precisions(by_system: Mapping[str, Mapping[str, Result]]) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for system in sorted(by_system):
        for task, result in by_system[system].items():
            found.setdefault(task, {}).setdefault(result.describe_precision(), []).append(system)
    return {task: dict(sorted(precisions.items())) for task, precisions in found.items()}


def _columns(results: list[Result]) -> tuple[Column, ...]:
    """List known tasks in their order, then others, with the measures of each in the order of its result."""
    known = {name: place for place, name in enumerate(TASKS)}
    columns = {
        Column(result.task, measure): None
        for result in sorted(results, key=lambda result: (known.get(result.task, len(known)), result.task))
        for measure in result.figures
    }
    return tuple(columns)


def _measured_row(
    name: str,
    results: Mapping[str, Result],
    columns: tuple[Column, ...],
    against: Mapping[str, Result],
    tests: Mapping[str, Mapping[tuple[str, str], float]],
) -> Row:
    cells = (
        _cell(name, column, results.get(column.task), against.get(column.task), tests.get(column.task, {}))
        for column in columns
    )
    return Row(name, tuple(cells))


def _cell(
    name: str,
    column: Column,
    result: Result | None,
    base: Result | None,
    tests: Mapping[tuple[str, str], float],
) -> Cell | None:
    published = _published(name, column)
    figure = result.figures.get(column.measure) if result else None
    if result is None or figure is None:
        return None if published is None else Cell(None, published=published)
    cell = Cell(figure.value, figure.interval, figure.spread, published)
    if base is None or base.system == name or column.measure not in base.figures:
        return cell
    base_value = base.figures[column.measure].value
    return replace(
        cell,
        p_value=tests.get((name, column.measure)),
        error_removed=error_removed(figure.value, base_value, column.measure),
    )


def _published_rows(measured: set[str], columns: tuple[Column, ...]) -> list[Row]:
    others = [system.name for system in SYSTEMS if system.published and system.name not in measured]
    return [_measured_row(name, {}, columns, {}, {}) for name in others]


def _published(name: str, column: Column) -> float | None:
    system = find_system(name)
    figure = system.published.get(column.task) if system else None
    return figure.value if figure is not None and figure.measure == column.measure else None


def _percent(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    parts = [] if cell.value is None else [f"{100 * cell.value:.2f}"]
    if cell.spread is not None:
        parts.append(f"± {100 * cell.spread:.2f}")
    if cell.published is not None:
        parts.append(f"({100 * cell.published:.2f})")
    if cell.error_removed is not None:
        parts.append(f"{cell.error_removed:+.0%}")
    if cell.p_value is not None and cell.p_value < _SIGNIFICANT:
        parts.append("†")
    return " ".join(parts)


def _iter_lines(table: Table) -> Iterator[tuple[str, ...]]:
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell is not None:
                low, high = cell.interval or (None, None)
                values = (
                    cell.value,
                    low,
                    high,
                    cell.spread,
                    cell.published,
                    cell.p_value,
                    cell.error_removed,
                )
                texts = ("" if value is None else f"{value:.6f}" for value in values)
                yield (row.system, column.task, column.measure, *texts)
