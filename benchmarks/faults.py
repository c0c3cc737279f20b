"""Kill every job on an index at random moments and wherever it makes something lasting, and fail its every write.

python -m benchmarks.faults -o results/faults.json [--kills 100]

After each fault the index must show the old content or the
new one, whole, `verify` must pass, and the same command again must give the new content. Stops at the first that does not.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path[:0] = [
    str(Path(__file__).parents[1] / "tests"),
    str(Path(__file__).parents[1] / "tests" / "retrieval"),
]
from faults import JOBS, Trial, build_shim, expected_of, make_world

from benchmarks.measuring import make_parser, origin, run_program, write_record
from pubvec.machine import count_cores

N_ARTICLES = 400
HEADS = (
    "job",
    "killed at random",
    "killed at a rename, link or flush",
    "failed writes",
    "old content after",
    "new content after",
)


def count_faults(
    job: str, world: Path, scratch: Path, n_kills: int, shim: Path | None
) -> dict[str, Counter[str]]:
    """Outcomes of each kind of fault: `old` or `new` content."""
    scratch.mkdir()
    after = expected_of(job, world, scratch / "expected")
    counts = {kind: Counter[str]() for kind in ("random", "lasting", "writes")}

    def disturb(kind: str, *arguments: str, **options: object) -> tuple[bool, float]:
        """Whether the fault came before the end, and the seconds until then."""
        trial = Trial(job, world, scratch / "trial")
        started = time.perf_counter()
        done = trial.run(*arguments, **options)
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            counts[kind][trial.check(after)] += 1
        shutil.rmtree(trial.folder)
        return done.returncode != 0, seconds

    draw = random.Random(job)
    _, duration_s = disturb("random")
    while counts["random"].total() < n_kills:
        came, seconds = disturb("random", timeout_s=draw.uniform(0.3, 1) * duration_s)
        duration_s = duration_s if came else min(duration_s, seconds)
    number = 1
    while disturb("lasting", "--kill-at", str(number))[0]:
        number += 1
    if shim is not None:
        number = 1
        options = {"LD_PRELOAD": str(shim), "FAIL_BELOW": str(scratch / "trial")}
        while disturb("writes", FAIL_AT=str(number), **options)[0]:
            number += 1
    return counts


def main() -> str:
    """Count, and write the JSON file."""
    parser = make_parser(__doc__, "faults.json")
    parser.add_argument("--kills", type=int, default=100, help="at random moments, over all jobs")
    chosen = parser.parse_args()
    lines = [f"| {' | '.join(HEADS)} |", "|---|" + "--:|" * (len(HEADS) - 1)]
    record: dict[str, Any] = {**origin(), "jobs": {}}
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        world.mkdir()
        make_world(world, N_ARTICLES)
        shim = build_shim(Path(folder))
        n_kills = chosen.kills // len(JOBS)
        with ThreadPoolExecutor(count_cores()) as pool:
            running = {
                job: pool.submit(count_faults, job, world, Path(folder) / job, n_kills, shim) for job in JOBS
            }
            for job, future in running.items():
                counts = future.result()
                record["jobs"][job] = counts
                totals = [counts[kind].total() for kind in ("random", "lasting", "writes")]
                outcome = sum(counts.values(), Counter[str]())
                lines.append(
                    f"| {job} | {' | '.join(map(str, totals))} | {outcome['old']} | {outcome['new']} |"
                )
                print(lines[-1], file=sys.stderr, flush=True)
    markdown = "\n".join(lines)
    write_record(chosen.output, {**record, "markdown": markdown})
    return markdown


if __name__ == "__main__":
    run_program(main)
