"""Do everything to one index at once, for minutes, and compare every answer with those of its whole versions.

python -m benchmarks.chaos -o results/chaos.json [--minutes 60] [--seed 1]

Processes search, ask a server, verify, copy, update and compact the same index. Writers are killed with signal 9 or meet a
full disk, clocks are moved, and the index is read through a mount that cannot be written. Each update replaces the same
articles, so the content after it follows from the last update alone and is known before: every answer must be that of one
of these versions, whole. A decoy beside the index, with the names that stages use, must stay as it is. The run stops at the
first breach and writes nothing.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [
    str(Path(__file__).parents[1] / "tests"),
    str(Path(__file__).parents[1] / "tests" / "retrieval"),
]

from benchmarks.measuring import make_parser, origin, run_program, write_record
from pubvec.errors import InputError, PubvecError
from pubvec.retrieval import Searcher, compact, info, update, verify

QUERY = "aspirin in patients with stroke"
WORD = "patients"
N_STATES = 6
N_AT_ONCE = 4
_TOLERANCE = 2e-3
"""Cosines of the same article differ by the rounding of batches of other sizes."""
_WRITERS = ("update", "compact")
_WEIGHTS = {
    "search": 8,
    "serve": 8,
    "info": 2,
    "verify": 3,
    "copy": 2,
    "read-only": 3,
    "update": 5,
    "compact": 4,
    "kill": 5,
    "full": 3,
    "tmpfs": 1,
    "clock": 2,
    "kill-server": 1,
}
_CLONE_NEWNS = 0x20000
_STARTED_S = 60.0
State = dict[str, Any]


class BreachError(PubvecError):
    """An answer that no whole version gives, or something outside of the index that changed."""


def make_world(folder: Path) -> None:
    """Make a model, an index, updates that follow each other in any order, and a decoy beside the index."""
    import faults
    from search_world import make_files, make_random_article

    folder.mkdir(parents=True)
    faults.make_world(folder)
    for number in range(N_STATES):
        is_odd = bool(number % 2)
        pmids = [*range(977, 1001), *([] if is_odd else [976])]
        articles = [make_random_article(pmid, 10 + number) for pmid in pmids]
        deleted = [(976, 1)] if is_odd else []
        make_files(folder / f"update-{number}", articles, deleted, names=[f"u-{number}"])
    beside = folder / "beside"
    beside.mkdir()
    (folder / "index").rename(beside / "index")
    for name in (
        "index.old/pubvec.json",
        "index.partial.old/x",
        "decoy/.lock",
        "decoy/manifest.json",
        "decoy/a/b",
    ):
        path = beside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"mine {name}")
    states = [answer_of(Searcher(beside / "index"))]
    for number in range(N_STATES):
        shutil.copytree(beside / "index", folder / "peace")
        update(folder / "peace", folder / f"update-{number}", allow_gaps=True)
        states.append(answer_of(Searcher(folder / "peace")))
        shutil.rmtree(folder / "peace")
    (folder / "states.json").write_text(json.dumps(states))


def answer_of(searcher: Searcher) -> State:
    """Return what an open index answers: its articles, all their cosines to a query, and the articles with a word."""
    rows = sorted(searcher.lexical.pmids_of_rows())
    entries = searcher.lexical.entries(rows)
    # Rows differ with the way that led to a version, so its articles are put in the order of their PMIDs.
    text = "".join(
        sorted(f"{entry.article.pmid} {entry.article.title} {entry.article.abstract}\n" for entry in entries)
    )
    hits = searcher.search(QUERY, 1000, ranking="dense")
    worded = searcher.search(WORD, 1000, ranking="lexical")
    return {
        "articles": hashlib.sha256(text.encode()).hexdigest(),
        "cosines": {str(hit.pmid): round(hit.cosine or 0.0, 5) for hit in hits},
        "titles": {str(hit.pmid): hit.article.title for hit in hits},
        "worded": sorted(hit.pmid for hit in worded),
    }


def find_state(answer: State, states: list[State]) -> int | None:
    """Return the number of the version that gives `answer`; parts that an answer lacks are not compared."""
    for number, state in enumerate(states):
        cosines = state["cosines"]
        is_same = all(answer[name] == state[name] for name in answer if name != "cosines")
        is_same = is_same and cosines.keys() == answer["cosines"].keys()
        if is_same and all(
            abs(cosines[pmid] - found) < _TOLERANCE for pmid, found in answer["cosines"].items()
        ):
            return number
    return None


def hash_tree(folder: Path, *, but: str) -> str:
    """Return a hash of the names, kinds, modes and bytes of everything below `folder` except the folder `but`."""
    digest = hashlib.sha256()
    tops = sorted(path for path in folder.iterdir() if path.name != but)
    for path in [path for top in tops for path in (top, *sorted(top.rglob("*")))]:
        data = path.read_bytes() if path.is_file() else b""
        digest.update(f"{path.relative_to(folder)} {path.lstat().st_mode} {len(data)}\n".encode() + data)
    return digest.hexdigest()


@dataclass
class World:
    """The folders of a run, the address of its server, and what its versions answer."""

    folder: Path
    states: list[State]
    address: str = ""
    server: subprocess.Popen[str] | None = None

    @property
    def index(self) -> Path:
        """The index that everybody works on."""
        return self.folder / "beside" / "index"

    def check(self, answer: State, where: str) -> str:
        """Return the state that `answer` shows.

        Raises:
            BreachError: no version gives this answer.
        """
        number = find_state(answer, self.states)
        if number is None:
            raise BreachError(f"{where} gave an answer of no version: {json.dumps(answer)[:500]}")
        return f"state {number}"


def _search(world: World, _: random.Random) -> str:
    return world.check(answer_of(Searcher(world.index)), "search")


def _ask_server(world: World, _: random.Random) -> str:
    query = f"?q={QUERY.replace(' ', '+')}&n=100&ranking=dense"
    try:
        with urllib.request.urlopen(f"{world.address}/search{query}", timeout=60) as response:  # noqa: S310
            hits = json.load(response)["hits"]
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        if isinstance(error, urllib.error.HTTPError) and error.code != 429:
            raise BreachError(f"the server answered {error.code}: {error.read()[:300]!r}") from error
        return "the server was killed or full"
    answer = {
        "cosines": {str(hit["pmid"]): hit["cosine"] for hit in hits},
        "titles": {str(hit["pmid"]): hit["title"] for hit in hits},
    }
    return world.check(answer, "serve")


def _info(world: World, _: random.Random) -> str:
    return "ok" if info(world.index).n_articles else "empty"


def _verify(world: World, _: random.Random) -> str:
    verify(world.index)
    return "whole"


def _copy(world: World, draw: random.Random) -> str:
    goal = world.folder / "scratch" / f"copy-{draw.getrandbits(64):x}"
    try:
        try:
            shutil.copytree(world.index, goal)
            verify(goal)
        except (InputError, OSError, shutil.Error):
            return "a copy made during a write is refused"
        return world.check(answer_of(Searcher(goal)), "copy")
    finally:
        shutil.rmtree(goal, ignore_errors=True)


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], stderr=subprocess.DEVNULL).returncode == 0  # noqa: S607


def _enter_mounts() -> bool:
    """Whether this process now has mounts of its own, which end with it."""
    if sys.platform != "linux" or ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        return False
    return _mount("--make-rprivate", "/")


def _read_only(world: World, draw: random.Random) -> str:
    goal = world.folder / "scratch" / f"mount-{draw.getrandbits(64):x}"
    goal.mkdir()
    if not (
        _enter_mounts()
        and _mount("--bind", str(world.index), str(goal))
        and _mount("-o", "remount,ro,bind", str(goal))
    ):
        return "no mounts here"
    with suppress(OSError):
        (goal / "written").write_text("")
        raise BreachError("the read-only mount was written")
    verify(goal)
    return world.check(answer_of(Searcher(goal)), "read-only")


def _write(world: World, draw: random.Random, index: Path | None = None) -> str:
    """Update or compact; a writer beside another one is refused."""
    index = index or world.index
    try:
        if draw.random() < 0.6:
            update(index, world.folder / f"update-{draw.randrange(N_STATES)}", allow_gaps=True)
        else:
            compact(index, keep=draw.randint(1, 3))
    except PubvecError as error:
        if "another process" in str(error):
            return "refused beside another writer"
        raise
    return "written"


def _killed(world: World, draw: random.Random) -> str:
    """Write, and be killed by a timer whenever it fires."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            _write(world, draw)
        os._exit(0)
    time.sleep(draw.uniform(0.02, 2.0))
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else "had ended"


