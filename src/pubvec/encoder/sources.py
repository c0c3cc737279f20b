"""What `pubvec encode` reads: (id, text) pairs from files, standard input or `articles/`, as a stream."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pubvec.collection import Collection
from pubvec.errors import InputError
from pubvec.records import article_text

Id = int | str
IdAndText = tuple[Id, str]

STDIN = Path("-")


def iter_texts(source: Path, *, text_column: str, id_column: str | None) -> Iterator[IdAndText]:
    """Stream the texts of `source` with their ids.

    - an `articles/` folder: title and abstract, joined by a space, of each current article; id: PMID
    - `.parquet`, `.csv`, `.tsv`, `.jsonl`: `text_column`; id: `id_column`, else the row, counted from 0
    - any other file: one text a line; id: the line, counted from 0

    Raises:
        InputError: the file is missing or damaged, has no such column, or holds something that is not
            text; the message has the row.
    """
    if source.is_dir():
        return _iter_articles(source)
    if not source.is_file():
        raise InputError(f"{source} does not exist: expected a file of texts, `-` or an articles/ folder")
    readers = {".parquet": _iter_parquet, ".csv": _iter_csv, ".tsv": _iter_csv, ".jsonl": _iter_jsonl}
    reader = readers.get(source.suffix.lower())
    return reader(source, text_column, id_column) if reader else _iter_lines(source)


def _iter_articles(folder: Path) -> Iterator[IdAndText]:
    for table in Collection(folder).iter_tables(["pmid", "title", "abstract"]):
        columns = (table[name].to_pylist() for name in ("pmid", "title", "abstract"))
        for pmid, title, abstract in zip(*columns, strict=True):
            yield pmid, article_text(title, abstract)


def _iter_lines(path: Path) -> Iterator[IdAndText]:
    with path.open("rb") as file:
        for number, line in enumerate(file):
            yield number, _decode(path, number, line).rstrip("\r\n")


def _decode(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} line {number + 1} is not UTF-8 ({error}): convert the file") from error


def _iter_jsonl(path: Path, text_column: str, id_column: str | None) -> Iterator[IdAndText]:
    for number, line in _iter_lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path} line {int(number) + 1} is not JSON ({error})") from error
        if not isinstance(row, dict):
            raise InputError(f"{path} line {int(number) + 1}: expected an object, found {line:.40}")
        _check_columns(path, list(row), text_column, id_column)
        yield _pair(path, int(number), row[text_column], number if id_column is None else row[id_column])


def _iter_parquet(path: Path, text_column: str, id_column: str | None) -> Iterator[IdAndText]:
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names, text_column, id_column)
            yield from _iter_batches(path, file.iter_batches(columns=_columns(text_column, id_column)))
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a readable Parquet file ({_first_line(error)})") from error


def _iter_csv(path: Path, text_column: str, id_column: str | None) -> Iterator[IdAndText]:
    options = {
        "parse_options": pa.csv.ParseOptions(
            delimiter="\t" if path.suffix.lower() == ".tsv" else ",", newlines_in_values=True
        ),
        "convert_options": pa.csv.ConvertOptions(column_types={text_column: pa.string()}),
    }
    try:
        with pa.csv.open_csv(path, **options) as reader:
            _check_columns(path, reader.schema.names, text_column, id_column)
            columns = _columns(text_column, id_column)
            yield from _iter_batches(path, (batch.select(columns) for batch in reader))
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a readable table ({_first_line(error)})") from error


def _iter_batches(path: Path, batches: Iterator[Any]) -> Iterator[IdAndText]:
    """Batches hold the text column, then the id column if there is one."""
    number = 0
    for batch in batches:
        columns = [column.to_pylist() for column in batch.columns]
        for row in zip(*columns, strict=True):
            yield _pair(path, number, row[0], number if len(row) == 1 else row[1])
            number += 1


def _columns(text_column: str, id_column: str | None) -> list[str]:
    return [text_column] if id_column is None else [text_column, id_column]


def _check_columns(path: Path, names: Sequence[str], text_column: str, id_column: str | None) -> None:
    for column in _columns(text_column, id_column):
        if column not in names:
            raise InputError(f"{path} has no column {column!r}: choose one of {', '.join(names) or '(none)'}")


def _pair(path: Path, number: int, text: Any, identifier: Any) -> IdAndText:
    if not isinstance(text, str):
        raise InputError(f"{path} row {number} (counted from 0): expected a text, found {text!r:.40}")
    if not isinstance(identifier, int | str) or isinstance(identifier, bool):
        raise InputError(f"{path} row {number} (counted from 0): expected an id, found {identifier!r:.40}")
    return identifier, text


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def spool_stdin(folder: Path) -> Path:
    """Copy standard input to a file in `folder`, so that it can be hashed, resumed and read once more."""
    path = folder / "stdin"
    with path.open("wb") as file:
        while block := sys.stdin.buffer.read(1 << 20):
            file.write(block)
    return path
