"""Columns of evaluation files, checked: every complaint names the file, the column and the row."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from pubvec.errors import InputError
from pubvec.tablefiles import id_of, read_columns

log = logging.getLogger(__name__)

Columns = dict[str, list[Any]]


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
    ids = [id_of(value, f"{path}, row {row}: {name!r}") for row, value in enumerate(columns[name])]
    seen: set[str] = set()
    for row, name_of_row in enumerate(ids):
        if name_of_row in seen:
            raise InputError(f"{path}, row {row}: {name!r} {name_of_row!r} occurs twice, and ids must differ")
        seen.add(name_of_row)
    return ids


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
        query_id, doc_id = id_of(query_id, where), id_of(doc_id, where)
        _check_known(where, "query", query_id, query_ids)
        _check_known(where, "document", doc_id, doc_ids)
        grade = _number(value)
        if grade is None or grade < lowest:
            raise InputError(f"{where} has the judgement {value!r}: a number ≥ {lowest:g} is needed")
        judged = grades.setdefault(query_id, {})
        n_repeated += doc_id in judged
        judged[doc_id] = max(grade, judged.get(doc_id, grade))
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
