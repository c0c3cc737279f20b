"""Generate `docs/cli.md` and the figures in `README.md`: `python docs/generate.py [--check]`.

The command line's page comes from `--help`, the README's tables from the JSON files in `results/`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CLI = ROOT / "docs" / "cli.md"
README = ROOT / "README.md"
RESULTS = ROOT / "results"


def iter_verbs() -> Iterator[tuple[str, Any]]:
    """Every verb with its command, groups entered: (`train align`, command)."""
    import typer

    from pubvec.cli import app

    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", child) for inner, child in command.commands.items())
        else:
            yield name, command


def help_of(verb: str) -> str:
    """What `pubvec VERB --help` prints at 100 columns."""
    from pubvec.cli import run

    os.environ["COLUMNS"] = os.environ["TERMINAL_WIDTH"] = "100"
    with contextlib.redirect_stdout(io.StringIO()) as page:
        assert run([*verb.split(), "--help"]) == 0
    return "\n".join(line.rstrip() for line in page.getvalue().strip().splitlines())


def render_cli() -> str:
    """The page of the command line."""
    head = "# The command line\n\nGenerated from `--help` by `make docs`; CI fails when it is out of date.\n"
    parts = [f"\n## pubvec {verb}\n\n```text\n{help_of(verb)}\n```\n" for verb, _ in iter_verbs()]
    return head + "".join(parts)


def render_readme() -> str:
    """The README with its figures written anew."""
    text = README.read_text()
    report = read("run-small")
    blocks = {"sentence": sentence(report), "run": run_tables(report)}
    blocks |= {f"bench-{name}": bench_table(read(f"bench-{name}")) for name in ("parse", "pairs", "encode")}
    for name, block in blocks.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        text, n_found = re.subn(pattern, lambda m, b=block: m[1] + b + m[2], text, flags=re.DOTALL)
        assert n_found == 1, f"README.md has {n_found} blocks {name}"
    return text


def read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def sentence(report: Any) -> str:
    minutes = sum(stage["seconds"] for stage in report["stages"]) / 60
    return (
        f"**From PubMed XML to an evaluated, exported and searchable embedding model in {minutes:.0f} minutes on "
        f"{report['machine']['n_cores']} CPU cores.**\n"
    )


def run_tables(report: Any) -> str:
    """Stages with their seconds, and the evaluation, of the run in `results/run-small.json`."""
    from pubvec.evaluation.compare import Cell, Column, Row, Table, to_markdown

    stages = report["stages"]
    names = " | ".join(stage["name"] for stage in stages)
    seconds = " | ".join(f"{stage['seconds']:.0f}" for stage in stages)
    line = "---|" + "--:|" * len(stages) + "--:|"
    table = report["table"]
    rows = [Row(row["system"], tuple(c and Cell(**c) for c in row["cells"])) for row in table["rows"]]
    evaluation = to_markdown(Table(tuple(Column(**column) for column in table["columns"]), tuple(rows)))
    return (
        f"| stage | {names} | all |\n|{line}\n| seconds | {seconds} | {sum(s['seconds'] for s in stages):.0f} |\n\n"
        f"Peak memory {report['peak_bytes'] / 1e9:.1f} GB. In percent, mean ± spread over five draws of negatives; "
        f"{report['verdict']}:\n\n{evaluation}"
    )


def bench_table(record: Any) -> str:
    """A benchmark's medians, with its inputs and machine."""
    from pubvec.evaluation.speed import BenchRecord, Timing, to_markdown

    timings = {label: Timing(**timing) for label, timing in record["timings"].items()}
    n_runs = len(next(iter(timings.values())).samples)
    machine = record["machine"]
    counts = ", ".join(f"{n:,} {unit}" for unit, n in record["counts"].items())
    head = f"{counts}; medians of {n_runs} runs; {machine['processor']}, {machine['n_cores']} cores.\n\n"
    return head + to_markdown(BenchRecord(**{**record, "timings": timings}))


def main() -> None:
    is_current = True
    for page, render in ((CLI, render_cli), (README, render_readme)):
        text = render()
        if "--check" not in sys.argv:
            page.write_text(text)
        elif not page.exists() or page.read_text() != text:
            print(f"{page.name} is out of date: run `make docs`", file=sys.stderr)
            is_current = False
    sys.exit(not is_current)


if __name__ == "__main__":
    main()
