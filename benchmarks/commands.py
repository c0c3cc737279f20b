"""How fast are `pubvec parse`, `pubvec pairs` and `import pubvec`, beside other programs that do the same work?

python -m benchmarks.commands parse pubmed26n0001.xml.gz -o results/bench-parse.json
python -m benchmarks.commands pairs ARTICLES EXCLUDE -n 3 -o results/bench-pairs.json
python -m benchmarks.commands import -o results/bench-import.json

Whole processes are timed, in turn, each with an output of its own.
"""

from __future__ import annotations

import gzip
import importlib.util
import inspect
import logging
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import Sample, make_parser, origin, run_once, run_program, write_record
from pubvec.collection import Collection
from pubvec.errors import ConfigError, InputError
from pubvec.progress import report

log = logging.getLogger(__name__)

OUTPUT = "{output}"
"""This word in a command stands for a path that does not exist yet, another one for each run."""
_RECORD = re.compile(rb"<(?:MedlineCitation|PubmedBookArticle)[\s>]")
_PUBMED_PARSER = "import sys, pubmed_parser as p; print(sum(1 for _ in p.parse_medline_xml(sys.argv[1])))"


@dataclass(frozen=True)
class Benchmark:
    """Commands that do the same work; the first one is ours."""

    commands: Mapping[str, Sequence[str]]
    counts: Mapping[str, int]
    """Unit (`records`, `articles`) → how many of them one run works through; empty where only seconds count."""


@dataclass(frozen=True)
class Timing:
    """All runs of one command."""

    command: str
    samples: Sequence[Sample]
    median_s: float
    peak_bytes: int
    """The highest of all runs."""
    per_s: Mapping[str, float]
    """Unit → units per second at the median."""


@dataclass(frozen=True)
class Record:
    """The result of one benchmark, as it is written to its JSON file."""

    bench: str
    inputs: Sequence[str]
    counts: Mapping[str, int]
    timings: Mapping[str, Timing]
    speedups: Mapping[str, float]
    """Other command → how many times as fast the first command is, as the median over rounds."""
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    commit: str | None


def parse(xml: str) -> Benchmark:
    """`pubvec parse` writes one file to Parquet, beside pubmed-parser, which keeps fewer fields and writes nothing."""
    commands = {"pubvec": [sys.executable, "-m", "pubvec", "parse", xml, "-o", OUTPUT]}
    if _is_installed("pubmed_parser"):
        commands["pubmed-parser"] = [sys.executable, "-c", _PUBMED_PARSER, xml]
    return Benchmark(commands, {"records": _count_records(Path(xml))})


def pairs(articles: str, exclude: str) -> Benchmark:
    """`pubvec pairs` reads all articles of a folder, and keeps out the evaluation texts of another folder."""
    command = [sys.executable, "-m", "pubvec", "pairs", articles, "-o", OUTPUT, "--exclude", exclude]
    return Benchmark({"pubvec": command}, {"articles": len(Collection(articles))})


def import_package() -> Benchmark:
    """`import pubvec` runs beside Python alone."""
    return Benchmark({what: [sys.executable, "-c", what] for what in ("import pubvec", "pass")}, {})


BENCHMARKS: Mapping[str, Callable[..., Benchmark]] = {
    "parse": parse,
    "pairs": pairs,
    "import": import_package,
}
"""Benchmarks by name; the parameters of each function are the inputs that follow the name."""


def measure(name: str, *inputs: str, n_rounds: int = 5) -> Record:
    """Run the benchmark `name`.

    Raises:
        ConfigError: there is no such benchmark, or another number of inputs; this system has no `wait4` (Windows).
        InputError: an input is missing or of another kind.
        PubvecError: a command failed; the message has the last line of its stderr.
    """
    if name not in BENCHMARKS:
        raise ConfigError(f"{name!r} is not a benchmark: use one of {', '.join(BENCHMARKS)}")
    if n_rounds < 1:
        raise ConfigError(f"n_rounds must be at least 1, found {n_rounds}")
    wanted = list(inspect.signature(BENCHMARKS[name]).parameters)
    if len(inputs) != len(wanted):
        raise ConfigError(
            f"the benchmark {name} needs {len(wanted)} inputs ({', '.join(wanted)}), found {len(inputs)}"
        )
    made = BENCHMARKS[name](*inputs)
    samples = run_interleaved(made, n_rounds)
    return Record(
        bench=name,
        inputs=[Path(given).name for given in inputs],
        counts=made.counts,
        timings={label: _timing(made, label, runs) for label, runs in samples.items()},
        speedups=_speedups(samples),
        **origin(),
    )


