"""The verb `bench`: whole processes, interleaved, with their seconds and their peak memory.

Commands take turns, so that a busy spell of the machine falls on all of them, and medians are reported.
Ratios hold on another machine better than seconds do.
"""

from __future__ import annotations

import inspect
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pubvec.errors import ConfigError, PubvecError
from pubvec.evaluation.benches import BENCHES, OUTPUT, Bench
from pubvec.files import json_ready, package_versions, write_json
from pubvec.machine import code_commit, describe_machine
from pubvec.progress import report

# The kernel counts a process' peak memory from the moment of its start, when it still shares its parent's
# memory. So a small process of its own starts each command; its last line is what it measured.
_LAUNCHER = """
import os, sys, time
started = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - started, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""
_BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Sample:
    """One run of one command."""

    seconds: float
    """Of the whole process."""
    peak_bytes: int
    """Resident memory of the largest process of the command."""


@dataclass(frozen=True)
class Timing:
    """All runs of one command."""

    command: str
    samples: Sequence[Sample]
    median_s: float
    peak_bytes: int
    """Highest of all runs."""
    per_s: Mapping[str, float]
    """Unit → units per second at the median: `records`, `texts`, `tokens`."""


@dataclass(frozen=True)
class BenchRecord:
    """What `bench` measured, as it is written to `bench-NAME.json`."""

    bench: str
    inputs: Sequence[str]
    counts: Mapping[str, int]
    timings: Mapping[str, Timing]
    speedups: Mapping[str, float]
    """Other command → how many times as fast the first command is: median over rounds."""
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    commit: str | None


def bench_commands(name: str, *inputs: str | Path, output: Path | str, n_rounds: int = 5) -> BenchRecord:
    """Run the benchmark `name` of `BENCHES` and write `output/bench-NAME.json`.

    Raises:
        ConfigError: another number of inputs, or a system without `wait4` (Windows).
        InputError: an input is missing or of another kind.
        PubvecError: a command failed; the message has its last line.
    """
    wanted = list(inspect.signature(BENCHES[name]).parameters)
    if len(inputs) != len(wanted):
        raise ConfigError(
            f"bench {name} needs {len(wanted)} inputs ({', '.join(wanted)}), found {len(inputs)}"
        )
    made = BENCHES[name](*map(str, inputs))
    samples = run_interleaved(made, n_rounds)
    record = BenchRecord(
        bench=name,
        inputs=[Path(str(given)).name for given in inputs],
        counts=made.counts,
        timings={label: _timing(made, label, runs) for label, runs in samples.items()},
        speedups=_speedups(samples),
        machine=describe_machine(),
        versions=package_versions(),
        commit=code_commit(),
    )
    Path(output).mkdir(parents=True, exist_ok=True)
    write_json(Path(output) / f"bench-{name}.json", json_ready(record))
    return record


def to_markdown(record: BenchRecord) -> str:
    """One line a command: medians of seconds and rates, peak memory, and the median of the paired ratios."""
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


def run_interleaved(bench: Bench, n_rounds: int) -> dict[str, list[Sample]]:
    """Run each command once a round, in turn."""
    if not hasattr(os, "wait4"):
        raise ConfigError("bench measures with wait4, which this system lacks: use Linux or macOS")
    samples: dict[str, list[Sample]] = {label: [] for label in bench.commands}
    with tempfile.TemporaryDirectory(prefix="pubvec-bench-") as folder:
        for number in range(n_rounds):
            for place, (label, command) in enumerate(bench.commands.items()):
                goal = Path(folder) / f"{number}-{place}"
                parts = [str(goal) if part == OUTPUT else part for part in command]
                samples[label].append(run_once(label, parts))
                report("runs", number * len(samples) + place + 1, n_rounds * len(samples))
    return samples


def run_once(label: str, command: Sequence[str]) -> Sample:
    """Time one run of `command`, and take the memory of the largest of its processes.

    Raises:
        PubvecError: it failed; the message calls it `label` and has its last line.
    """
    launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    done = subprocess.run(launch, capture_output=True, text=True, check=False)  # noqa: S603
    *_, measured = done.stdout.splitlines() or [""]
    if done.returncode != 0 or measured.split()[-1] != "0":
        raise PubvecError(f"the command {label!r} of this bench failed: {last_line(done.stderr)}")
    wall_s, peak, _ = measured.split()
    return Sample(
        seconds=round(float(wall_s), 4),
        peak_bytes=int(peak) * _BYTES_PER_UNIT,
    )


def last_line(errors: str) -> str:
    """Why a command failed, of what it wrote to stderr."""
    return (errors.strip().splitlines() or ["it printed no reason"])[-1]


def _timing(bench: Bench, label: str, samples: Sequence[Sample]) -> Timing:
    median_s = median(sample.seconds for sample in samples)
    return Timing(
        command=shlex.join(_shorten(part) for part in bench.commands[label]),
        samples=samples,
        median_s=median_s,
        peak_bytes=max(sample.peak_bytes for sample in samples),
        per_s={unit: round(n / median_s, 1) for unit, n in bench.counts.items()},
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
