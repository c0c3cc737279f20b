"""NLM's baseline and update files, fetched over HTTPS and checked against their MD5 sums."""

from __future__ import annotations

import datetime
import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from pubvec.errors import ConfigError, InputError
from pubvec.files import atomic_path
from pubvec.progress import report
from pubvec.version import __version__

BASELINE_URL = "https://ftp.ncbi.nlm.nih.gov/pubmed/baseline/"
"""Files of the yearly baseline; the daily updates are in the folder `updatefiles` beside it."""
_FILE_NAME = re.compile(r"pubmed\d\dn\d{4,}\.xml\.gz")
_MD5 = re.compile(r"^MD5\s*\((?P<name>[^)]+)\)\s*=\s*(?P<sum>[0-9a-fA-F]{32})\s*$")
_CHUNK_BYTES = 1 << 20


def download_baseline(
    names: Iterable[str], folder: Path | str, *, base_url: str = BASELINE_URL, timeout_s: float = 60.0
) -> list[Path]:
    """Fetch files such as `pubmed26n0001.xml.gz` into `folder`, which is made if need be.

    A file appears under its name only when it is whole and its MD5 sum is NLM's. One that is there with the
    right sum is not fetched again.

    Args:
        names: NLM's file names.
        folder: where the files go.
        base_url: the folder on NLM's server, or on a mirror of it.
        timeout_s: the longest silence of the server, in seconds.

    Raises:
        ConfigError: a name is not NLM's, or `base_url` is no HTTP address.
        InputError: the server does not have the file, breaks off, or sends other bytes than it promised.
    """
    names = list(names)
    folder = Path(folder)
    _check_request(names, base_url)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, name in enumerate(names, start=1):
        url = f"{base_url.rstrip('/')}/{name}"
        paths.append(_download(url, folder / name, timeout_s))
        report("files", number, len(names))
    return paths


def download_first(
    folder: Path | str, *, base_url: str = BASELINE_URL, today: datetime.date | None = None
) -> Path:
    """Fetch the first file of the current baseline, which NLM replaces, under next year's name, each December.

    Raises:
        InputError: neither the newest baseline by the calendar nor the one before can be had.
    """
    today = today or datetime.date.today()
    newest = today.year + (today.month == 12)
    newest_name, older_name = (f"pubmed{year % 100:02d}n0001.xml.gz" for year in (newest, newest - 1))
    try:
        (path,) = download_baseline([newest_name], folder, base_url=base_url)
    except InputError as error:
        try:
            (path,) = download_baseline([older_name], folder, base_url=base_url)
        except InputError:
            raise error from None
    return path


def _check_request(names: list[str], base_url: str) -> None:
    if not base_url.startswith(("https://", "http://")):
        raise ConfigError(f"base_url must begin with https://, not {base_url!r}")
    for name in names:
        if not _FILE_NAME.fullmatch(name):
            raise ConfigError(f"expected a file name like pubmed26n0001.xml.gz, not {name!r}")


def _download(url: str, path: Path, timeout_s: float) -> Path:
    expected = _fetch_md5(f"{url}.md5", path.name, timeout_s)
    if path.exists() and _hash(path) == expected:
        return path
    with atomic_path(path) as part:
        found = _fetch(url, part, timeout_s)
        if found != expected:
            raise InputError(f"{url}: the MD5 sum should be {expected} and is {found}: download it again")
    return path


def _fetch_md5(url: str, name: str, timeout_s: float) -> str:
    with _open(url, timeout_s) as response:
        text = response.read(1000).decode(errors="replace").strip()
    match = _MD5.match(text)
    if not match or match["name"] != name:
        raise InputError(f"{url}: expected 'MD5({name})= …', found {text[:60]!r}")
    return match["sum"].lower()


def _fetch(url: str, path: Path, timeout_s: float) -> str:
    """Write what `url` holds to `path` and return its MD5 sum."""
    digest = hashlib.md5(usedforsecurity=False)
    n_bytes = 0
    try:
        with _open(url, timeout_s) as response, path.open("wb") as file:
            n_total = int(response.headers.get("Content-Length", 0)) or None
            while chunk := response.read(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
                n_bytes += len(chunk)
                report(f"bytes of {path.name}", n_bytes, n_total)
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise InputError(f"{url}: broke off after {n_bytes} bytes ({error!r}): download it again") from error
    if n_total is not None and n_bytes < n_total:
        raise InputError(f"{url}: broke off after {n_bytes} of {n_total} bytes: download it again")
    return digest.hexdigest()


def _open(url: str, timeout_s: float) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": f"pubvec/{__version__}"})  # noqa: S310
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310
    except urllib.error.HTTPError as error:
        raise InputError(f"{url}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"{url} cannot be reached: {getattr(error, 'reason', error)}") from error
    return response


def _hash(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
