"""Columns of evaluation files, checked: every complaint names the file, the column and the row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.errors import InputError

log = logging.getLogger(__name__)

Columns = dict[str, list[Any]]


def read_columns(path: Path, names: Sequence[str]) -> Columns:
    """Read the columns `names` of a Parquet, CSV, TSV or JSON Lines file.

    Raises:
        InputError: the file is missing, damaged, empty or of another kind, or lacks a column.
    """
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise InputError(f"{path}: expected a file that ends in {', '.join(_READERS)}, found {path.suffix!r}")
    if not path.is_file():
        raise InputError(f"{path} does not exist: the data folder must hold a file {path.name}")
    try:
        table = reader(path)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{path} cannot be read as {path.suffix}: {str(error).splitlines()[0]}") from error
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise InputError(f"{path} lacks the column {missing[0]!r}: it has {', '.join(table.column_names)}")
    if not table.num_rows:
        raise InputError(f"{path} has no rows")
    return {name: table.column(name).to_pylist() for name in names}


def text_column(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[str]:
    """A column whose every value is a text that is not blank."""
    for row, value in enumerate(columns[name]):
        if not isinstance(value, str) or not value.strip():
            found = "blank" if isinstance(value, str) else repr(value)
            raise InputError(f"{path}, row {row}: {name!r} is {found}, and a text is needed")
    return columns[name]


def optional_text_column(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[str]:
    """A column of texts, "" where the file has none."""
    for row, value in enumerate(columns[name]):
        if value is not None and not isinstance(value, str):
            raise InputError(f"{path}, row {row}: {name!r} is {value!r}, and a text is needed")
    return [value or "" for value in columns[name]]


def texts_column(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[list[str]]:
    """A column of texts, or of lists of texts, as lists; none is blank, and no list empty."""
    lists = [value if isinstance(value, list) else [value] for value in columns[name]]
    for row, texts in enumerate(lists):
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise InputError(f"{path}, row {row}: {name!r} is {texts!r:.60}, and texts are needed")
    return lists


def number_column(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[float]:
    """A column of finite numbers; those of CSV and TSV files come as text."""
    numbers = []
    for row, value in enumerate(columns[name]):
        try:
            numbers.append(float(value))
        except (TypeError, ValueError):
            numbers.append(float("nan"))
        if not abs(numbers[-1]) < float("inf"):
            raise InputError(f"{path}, row {row}: {name!r} is {value!r}, and a number is needed")
    return numbers


def ids_column(columns: Mapping[str, list[Any]], name: str, text: str, path: Path) -> list[str]:
    """A column of ids, as text, each with one value in the column `text`."""
    text_of: dict[str, Any] = {}
    for row, (value, content) in enumerate(zip(columns[name], columns[text], strict=True)):
        if not isinstance(value, int | str):
            raise InputError(f"{path}, row {row}: {name!r} is {value!r}, and an id is needed")
        if text_of.setdefault(str(value), content) != content:
            raise InputError(
                f"{path}, row {row}: {name!r} {value!r} occurs twice with two texts, and ids must differ"
            )
    return [str(value) for value in columns[name]]


def read_grades(
    path: Path,
    names: tuple[str, str, str],
    *,
    lowest: float,
    query_ids: Set[str],
    doc_ids: Set[str],
    may_miss_queries: bool = False,
) -> dict[str, dict[str, float]]:
    """Judgements by query and document.

    Args:
        names: columns of the query, the document and the grade.
        lowest: of the scale.
        may_miss_queries: leave queries without a judgement out.

    Raises:
        InputError: a judgement is of an unknown query or document or not a number ≥ `lowest`; or a query has none, and
            none may.
    """
    columns = read_columns(path, names)
    grades: dict[str, dict[str, float]] = {query_id: {} for query_id in query_ids}
    n_repeated = 0
    rows = zip(*(columns[name] for name in names), strict=True)
    for row, (query_id, doc_id, value) in enumerate(rows):
        where = f"{path}, row {row}"
        _check_known(where, "query", str(query_id), query_ids)
        _check_known(where, "document", str(doc_id), doc_ids)
        judged = grades[str(query_id)]
        n_repeated += str(doc_id) in judged
        judged[str(doc_id)] = max(_grade(where, value, lowest), judged.get(str(doc_id), lowest))
    if n_repeated:
        log.warning(
            "%s judges a document twice for one query %d times: the higher grade counts", path, n_repeated
        )
    unjudged = sorted(query_id for query_id, judged in grades.items() if not judged)
    if unjudged and not may_miss_queries:
        raise InputError(
            f"{path} has no judgement for {len(unjudged)} of {len(grades)} queries, first {unjudged[0]!r}: "
            "add judgements, or remove these queries"
        )
    return {query_id: judged for query_id, judged in grades.items() if judged}


def _check_known(where: str, what: str, name: str, known: Set[str]) -> None:
    if name not in known:
        raise InputError(f"{where} judges {what} {name!r}, which is not in its file of {len(known)}")


def _grade(where: str, value: Any, lowest: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not lowest <= value < float("inf"):
        raise InputError(f"{where} has the judgement {value!r}: a number ≥ {lowest:g} is needed")
    return float(value)


def _read_csv(path: Path, delimiter: str = ",") -> pa.Table:
    """All columns as text: a column of codes must not turn into numbers."""
    from pyarrow import csv

    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with csv.open_csv(path, parse_options=parsing) as reader:
        names = reader.schema.names
    as_text = csv.ConvertOptions(column_types={name: pa.string() for name in names})
    return csv.read_csv(path, parse_options=parsing, convert_options=as_text)


def _read_json(path: Path) -> pa.Table:
    from pyarrow import json

    return json.read_json(path)


_READERS: Mapping[str, Callable[[Path], pa.Table]] = {
    ".parquet": lambda path: pq.read_table(path),
    ".csv": _read_csv,
    ".tsv": lambda path: _read_csv(path, "\t"),
    ".jsonl": _read_json,
}
