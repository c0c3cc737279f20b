"""`run`: the main job, and how its report reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.options import open_engine, with_config
from pubvec.cli.search import describe_hit
from pubvec.engine import EngineConfig
from pubvec.presets import PRESETS

if TYPE_CHECKING:
    from pubvec.pipeline import RunReport, Stage


def add_to(app: typer.Typer) -> None:
    """Register the verb of this module."""
    app.command()(run)


@with_config(EngineConfig, "engine")
def run(
    files: Annotated[
        list[str] | None, typer.Argument(help="PubMed XML files; without any, one is downloaded from NLM.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all stages.")] = Path("work"),
    preset: Annotated[str, typer.Option(help=f"Budget: {', '.join(PRESETS)}.")] = "small",
    student: Annotated[str, typer.Option("--student", "-s", help="Model to start from.")] = "minilm",
    teacher: Annotated[str, typer.Option("--teacher", "-t", help="Model to imitate in step 1.")] = "mpnet",
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Evaluation sets: kept out of the pairs, and evaluated on."),
    ] = None,
    *,
    engine: EngineConfig,
) -> None:
    """Do it all: parse, pairs, train, export, evaluate, index, search. Repeat the command to resume.

    Example: pubvec run pubmed26n0001.xml.gz -o work/ --data eval/
    """
    from pubvec.pipeline import run as job

    with console().progress():
        report = job(
            files or [],
            output,
            preset=preset,
            student=student,
            teacher=teacher,
            data=data,
            engine=open_engine(engine),
            on_stage=lambda stage: console().say(_describe_stage(stage)),
        )
    print(describe(report), end="")
    if not report.is_better:
        console().say(f"Error: {report.verdict}")
        raise typer.Exit(1)


def describe(report: RunReport) -> str:
    """The report as Markdown."""
    from pubvec.evaluation import to_markdown

    seconds = sum(stage.seconds for stage in report.stages)
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in report.model_bytes.items())
    searches = [
        line
        for query, hits in report.searches
        for line in (f"\n> {query}", *(describe_hit(rank, hit) for rank, hit in enumerate(hits, start=1)))
    ]
    lines = [
        "## Stages",
        *(_describe_stage(stage) for stage in report.stages),
        f"all: {seconds:,.1f} s, peak memory {report.peak_bytes / 1e9:.2f} GB",
        "",
        "## Evaluation (percent; mean ± spread over seeds where negatives are drawn)",
        to_markdown(report.table),
        report.verdict,
        "",
        "## Model",
        f"{report.model}: {sizes}",
        f"int8: {report.abstracts_per_s:,.0f} held-out positives a second",
        "",
        "## Searches",
        *searches,
    ]
    return "\n".join(lines) + "\n"


def _describe_stage(stage: Stage) -> str:
    return f"{stage.name}: {'kept from an earlier run' if stage.is_reused else f'{stage.seconds:,.1f} s'}"
