"""What all benchmarks share: they time whole processes in turn, read memory, and write one JSON file of results.

Commands take turns, so that a busy spell of the machine falls on all of them, and medians are reported. Ratios hold on
another machine better than seconds do.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pubvec.errors import ConfigError, PubvecError
from pubvec.files import json_ready, package_versions, write_json
from pubvec.machine import code_commit, describe_machine

# The kernel counts the peak memory of a process from the moment of its start, when it still shares the memory of its
# parent. So a small process of its own starts each command, and prints what it measured as its last line.
_LAUNCHER = """
import os, sys, time
started = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - started, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""
_BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024
"""The unit of `ru_maxrss` differs between systems."""


@dataclass(frozen=True)
class Sample:
    """One run of one command."""

    seconds: float
    """Duration of the whole process, its start included."""
    peak_bytes: int
    """Highest resident memory of the largest process of the command."""


def run_once(label: str, command: Sequence[str]) -> Sample:
    """Time one run of `command`, and take the memory of the largest of its processes.

    Raises:
        ConfigError: this system has no `wait4` (Windows).
        PubvecError: the command failed; the message calls it `label` and has the last line of its stderr.
    """
    if not hasattr(os, "wait4"):
        raise ConfigError("benchmarks measure with wait4, which this system lacks: use Linux or macOS")
    launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    done = subprocess.run(launch, capture_output=True, text=True, check=False)
    *_, measured = done.stdout.splitlines() or [""]
    if done.returncode != 0 or measured.split()[-1] != "0":
        raise PubvecError(f"the command {label!r} of this benchmark failed: {last_line(done.stderr)}")
    wall_s, peak, _ = measured.split()
    return Sample(seconds=round(float(wall_s), 4), peak_bytes=int(peak) * _BYTES_PER_UNIT)


def run_pubvec(*arguments: str) -> Sample:
    """Time `pubvec` with `arguments` as a process of its own.

    Raises:
        PubvecError: the command failed; the message has the last line of its stderr.
    """
    return run_once(f"pubvec {arguments[0]}", [sys.executable, "-m", "pubvec", *arguments])


def run_python(code: str, *arguments: str, stdin: str | None = None) -> Any:
    """Run Python code in a fresh process, and return what its last line of output says as JSON.

    Raises:
        PubvecError: the code failed; the message has the last line of its stderr.
    """
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PubvecError(f"a process of this benchmark failed: {last_line(done.stderr)}")
    return json.loads(done.stdout.splitlines()[-1])


def last_line(errors: str) -> str:
    """Return the last line that a failed command wrote to stderr."""
    return (errors.strip().splitlines() or ["it printed no reason"])[-1]


def resident_bytes(field: str = "VmRSS", process: int | str = "self") -> int:
    """Return the resident memory of a process, now (`VmRSS`) or at its highest (`VmHWM`), from Linux' `/proc`."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    if found is None:
        raise PubvecError(f"/proc/{process}/status has no {field}: benchmarks of memory need Linux")
    return 1024 * int(found[1])


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def origin() -> dict[str, Any]:
    """Return what every result says about its origin: the machine, the versions of libraries, and the commit of the code."""
    return {"machine": describe_machine(), "versions": package_versions(), "commit": code_commit()}


def write_record(path: Path, record: Any) -> None:
    """Write a result, a mapping or a dataclass, as JSON; folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, json_ready(record))


def describe_origin(record: Mapping[str, Any]) -> str:
    """Return the processor and the number of cores of a result, as the tables name them."""
    return f"{record['machine']['processor']}, {record['machine']['n_cores']} cores"


def make_parser(doc: str | None, output: str) -> argparse.ArgumentParser:
    """Make a parser that prints the docstring of the program, and has `--output` with the default file `output`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("results") / output, help="JSON file to write"
    )
    return parser


def run_program(main: Callable[[], str]) -> None:
    """Run a benchmark as a program, and print the table that `main` returns.

    Progress goes to stderr. An expected failure is one line on stderr and exit code 1.
    """
    from pubvec.cli.console import console

    try:
        with console().progress():
            table = main()
    except PubvecError as error:
        sys.exit(f"Error: {error}")
    print(table.rstrip("\n"))
