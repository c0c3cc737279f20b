"""`info` tells what an index holds, and `verify` checks that it is what was written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pubvec.errors import InputError, UnreadableError
from pubvec.files import read_manifest
from pubvec.retrieval.history import read_history
from pubvec.retrieval.indexing import open_version
from pubvec.retrieval.lexical import Lexical
from pubvec.retrieval.versions import Version, find_changed, find_version, list_versions, read_again

_BLOCK = 16_384
_TOLERANCE = 2e-3
"""The length of a unit vector kept as float16 may differ from 1 by this much."""


class VersionInfo(NamedTuple):
    """One version of an index."""

    version: int
    command: str
    n_articles: int
    n_encoded: int
    data_through_file: str | None
    data_through_date: str | None
    seconds: float


class IndexInfo(NamedTuple):
    """What an index says of itself."""

    model: str
    model_sha256: str
    dim: int
    n_articles: int
    n_bytes: int
    """The bytes on disk; files that versions share are counted once."""
    data_through_file: str | None
    """The last of NLM's files in it."""
    data_through_date: str | None
    """The last day on which NLM touched one of its records."""
    versions: list[VersionInfo]
    """Oldest first; the last one is the current one."""
    gaps: list[str]
    """NLM's files that are missing between those that were applied, as `pubmed26n0003` or `pubmed26n0003 to n0005`."""


def info(index: Path | str) -> IndexInfo:
    """Read what `index` holds.

    Raises:
        InputError: it is unfinished.
    """
    index = Path(index)
    return read_again(index, lambda: _read_info(index))


def _read_info(index: Path) -> IndexInfo:
    current = find_version(index)
    manifest = read_manifest(index, made_by="index")
    sizes: dict[int, int] = {}
    for folder, _, names in os.walk(index):  # os.walk skips folders that a writer has just removed
        for name in names:
            with suppress(OSError):
                status = Path(folder, name).lstat()
                sizes[status.st_ino] = status.st_size
    return IndexInfo(
        model=manifest.config["model"],
        model_sha256=manifest.config["model_sha256"],
        dim=manifest.counts["dim"],
        n_articles=current.manifest.counts["n_articles"],
        n_bytes=sum(sizes.values()),
        data_through_file=current.through[0],
        data_through_date=current.through[1],
        versions=[
            VersionInfo(
                version.number,
                version.manifest.command,
                version.manifest.counts["n_articles"],
                version.manifest.counts["n_encoded"],
                *version.through,
                version.manifest.seconds,
            )
            for version in list_versions(index)
        ],
        gaps=[str(gap) for gap in read_history(current.folder, current.manifest.counts).gaps],
    )


def verify(index: Path | str) -> int:
    """Check every version of `index`: each byte, and that rows, vectors and articles are the same. Returns the versions.

    Raises:
        InputError: something is damaged; the message names all of it.
    """
    return read_again(Path(index), lambda: _verify(Path(index)))


def _verify(index: Path) -> int:
    find_version(index)  # the current version is there, and is the one that was published
    versions = list_versions(index)
    flaws = [f"version {version.number}: {flaw}" for version in versions for flaw in _find_flaws(version)]
    if flaws:
        raise InputError(f"{index} is damaged: {'; '.join(flaws)}: make it again from its articles")
    return len(versions)


def _find_flaws(version: Version) -> list[str]:
    """Yield the flaws of a version. Its rows are read only if all of its files are as they were written."""
    flaws = list(find_changed(version))
    if flaws:
        return flaws
    try:
        return list(_check_rows(version))
    except UnreadableError:
        raise
    except InputError as error:
        return [str(error)]


def _check_rows(version: Version) -> Iterator[str]:
    dense, lexical = open_version(version, is_any_schema=True)
    live = np.flatnonzero(dense.live)
    pmids = dense.keys["pmid"][live]
    if len(np.unique(pmids)) < len(pmids):
        yield "an article is there twice"
    if len(live) != version.manifest.counts["n_articles"] or len(live) != len(lexical):
        yield f"{len(live)} live vectors, {len(lexical)} articles"
    elif not _are_same(lexical, live, pmids):
        yield "vectors and articles differ in their PMIDs"
    for start in range(0, len(live), _BLOCK):
        lengths = np.linalg.norm(dense.vectors(live[start : start + _BLOCK]), axis=1)
        if not (np.abs(lengths - 1) < _TOLERANCE).all():
            yield f"a vector near row {live[start]} has another length than 1"


def _are_same(
    lexical: Lexical, live: np.typing.NDArray[np.int64], pmids: np.typing.NDArray[np.int64]
) -> bool:
    return lexical.pmids_of_rows() == dict(zip(live.tolist(), pmids.tolist(), strict=True))
