"""The versions of an index: immutable folders that share their unchanged files, and a pointer that is swapped last.

`index/` holds `versions/00001/`, `00002/` …, and `pubvec.json`, which names the current one. A version is written beside
the others and renamed when whole (`files.OutputFolder`); only then is the pointer replaced, by a rename too. So whatever is
killed in between, `pubvec.json` names a whole version. Files that a version has in common with the one before are hard links
to them, or copies where the file system has none.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pubvec.errors import InputError
from pubvec.files import (
    MANIFEST,
    MODEL_MANIFEST,
    TEMPORARY,
    Manifest,
    fault_of,
    fingerprint,
    is_file,
    json_ready,
    read_manifest,
    refuse_links,
    remove,
    sync,
    write_json,
)

VERSIONS = "versions"
LIVE = "live.npy"
LEXICAL = "lexical"
SEGMENTS = "segments"
_TANTIVY_SEGMENT = re.compile(r"[0-9a-f]{32}\.")
_LOCKS = (".tantivy-writer.lock", ".tantivy-meta.lock")
_SEGMENT_NAME = re.compile(r"\d{5,}")
_N_TRIES = 50
_PAUSE_S = 0.02
"""Seconds after which a reader looks again for an index that is being replaced."""
_Result = TypeVar("_Result")


class Version(NamedTuple):
    """A whole version of an index."""

    number: int
    folder: Path
    manifest: Manifest

    @property
    def segments(self) -> list[Path]:
        """Folders of its segments, in the order of their rows."""
        names = self.manifest.counts["segments"]
        if not isinstance(names, list) or not all(_SEGMENT_NAME.fullmatch(str(name)) for name in names):
            raise InputError(f"{self.folder} is damaged: its segments are {names!r:.60}")
        return [self.folder / SEGMENTS / str(name) for name in names]

    @property
    def through(self) -> tuple[str | None, str | None]:
        """The last of NLM's files in it, and the last day that one of its records has."""
        counts = self.manifest.counts
        return counts["data_through_file"], counts["data_through_date"]


def folder_of(index: Path, number: int) -> Path:
    """Return the folder of version `number`, which need not exist."""
    return index / VERSIONS / f"{number:05}"


def find_version(index: Path, number: int | None = None) -> Version:
    """Version `number`; None: the current one.

    Raises:
        InputError: `index` is unfinished, or has no such version.
    """
    manifest = read_manifest(index, made_by="index")
    if manifest.command.split()[:1] != ["index"] and "version" not in manifest.counts:
        raise InputError(
            f"{index} was made by `pubvec {manifest.command}` and is no index: `pubvec index` makes one"
        )
    if "version" not in manifest.counts:
        raise InputError(f"{index} was made by an older pubvec: `pubvec index` makes it again")
    current = _current_number(index, manifest)
    folder = folder_of(index, current if number is None else number)
    for path in (index / MODEL_MANIFEST, index / VERSIONS, folder):
        if _is_link(path):
            raise InputError(f"{path} is a link, and an index holds none: put what it names in its place")
    if not is_file(folder / MANIFEST):
        kept = sorted(path.parent.name for path in (index / VERSIONS).glob(f"*/{MANIFEST}"))
        if number is None:
            raise InputError(
                f"{index} is damaged: its current version {current} is gone, it has {', '.join(kept)}"
            )
        raise InputError(
            f"{index} has no version {number}: it has {', '.join(str(int(name)) for name in kept)}"
        )
    refuse_links(folder)
    sha256 = manifest.counts.get("version_sha256")
    try:
        is_published = sha256 is None or number not in (None, current) or fingerprint(folder) == sha256
    except OSError as error:
        raise fault_of(folder, error) from error
    if not is_published:
        raise InputError(f"{folder / MANIFEST} is not the one that was written: {index} is damaged")
    return Version(current if number is None else number, folder, read_manifest(folder, made_by="index"))


def read_again(index: Path, read: Callable[[], _Result]) -> _Result:
    """Return what `read` reads from `index`. It is called again where versions came or went meanwhile.

    `compact` drops the versions before its own, and `index --force` exchanges the folder. A reader that was about to open
    such a version starts again on the current one; a reader that has opened it keeps its mapped files.

    Raises:
        InputError: `read` failed while the index stayed as it was.
    """
    for number in range(_N_TRIES):
        before = _state_of(index)
        try:
            return read()
        except (InputError, OSError) as error:
            if before is None and number < 3:  # the folder may be absent for a moment while it is exchanged
                time.sleep(_PAUSE_S)
            if number + 1 == _N_TRIES or (_state_of(index) == before and (before is not None or number >= 3)):
                raise (fault_of(index, error) if isinstance(error, OSError) else error) from error
    raise AssertionError("the last try returns or raises")


