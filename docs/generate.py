"""Generate `docs/cli.md`, `results/README.md` and the figures of other pages.

python docs/generate.py [--check] [PAGE…]

A PAGE is a path from the root of the repository, as `docs/cli.md`; without one all pages are made. The page of the command
line comes from `--help`, tables and plots come from the JSON files in `results/`. Plots are drawn only when everything is
made: their bytes depend on the version of the plotting library.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks import encoder, growth, plots
from benchmarks.commands import Record, Timing
from benchmarks.commands import to_markdown as commands_to_markdown
from benchmarks.tables import models as models_tables
from benchmarks.tables import scale as scale_tables
from benchmarks.tables import search as search_tables
from benchmarks.tables import server as server_tables

CLI = ROOT / "docs" / "cli.md"
README = ROOT / "README.md"
RESULTS = ROOT / "results"
BENCHES = RESULTS / "README.md"
EVALUATION = ROOT / "docs" / "evaluation.md"
SEARCH = ROOT / "docs" / "search.md"
TXTAI = ROOT / "docs" / "txtai.md"
SERVE = ROOT / "docs" / "serve.md"
SCALE = ROOT / "docs" / "scale.md"
RELIABILITY = ROOT / "docs" / "reliability.md"
BASELINE = "all-MiniLM-L6-v2"
PICTURES = ("quality.png", "scores-pubvec-small-pubmed-qa.png")
"""Of those that `pubvec compare --plots` draws."""

STANDS_IN = (
    "In percent; in parentheses what others published. `title–abstract` and `article–abstract` stand in for the published "
    "sets PubMed Subset and PubMed Summary, so those published figures are of other texts."
)
PARSING = (
    "Whole processes in turn. pubvec writes Parquet, and the other parser keeps less "
    "([what each keeps](../docs/formats.md))."
)
PAIRS = "Training pairs from all articles, leakage control against the evaluation sets included:"
SMALL_PRESET = "The small preset shows that every stage works. It makes no model for use: each stage sees 500 to 800 pairs."


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
    """Return the README with its two tables written anew."""
    blocks = {"models": models_tables.short_table(RESULTS), "speed": models_tables.speed(RESULTS)}
    return fill(README.read_text(), blocks)


def fill(text: str, blocks: dict[str, str]) -> str:
    """The text with each block between its marks."""
    for name, block in blocks.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        text, n_found = re.subn(pattern, lambda m, b=block: m[1] + b + m[2], text, flags=re.DOTALL)
        assert n_found == 1, f"found {n_found} blocks {name}"
    return text


def render_evaluation() -> str:
    """The page on evaluation with the figures of the probes."""
    table = task_table(lambda task: task.startswith("probe-"))
    legend = "In percent; † as in all tables: differs from all-MiniLM-L6-v2 with p < 0.05.\n"
    return fill(EVALUATION.read_text(), {"probes": f"{table}\n{legend}"})


def render_search() -> str:
    """The page on search with its figures."""
    return fill(SEARCH.read_text(), search_tables.blocks(RESULTS))


def task_table(is_shown: Any) -> str:
    """All systems that have a figure on the tasks, those of the baseline's error removed, in Markdown."""
    from pubvec.evaluation.comparing import Row, Table, to_markdown

    whole = tested_table()
    places = [place for place, column in enumerate(whole.columns) if is_shown(column.task)]
    rows = [
        Row(models_tables.marked(row.system), tuple(row.cells[place] for place in places))
        for row in whole.rows
    ]
    known = tuple(row for row in rows if any(cell is not None for cell in row.cells))
    columns = tuple(whole.columns[place] for place in places)
    return to_markdown(
        Table(columns, known, precisions=whole.precisions)
    )  # the legend stands once, above all tables


@cache
def tested_table() -> Any:
    """All results against the baseline, tested once."""
    from pubvec.evaluation.comparing import compare

    return compare(RESULTS, with_published=True, baseline=BASELINE)


