"""Folders that rooms exchange: written beside their goal, renamed when whole, resumed after a kill.

A stage writes into `GOAL.partial/` through `OutputFolder`. Each file there appears under its name only
when it is complete (`atomic_path`), so a killed stage goes on at the first file that is missing. The
manifest is written last and the folder renamed: a folder that has its manifest is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

from pubvec.errors import CompleteError, InputError, OutputError

if sys.platform != "win32":
    import fcntl

MANIFEST = "manifest.json"
"""Manifest of a data folder."""
MODEL_MANIFEST = "pubvec.json"
"""Manifest of a model or index folder: how it was made."""
_STARTED = ".started.json"
_LOCK = ".lock"
TEMPORARY = ".tmp"
_REPORTED_PACKAGES = ("pubvec", "numpy", "pyarrow", "lxml", "torch", "sentence-transformers", "onnxruntime")


@dataclass(frozen=True)
class Manifest:
    """What a finished folder says about itself."""

    command: str
    """The verb that made the folder, as typed: `parse`, `train align`."""
    config: Mapping[str, Any]
    """Every setting that decided the content."""
    inputs: Mapping[str, str]
    """Name of each input → SHA-256 of the file, or of the folder's manifest."""
    counts: Mapping[str, Any]
    seconds: float
    """Time spent, resumed attempts included."""
    versions: Mapping[str, str]


