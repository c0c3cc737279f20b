"""Texts and PMIDs of evaluation sets, from whatever files they come in."""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.errors import InputError

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

    Parquet, CSV, TSV, JSON, JSONL (`.ndjson`) and `.txt` (one text a line) are read. A column named
    `pmid` or `pubmed_id`, and a line of digits in a `.txt`, is a PMID; all other strings are texts,
    in lists and nested objects too.

    Raises:
        InputError: a path is missing, is of another kind or damaged, or holds no text and no PMID.
    """
    return [source for path in paths for source in _read_path(Path(path))]


def _read_path(path: Path) -> list[Source]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        known = [file for file in files if file.suffix.lower() in _READERS]
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
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise InputError(f"--exclude {file} is of an unknown kind: expected one of {' '.join(_READERS)}")
    try:
        rows = list(reader(file))
    except (OSError, ValueError, csv.Error, pa.ArrowException, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"--exclude {file} cannot be read as {file.suffix}: {reason}") from error
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


def _read_parquet(file: Path) -> Iterator[Row]:
    for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
        yield from batch.to_pylist()


def _read_table(file: Path, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines, delimiter=delimiter, strict=True):
            yield {str(column): value for column, value in row.items()}


def _read_json(file: Path) -> Iterator[Row]:
    content = json.loads(file.read_text(encoding="utf-8-sig"))
    for item in content if isinstance(content, list) else [content]:
        yield item if isinstance(item, Mapping) else {"": item}


def _read_jsonl(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig") as lines:
        for line in lines:
            if line.strip():
                item = json.loads(line)
                yield item if isinstance(item, Mapping) else {"": item}


def _read_text(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig") as lines:
        for line in lines:
            if text := line.strip():
                yield {"pmid" if _DIGITS.fullmatch(text) else "line": text}


_READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".parquet": _read_parquet,
    ".csv": lambda file: _read_table(file, ","),
    ".tsv": lambda file: _read_table(file, "\t"),
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".txt": _read_text,
}