def quality_section() -> str:
    """A table for each task, and the pictures of the same data."""
    from pubvec.evaluation.comparing import LEGEND

    tasks = dict.fromkeys(column.task for column in tested_table().columns)
    tables = "".join(
        f"### {task}\n\n{task_table(task.__eq__)}\n" for task in tasks if not task.startswith("probe-")
    )
    return (
        f"## Quality\n\n{LEGEND.format(BASELINE)} The probes are in [docs/evaluation.md](../docs/evaluation.md).\n\n{tables}"
        "![quality against speed and size](quality.png)\n\n![scores of pubvec-small](scores-pubvec-small-pubmed-qa.png)\n\n"
    )


def read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def run_tables(report: Any) -> str:
    """Stages with their seconds, and the evaluation, of the run in `results/run-small.json`."""
    from pubvec.evaluation.comparing import Cell, Column, Row, Table, to_markdown

    stages = report["stages"]
    minutes = sum(stage["seconds"] for stage in stages) / 60
    names = " | ".join(stage["name"] for stage in stages)
    seconds = " | ".join(f"{stage['seconds']:.0f}" for stage in stages)
    line = "---|" + "--:|" * len(stages) + "--:|"
    table = report["table"]
    rows = [Row(row["system"], tuple(c and Cell(**c) for c in row["cells"])) for row in table["rows"]]
    evaluation = to_markdown(Table(tuple(Column(**column) for column in table["columns"]), tuple(rows)))
    return (
        f"| stage | {names} | all |\n|{line}\n| seconds | {seconds} | {sum(s['seconds'] for s in stages):.0f} |\n\n"
        f"{minutes:.0f} minutes on {report['machine']['n_cores']} CPU cores, peak memory "
        f"{report['peak_bytes'] / 1e9:.1f} GB. In percent, mean ± spread over five draws of negatives; "
        f"{report['verdict']}:\n\n{evaluation}"
    )


