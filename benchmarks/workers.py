"""How long do parse and encode take with one worker, with two, and on Ray?

python -m benchmarks.workers XML… -o results/workers.json

Every worker has one thread, on every engine. All take turns; a ratio is the median over rounds of two runs of one round.
Ray is timed twice: with its own start and end, and as the work alone, on a cluster that is there.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.measuring import make_parser, origin, run_program, run_pubvec, write_record
from benchmarks.million import write_files

ENGINES = {
    "1 worker": ["--n-workers", "1", "--n-threads", "1"],
    "2 workers": ["--n-workers", "2", "--n-threads", "1"],
    "ray, 2 workers": ["--engine", "ray", "--n-workers", "2", "--n-threads", "1"],
    "ray, 2 workers, cluster there": [
        "--engine",
        "ray",
        "--n-workers",
        "2",
        "--n-threads",
        "1",
        "--address",
        "auto",
    ],
}


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """A Ray cluster of this machine, as `ray start` makes it."""
    ray = str(Path(sys.executable).with_name("ray"))
    options = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([ray, "start", "--head", "--include-dashboard=false", "--disable-usage-stats"], **options)  # type: ignore[call-overload]
    try:
        yield
    finally:
        subprocess.run([ray, "stop", "--force"], **options)  # type: ignore[call-overload]


def main() -> str:
    """Time all in turn, and write the JSON file."""
    parser = make_parser(__doc__, "workers.json")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("-m", "--model", default="pubvec-small")
    parser.add_argument(
        "-n",
        "--rounds",
        type=int,
        default=3,
        help="of encoding; parsing, which is short, takes twice as many",
    )
    parser.add_argument("--articles", type=int, default=1600, help="that are encoded")
    chosen = parser.parse_args()
    seconds: dict[str, dict[str, list[float]]] = {"parse": {}, "encode": {}}
    with tempfile.TemporaryDirectory() as folder:
        articles, vectors = str(Path(folder) / "articles"), str(Path(folder) / "vectors")
        files, few = [str(path) for path in chosen.files], str(Path(folder) / "few")
        run_pubvec("parse", *write_files(chosen.files, chosen.articles, Path(folder) / "xml"), "-o", few)
        size = str(chosen.articles // 8)
        commands = {
            "parse": [*files, "-o", articles, "--force"],
            "encode": [few, "-m", chosen.model, "-o", vectors, "--texts-per-shard", size, "--force"],
        }
        for number in range(2 * chosen.rounds):
            for stage, command in commands.items():
                if stage == "encode" and number >= chosen.rounds:
                    continue
                for name, options in ENGINES.items():
                    with cluster() if "auto" in options else contextlib.nullcontext():
                        cost = run_pubvec(stage, *command, *options)
                    seconds[stage].setdefault(name, []).append(cost.seconds)
                    print(number, stage, name, cost, file=sys.stderr, flush=True)
    pairs = {"speedup": ("1 worker", "2 workers")} | {
        f"{name} / 2 workers": (name, "2 workers") for name in ENGINES if name.startswith("ray")
    }
    ratios = {
        stage: {
            name: median(a / b for a, b in zip(times[above], times[below], strict=True))
            for name, (above, below) in pairs.items()
        }
        for stage, times in seconds.items()
    }
    record = {
        "seconds": seconds,
        "ratios": ratios,
        "n_files": len(chosen.files),
        "n_articles": chosen.articles,
        **origin(),
    }
    write_record(chosen.output, record)
    return json.dumps(ratios, indent=2)


if __name__ == "__main__":
    run_program(main)
