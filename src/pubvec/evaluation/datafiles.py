"""Columns of evaluation files, checked: every complaint names the file, the column and the row."""

from __future__ import annotations

import gzip
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.errors import InputError

log = logging.getLogger(__name__)

Columns = dict[str, list[Any]]


def read_columns(path: Path, names: Sequence[str]) -> Columns:
    """Read the columns `names` of a Parquet, CSV, TSV or JSON Lines file, the last three gzipped or not.

    Raises:
        InputError: the file is missing, damaged, empty or of another kind, or lacks a column.
    """
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    reader = _READERS.get(suffix)
    if reader is None:
        raise InputError(f"{path}: expected a file that ends in {', '.join(_READERS)}, found {path.suffix!r}")
    if not path.is_file():
        raise InputError(f"{path} does not exist: the data folder must hold a file {path.name}")
    try:
        found, columns = reader(path, names)
    except (pa.ArrowException, ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read as {suffix}: {str(error).splitlines()[0]}") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(f"{path} lacks the column {missing[0]!r}: it has {', '.join(found)}")
    if not columns[names[0]]:
        raise InputError(f"{path} has no rows")
    return columns


def text_column(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[str]:
    """A column whose every value is a text that is not blank."""
    for row, value in enumerate(columns[name]):
        if not isinstance(value, str) or not value.strip():
            found = "blank" if isinstance(value, str) else repr(value)
            raise InputError(f"{path}, row {row}: {name!r} is {found}, and a text is needed")
    return columns[name]


def text_lists(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[list[str]]:
    """A column whose every value is a text that is not blank, or a list of one or more such texts."""
    lists = [value if isinstance(value, list) else [value] for value in columns[name]]
    for row, texts in enumerate(lists):
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise InputError(
                f"{path}, row {row}: {name!r} is {columns[name][row]!r:.60}, and a text is needed"
            )
    return lists


def optional_text_column(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[str]:
    """A column of texts, "" where the file has none."""
    for row, value in enumerate(columns[name]):
        if value is not None and not isinstance(value, str):
            raise InputError(f"{path}, row {row}: {name!r} is {value!r}, and a text is needed")
    return [value or "" for value in columns[name]]


def unique_ids(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[str]:
    """A column of ids, as text, that all differ."""
    seen: set[str] = set()
    for row, value in enumerate(columns[name]):
        if not isinstance(value, int | str):
            raise InputError(f"{path}, row {row}: {name!r} is {value!r}, and an id is needed")
        if str(value) in seen:
            raise InputError(f"{path}, row {row}: {name!r} {value!r} occurs twice, and ids must differ")
        seen.add(str(value))
    return [str(value) for value in columns[name]]


def number_column(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[float]:
    """A column whose every value is a finite number, or a text that reads as one."""
    numbers = [_number(value) for value in columns[name]]
    for row, number in enumerate(numbers):
        if number is None:
            raise InputError(f"{path}, row {row}: {name!r} is {columns[name][row]!r}, and a number is needed")
    return [number for number in numbers if number is not None]


def read_grades(
    path: Path,
    names: tuple[str, str, str],
    *,
    query_ids: Set[str],
    doc_ids: Set[str],
    lowest: float = 0.0,
) -> dict[str, dict[str, float]]:
    """Judgements by query and document. Of two of the same, the higher counts.

    Args:
        path: of the file.
        names: its columns of query ids, document ids and grades.
        query_ids: all queries; one that is not judged is not in what is returned.
        doc_ids: all documents.
        lowest: the lowest grade that is valid.

    Raises:
        InputError: a judgement is of an unknown query or document or not a number ≥ `lowest`.
    """
    columns = read_columns(path, names)
    grades: dict[str, dict[str, float]] = {}
    n_repeated = 0
    rows = zip(*(columns[name] for name in names), strict=True)
    for row, (query_id, doc_id, value) in enumerate(rows):
        where = f"{path}, row {row}"
        _check_known(where, "query", str(query_id), query_ids)
        _check_known(where, "document", str(doc_id), doc_ids)
        grade = _number(value)
        if grade is None or grade < lowest:
            raise InputError(f"{where} has the judgement {value!r}: a number ≥ {lowest:g} is needed")
        judged = grades.setdefault(str(query_id), {})
        n_repeated += str(doc_id) in judged
        judged[str(doc_id)] = max(grade, judged.get(str(doc_id), grade))
    if n_repeated:
        log.warning(
            "%s judges a document twice for one query %d times: the higher grade counts", path, n_repeated
        )
    return grades


def check_all_judged(grades: Mapping[str, Any], query_ids: Set[str], path: Path) -> None:
    """Check that every query has a judgement.

    Raises:
        InputError: one has none.
    """
    unjudged = sorted(query_ids - grades.keys())
    if unjudged:
        raise InputError(
            f"{path} has no judgement for {len(unjudged)} of {len(query_ids)} queries, first {unjudged[0]!r}: "
            "add judgements, or remove these queries"
        )


def _check_known(where: str, what: str, name: str, known: Set[str]) -> None:
    if name not in known:
        raise InputError(f"{where} judges {what} {name!r}, which is not in its file of {len(known)}")


def _number(value: Any) -> float | None:
    """`value` as a finite number; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _read_parquet(path: Path, names: Sequence[str]) -> tuple[list[str], Columns]:
    found = pq.read_schema(path).names
    wanted = [name for name in names if name in found]
    return found, pq.read_table(path, columns=wanted).to_pydict()


def _read_csv(path: Path, names: Sequence[str], delimiter: str = ",") -> tuple[list[str], Columns]:
    """All columns as text: a column of codes must not turn into numbers."""
    from pyarrow import csv

    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with csv.open_csv(path, parse_options=parsing) as reader:
        found = reader.schema.names
    as_text = csv.ConvertOptions(column_types={name: pa.string() for name in found})
    table = csv.read_csv(path, parse_options=parsing, convert_options=as_text)
    return found, table.select([name for name in names if name in found]).to_pydict()


def _read_json(path: Path, names: Sequence[str]) -> tuple[list[str], Columns]:
    """Line by line: other fields, such as BEIR's metadata, may differ in kind from row to row."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected an object a line, found " + ("another" if rows else "no line"))
    found = list(dict.fromkeys(name for row in rows for name in row))
    return found, {name: [row.get(name) for row in rows] for name in names}


_READERS: Mapping[str, Callable[[Path, Sequence[str]], tuple[list[str], Columns]]] = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".tsv": lambda path, names: _read_csv(path, names, "\t"),
    ".jsonl": _read_json,
}
"""By suffix: the names of all columns, and the values of those asked for."""
