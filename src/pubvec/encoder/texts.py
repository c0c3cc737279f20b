"""What `pubvec encode` reads: (id, text) pairs from files, standard input or `articles/`, as a stream."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pubvec.collection import Collection
from pubvec.records import article_text
from pubvec.tablefiles import (
    LINES_SUFFIX,
    TABLE_SUFFIXES,
    check_kind,
    id_of,
    iter_lines,
    iter_rows,
    place_of,
    text_of,
)

Id = int | str
IdAndText = tuple[Id, str]

STDIN = Path("-")


class Shard(Protocol):
    """Texts that are encoded into one file, wherever that is done."""

    @property
    def ids(self) -> Sequence[Id]:
        """The id of each text."""

    def read(self) -> Sequence[str]:
        """Read the texts."""


class Listed(NamedTuple):
    """A shard that holds its texts, for sources that a worker cannot read."""

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
        return shard_texts(iter_texts(source, text_column=text_column, id_column=id_column), texts_per_shard)
    collection = Collection(source)
    return (
        shard
        for path, mask in zip(collection.shards, collection.masks, strict=True)
        for shard in shard_articles(path, mask, texts_per_shard)
    )


def shard_texts(texts: Iterable[IdAndText], n_most: int) -> Iterator[Listed]:
    """Cut texts into shards of `n_most` texts; the last one may be smaller."""
    stream = iter(texts)
    while part := list(islice(stream, n_most)):
        yield Listed([identifier for identifier, _ in part], [text for _, text in part])


def shard_articles(path: Path, mask: npt.NDArray[np.bool_], n_most: int) -> Iterator[ArticleRows]:
    """Shards of at most `n_most` of the rows that `mask` marks in the Parquet file `path`. *Shape:* (n_rows,)"""
    pmids = pq.read_table(path, columns=["pmid"])["pmid"].to_numpy()
    rows = np.flatnonzero(mask)
    for start in range(0, len(rows), n_most):
        part = rows[start : start + n_most]
        yield ArticleRows(path.absolute(), pmids[part].tolist(), part)


def iter_texts(source: Path, *, text_column: str, id_column: str | None) -> Iterator[IdAndText]:
    """Stream the texts of `source` with their ids.

    - An `articles/` folder gives the title and the abstract, joined by a space, of each current article; the id is the PMID.
    - A table (`.parquet`, `.csv`, `.tsv`, `.jsonl`, `.ndjson`, each also `.gz`) gives `text_column`. The id is a string, as
      `id_column` has it written; without `id_column` it is the number of the row, from 0.
    - A `.txt` file (also `.gz`) gives one text a line; the id is the number of the line, from 0.

    Raises:
        InputError: the file is missing, damaged or of another kind, has no such column, or holds something that is not
            text; the message has the line.
    """
    if source.is_dir():
        return _iter_articles(source)
    if check_kind(source, (*TABLE_SUFFIXES, LINES_SUFFIX)) == LINES_SUFFIX:
        return ((number - 1, line) for number, line in iter_lines(source))
    return _iter_table(source, text_column, id_column)


def _iter_articles(folder: Path) -> Iterator[IdAndText]:
    for table in Collection(folder).iter_tables(["pmid", "title", "abstract"]):
        columns = (table[name].to_pylist() for name in ("pmid", "title", "abstract"))
        for pmid, title, abstract in zip(*columns, strict=True):
            yield pmid, article_text(title, abstract)


def _iter_table(path: Path, text_column: str, id_column: str | None) -> Iterator[IdAndText]:
    columns = [text_column] if id_column is None else [text_column, id_column]
    for number, (line, row) in enumerate(iter_rows(path, columns)):
        place = place_of(path, line)
        text = text_of(row[text_column], place)
        yield number if id_column is None else id_of(row[id_column], place), text


def spool_stdin(folder: Path) -> Path:
    """Copy standard input, one text a line, to a file in `folder`, so that it can be hashed and read again."""
    path = folder / f"stdin{LINES_SUFFIX}"
    with path.open("wb") as file:
        while block := sys.stdin.buffer.read(1 << 20):
            file.write(block)
    return path
