"""The verb `compare`: a `results/` folder as one table, published figures beside measured ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pubvec.errors import InputError
from pubvec.evaluation.results import Result, read_result
from pubvec.evaluation.systems import SYSTEMS, find_system
from pubvec.evaluation.tasks import TASKS


@dataclass(frozen=True, order=True)
class Column:
    """One measure of one task."""

    task: str
    measure: str

    def __str__(self) -> str:
        return f"{self.task} {self.measure}"


@dataclass(frozen=True)
class Cell:
    """A figure of one system. All values are fractions; what is not known is None."""

    value: float | None
    interval: tuple[float, float] | None = None
    spread: float | None = None
    published: float | None = None


@dataclass(frozen=True)
class Row:
    """One system: its cells in the order of the table's columns, None where nothing is known."""

    system: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Table:
    """Systems × measures of tasks."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def compare(results: Path | str, *, with_published: bool = False) -> Table:
    """Collect a `results/` folder into a table, its systems in alphabetical order.

    Args:
        results: written by `evaluate`.
        with_published: add a row for each published system that was not measured here.

    Raises:
        InputError: the folder is missing, holds no result, or a file in it is damaged.
    """
    results = Path(results)
    found = [read_result(path) for path in sorted(results.glob("*/*.json"))]
    if not found:
        raise InputError(f"{results} holds no result SYSTEM/TASK.json: `pubvec evaluate` writes them")
    columns = _columns(found)
    names = sorted({result.system for result in found})
    rows = [
        _measured_row(name, [result for result in found if result.system == name], columns) for name in names
    ]
    if with_published:
        rows += _published_rows(set(names), columns)
    return Table(columns, tuple(rows))


def to_markdown(table: Table) -> str:
    """The table in percent, as `value ± spread over seeds (published)`."""
    lines = [
        ["system", *map(str, table.columns)],
        ["---", *["--:"] * len(table.columns)],
        *([row.system, *map(_percent, row.cells)] for row in table.rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_tsv(table: Table) -> str:
    """One line for each cell that is known; fractions, empty where not known."""
    names = ("system", "task", "measure", "value", "low", "high", "spread", "published")
    return "".join("\t".join(line) + "\n" for line in [names, *_iter_lines(table)])


def to_json(table: Table) -> str:
    """Columns, and rows of cells, as indented JSON; fractions."""
    return json.dumps(asdict(table), indent=2) + "\n"


def _columns(results: list[Result]) -> tuple[Column, ...]:
    """Known tasks in their order, then others; the measures of each in the order of its result."""
    known = {name: place for place, name in enumerate(TASKS)}
    columns = {
        Column(result.task, measure): None
        for result in sorted(results, key=lambda result: (known.get(result.task, len(known)), result.task))
        for measure in result.figures
    }
    return tuple(columns)


def _measured_row(name: str, results: list[Result], columns: tuple[Column, ...]) -> Row:
    figures = {
        Column(result.task, measure): figure
        for result in results
        for measure, figure in result.figures.items()
    }
    cells: list[Cell | None] = []
    for column in columns:
        figure, published = figures.get(column), _published(name, column)
        if figure is not None:
            cells.append(Cell(figure.value, figure.interval, figure.spread, published))
        else:
            cells.append(None if published is None else Cell(None, published=published))
    return Row(name, tuple(cells))


def _published_rows(measured: set[str], columns: tuple[Column, ...]) -> list[Row]:
    others = [system.name for system in SYSTEMS if system.published and system.name not in measured]
    return [_measured_row(name, [], columns) for name in others]


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
    return " ".join(parts)


def _iter_lines(table: Table) -> Iterator[tuple[str, ...]]:
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell is not None:
                low, high = cell.interval or (None, None)
                values = (cell.value, low, high, cell.spread, cell.published)
                texts = ("" if value is None else f"{value:.6f}" for value in values)
                yield (row.system, column.task, column.measure, *texts)