def _state_of(index: Path) -> tuple[bytes, list[str]] | None:
    """Return the pointer and the names of the versions of `index`, or None where there is none to be read."""
    try:
        names = [path.name for path in (index / VERSIONS).iterdir()]
        return (index / MODEL_MANIFEST).read_bytes(), sorted(names)
    except OSError:
        return None


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError as error:
        raise fault_of(path, error) from error


def drop(version: Version) -> None:
    """Remove a version. It leaves its place at once, so that nobody opens a part of it.

    Readers keep the files that they have mapped. Windows does not move what is open: the version stays until a later
    `compact`.
    """
    hidden = version.folder.parents[1] / f".dropped-{secrets.token_hex(8)}{TEMPORARY}"
    if sys.platform == "win32":
        with suppress(PermissionError):
            version.folder.rename(hidden)
    else:
        version.folder.rename(hidden)
    remove(hidden)


def _current_number(index: Path, manifest: Manifest) -> int:
    number = manifest.counts["version"]
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InputError(f"{index} is damaged: its current version is {number!r:.40}")
    return number


def list_versions(index: Path) -> list[Version]:
    """The versions that are kept, oldest first; none newer than the current one."""
    current = _current_number(index, read_manifest(index, made_by="index"))
    names = sorted(path.parent.name for path in (index / VERSIONS).glob(f"*/{MANIFEST}"))
    numbers = [int(name) for name in names if name.isdigit()]
    return [find_version(index, number) for number in numbers if number <= current]


def publish(index: Path, version: Version) -> Manifest:
    """Make `version` the current one."""
    old = read_manifest(index, made_by="index")
    counts = {**summary_of(version), "model": old.counts["model"], "dim": old.counts["dim"]}
    write_json(index / MODEL_MANIFEST, {**json_ready(old), "counts": json_ready(counts)})
    return read_manifest(index, made_by="index")


def summary_of(version: Version) -> dict[str, Any]:
    """Return the entries of the pointer about `version`."""
    counts = version.manifest.counts
    names = ("n_articles", "data_through_file", "data_through_date")
    return {
        "version": version.number,
        "version_sha256": fingerprint(version.folder),
        **{name: counts[name] for name in names},
    }


def link_tree(source: Path, goal: Path) -> None:
    """The files of `source` under `goal` as well, without a copy of their bytes where the file system can."""
    goal.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_dir():
            link_tree(path, goal / path.name)
        elif path.name not in _LOCKS:
            _link(path, goal / path.name)
    sync(goal)


def hash_files(folder: Path, known: Mapping[str, list[Any]] | None = None) -> dict[str, list[Any]]:
    """Return size in bytes, inode and SHA-256 of each file below `folder` except its manifest, by relative path.

    A file that `known` has with the same size and inode is a hard link to what was hashed then, and is not read again. After
    a copy of the index every inode is another one, so its files are hashed anew. A file that never changes and now has
    another hash is damaged.

    Raises:
        InputError: a file is damaged.
    """
    known = known or {}
    sums = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name.startswith(".") or name == MANIFEST or path.name in _LOCKS or path.suffix == TEMPORARY:
            continue
        stat = path.stat()
        before = known.get(name)
        if before is not None and before[:2] == [stat.st_size, stat.st_ino]:
            sums[name] = before
        else:
            sums[name] = [stat.st_size, stat.st_ino, fingerprint(path)]
            if before is not None and before[2] != sums[name][2] and _is_immutable(name):
                raise InputError(f"{path} has been changed since it was written: the index is damaged")
    return sums


def find_changed(version: Version) -> Iterator[str]:
    """Yield what is wrong with the files of `version`: those that are missing, or have other bytes than were written."""
    for name, (size, _, sha256) in version.manifest.counts["files"].items():
        path = version.folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            yield f"{name} is a name outside of the index"
        elif not is_file(path):
            yield f"{name} is missing"
        else:
            try:
                is_same = path.stat().st_size == size and fingerprint(path) == sha256
            except OSError as error:
                raise fault_of(path, error) from error
            if not is_same:
                yield f"{name} has been changed"


def _is_immutable(name: str) -> bool:
    """Tell whether a file is never written again, as vectors and the files that tantivy names by a random number."""
    return name.startswith(f"{SEGMENTS}/") or _TANTIVY_SEGMENT.match(Path(name).name) is not None


def _link(source: Path, goal: Path) -> None:
    try:
        os.link(source, goal)
    except OSError:
        shutil.copyfile(source, goal)
