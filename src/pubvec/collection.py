"""An `articles/` folder read as PubMed shows it: the newest version of each PMID, deletions applied.

The folder keeps every record of every file, one shard a file in baseline-then-update order. Which of
them are current follows from (PMID, version, shard) alone, so nothing is rewritten when files are added:

- a record replaces every earlier record with the same PMID and version;
- a deletion in shard *k* withdraws that PMID and version from shards 0 … *k*;
- of the versions that remain, the highest is the article.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.errors import InputError
from pubvec.files import read_manifest
from pubvec.records import Article
from pubvec.tables import schema_of

DELETED = "deleted.parquet"
ARTICLES_FORMAT = 2
"""The version of the columns of a shard. Folders of version 1 lack some columns, which are read as empty."""
_SHARDS = "part-*.parquet"
_NLM_NAME = re.compile(r"(?:pubmed|medline)(\d\d)n(\d{4,})\.xml(?:\.gz)?$")
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def nlm_number(name: str) -> tuple[int, int] | None:
    """Year and number in the name of one of NLM's files, `pubmed26n0001.xml.gz`; None for another name."""
    found = _NLM_NAME.match(Path(name).name)
    return (int(found[1]), int(found[2])) if found else None


def last_file(names: Sequence[str]) -> str | None:
    """The last of NLM's files among `names`; None where one has a name of its own."""
    numbered = [(number, name) for name in names if (number := nlm_number(name))]
    return max(numbered)[1] if numbered and len(numbered) == len(names) else None


class Collection:
    """The current articles of a finished `articles/` folder.

    Args:
        folder: made by `pubvec parse`.

    Raises:
        InputError: the folder is missing, unfinished, or holds no shard.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        read_manifest(self.folder, made_by="parse")
        self.shards = sorted(self.folder.glob(_SHARDS))
        if not self.shards:
            raise InputError(f"{self.folder} holds no shard {_SHARDS}: `pubvec parse` makes them")
        self.masks, self.live_masks = self._find_rows()
        """The first tells which rows of each shard are current. The second has the rows of lower versions as well, which
        become current where the highest version is deleted. *Shape:* (n_rows of the shard,) each"""

    def __len__(self) -> int:
        return int(sum(mask.sum() for mask in self.masks))

    def iter_tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the current rows of each shard, in order; `columns` are fields of `records.Article`.

        A column that the shard lacks, because an older version of pubvec wrote it, holds nulls or empty lists.
        """
        for shard, mask in zip(self.shards, self.masks, strict=True):
            table = _read_shard(shard, columns)
            yield table if mask.all() else table.filter(pa.array(mask))

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return all current rows in one table."""
        return pa.concat_tables(self.iter_tables(columns))

    def iter_live_tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield what `iter_tables` yields, with the rows of lower versions that are not deleted."""
        for shard, mask in zip(self.shards, self.live_masks, strict=True):
            table = _read_shard(shard, columns)
            yield table if mask.all() else table.filter(pa.array(mask))

    def read_deleted(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return PMID, version and shard of each deletion. *Shape:* (n_deleted,) each"""
        table = pq.read_table(self.folder / DELETED)
        pmid, version, shard = (
            table[name].to_numpy().astype(np.int64) for name in ("pmid", "version", "shard")
        )
        return pmid, version, shard

    def _find_rows(self) -> tuple[list[BoolArray], list[BoolArray]]:
        keys = [pq.read_table(shard, columns=["pmid", "version"]) for shard in self.shards]
        pmid = np.concatenate([table["pmid"].to_numpy() for table in keys]).astype(np.int64)
        version = np.concatenate([table["version"].to_numpy() for table in keys]).astype(np.int64)
        sizes = [table.num_rows for table in keys]
        shard = np.repeat(np.arange(len(keys)), sizes)
        records = pmid, version, shard
        ends = np.cumsum(sizes)[:-1]
        is_live = find_live(*records, self.read_deleted())
        return np.split(_find_highest(pmid, version, is_live), ends), np.split(is_live, ends)


def _read_shard(shard: Path, columns: Sequence[str] | None) -> pa.Table:
    known = schema_of(Article)
    with pq.ParquetFile(shard) as file:
        present = set(file.schema_arrow.names)
        wanted = list(known.names if columns is None else columns)
        table = file.read(columns=[name for name in wanted if name in present])
        n_rows = file.metadata.num_rows
    for name in wanted:
        if name not in present:
            kind = known.field(name).type
            empty: list[Any] = [[]] * n_rows if pa.types.is_list(kind) else [None] * n_rows
            table = table.append_column(name, pa.array(empty, type=kind))
    return table.select(wanted)


def find_current(
    pmid: IntArray, version: IntArray, shard: IntArray, deleted: tuple[IntArray, ...]
) -> BoolArray:
    """Mark the records that are current: of those that are live, the highest version of each PMID.

    Arguments and result are those of `find_live`.
    """
    return _find_highest(pmid, version, find_live(pmid, version, shard, deleted))


def find_live(pmid: IntArray, version: IntArray, shard: IntArray, deleted: tuple[IntArray, ...]) -> BoolArray:
    """Mark the records that no later record of the same version replaces and no deletion withdraws.

    *Shape:* all of `pmid`, `version`, `shard`: (n_records,), records in file order, `shard` ascending.
    `deleted` is (pmid, version, shard), each (n_deleted,). Returns (n_records,).
    """
    order = np.lexsort((np.arange(len(pmid)), version, pmid))
    is_live = np.zeros(len(pmid), dtype=bool)
    is_live[order] = _ends_run(pmid[order], version[order])
    last_deletion = _last_deletions(*deleted)
    for row in np.flatnonzero(is_live & np.isin(pmid, deleted[0])):
        is_live[row] = shard[row] > last_deletion.get((pmid[row], version[row]), -1)
    return is_live


def _find_highest(pmid: IntArray, version: IntArray, is_live: BoolArray) -> BoolArray:
    """Mark the highest version of each PMID among the live records. *Shape:* (n_records,) each"""
    order = np.lexsort((version, pmid))
    live = order[is_live[order]]
    is_highest = np.zeros(len(pmid), dtype=bool)
    is_highest[live] = _ends_run(pmid[live])
    return is_highest


def _last_deletions(pmid: IntArray, version: IntArray, shard: IntArray) -> dict[tuple[int, int], int]:
    """Return, for each (PMID, version) that is withdrawn, the last shard that withdraws it."""
    last: dict[tuple[int, int], int] = {}
    for key, number in zip(zip(pmid.tolist(), version.tolist(), strict=True), shard.tolist(), strict=True):
        last[key] = max(number, last.get(key, -1))
    return last


def _ends_run(*columns: IntArray) -> BoolArray:
    """Mark the rows of sorted columns that are the last of a run of equal values. *Shape:* (n,)"""
    is_end = np.ones(len(columns[0]), dtype=bool)
    if len(is_end):
        is_end[:-1] = np.any([column[:-1] != column[1:] for column in columns], axis=0)
    return is_end
