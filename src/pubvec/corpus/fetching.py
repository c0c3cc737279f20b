"""One file of a server, fetched whole or not at all: resumed where it broke off, and checked against its MD5 sum."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pubvec.corpus.config import DownloadConfig
from pubvec.errors import InputError
from pubvec.files import atomic_path, remove, sync
from pubvec.version import __version__

T = TypeVar("T")

PART = ".part"
_MD5 = re.compile(r"^MD5\s*\((?P<name>[^)]+)\)\s*=\s*(?P<sum>[0-9a-fA-F]{32})\s*$")
_CHUNK_BYTES = 1 << 18
_PASSING = {408, 429, 500, 502, 503, 504}
"""HTTP statuses that mean that the request may succeed later."""
_LONGEST_WAIT_S = 120.0

OnBytes = Callable[[int, int], None]
"""Called with the bytes of the file that are here, and those that it will have, 0 where the server does not say."""


class _Passing(Exception):
    """A failure that may not occur again at the next attempt."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def fetch(url: str, path: Path, config: DownloadConfig, on_bytes: OnBytes = lambda *_: None) -> bool:
    """Fetch `url` to `path`, and its MD5 sum, from `url` + ".md5", beside it; a file that has the right sum stays.

    What has come of a file is kept as `NAME.SUM.part`, under the sum that it will have: a later call asks for the rest, and
    forgets it where the server's file has changed meanwhile. An attempt that brings bytes does not count as a failure.

    Returns:
        Whether anything was fetched.

    Raises:
        InputError: the server does not have the file, or fails `config.n_attempts` times.
    """
    return _repeat(
        lambda: _attempt(url, path, config, on_bytes),
        url,
        config,
        lambda: sum(part.stat().st_size for part in path.parent.glob(f"{path.name}.*{PART}")),
    )


def read_page(url: str, config: DownloadConfig) -> str:
    """The text of a small page, tried as often as a file.

    Raises:
        InputError: the server does not have it, or fails `config.n_attempts` times.
    """
    return _repeat(lambda: _read(url, config), url, config)


def _repeat(
    attempt: Callable[[], T], url: str, config: DownloadConfig, count_bytes: Callable[[], int] = lambda: 0
) -> T:
    """Call `attempt` until it succeeds. The count of failures starts anew when an attempt has brought more bytes."""
    n_failures = n_before = 0
    while True:
        try:
            return attempt()
        except _Passing as passing:  # noqa: PERF203
            n_here = count_bytes()
            n_failures = 1 if n_here > n_before else n_failures + 1
            n_before = n_here
            if n_failures >= config.n_attempts:
                raise InputError(f"{url}: {passing}: repeat the command to go on") from passing
            wait_s = config.wait_s * 2**n_failures / 2 if passing.wait_s is None else passing.wait_s
            time.sleep(min(wait_s, _LONGEST_WAIT_S))


def read_sum(text: str, name: str, place: str) -> str:
    """The MD5 sum of the file `name` in NLM's form, `MD5(pubmed26n0001.xml.gz)= …`.

    Raises:
        InputError: `text`, found at `place`, is something else.
    """
    match = _MD5.match(text.strip())
    if not match or match["name"] != name:
        raise InputError(f"{place}: expected 'MD5({name})= …', found {text[:60]!r}")
    return match["sum"].lower()


def hash_file(path: Path) -> str:
    """MD5 sum of a file."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _attempt(url: str, path: Path, config: DownloadConfig, on_bytes: OnBytes) -> bool:
    line = _read(f"{url}.md5", config)
    expected = read_sum(line, path.name, f"{url}.md5")
    part = path.with_name(f"{path.name}.{expected[:8]}{PART}")
    for other in path.parent.glob(f"{path.name}.*{PART}"):
        if other != part:  # parts of a file that the server has replaced
            remove(other)
    sums = path.with_name(f"{path.name}.md5")
    is_here = path.exists() and hash_file(path) == expected
    if not is_here:
        _fetch_rest(url, part, config, on_bytes)
        found = hash_file(part)
        if found != expected:
            remove(part)
            raise _Passing(f"the MD5 sum should be {expected} and is {found}")
        sync(part)
        remove(sums)  # the sum belonged to the file before this one
        part.replace(path)
    if not sums.exists() or sums.read_text() != line:
        with atomic_path(sums) as temporary:
            temporary.write_text(line)
    return not is_here


def _fetch_rest(url: str, part: Path, config: DownloadConfig, on_bytes: OnBytes) -> None:
    """Append to `part` what it lacks."""
    n_here = part.stat().st_size if part.exists() else 0
    with _open(url, config, first=n_here) as response:
        if response is None:  # HTTP 416: the part has all bytes of the file
            return
        if response.status != 206 or not _continues(response, n_here):
            n_here = 0  # the server sends the whole file although a part was requested
        n_total = n_here + int(response.headers.get("Content-Length") or 0)
        with part.open("ab" if n_here else "wb") as file:
            try:
                while chunk := response.read1(_CHUNK_BYTES):
                    file.write(chunk)
                    n_here += len(chunk)
                    on_bytes(n_here, n_total)
                    if n_here > config.max_file_bytes:
                        raise InputError(
                            f"{url} goes on after {config.max_file_bytes} bytes, max_file_bytes: is it NLM's file?"
                        )
            except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
                raise _Passing(f"broke off after {n_here} bytes ({error!r})") from error
        if n_here < n_total:
            raise _Passing(f"broke off after {n_here} of {n_total} bytes")


def _continues(response: http.client.HTTPResponse, n_here: int) -> bool:
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {n_here}-")


def _read(url: str, config: DownloadConfig) -> str:
    with _open(url, config) as response:
        try:
            return str(response.read(config.max_page_bytes), errors="replace")
        except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise _Passing(f"broke off ({error!r})") from error


class _Nothing:
    """An empty response, used if nothing is left to fetch."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _open(url: str, config: DownloadConfig, first: int = 0) -> Any:
    """Ask for `url`, from byte `first` on; a context manager for the response."""
    headers = {"User-Agent": f"pubvec/{__version__}"} | ({"Range": f"bytes={first}-"} if first else {})
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    try:
        return urllib.request.urlopen(request, timeout=config.timeout_s)  # noqa: S310
    except urllib.error.HTTPError as error:
        if first and error.code == 416:
            return _Nothing()
        answer = f"the server answers {error.code} {error.reason}"
        if error.code in _PASSING:
            raise _Passing(answer, _retry_after(error)) from error
        raise InputError(f"{url}: {answer}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(f"cannot be reached: {getattr(error, 'reason', error)}") from error


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    value = error.headers.get("Retry-After", "") if error.headers else ""
    return float(value) if value.isdigit() else None
