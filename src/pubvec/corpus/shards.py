"""One XML file → one Parquet shard, which tells in its metadata what went into it."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from pubvec.corpus.config import ParseConfig
from pubvec.corpus.inflate import STDIN, open_chunks
from pubvec.corpus.medline import Deletion, parse_records
from pubvec.corpus.own_files import find_kind, iter_own_articles
from pubvec.corpus.scan import Flaw, RecordScanner
from pubvec.errors import InputError
from pubvec.files import atomic_path
from pubvec.records import Article
from pubvec.tables import schema_of, table_of

_METADATA = "pubvec"
_N_ROWS_A_GROUP = 1000


class ShardSummary(NamedTuple):
    """The parts of a file that are no articles: deletions and flaws."""

    file: str
    n_records: int
    deleted: list[tuple[int, int]]
    """PMID and version of each record that the file withdraws."""
    skipped: list[Flaw]


def write_shard(source: str, shard: Path, config: ParseConfig, n_threads: int | None = None) -> None:
    """Parse the file `source` into `shard`, in memory that does not grow with the file.

    With more than one thread, one compresses and writes what another has parsed.

    Raises:
        InputError: the file is missing, no PubMed XML, or damaged (unless `skip_bad_records`).
    """
    summary = ShardSummary("standard input" if source == STDIN else Path(source).name, 0, [], [])
    with (
        _paused_garbage_collection(),
        atomic_path(shard) as path,
        pq.ParquetWriter(path, schema_of(Article), compression="zstd") as writer,
        nullcontext() if n_threads == 1 else ThreadPoolExecutor(1) as background,
    ):
        written: Future[None] | None = None
        for articles in _iter_groups(_iter_articles(source, summary, config)):
            if written:
                written.result()
            table = table_of(Article, articles)
            if background:
                written = background.submit(writer.write_table, table)
            else:
                writer.write_table(table)
            summary = summary._replace(n_records=summary.n_records + len(articles))
        if written:
            written.result()
        writer.add_key_value_metadata({_METADATA: json.dumps(summary)})


def read_summary(shard: Path) -> ShardSummary:
    """Read what `write_shard` noted in the shard."""
    file, n_records, deleted, skipped = json.loads(pq.read_metadata(shard).metadata[_METADATA.encode()])
    return ShardSummary(
        file, n_records, [(pmid, version) for pmid, version in deleted], [Flaw(*flaw) for flaw in skipped]
    )


@contextmanager
def _paused_garbage_collection() -> Iterator[None]:
    """Pause Python's garbage collector. Records are tuples without reference cycles, and the search for cycles takes
    a tenth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _iter_articles(source: str, summary: ShardSummary, config: ParseConfig) -> Iterator[Article]:
    """Yield the articles of a file; note deletions and flaws in `summary`."""
    last_pmid = None
    with _open_records(source, config) as records:
        for item in records:
            if isinstance(item, Article):
                last_pmid = item.pmid
                yield item
            elif isinstance(item, Deletion):
                summary.deleted.append(item)
            elif config.skip_bad_records:
                summary.skipped.append(item)
            else:
                raise InputError(_describe(item, source, last_pmid))


@contextmanager
def _open_records(source: str, config: ParseConfig) -> Iterator[Iterator[Article | Deletion | Flaw]]:
    """Open a file of any known kind as an iterator over what it holds."""
    if kind := find_kind(source, config):
        yield iter_own_articles(source, kind, config)
        return
    with open_chunks(source, config) as chunks:
        yield parse_records(RecordScanner(chunks, source, config.max_record_bytes))


def _iter_groups(articles: Iterator[Article]) -> Iterator[list[Article]]:
    group: list[Article] = []
    for article in articles:
        group.append(article)
        if len(group) == _N_ROWS_A_GROUP:
            yield group
            group = []
    if group:
        yield group


def _describe(flaw: Flaw, source: str, last_pmid: int | None) -> str:
    after = "" if last_pmid is None else f" (the last good one has PMID {last_pmid})"
    return f"{source}: record {flaw.number}{after}, byte {flaw.byte}: {flaw.reason}"