class OutputFolder:
    """Context manager for a folder that is either absent, resumable (`GOAL.partial`), or whole.

    Args:
        goal: the folder to make.
        command: the verb, for the manifest.
        config: settings that decide the content, as a mapping or a dataclass.
        inputs: files, or folders with a manifest, that decide the content.
        force: replace a complete `goal`, and discard a partial one with other settings.
        manifest_name: `MANIFEST`, or `MODEL_MANIFEST` for models and indexes.

    Raises:
        CompleteError: `goal` is complete, made with the same settings from the same inputs, and not `force`.
        OutputError: `goal` is complete with other settings and not `force`; `goal` exists and was not made
            by pubvec; a partial folder has other settings and not `force`; another process writes it.
    """

    def __init__(
        self,
        goal: Path | str,
        *,
        command: str,
        config: Any,
        inputs: Sequence[Path] = (),
        force: bool = False,
        manifest_name: str = MANIFEST,
    ) -> None:
        self.goal = Path(goal)
        _check_name(self.goal)
        self.path = self.goal.with_name(self.goal.name + ".partial")
        self.counts: dict[str, Any] = {}
        self._command = command
        self._config = json_ready(config)
        self._inputs = inputs
        self._force = force
        self._manifest_name = manifest_name

    def __enter__(self) -> OutputFolder:
        self._start = {
            "command": self._command,
            "config": self._config,
            "inputs": _fingerprints(self._inputs),
        }
        self._refuse_existing()
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.path / _LOCK)
        started = self._read_started()
        self._seconds_before = float(started.get("seconds", 0.0))
        self._started_at = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
            else:
                self._keep_or_remove()
        finally:
            self._lock.close()

    def has(self, name: str) -> bool:
        """Whether the file `name` was completed, now or by an attempt that was killed."""
        return (self.path / name).exists()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def _refuse_existing(self) -> None:
        if not self.goal.exists() or (self.goal.is_dir() and not any(self.goal.iterdir())):
            return
        if not any((self.goal / name).is_file() for name in (MANIFEST, MODEL_MANIFEST)):
            raise OutputError(f"{self.goal} exists and was not written by pubvec: choose another output")
        if self._force:
            return
        made = read_manifest(self.goal, made_by=self._command)
        if {key: getattr(made, key) for key in self._start} == self._start:
            raise CompleteError(f"{self.goal} is complete already: add --force to make it again")
        raise OutputError(
            f"{self.goal} is complete, with other settings or inputs: add --force to replace it, "
            "or choose another output"
        )

    def _read_started(self) -> dict[str, Any]:
        path = self.path / _STARTED
        if path.exists():
            started: dict[str, Any] = json.loads(path.read_text())
            if {key: started[key] for key in self._start} == self._start:
                return started
            if not self._force:
                raise OutputError(
                    f"{self.path} holds unfinished work with other settings or inputs: "
                    "repeat its settings to resume, or add --force to discard it"
                )
            for child in self.path.iterdir():
                if child.name != _LOCK:
                    remove(child)
        write_json(path, self._start)
        return self._start

    def _seconds(self) -> float:
        return round(self._seconds_before + time.perf_counter() - self._started_at, 3)

    def _finish(self) -> None:
        manifest = Manifest(
            **self._start, counts=self.counts, seconds=self._seconds(), versions=package_versions()
        )
        write_json(self.path / self._manifest_name, json_ready(manifest))
        for remnant in self.path.rglob(f".*{TEMPORARY}"):  # of what was killed
            remove(remnant)
        remove(self.path / _STARTED)
        remove(self.path / _LOCK)
        old = self.goal.with_name(self.goal.name + ".old")
        remove(old)
        if self.goal.exists():
            self.goal.rename(old)
        self.path.rename(self.goal)
        sync(self.goal.parent)
        remove(old)

    def _keep_or_remove(self) -> None:
        """Keep finished files for the next attempt; leave nothing behind where there are none."""
        if any(not child.name.startswith(".") for child in self.path.iterdir()):
            write_json(self.path / _STARTED, {**self._start, "seconds": self._seconds()})
        else:
            remove(self.path)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name, no one else's, beside `path`; sync and rename it to `path` if the block succeeds."""
    _check_name(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        with suppress(OSError):
            remove(temporary)


def _check_name(path: Path) -> None:
    """Refuse `/` and `.`, which exist already and have no name that a finished output could be renamed to."""
    if not path.name:
        raise OutputError(f"{path} cannot be replaced by an output: give it a name of its own")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_manifest(folder: Path | str, *, made_by: str) -> Manifest:
    """Read the manifest of a finished folder.

    Raises:
        InputError: the folder is missing or unfinished; the message names `made_by`, the verb to run.
    """
    folder = Path(folder)
    for name in (MANIFEST, MODEL_MANIFEST):
        path = folder / name
        if path.is_file():
            try:
                return Manifest(**json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise InputError(f"{path} is damaged ({error}): make the folder again") from error
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: `pubvec {made_by}` makes it")
    raise InputError(f"{folder} has no {MANIFEST}, so it is not complete: `pubvec {made_by}` makes it")


def fingerprint(path: Path | str) -> str:
    """SHA-256 of a file, or of a folder's manifest (which holds the hashes of what it was made from)."""
    path = Path(path)
    if path.is_dir():
        manifest = next((path / name for name in (MANIFEST, MODEL_MANIFEST) if (path / name).is_file()), None)
        if manifest is None:
            return _hash_files(sorted(p for p in path.rglob("*") if p.is_file()))
        path = manifest
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    return _hash_files([path])


def json_ready(value: Any) -> Any:
    """Turn dataclasses, paths, tuples and numpy scalars into what JSON holds."""
    if is_dataclass(value) and not isinstance(value, type):
        return json_ready(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_ready(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, Path):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def package_versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that decide results."""
    versions = {"python": sys.version.split()[0]}
    for package in _REPORTED_PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def remove(path: Path) -> None:
    """Remove a file or a folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def lock(path: Path) -> Any:
    """Hold `path` until what is returned is closed, or this process ends; OutputError: another process holds it."""
    file = path.open("w")
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise OutputError(f"another process is writing {path.parent}: wait for it, or stop it") from error
    return file


def _fingerprints(inputs: Sequence[Path]) -> dict[str, str]:
    """Hash of each input by its name, or by its path where two have the same name."""
    names = [path.name for path in inputs]
    return {path.name if names.count(path.name) == 1 else str(path): fingerprint(path) for path in inputs}


def _hash_files(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Flush a file or a directory entry to the disk, where the platform can."""
    with suppress(PermissionError, IsADirectoryError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
