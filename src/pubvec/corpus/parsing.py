"""PubMed's XML files → an `articles/` folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pubvec.collection import ARTICLES_FORMAT, DELETED, nlm_number
from pubvec.corpus.config import ParseConfig
from pubvec.corpus.inflate import STDIN, check_file
from pubvec.corpus.shards import ShardSummary, read_summary, write_shard
from pubvec.engine import Engine, LocalEngine
from pubvec.errors import ConfigError, InputError
from pubvec.files import Manifest, OutputFolder, atomic_path, json_ready, read_manifest
from pubvec.machine import count_cores
from pubvec.progress import report
from pubvec.records import DeletedCitation
from pubvec.tables import table_of

_logger = logging.getLogger(__name__)


def parse(
    files: Sequence[Path | str],
    output: Path | str,
    config: ParseConfig | None = None,
    *,
    engine: Engine | None = None,
    force: bool = False,
) -> Manifest:
    """Parse PubMed XML files into the folder `output`, one Parquet shard a file.

    The shards follow NLM's order, which is baseline before updates, where all names are NLM's
    (`pubmed26n0001.xml.gz`); else they follow `files`. A killed run resumes at the first missing shard.

    Args:
        files: `.xml` or `.xml.gz` files; `-` is standard input.
        output: the folder to make; `pubvec.collection.Collection` reads it.
        config: settings; the defaults stop at the first bad record.
        engine: what parses, a file a task; None: a process for each usable core. All its workers see `files` and
            `output` under their absolute paths. Standard input is parsed in this process.
        force: replace a complete `output`.

    Raises:
        InputError: a file is missing, no PubMed XML, or damaged; the message names the file, the record and
            the byte of its inflated XML.
        OutputError: see `OutputFolder`.
    """
    config = config or ParseConfig()
    sources = order_files(files)
    settings = json_ready(config)
    settings["format"] = ARTICLES_FORMAT  # A folder that an older version began is not resumed.
    settings["files"] = [Path(source).name for source in sources]  # In the order of the shards.
    inputs = [Path(source) for source in sources if source != STDIN]
    for path in inputs:
        check_file(path)
    with OutputFolder(output, command="parse", config=settings, inputs=inputs, force=force) as folder:
        _write_shards(sources, folder, config, engine)
        summaries = [read_summary(folder / _shard_name(number)) for number in range(len(sources))]
        _write_deleted(folder / DELETED, summaries)
        folder.counts.update(_count(summaries))
    return read_manifest(output, made_by="parse")


def order_files(files: Sequence[Path | str]) -> list[str]:
    """Put files with NLM's names in the order of year and number; leave others as given.

    Raises:
        ConfigError: no file.
        InputError: a file is given twice, or two files have the same name.
    """
    sources = [str(file) for file in files]
    if not sources:
        raise ConfigError("no file to parse: name at least one, or - for standard input")
    first_of: dict[str, str] = {}
    for source in sources:
        name = Path(source).name
        if name in first_of:
            raise InputError(f"{first_of[name]} and {source} have the same name: give each file once")
        first_of[name] = source
    numbers = [number for source in sources if (number := nlm_number(source))]
    if len(numbers) < len(sources):
        return sources
    return [source for _, source in sorted(zip(numbers, sources, strict=True))]


def _write_shards(
    sources: Sequence[str], folder: OutputFolder, config: ParseConfig, engine: Engine | None
) -> None:
    shards = [folder / _shard_name(number) for number in range(len(sources))]
    # Nobody knows whether standard input holds the same bytes as in an attempt that was killed, so nothing is
    # resumed.
    todo = [
        (source, shard) if source == STDIN else (str(Path(source).absolute()), shard.absolute())
        for source, shard in zip(sources, shards, strict=True)
        if source == STDIN or not shard.exists()
    ]
    if STDIN in sources:
        engine = LocalEngine(1)
    elif engine is None:
        engine = LocalEngine(max(1, min(len(todo), count_cores())))
    n_done = len(sources) - len(todo)
    work = partial(write_shard, config=config, n_threads=engine.n_threads)
    for _ in engine.run(work, todo):
        n_done += 1
        report("files", n_done, len(sources))


def _write_deleted(path: Path, summaries: Sequence[ShardSummary]) -> None:
    rows = [
        DeletedCitation(pmid, version, shard)
        for shard, summary in enumerate(summaries)
        for pmid, version in summary.deleted
    ]
    with atomic_path(path) as temporary:
        pq.write_table(table_of(DeletedCitation, rows), temporary, compression="zstd")


def _count(summaries: Sequence[ShardSummary]) -> dict[str, Any]:
    skipped = [
        {"file": summary.file, "record": flaw.number, "byte": flaw.byte, "reason": flaw.reason}
        for summary in summaries
        for flaw in summary.skipped
    ]
    if skipped:
        first = skipped[0]
        where = f"{first['file']}, record {first['record']}: {first['reason']}"
        _logger.warning(
            "%d bad records were skipped, the first in %s; the manifest lists them", len(skipped), where
        )
    return {
        "n_files": len(summaries),
        "n_records": sum(summary.n_records for summary in summaries),
        "n_deleted": sum(len(summary.deleted) for summary in summaries),
        "n_skipped": len(skipped),
        "skipped": skipped,
    }


def _shard_name(number: int) -> str:
    return f"part-{number:05d}.parquet"