def _full(world: World, draw: random.Random) -> str:
    """Write with a limit on the size of files, which any file may meet."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = draw.choice([64, 512, 2_000, 8_000, 20_000])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        return _write(world, draw)
    except (PubvecError, OSError) as error:
        return f"told as {type(error).__name__}"


def _tmpfs(world: World, draw: random.Random) -> str:
    """Write to a copy on a disk that is nearly full; its old content or the new one must be there afterwards."""
    goal = world.folder / "scratch" / f"disk-{draw.getrandbits(64):x}"
    goal.mkdir()
    if not (
        _enter_mounts() and _mount("-t", "tmpfs", "-o", f"size={draw.randint(600, 3000)}k", "none", str(goal))
    ):
        return "no mounts here"
    try:
        shutil.copytree(world.index, goal / "index")
        verify(goal / "index")
    except (OSError, PubvecError, shutil.Error):
        return "no room for the copy"
    try:
        outcome = _write(world, draw, goal / "index")
    except (PubvecError, OSError) as error:
        outcome = f"told as {type(error).__name__}"
    verify(goal / "index")
    world.check(answer_of(Searcher(goal / "index")), "tmpfs")
    return outcome


def _clock(world: World, draw: random.Random) -> str:
    """Write with a clock that is years off and jumps, beside files whose times are from the future or 1970."""
    real = time.time
    time.time = lambda: real() + draw.uniform(-3e8, 3e8)
    time.time_ns = lambda: int(time.time() * 1e9)
    for folder, _, names in os.walk(world.index):
        for name in names:
            if draw.random() < 0.1:
                with suppress(OSError):
                    os.utime(Path(folder, name), (draw.uniform(0, 4e9),) * 2)
    return _write(world, draw)


VERBS: dict[str, Callable[[World, random.Random], str]] = {
    "search": _search,
    "serve": _ask_server,
    "info": _info,
    "verify": _verify,
    "copy": _copy,
    "read-only": _read_only,
    "update": _write,
    "compact": _write,
    "kill": _killed,
    "full": _full,
    "tmpfs": _tmpfs,
    "clock": _clock,
}


def start_server(world: World) -> None:
    """Serve the index on a free port, and wait until it is told."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    world.server = subprocess.Popen(
        [sys.executable, "-m", "pubvec", "serve", str(world.index), "--port", "0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert world.server.stderr is not None
    for line in world.server.stderr:
        if " serves " in line:
            world.address = line.split("/ serves ")[0].split()[-1]
            # Nobody reads what the server says later; a full pipe would stop it.
            subprocess.Popen(
                ["cat"],  # noqa: S607
                stdin=world.server.stderr,
                stdout=subprocess.DEVNULL,
            )
            return
    raise BreachError("the server did not start")


def stop_server(world: World) -> None:
    """Kill the server without a chance to clean up."""
    if world.server is not None:
        world.server.kill()
        world.server.wait()


def _run_verb(verb: str, world: World, seed: int, output: Path) -> None:
    """Run in a child: do one verb, and write what came of it."""
    try:
        result = {"outcome": VERBS[verb](world, random.Random(seed))}
    except BaseException as error:  # whatever it is, the parent tells it
        result = {"breach": f"{verb} (seed {seed}): {type(error).__name__}: {error}"}
    resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE))
    sys.stdout.flush()
    data = json.dumps(result).encode()
    # A pipe has no size limit, in contrast to a file of a process that may write few bytes.
    descriptor = os.open(output, os.O_WRONLY)
    os.write(descriptor, data[:60_000])
    os.close(descriptor)


