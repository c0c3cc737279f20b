"""Columns of evaluation files are checked here; every error names the file, the column and the row."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple

from pubvec.errors import InputError
from pubvec.tablefiles import id_of, read_columns

log = logging.getLogger(__name__)

Columns = dict[str, list[Any]]


def text_column(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[str]:
    """Return a column after checking that every value is a text that is not blank."""
    for row, value in enumerate(columns[name]):
        if not isinstance(value, str) or not value.strip():
            found = "blank" if isinstance(value, str) else repr(value)
            raise InputError(f"{path}, row {row}: {name!r} is {found}, and a text is needed")
    return columns[name]


def text_lists(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[list[str]]:
    """Return a column, each value as a list of texts, after checking that none is blank and no list is empty."""
    lists = [value if isinstance(value, list) else [value] for value in columns[name]]
    for row, texts in enumerate(lists):
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise InputError(
                f"{path}, row {row}: {name!r} is {columns[name][row]!r:.60}, and a text is needed"
            )
    return lists


def optional_text_column(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[str]:
    """Return a column of texts, with "" where the file has none."""
    for row, value in enumerate(columns[name]):
        if value is not None and not isinstance(value, str):
            raise InputError(f"{path}, row {row}: {name!r} is {value!r}, and a text is needed")
    return [value or "" for value in columns[name]]


def unique_ids(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[str]:
    """Return a column of ids as texts, after checking that all differ."""
    ids = [id_of(value, f"{path}, row {row}: {name!r}") for row, value in enumerate(columns[name])]
    seen: set[str] = set()
    for row, name_of_row in enumerate(ids):
        if name_of_row in seen:
            raise InputError(f"{path}, row {row}: {name!r} {name_of_row!r} occurs twice, and ids must differ")
        seen.add(name_of_row)
    return ids


def number_column(columns: Mapping[str, list[Any]], name: str, path: Path) -> list[float]:
    """Return a column of finite numbers, some of which may be written as texts."""
    numbers = [_number(value) for value in columns[name]]
    for row, number in enumerate(numbers):
        if number is None:
            raise InputError(f"{path}, row {row}: {name!r} is {columns[name][row]!r}, and a number is needed")
    return [number for number in numbers if number is not None]


class Judgement(NamedTuple):
    """One judgement of one document for one query, as a file has it."""

    place: str
    """The file and the row, for messages."""
    query_id: str
    doc_id: str
    grade: float


def iter_judgements(path: Path, names: tuple[str, str, str]) -> Iterator[Judgement]:
    """Yield the judgements of a table.

    Args:
        path: the table.
        names: its columns of query ids, document ids and grades.

    Raises:
        InputError: the file or a column is missing, an id is none, or a grade is not a finite number.
    """
    columns = read_columns(path, names)
    for row, (query_id, doc_id, value) in enumerate(zip(*(columns[name] for name in names), strict=True)):
        place = f"{path}, row {row}"
        yield Judgement(place, id_of(query_id, place), id_of(doc_id, place), grade_of(value, place))


def grade_of(value: Any, place: str) -> float:
    """Return a grade as a finite number.

    Raises:
        InputError: it is none; the message begins with `place`.
    """
    grade = _number(value)
    if grade is None:
        raise InputError(f"{place} has the judgement {value!r}: a number is needed")
    return grade


def read_grades(
    path: Path, names: tuple[str, str, str], *, query_ids: Set[str], doc_ids: Set[str]
) -> dict[str, dict[str, float]]:
    """Read grades by query and document. Of two for the same, the higher counts.

    Args:
        path: the table.
        names: its columns of query ids, document ids and grades.
        query_ids: all queries; one that is not judged is not in what is returned.
        doc_ids: all documents.

    Raises:
        InputError: see `iter_judgements`; a judgement is of an unknown query or document, or below 0.
    """
    judgements = list(iter_judgements(path, names))
    for judgement in judgements:
        _check_known(judgement.place, "query", judgement.query_id, query_ids)
        _check_known(judgement.place, "document", judgement.doc_id, doc_ids)
        if judgement.grade < 0:
            raise InputError(
                f"{judgement.place} has the judgement {judgement.grade:g}: a number ≥ 0 is needed"
            )
    return gather_grades(judgements, path)


def gather_grades(judgements: Iterable[Judgement], path: Path) -> dict[str, dict[str, float]]:
    """Gather grades by query and document. Of two for the same, the higher counts, and a warning says how many there are."""
    grades: dict[str, dict[str, float]] = {}
    n_repeated = 0
    for _, query_id, doc_id, grade in judgements:
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
    """Return `value` as a finite number; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
