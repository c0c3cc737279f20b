"""Folders that rooms exchange: written beside their goal, renamed when whole, resumed after a kill.

A stage writes into `GOAL.partial/` through `OutputFolder`. Each file there appears under its name only
when it is complete (`atomic_path`), so a killed stage goes on at the first file that is missing. The
manifest is written last and the folder renamed: a folder that has its manifest is whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass, replace
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock

from pubvec.errors import CompleteError, InputError, OutputError, UnreadableError

MANIFEST = "manifest.json"
"""Manifest of a data folder."""
MODEL_MANIFEST = "pubvec.json"
"""Manifest of a model or index folder: how it was made."""
_STARTED = ".started.json"
_LOCK = ".lock"
TEMPORARY = ".tmp"
_DATA_OF_TRAINING = ("train scores",)
"""Verbs of training that make data, not a model."""
_SYSTEM_FAULTS = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EIO,
    errno.ESTALE,
    errno.ELOOP,
)
"""Errors of the operating system that say nothing of the content of a file."""
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
        _check_name(Path(goal))
        # The path is resolved, so that `a/link/../../b` is judged by the folder that it leads to.
        self.goal = Path(goal).resolve()
        _check_name(self.goal)
        if Path.cwd().is_relative_to(self.goal):
            raise OutputError(
                f"{self.goal} holds the folder that this command runs in: choose another output"
            )
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
        try:
            self._refuse_existing()  # another process may have finished between the check of the goal and the lock
            if not (self.path / _LOCK).exists():
                raise OutputError(f"another process has just written {self.goal}: repeat the command")
            self._replaced = _identity_of(self.goal)
            started = self._read_started()
        except BaseException:
            if not any(child.name != _LOCK for child in self._children()):
                remove(self.path)
            self._lock.close()
            raise
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

    def _children(self) -> list[Path]:
        return list(self.path.iterdir()) if self.path.is_dir() else []

    def _refuse_existing(self) -> None:
        """Refuse a goal that is not absent, and not ours to replace."""
        if self.path.is_symlink():
            raise OutputError(f"{self.path} is a link: remove it, or choose another output")
        if not self.goal.exists() or (self.goal.is_dir() and not any(self.goal.iterdir())):
            return
        if not any((self.goal / name).is_file() for name in (MANIFEST, MODEL_MANIFEST)):
            raise OutputError(f"{self.goal} exists and was not written by pubvec: choose another output")
        try:
            made = read_manifest(self.goal, made_by=self._command)
        except InputError as error:
            raise OutputError(
                f"{self.goal} exists, and its manifest is not one that pubvec writes: choose another output"
            ) from error
        if _kind_of(made.command) != _kind_of(self._command):
            raise OutputError(
                f"{self.goal} was made by `pubvec {made.command}` and is no output of `pubvec {self._command}`: "
                "choose another output, or remove it yourself"
            )
        if self._force:
            return
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
        self._refuse_appeared()
        manifest = Manifest(
            **self._start, counts=self.counts, seconds=self._seconds(), versions=package_versions()
        )
        write_json(self.path / self._manifest_name, json_ready(manifest))
        for pattern in (f".replaced-*{TEMPORARY}", f"**/.*{TEMPORARY}"):  # left by a process that was killed
            for remnant in list(self.path.glob(pattern)):
                remove(remnant)
        remove(self.path / _STARTED)
        if sys.platform == "win32":  # Windows cannot rename a folder that holds an open file
            self._lock.close()
            remove(self.path / _LOCK)
        self._rename()
        # The lock is held until the folder has its name. Without its file another writer could begin in the same folder. An
        # index keeps it, because `update` and `compact` lock the same file.
        if not (self._command == "index" and self._manifest_name == MODEL_MANIFEST):
            remove(self.goal / _LOCK)
        sync(self.goal.parent)

    def _refuse_appeared(self) -> None:
        """Refuse a goal that is another than the one that was judged when the work began."""
        if _identity_of(self.goal) != self._replaced and not _is_empty(self.goal):
            raise OutputError(
                f"{self.goal} appeared or was replaced while this command ran, and is left alone: move it away and "
                f"repeat the command, which finds its work in {self.path}"
            )

    def _rename(self) -> None:
        """Put the finished folder in the place of its goal.

        The old folder, if there is one, waits inside of the new one until the new one has its name. So nothing beside the
        goal is ever touched, and a kill in between leaves both in the partial folder.
        """
        old = self.path / f".replaced-{secrets.token_hex(8)}{TEMPORARY}"
        has_old = self._replaced is not None and self.goal.exists()
        if has_old:
            self.goal.rename(old)
        try:
            self.path.rename(self.goal)
        except OSError as error:
            if has_old and not self.goal.exists():
                old.rename(self.goal)
            raise OutputError(
                f"{self.goal} appeared while this command ran, and is left alone ({error.strerror}): move it away and "
                f"repeat the command, which finds its work in {self.path}"
            ) from error
        remove(self.goal / old.name)

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
        if is_file(path):
            return _parse_manifest(path)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: `pubvec {made_by}` makes it")
    raise InputError(f"{folder} has no {MANIFEST}, so it is not complete: `pubvec {made_by}` makes it")


def is_file(path: Path) -> bool:
    """Return whether `path` is a regular file. A folder that may not be entered is an error, not a missing file.

    Raises:
        InputError: the operating system does not say.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno in _SYSTEM_FAULTS:
            raise fault_of(path, error) from error
        return False


