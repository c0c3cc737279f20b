"""Jobs on an index that are killed, or whose disk fails, each in a process of its own; and what must hold afterwards.

`python faults.py JOB FOLDER [--kill-at N]` runs a job; with N it kills itself, without a chance to clean up, in the N-th
call that makes something lasting: a rename, a link, a flush to the disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pubvec.conversion import export
from pubvec.retrieval.indexing import compact, index
from pubvec.retrieval.inspection import verify
from pubvec.retrieval.searcher import Searcher
from pubvec.retrieval.updating import update

QUERIES = ("aspirin in stroke", "sepsis", "memory of patients with malaria")
_LASTING = ("rename", "replace", "link", "fsync")

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Fails every write to a file of FAIL_BELOW from the FAIL_AT-th on: a disk that is full stays full. */
static long n_writes;

static int fails(int fd) {
  const char *below = getenv("FAIL_BELOW"), *at = getenv("FAIL_AT");
  char link[64], path[4096];
  if (!below || !at) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (strncmp(path, below, strlen(below))) return 0;
  if (__sync_add_and_fetch(&n_writes, 1) < atol(at)) return 0;
  errno = ENOSPC;
  return 1;
}

#define NEXT(name) __typeof__(&name) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
ssize_t write(int fd, const void *data, size_t n) { NEXT(write); return fails(fd) ? -1 : next(fd, data, n); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
  NEXT(pwrite);
  return fails(fd) ? -1 : next(fd, data, n, at);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
  NEXT(pwrite64);
  return fails(fd) ? -1 : next(fd, data, n, at);
}
ssize_t writev(int fd, const struct iovec *parts, int n) { NEXT(writev); return fails(fd) ? -1 : next(fd, parts, n); }
int fsync(int fd) { NEXT(fsync); return fails(fd) ? -1 : next(fd); }
int fdatasync(int fd) { NEXT(fdatasync); return fails(fd) ? -1 : next(fd); }
"""


def make_world(folder: Path, n: int = 60) -> None:
    """A model without torch, articles, an index of them with two versions, and articles to update it with."""
    from search_world import make_files, make_library, make_random_article, retraction_of

    from tiny_models import make_tiny_bert

    make_tiny_bert(folder / "model")
    export(folder / "model")
    make_library(folder / "articles", n)
    changed = [make_random_article(pmid, 5) for pmid in range(985, 1010)]
    notice = make_random_article(2000, corrections=retraction_of(970))
    make_files(folder / "first", [make_random_article(1001, 1)])
    make_files(folder / "second", [*changed, notice], [(pmid, 1) for pmid in range(975, 985)])
    index(folder / "articles", str(folder / "model"), folder / "index")
    update(folder / "index", folder / "first")


JOBS: Mapping[str, Callable[[Path], object]] = {
    "index": lambda folder: index(folder / "articles", str(folder / "model"), folder / "made"),
    "update": lambda folder: update(folder / "index", folder / "second"),
    "baseline": lambda folder: update(folder / "index", folder / "second", is_baseline=True),
    "compact": lambda folder: compact(folder / "index"),
}


def index_of(job: str, folder: Path) -> Path:
    """What a job writes."""
    return folder / ("made" if job == "index" else "index")


def content_of(path: Path) -> tuple[Any, ...] | None:
    """Every article, and the hits of some searches; None: there is no index."""
    if not (path / "pubvec.json").exists():
        return None
    searcher = Searcher(path)
    rows = sorted(searcher.lexical.pmids_of_rows())
    entries = sorted(map(repr, searcher.lexical.entries(rows)))
    hits = [[(hit.pmid, round(hit.cosine, 4)) for hit in searcher.search(query, 5)] for query in QUERIES]
    return hashlib.sha256("".join(entries).encode()).hexdigest(), len(rows), hits


class Trial:
    """One job in a copy of the world, before and after it was disturbed."""

    def __init__(self, job: str, world: Path, folder: Path) -> None:
        self.job, self.folder = job, folder
        shutil.copytree(world, folder)
        self.index = index_of(job, folder)
        self.before = content_of(self.index)

    def run(
        self, *arguments: str, timeout_s: float | None = None, **environment: str
    ) -> subprocess.CompletedProcess:
        """The job in a process of its own; `timeout_s`: killed then."""
        command = [sys.executable, str(Path(__file__)), self.job, str(self.folder), *arguments]
        own = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
        paths = os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
        child = subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": paths} | environment, stderr=subprocess.PIPE, text=True
        )
        try:
            _, errors = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            _, errors = child.communicate()
        return subprocess.CompletedProcess(command, child.returncode, None, errors)

    def check(self, after: Any) -> str:
        """Whether the `old` or the `new` content is there, whole; then the same command again must give the new one."""
        found = content_of(self.index)
        assert found in (self.before, after), "neither the old content nor the new"
        if found is not None:
            verify(self.index)
        JOBS[self.job](self.folder) if self.job != "index" or found is None else None
        assert content_of(self.index) == after, "the same command again gave something else"
        verify(self.index)
        left = [path.name for path in self.folder.rglob("*") if path.suffix in (".partial", ".old", ".tmp")]
        assert not left, f"left behind: {left}"
        return "new" if found == after and after != self.before else "old"


def expected_of(job: str, world: Path, folder: Path) -> Any:
    """The content after an undisturbed run."""
    shutil.copytree(world, folder)
    JOBS[job](folder)
    return content_of(index_of(job, folder))


def build_shim(folder: Path) -> Path | None:
    """The library that makes writes fail; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    (folder / "shim.c").write_text(SHIM)
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-O1",
        "-o",
        str(folder / "shim.so"),
        str(folder / "shim.c"),
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return folder / "shim.so"


def _kill_at(number: int) -> None:
    """Die in the `number`-th lasting call of this process."""
    n_calls = 0

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal n_calls
            n_calls += 1
            if n_calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return counted

    for name in _LASTING:
        setattr(os, name, wrapped(getattr(os, name)))


if __name__ == "__main__":
    if "--kill-at" in sys.argv:
        _kill_at(int(sys.argv[sys.argv.index("--kill-at") + 1]))
    JOBS[sys.argv[1]](Path(sys.argv[2]))
