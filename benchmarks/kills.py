"""Kill every stage at random moments, again and again, and fail its every write.

python -m benchmarks.kills -o results/kills.json [--kills 200]

A stage that is killed is repeated by the same command, which
is killed in turn, up to four times; then it may end, and its output must have the bytes (of an index: the articles, and
the hits of searches) of a run that nothing disturbed. After every kill and every failed write the output must be
absent, or whole. With `--kills 0` only writes are failed, and the kills in the file are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "retrieval"), str(TESTS / "mining")]
from faults import build_shim, content_of
from pairs_world import make_world as make_library

from benchmarks.measuring import make_parser, origin, run_program, write_record
from makers import make_articles_xml
from makers_records import make_articles_folder
from pubvec.conversion import export
from pubvec.files import MANIFEST, MODEL_MANIFEST
from pubvec.machine import code_commit, count_cores
from pubvec.retrieval import verify
from tiny_models import make_tiny_bert, make_tiny_cross_encoder

N_ARTICLES, N_FEW = 1500, 150
"""In each file, for killing and for failing writes."""
MOST_KILLS = 4
"""Of one output."""
IS_DONE = ("complete already", "has the data through")
FEW_WRITES = ("parse", "pairs", "encode", "scores")
"""Stages whose every write is failed; those of an index are `faults.py`'s matter."""
HEADS = (
    "stage",
    "killed",
    "outputs that were killed and ended the same",
    "failed writes, each told in one line",
)


@dataclass(frozen=True)
class Job:
    """A stage: its command over the world `{w}` into the folder `{t}`, its output there, and what must come out the same."""

    command: Sequence[str]
    goal: str
    digest: Callable[[Path], Any]
    needs: Sequence[str] = ()
    """Copied into the folder first: it is changed in place."""
    alone: Sequence[str] = ()
    """Options with which one process does it all: each counts its own writes."""


def bytes_of(folder: Path) -> str | None:
    """Hash of every file, the manifest without its seconds; None: there is none."""
    if not folder.exists():
        return None
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.name == MANIFEST:
            content = json.dumps({**json.loads(content), "seconds": None}).encode()
        digest.update(path.relative_to(folder).as_posix().encode() + content)
    return digest.hexdigest()


def weights_of(folder: Path) -> str | None:
    """Hash of a model's weights; None: there is no model."""
    if not (folder / MODEL_MANIFEST).exists():
        return None
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def index_of(folder: Path) -> Any:
    """The content of an index, every byte of which is as its manifest says; None: there is none."""
    content = content_of(folder)
    if content is not None:
        verify(folder)
    return content


XML = ("{w}/pubmed26n0001.xml", "{w}/pubmed26n0002.xml")
SHORT = ("--batch-size", "16", "--max-seq-length", "32")
JOBS = {
    "parse": Job(("parse", *XML, "-o", "{t}/articles"), "articles", bytes_of, alone=("--n-workers", "1")),
    "pairs": Job(("pairs", "{w}/library", "-o", "{t}/pairs", "--n-dev", "40"), "pairs", bytes_of),
    "encode": Job(
        ("encode", "{w}/articles", "-m", "{w}/model", "-o", "{t}/vectors", "--texts-per-shard", "400"),
        "vectors",
        bytes_of,
    ),
    "scores": Job(
        (
            "train",
            "scores",
            "{w}/pairs",
            "-r",
            "{w}/cross",
            "-o",
            "{t}/scores",
            "--n-negatives",
            "1",
            "--shard-size",
            "200",
            *SHORT,
        ),
        "scores",
        bytes_of,
    ),
    "train": Job(
        (
            "train",
            "align",
            "{w}/pairs",
            "-s",
            "{w}/model",
            "-t",
            "{w}/model",
            "--vectors",
            "{w}/teacher",
            "-o",
            "{t}/small",
            "--n-pairs",
            "2000",
            "--checkpoint-s",
            "1",
            *SHORT,
        ),
        "small",
        weights_of,
    ),
    "index": Job(("index", "{w}/articles", "-m", "{w}/model", "-o", "{t}/index"), "index", index_of),
    "update": Job(("update", "{t}/index", "{w}/pubmed26n0003.xml"), "index", index_of, ("index",)),
}
KILLED = [name for name in JOBS if name != "encode"]


def start(job: Job, world: Path, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """The stage in a process of its own."""
    arguments = [part.format(w=world, t=folder) for part in job.command]
    command = [sys.executable, "-m", "pubvec", *arguments]
    options: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, **options)


def finish(job: Job, world: Path, folder: Path) -> None:
    """The stage, to its end."""
    process = start(job, world, folder)
    errors = process.communicate()[1]
    if process.returncode and not any(words in errors for words in IS_DONE):
        raise AssertionError(f"{' '.join(job.command)}: {errors[-2000:]}")