def encoder_summary() -> str:
    """The figures of the encoder bench that its targets name."""
    record = encoder.read_record(RESULTS / "bench-encoder.json")
    theirs = record.contenders[encoder.REFERENCE]
    lines = [
        f"Times as fast as sentence-transformers' default, medians of {record.n_rounds} interleaved rounds; "
        f"{record.machine['processor']}, {record.machine['n_cores']} cores:",
        "",
        "| | abstracts | titles | one query (p50) | start to first vector | peak memory | share of fp32 peak | cosine |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, ours in record.contenders.items():
        if ours.error is not None or name == "model2vec":
            continue
        rates = (f"{encoder.ratio(record, name, texts, 'all'):.1f}" for texts in ("abstracts", "titles"))
        query = encoder.percentile_ms(ours, 50)
        start = median(ours.start_s)
        figures = (
            *rates,
            f"{encoder.percentile_ms(theirs, 50) / query:.1f} ({query:.1f} ms)",
            f"{median(theirs.start_s) / start:.1f} ({start:.2f} s)",
            f"{ours.peak_bytes / theirs.peak_bytes:.2f} ({ours.peak_bytes / 1e6:,.0f} MB)",
            f"{encoder.share_of_peak(record, name, 'abstracts'):.0%}",
            f"{ours.cosine['mean']:.4f}",
        )
        lines.append(f"| {name} | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"


def render_benches() -> str:
    """The page of the encoder benchmarks."""
    everyone, few = (encoder.read_record(RESULTS / f"bench-encoder{suffix}.json") for suffix in ("", "-few"))
    grown = growth.read_record(RESULTS / "bench-growth.json")
    return (
        "# Results\n\nGenerated from the JSON files beside it by `make docs`; how each figure is measured is in "
        "[docs/evaluation.md](../docs/evaluation.md). In bold: times the figure of sentence-transformers' default.\n\n"
        f"## The released models\n\n{STANDS_IN}\n\n{models_tables.table(RESULTS)}\n{quality_section()}"
        f"## Parsing and pairs\n\n{PARSING}\n\n{bench_table(read('bench-parse'))}\n{PAIRS}\n\n"
        f"{bench_table(read('bench-pairs'))}\n## `make run`\n\n{SMALL_PRESET}\n\n{run_tables(read('run-small'))}\n"
        f"## Encoders\n\n{encoder_summary()}\n{encoder_section(everyone)}\n![tokens a second](bench-encoder.png)\n\n"
        "## Three of them alone\n\nNine processes wait in memory while the tenth is measured above; here two. "
        f"Single queries and small calls feel the difference.\n\n{encoder_section(few)}\n## Growth\n\n"
        f"{machine_line(grown)} int8, each line a fresh process.\n\n"
        f"{growth.to_markdown(grown)}\n![time and memory](bench-growth.png)\n"
    )


def encoder_section(record: Any) -> str:
    texts = "; ".join(
        f"{name}: {work['n_texts']:,} texts, {work['n_tokens']:,} tokens"
        for name, work in record.texts.items()
    )
    peak = median(record.peak_flop_per_s) / 1e9
    head = f"{machine_line(record)} {texts}. Medians of {record.n_rounds} rounds, commit {record.commit}."
    return f"{head} Matrix-product peak: {peak:.0f} GFLOP/s.\n\n{encoder.to_markdown(record)}"


def machine_line(record: Any) -> str:
    return f"{record.machine['processor']}, {record.machine['n_cores']} cores."


def draw_plots() -> None:
    from pubvec.evaluation import plot_results

    plots.plot_encoder(encoder.read_record(RESULTS / "bench-encoder.json"), RESULTS / "bench-encoder.png")
    plots.plot_growth(growth.read_record(RESULTS / "bench-growth.json"), RESULTS / "bench-growth.png")
    with tempfile.TemporaryDirectory() as folder:
        for path in plot_results(RESULTS, folder):
            if path.name in PICTURES:
                shutil.copyfile(path, RESULTS / path.name)


def bench_table(record: Any) -> str:
    """A benchmark's medians, with its inputs and machine."""
    timings = {label: Timing(**timing) for label, timing in record["timings"].items()}
    n_runs = len(next(iter(timings.values())).samples)
    machine = record["machine"]
    counts = ", ".join(f"{n:,} {unit}" for unit, n in record["counts"].items())
    head = f"{counts}; medians of {n_runs} runs; {machine['processor']}, {machine['n_cores']} cores.\n\n"
    return head + commands_to_markdown(Record(**{**record, "timings": timings}))


def main() -> None:
    is_current = True
    pages = (
        (CLI, render_cli),
        (README, render_readme),
        (BENCHES, render_benches),
        (EVALUATION, render_evaluation),
        (SEARCH, render_search),
        (SERVE, lambda: fill(SERVE.read_text(), server_tables.blocks(RESULTS))),
        (SCALE, lambda: fill(SCALE.read_text(), scale_tables.scale_blocks(RESULTS))),
        (RELIABILITY, lambda: fill(RELIABILITY.read_text(), scale_tables.reliability_blocks(RESULTS))),
        (TXTAI, lambda: fill(TXTAI.read_text(), {"txtai": search_tables.txtai(RESULTS)})),
    )
    chosen = [argument for argument in sys.argv[1:] if argument != "--check"]
    unknown = set(chosen) - {page.relative_to(ROOT).as_posix() for page, _ in pages}
    assert not unknown, f"{unknown} are not generated"
    for page, render in pages:
        if chosen and page.relative_to(ROOT).as_posix() not in chosen:
            continue
        text = render()
        if "--check" not in sys.argv:
            page.write_text(text)
        elif not page.exists() or page.read_text() != text:
            print(f"{page.name} is out of date: run `make docs`", file=sys.stderr)
            is_current = False
    if not sys.argv[1:]:
        draw_plots()
    sys.exit(not is_current)


if __name__ == "__main__":
    main()