def run_interleaved(benchmark: Benchmark, n_rounds: int) -> dict[str, list[Sample]]:
    """Run each command once a round, in turn."""
    samples: dict[str, list[Sample]] = {label: [] for label in benchmark.commands}
    with tempfile.TemporaryDirectory(prefix="pubvec-bench-") as folder:
        for number in range(n_rounds):
            for place, (label, command) in enumerate(benchmark.commands.items()):
                goal = Path(folder) / f"{number}-{place}"
                samples[label].append(
                    run_once(label, [str(goal) if part == OUTPUT else part for part in command])
                )
                report("runs", number * len(samples) + place + 1, n_rounds * len(samples))
    return samples


def to_markdown(record: Record) -> str:
    """Make one line for each command: medians of seconds and rates, peak memory, and the median of the paired ratios."""
    units = list(record.counts)
    lines = [
        ["", "seconds", *(f"{unit}/s" for unit in units), "peak MB", "times as fast as"],
        ["---", "--:", *["--:"] * len(units), "--:", "---"],
    ]
    for label, timing in record.timings.items():
        rates = [f"{timing.per_s[unit]:,.0f}" for unit in units]
        is_ours = label == next(iter(record.timings))
        ratios = [f"{other}: {ratio:.2f}" for other, ratio in record.speedups.items()] if is_ours else []
        lines.append(
            [label, f"{timing.median_s:.2f}", *rates, f"{timing.peak_bytes / 1e6:.0f}", ", ".join(ratios)]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _count_records(xml: Path) -> int:
    if not xml.is_file():
        raise InputError(f"{xml} does not exist: give a PubMed XML file")
    try:
        with gzip.open(xml) if xml.suffix == ".gz" else xml.open("rb") as file:
            n_records = sum(len(_RECORD.findall(line)) for line in file)
    except (OSError, EOFError) as error:
        raise InputError(f"{xml} cannot be read: {error}") from error
    if not n_records:
        raise InputError(f"{xml} holds no PubMed record")
    return n_records


def _is_installed(module: str) -> bool:
    is_installed = importlib.util.find_spec(module) is not None
    if not is_installed:
        log.warning("%s is not installed: this benchmark runs without it", module)
    return is_installed


def _timing(benchmark: Benchmark, label: str, samples: Sequence[Sample]) -> Timing:
    median_s = median(sample.seconds for sample in samples)
    return Timing(
        command=shlex.join(_shorten(part) for part in benchmark.commands[label]),
        samples=samples,
        median_s=median_s,
        peak_bytes=max(sample.peak_bytes for sample in samples),
        per_s={unit: round(n / median_s, 1) for unit, n in benchmark.counts.items()},
    )


def _speedups(samples: Mapping[str, Sequence[Sample]]) -> dict[str, float]:
    ours, *others = samples
    return {
        other: round(
            median(b.seconds / a.seconds for a, b in zip(samples[ours], samples[other], strict=True)), 3
        )
        for other in others
    }


def _shorten(part: str) -> str:
    """Leave the folders of this machine out of what is published."""
    is_path = os.sep in part and "\n" not in part and Path(part).exists()
    return Path(part).name if is_path else part


def main() -> str:
    """Measure, and write the JSON file."""
    parser = make_parser(__doc__, "bench-commands.json")
    parser.add_argument("name", help=f"one of {', '.join(BENCHMARKS)}")
    parser.add_argument("inputs", nargs="*", help="parse: FILE; pairs: ARTICLES EXCLUDE; import: none")
    parser.add_argument("-n", "--rounds", type=int, default=5, help="how often each command runs")
    chosen = parser.parse_args()
    record = measure(chosen.name, *chosen.inputs, n_rounds=chosen.rounds)
    write_record(chosen.output, record)
    return to_markdown(record)


if __name__ == "__main__":
    run_program(main)