def fault_of(path: Path, error: BaseException) -> InputError:
    """Return the error that tells why `path` could not be opened: the words of the operating system, or damage.

    A file that is missing or holds other bytes than were written is damaged. A file that this user may not read, a disk
    that fails and a process with too many open files say nothing of its content. Native libraries pass on the words of the
    system, and not its number.
    """
    code = getattr(error, "errno", None)
    words = str(error)
    for each in _SYSTEM_FAULTS:
        if code == each or (code is None and os.strerror(each) in words):
            named = getattr(error, "filename", None)
            return UnreadableError(f"{named or path} cannot be read: {os.strerror(each)}")
    return InputError(
        f"{path} is damaged ({words or type(error).__name__}): `pubvec verify` tells what else is"
    )


class _Entries(dict[str, Any]):
    """A mapping of a manifest, which names itself where an entry is missing."""

    path: Path | None = None

    def __missing__(self, key: str) -> Any:
        raise InputError(f"{self.path} is damaged (it lacks {key!r}): make the folder again")


def _parse_manifest(path: Path) -> Manifest:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(**values)
        kinds: dict[str, Any] = {
            "command": str,
            "config": dict,
            "inputs": dict,
            "counts": dict,
            "seconds": (int, float),
            "versions": dict,
        }
        for name, kind in kinds.items():
            if not isinstance(values[name], kind):
                raise TypeError(f"{name} is {values[name]!r:.40}")
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{path} is damaged ({reason}): make the folder again") from error
    except OSError as error:
        raise fault_of(path, error) from error
    entries = _Entries(manifest.config), _Entries(manifest.counts)
    for entry in entries:
        entry.path = path
    return replace(manifest, config=entries[0], counts=entries[1])


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


class Lock:
    """A lock that is held until `close` or the end of the process."""

    def __init__(self, held: filelock.BaseFileLock) -> None:
        self._held = held

    def close(self) -> None:
        """Let others have it."""
        self._held.release(force=True)


def lock(path: Path) -> Lock:
    """Hold the file `path` against other processes and other holders in this one.

    Raises:
        OutputError: somebody else holds it, it is a link or no regular file, or it cannot be written.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OutputError(f"{path} is a link or no regular file, and a lock is never one: remove it")
    held = filelock.FileLock(path, thread_local=False)
    try:
        held.acquire(blocking=False)
    except filelock.Timeout as error:
        raise OutputError(f"another process is writing {path.parent}: wait for it, or stop it") from error
    except (OSError, NotImplementedError) as error:
        raise OutputError(f"{path.parent} cannot be locked for writing ({error})") from error
    return Lock(held)


def refuse_links(folder: Path) -> None:
    """Refuse a folder that holds symbolic links: one from a stranger could name any file of this machine.

    Raises:
        InputError: there is one.
    """
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise InputError(
                f"{path} is a link, and an index holds none: copy the file that it names, or do not use it"
            )


def _kind_of(command: str) -> str:
    """The kind of folder that a verb makes: only folders of one kind replace each other."""
    verb = command.split()[0] if command else ""
    if verb in ("index", "update", "compact"):
        return "index"
    is_model = verb in ("average", "export", "release") or command.startswith("train ")
    return "model" if is_model and command not in _DATA_OF_TRAINING else command


def _identity_of(path: Path) -> tuple[int, int] | None:
    """Device and inode of a folder that is there; None for an absent or empty one."""
    if _is_empty(path):
        return None
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _is_empty(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


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