@dataclass
class Counts:
    """What was done so far."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, verb: str, outcome: str) -> None:
        """Count one outcome."""
        kind = "an answer of a whole version" if outcome.startswith("state") else outcome
        self.outcomes.setdefault(verb, Counter())[kind] += 1
        if outcome.startswith("state"):
            self.outcomes.setdefault("states seen", Counter())[outcome] += 1


def run_chaos(world: World, seconds: float, seed: int) -> Counts:
    """Run random verbs at once until the time is over.

    Raises:
        BreachError: an answer is that of no whole version, or something outside of the index changed.
    """
    draw, counts = random.Random(seed), Counts()
    beside = world.folder / "beside"
    decoy = hash_tree(beside, but="index")
    (world.folder / "scratch").mkdir()
    start_server(world)
    running: dict[int, tuple[str, int]] = {}
    ends = time.monotonic() + seconds
    names, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    try:
        while running or time.monotonic() < ends:
            while len(running) < N_AT_ONCE and time.monotonic() < ends:
                verb = draw.choices(names, weights)[0]
                if verb == "kill-server":
                    stop_server(world)
                    start_server(world)
                    counts.add(verb, "started again")
                    continue
                _start(verb, world, draw.getrandbits(32), running)
            pid, status = os.waitpid(-1, 0)
            if pid not in running:
                continue
            verb, reading = running.pop(pid)
            _count(verb, reading, status, counts)
            if hash_tree(beside, but="index") != decoy:
                raise BreachError(f"{verb} changed something beside the index")
        verify(world.index)
    finally:
        stop_server(world)
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return counts


def _start(verb: str, world: World, seed: int, running: dict[int, tuple[str, int]]) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            _run_verb(verb, world, seed, Path(f"/proc/self/fd/{writing}"))
        finally:
            os._exit(0)
    os.close(writing)
    running[pid] = verb, reading


def _count(verb: str, reading: int, status: int, counts: Counts) -> None:
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    if not data:
        raise BreachError(f"{verb} ended with status {status} and said nothing")
    result = json.loads(data)
    if "breach" in result:
        raise BreachError(result["breach"])
    counts.add(verb, result["outcome"])


def describe(counts: Counts, seconds: float) -> str:
    """Return a table of what was done."""
    n_verbs = sum(outcomes.total() for verb, outcomes in counts.outcomes.items() if verb != "states seen")
    lines = [
        f"{n_verbs:,} verbs of {N_AT_ONCE} processes at once in {seconds / 60:.1f} minutes on one index, "
        f"{sum(counts.outcomes.get('states seen', Counter()).values()):,} answers, each that of a whole version; nothing "
        "beside the index changed.",
        "",
        "| verb | outcomes |",
        "|---|---|",
    ]
    for verb in _WEIGHTS:
        found = counts.outcomes.get(verb, Counter())
        lines.append(f"| {verb} | {', '.join(f'{kind}: {n}' for kind, n in sorted(found.items())) or '–'} |")
    return "\n".join(lines)


def main() -> str:
    """Run, and write the JSON file."""
    parser: argparse.ArgumentParser = make_parser(__doc__, "chaos.json")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long new verbs are started")
    parser.add_argument("--seed", type=int, default=1, help="decides which verbs are run")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "world"
        # The world is made by a process of its own: this one is forked often, and must have no threads.
        maker = multiprocessing.get_context("spawn").Process(target=make_world, args=(folder,))
        maker.start()
        maker.join()
        if maker.exitcode:
            raise PubvecError("the world of the test could not be made")
        world = World(folder, json.loads((folder / "states.json").read_text()))
        started = time.monotonic()
        counts = run_chaos(world, 60 * chosen.minutes, chosen.seed)
        seconds = time.monotonic() - started
    record = {
        **origin(),
        "seconds": round(seconds, 1),
        "seed": chosen.seed,
        "outcomes": {verb: dict(outcomes) for verb, outcomes in counts.outcomes.items()},
    }
    markdown = describe(counts, seconds)
    write_record(chosen.output, {**record, "markdown": markdown})
    return markdown


if __name__ == "__main__":
    run_program(main)
