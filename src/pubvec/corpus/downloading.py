"""NLM's baseline and update files, fetched over HTTPS into one folder without a gap."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pubvec.collection import nlm_number
from pubvec.corpus.config import DownloadConfig, Kind
from pubvec.corpus.fetching import PART, fetch, hash_file, read_page, read_sum
from pubvec.errors import InputError
from pubvec.progress import report

_LINK = re.compile(r'href="(pubmed\d\dn\d{4,}\.xml\.gz)"')
_FOLDERS: dict[Kind, tuple[str, ...]] = {
    "baseline": ("baseline",),
    "updates": ("updatefiles",),
    "all": ("baseline", "updatefiles"),
}
_REPORT_EVERY_S = 0.2


class Downloaded(NamedTuple):
    """The files of a download that are in the folder now."""

    paths: list[Path]
    """The files stand in NLM's order."""
    n_fetched: int
    """The number of files that this call fetched."""


def download(
    folder: Path | str,
    *,
    first: int | None = None,
    last: int | None = None,
    allow_gaps: bool = False,
    config: DownloadConfig | None = None,
) -> Downloaded:
    """Fetch NLM's files of the newest year into `folder`, each beside its MD5 sum.

    A file appears under its name only when it is whole and its sum is NLM's. One that is there with the right sum is not
    fetched again, and one that broke off is resumed, so the same command goes on after a kill and fetches what is new.

    Args:
        folder: where the files go; made if need be.
        first: number of the first file, `last` of the last one; None: as far as there are.
        allow_gaps: fetch although numbers are missing in between, or between those in `folder` and these.
        config: None: the defaults, NLM's server.

    Raises:
        InputError: the server has none of these files, or leaves a gap; or see `fetch`. What was fetched stays.
    """
    config = config or DownloadConfig()
    folder = Path(folder)
    urls = _list_files(config)
    wanted = [
        name for name in sorted(urls, key=_number) if (first or 0) <= _number(name)[1] <= (last or 10**9)
    ]
    if not wanted:
        have = f"it has {min(urls)} to {max(urls)}" if urls else "it lists none"
        raise InputError(
            f"{config.base_url} has no {config.kind} file from {first or 1} to {last or 'the last'}: {have}"
        )
    if not allow_gaps:
        kept = [path.name for path in _files(folder) if _number(path.name)[0] == _number(wanted[0])[0]]
        _refuse_gap(wanted, f"{config.base_url}, {config.kind}")
        _refuse_gap(sorted({*kept, *wanted}, key=_number), str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    n_fetched = _fetch_all([(urls[name], folder / name) for name in wanted], config)
    return Downloaded([folder / name for name in wanted], n_fetched)


def check_download(folder: Path | str) -> list[str]:
    """Say what is wrong with a folder that `download` made, a line a fault; no network is used.

    Each file is hashed and compared with the sum that NLM gave for it.

    Raises:
        InputError: there is no folder, or none of NLM's files in it.
    """
    paths = _files(Path(folder))
    if not paths:
        raise InputError(f"{folder} holds none of NLM's files: `pubvec download` fetches them")
    faults = []
    for n_done, path in enumerate(paths, start=1):
        faults += _check_file(path)
        report("files", n_done, len(paths))
    years = sorted({_number(path.name)[0] for path in paths})
    if len(years) > 1:
        faults.append(
            f"files of {len(years)} years: a new baseline replaces the one before, remove the older"
        )
    for before, after in _gaps([path.name for path in paths]):
        faults.append(f"a gap: {before} is followed by {after}")
    return [*faults, *(f"{part.name}: unfinished" for part in sorted(Path(folder).glob(f"*{PART}")))]


def _check_file(path: Path) -> list[str]:
    sums = path.with_name(f"{path.name}.md5")
    if not sums.exists():
        return [f"{path.name}: its MD5 sum is not here"]
    try:
        expected = read_sum(sums.read_text(errors="replace"), path.name, sums.name)
    except InputError as error:
        return [str(error)]
    found = hash_file(path)
    return [] if found == expected else [f"{path.name}: the MD5 sum should be {expected} and is {found}"]


def _list_files(config: DownloadConfig) -> dict[str, str]:
    """Return the URL of each listed file of the newest year, by its name."""
    urls = {}
    for place in _FOLDERS[config.kind]:
        base = f"{config.base_url.rstrip('/')}/{place}/"
        urls.update({name: base + name for name in _LINK.findall(read_page(base, config))})
    newest = max((_number(name)[0] for name in urls), default=None)
    return {name: url for name, url in urls.items() if _number(name)[0] == newest}


def _fetch_all(files: Sequence[tuple[str, Path]], config: DownloadConfig) -> int:
    """Fetch several files at a time and report progress. When all have ended, the first failure in their order is
    raised.
    """
    n_bytes: dict[int, tuple[int, int]] = {}
    with ThreadPoolExecutor(config.n_connections) as pool:
        futures = [
            pool.submit(
                fetch, url, path, config, lambda *counts, place=place: n_bytes.update({place: counts})
            )
            for place, (url, path) in enumerate(files)
        ]
        try:
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=_REPORT_EVERY_S)
                _report(n_bytes, len(files), len(files) - len(pending))
                if any(future.exception() for future in done):
                    break
        finally:
            pool.shutdown(cancel_futures=True)
    failed = next(
        (error for future in futures if not future.cancelled() and (error := future.exception())), None
    )
    if failed:
        raise failed
    return sum(future.result() for future in futures)


def _report(n_bytes: dict[int, tuple[int, int]], n_files: int, n_done: int) -> None:
    """Report megabytes. The size of files that were not begun is estimated from those that were."""
    sizes = list(n_bytes.values())
    n_here = sum(here for here, _ in sizes)
    n_whole = sum(whole for _, whole in sizes)
    n_left = n_files - n_done - sum(here < whole for here, whole in sizes)
    total = n_whole + max(0, n_left) * n_whole // max(1, len(sizes))
    report("MB", n_here // 1_000_000, total // 1_000_000 or None)


def _number(name: str) -> tuple[int, int]:
    number = nlm_number(name)
    assert number is not None
    return number


def _files(folder: Path) -> list[Path]:
    return sorted(
        (path for path in folder.glob("*.xml.gz") if nlm_number(path.name)), key=lambda p: _number(p.name)
    )


def _gaps(names: Iterable[str]) -> list[tuple[str, str]]:
    """Yield each pair of neighbors of one year between whose numbers one is missing. `names` are in order."""
    return [
        (before, after)
        for before, after in pairwise(names)
        if _number(before)[0] == _number(after)[0] and _number(after)[1] > _number(before)[1] + 1
    ]


def _refuse_gap(names: Sequence[str], place: str) -> None:
    for before, after in _gaps(names):
        raise InputError(
            f"{place}: {after} would follow {before}, and what is between changes records too: "
            "fetch it first, or add --allow-gaps"
        )