def prepare(job: Job, world: Path, folder: Path) -> None:
    """A new folder with what the stage changes in place."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in job.needs:
        shutil.copytree(world / name, folder / name)


def make_world(world: Path, n: int) -> None:
    """XML files of `n` articles, models, and what each stage reads."""
    world.mkdir()
    for number in (1, 2, 3):
        make_articles_xml(world / f"pubmed26n{number:04}.xml", n, first_pmid=number * n, n_words=120)
    library = make_library(n)
    make_articles_folder(world / "library", library[::2], library[1::2])
    make_tiny_bert(world / "model")
    export(world / "model")
    make_tiny_cross_encoder(world / "cross")
    for name in ("parse", "pairs", "index"):
        finish(JOBS[name], world, world)


def kill(name: str, world: Path, folder: Path, n_kills: int) -> Counter[str]:
    """Kill the stage `n_kills` times."""
    job, counts, draw = JOBS[name], Counter[str](), random.Random(name)
    prepare(job, world, folder)
    before = job.digest(folder / job.goal)
    started = time.perf_counter()
    finish(job, world, folder)
    duration_s = time.perf_counter() - started
    after = job.digest(folder / job.goal)
    assert after != before
    while counts["kills"] < n_kills:
        prepare(job, world, folder)
        n_before = counts["kills"]
        for _ in range(MOST_KILLS):
            process = start(job, world, folder)
            try:
                process.communicate(timeout=draw.uniform(0.15, 1) * duration_s)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                counts["kills"] += 1
            found = job.digest(folder / job.goal)
            assert found in (before, after), f"{name}: the output is neither absent nor whole"
            if found == after:
                break
        finish(job, world, folder)
        assert job.digest(folder / job.goal) == after, (
            f"{name}: killed and repeated, it ended in something else"
        )
        counts["ends"] += counts["kills"] > n_before
    return counts


def fail_writes(name: str, world: Path, folder: Path, shim: Path) -> int:
    """Fail every write of the stage, in a run of its own; how many there are."""
    job = JOBS[name]
    job = replace(job, command=(*job.command, *job.alone))
    prepare(job, world, folder)
    finish(job, world, folder)
    after = job.digest(folder / job.goal)
    for number in range(1, 10_000):
        prepare(job, world, folder)
        settings = {"LD_PRELOAD": str(shim), "FAIL_BELOW": str(folder), "FAIL_AT": str(number)}
        process = start(job, world, folder, **settings)
        errors = process.communicate()[1]
        if process.returncode == 0:
            assert job.digest(folder / job.goal) == after
            return number - 1
        lines = [line for line in errors.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1 and "Traceback" not in errors, f"{name}, write {number}: {errors[-2000:]}"
        assert job.digest(folder / job.goal) in (None, after), f"{name}: a failed write left half an output"
        finish(job, world, folder)
        assert job.digest(folder / job.goal) == after
    raise AssertionError("there is no end of writes")


def save(stages: Mapping[str, Counter[str]], kills_commit: str | None, path: Path) -> str:
    """Write what is known so far as a JSON file, and return its table; the kills may be of an earlier commit."""
    lines = [f"| {' | '.join(HEADS)} |", "|---|" + "--:|" * (len(HEADS) - 1)]
    for name, counts in stages.items():
        cells = [str(counts.get(key, "–")) for key in ("kills", "ends", "writes")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    record = {
        **origin(),
        "kills_commit": kills_commit,
        "stages": {name: dict(counts) for name, counts in stages.items()},
        "markdown": table,
    }
    write_record(path, record)
    return table


def main() -> str:
    """Count, and write the JSON file."""
    parser = make_parser(__doc__, "kills.json")
    parser.add_argument("--kills", type=int, default=200, help="over all stages")
    chosen = parser.parse_args()
    known = {} if chosen.kills else json.loads(chosen.output.read_text())
    stages = {name: Counter[str](known.get("stages", {}).get(name, {})) for name in JOBS}
    kills_commit = known.get("kills_commit") or code_commit()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(count_cores()) as pool:
        folder = Path(scratch)
        many, few, n_kills = folder / "many", folder / "few", -(-chosen.kills // len(KILLED))
        if n_kills:
            make_world(many, N_ARTICLES)
        make_world(few, N_FEW)
        killed = {name: pool.submit(kill, name, many, folder / name, n_kills) for name in KILLED if n_kills}
        shim = build_shim(folder)
        failed = {
            name: pool.submit(fail_writes, name, few, folder / f"{name}-writes", shim)
            for name in FEW_WRITES
            if shim is not None
        }
        for name, counts in killed.items():
            stages[name].update(counts.result())
            print(save(stages, kills_commit, chosen.output), file=sys.stderr, flush=True)
        for name, n_writes in failed.items():
            stages[name]["writes"] = n_writes.result()
        return save(stages, kills_commit, chosen.output)


if __name__ == "__main__":
    run_program(main)
