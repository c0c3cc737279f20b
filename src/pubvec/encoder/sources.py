"""What `pubvec encode` reads: (id, text) pairs from files, standard input or `articles/`, as a stream."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pubvec.collection import Collection
from pubvec.errors import InputError
from pubvec.records import article_text

Id = int | str
IdAndText = tuple[Id, str]

STDIN = Path("-")


class Shard(Protocol):
    """Texts that are encoded into one file, wherever that is done."""

    @property
    def ids(self) -> Sequence[Id]:
        """One a text."""

    def read(self) -> Sequence[str]:
        """The texts."""


class Listed(NamedTuple):
    """A shard whose texts are sent along."""

    ids: Sequence[Id]
    texts: Sequence[str]

    def read(self) -> Sequence[str]:
        """See `Shard.read`."""
        return self.texts


class ArticleRows(NamedTuple):
    """A shard whose texts are read where they are encoded: title and abstract, joined, of rows of one Parquet file.

    *Shape:* `ids`, the PMIDs, and `rows`, ascending: (n,)
    """

    path: Path
    ids: Sequence[int]
    rows: npt.NDArray[np.int64]

    def read(self) -> Sequence[str]:
        """See `Shard.read`."""
        table = pq.read_table(self.path, columns=["title", "abstract"]).take(self.rows)
        columns = table["title"].to_pylist(), table["abstract"].to_pylist()
        return [article_text(title, abstract) for title, abstract in zip(*columns, strict=True)]


def iter_shards(
    source: Path, texts_per_shard: int, *, text_column: str = "text", id_column: str | None = None
) -> Iterator[Shard]:
    """Cut the texts of `source` into shards; one of an `articles/` folder holds texts of one XML file.

    Raises:
        InputError: see `iter_texts`.
    """
    if not source.is_dir():
        return cut(iter_texts(source, text_column=text_column, id_column=id_column), texts_per_shard)
    collection = Collection(source)
    return (
        shard
        for path, mask in zip(collection.shards, collection.masks, strict=True)
        for shard in cut_articles(path, mask, texts_per_shard)
    )


def cut(texts: Iterable[IdAndText], n_most: int) -> Iterator[Listed]:
    """Shards of `n_most` texts, the last one smaller."""
    stream = iter(texts)
    while part := list(islice(stream, n_most)):
        yield Listed([identifier for identifier, _ in part], [text for _, text in part])


def cut_articles(path: Path, mask: npt.NDArray[np.bool_], n_most: int) -> Iterator[ArticleRows]:
    """Shards of at most `n_most` of the rows that `mask` marks in the Parquet file `path`. *Shape:* (n_rows,)"""
    pmids = pq.read_table(path, columns=["pmid"])["pmid"].to_numpy()
    rows = np.flatnonzero(mask)
    for start in range(0, len(rows), n_most):
        part = rows[start : start + n_most]
        yield ArticleRows(path.absolute(), pmids[part].tolist(), part)


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
