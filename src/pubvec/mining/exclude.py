"""Texts and PMIDs of evaluation sets, from whatever files they come in."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pubvec.errors import InputError
from pubvec.tablefiles import (
    LINES_SUFFIX,
    TABLE_SUFFIXES,
    check_kind,
    iter_lines,
    iter_rows,
    read_json_value,
    suffix_of,
)

_log = logging.getLogger(__name__)
_PMID_COLUMN = re.compile(r"pmids?|pub_?med_?ids?|pubmed", re.IGNORECASE)
_DIGITS = re.compile(r"[1-9]\d{0,8}")

Row = Mapping[str, Any]


class Source(NamedTuple):
    """One column of one file."""

    name: str
    """`FILE:COLUMN`"""
    n_rows: int
    texts: list[tuple[str, int]]
    """Each string with the number of its row."""
    pmids: list[tuple[int, int]]
    """Each PMID with the number of its row."""


def read_sources(paths: Iterable[Path | str]) -> list[Source]:
    """Read every string of the files `paths`, and of all files in the folders among them.

    Tables (see `tablefiles`), `.json` and `.txt` (one text a line) are read, gzipped or not. A column named `pmid` or
    `pubmed_id`, and a line of digits in a `.txt`, is a PMID; all other strings are texts, in lists and nested objects too.

    Raises:
        InputError: a path is missing, is of another kind or damaged, or holds no text and no PMID.
    """
    return [source for path in paths for source in _read_path(Path(path))]


def _read_path(path: Path) -> list[Source]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        known = [file for file in files if suffix_of(file) in _READERS]
        for file in sorted(set(files) - set(known)):
            _log.warning("%s is not read for exclusion: expected one of %s", file, " ".join(_READERS))
    elif path.is_file():
        known = [path]
    else:
        raise InputError(f"--exclude {path} does not exist: give a file or a folder of evaluation data")
    sources = [source for file in known for source in _read_file(file, _name(file, path))]
    if not any(source.texts or source.pmids for source in sources):
        raise InputError(f"--exclude {path} holds no text and no PMID: expected evaluation data")
    return sources


def _name(file: Path, given: Path) -> str:
    return str(file.relative_to(given)) if file != given else file.name


def _read_file(file: Path, name: str) -> list[Source]:
    try:
        rows = list(_READERS[check_kind(file, tuple(_READERS))](file))
    except InputError as error:
        raise InputError(f"--exclude {error}") from error
    return _sources_of(name, rows)


def _sources_of(name: str, rows: Sequence[Row]) -> list[Source]:
    sources: dict[str, Source] = {}
    for number, row in enumerate(rows):
        for column, value in _leaves(row):
            source = sources.setdefault(column, Source(f"{name}:{column}", len(rows), [], []))
            if _PMID_COLUMN.fullmatch(column.rsplit(".", 1)[-1]):
                if _DIGITS.fullmatch(text := str(value).strip().removesuffix(".0")):
                    source.pmids.append((int(text), number))
            elif isinstance(value, str):
                source.texts.append((value, number))
    return [source for source in sources.values() if source.texts or source.pmids]


def _leaves(value: Any, column: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (column, value) of all that is nested in `value`; a nested object's column is `outer.inner`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{column}.{key}" if column else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner, column)
    elif value is not None:
        yield column, value


def _read_table(file: Path) -> Iterator[Row]:
    return (row for _, row in iter_rows(file))


def _read_json(file: Path) -> Iterator[Row]:
    content = read_json_value(file)
    for item in content if isinstance(content, list) else [content]:
        yield item if isinstance(item, Mapping) else {"": item}


def _read_text(file: Path) -> Iterator[Row]:
    for _, line in iter_lines(file):
        if text := line.strip():
            yield {"pmid" if _DIGITS.fullmatch(text) else "line": text}


_READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    **dict.fromkeys(TABLE_SUFFIXES, _read_table),
    ".json": _read_json,
    LINES_SUFFIX: _read_text,
}
