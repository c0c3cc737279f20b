"""`evaluate`, `compare`, `bench` and `plan`."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.options import with_config
from pubvec.encoder import DEFAULT_MODEL
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation import BenchConfig, EvaluateConfig
from pubvec.files import json_ready

Results = Annotated[Path, typer.Option("--output", "-o", help="Folder of results, one JSON file each.")]
AsTable = Annotated[bool, typer.Option("--tsv", help="Tab-separated, one line a figure.")]
AsJson = Annotated[bool, typer.Option("--json", help="The whole table as JSON.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    app.command()(evaluate)
    app.command()(compare)
    app.command()(bench)
    app.command()(plan)


@with_config(EvaluateConfig)
def evaluate(
    models: Annotated[list[str] | None, typer.Argument(help="Models: names or folders.")] = None,
    *,
    task: Annotated[list[str], typer.Option("--task", "-t", help="Task; may be repeated.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="Folder of the tasks' files.")] = Path(),
    output: Results = Path("results"),
    all_published: Annotated[
        bool,
        typer.Option("--all-published", help="Fetch and evaluate all systems of the published table too."),
    ] = False,
    first_stage: Annotated[
        str | None,
        typer.Option("--first-stage", help="Model whose best documents a cross-encoder ranks anew."),
    ] = None,
    trust_remote_code: Annotated[
        list[str] | None,
        typer.Option(
            "--trust-remote-code",
            help="Model, as it is given, that may run code of its own; may be repeated.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace results of other settings.")] = False,
    as_json: AsJson = False,
    as_tsv: AsTable = False,
    config: EvaluateConfig,
) -> None:
    """Evaluate models on tasks and print the table of all results in the folder.

    Bi-encoders, late interaction and cross-encoders are told apart by their folders.

    Example: pubvec evaluate minilm small/ -t pubmed-qa -t title-abstract -d eval/ -o results/
    """
    from pubvec.evaluation import evaluate as stage
    from pubvec.evaluation import evaluate_published

    if not models and not all_published:
        raise ConfigError("evaluate needs a model, or --all-published")
    trusted = trust_remote_code or ()
    with console().progress():
        if not all_published:
            stage(
                *(models or [], task, data, output, config),
                first_stage=first_stage,
                trust_remote_code=trusted,
                force=force,
            )
            report = None
        else:
            report = evaluate_published(
                *(models or [], task, data, output, config),
                first_stage=first_stage,
                trust_remote_code=trusted,
                force=force,
            )
    if report is None or report.results:
        _print_table(output, as_json=as_json, as_tsv=as_tsv, published=False)
    if report is not None:
        if report.missing:
            raise InputError(report.summary)
        console().say(report.summary)


def compare(
    results: Annotated[Path, typer.Argument(help="Folder made by evaluate.")],
    published: Annotated[
        bool, typer.Option("--published", help="Add the published systems that were not measured here.")
    ] = False,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", "-b", help="System that all others are tested against."),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Folder to draw the same data into, as PNG files.")
    ] = None,
    as_json: AsJson = False,
    as_tsv: AsTable = False,
) -> None:
    """Print the results of a folder as one table, in Markdown unless asked otherwise.

    Example: pubvec compare results/ --published --baseline minilm --plots plots/
    """
    if plots is not None:
        from pubvec.evaluation import plot_results

        plot_results(results, plots)
    _print_table(results, as_json=as_json, as_tsv=as_tsv, published=published, baseline=baseline)


@with_config(BenchConfig)
def bench(
    model: Annotated[str, typer.Argument(help="Bi-encoder: a name or a folder.")] = DEFAULT_MODEL,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="File of texts to measure with, as encode takes it; by default made-up texts as long as titles and "
            "abstracts are."
        ),
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column of the texts in a table.")] = "text",
    *,
    as_json: AsJson = False,
    config: BenchConfig,
) -> None:
    """Measure how fast a model embeds on this machine: one query, titles, abstracts, memory, share of the processor's peak.

    Example: pubvec bench pubvec-small
    """
    from pubvec.evaluation import bench as stage
    from pubvec.evaluation import speed_to_markdown

    with console().progress():
        found = stage(model, texts, text_column=text_column, config=config)
    print(json.dumps(json_ready(found), indent=2) + "\n" if as_json else speed_to_markdown(found), end="")


def plan(
    articles: Annotated[str, typer.Option("--articles", "-a", help="How many, as 38000000 or 38e6.")],
    machine: Annotated[
        Path | None,
        typer.Option(
            "--machine",
            help="File that `python -m benchmarks.plan` wrote on the machine; by default one of two cores.",
        ),
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Cores at work; by default the machine's.")] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Bi-encoder: a name or a folder.")
    ] = DEFAULT_MODEL,
    as_json: AsJson = False,
) -> None:
    """Work out on paper what so many articles cost: tokens, FLOP, hours, bytes, and the daily update.

    Example: pubvec plan --articles 38e6 --cores 128
    """
    from pubvec.encoder import ModelShape, resolve
    from pubvec.scale import REFERENCE, Constants
    from pubvec.scale import plan as work_out

    n_articles = _read_count(articles)
    constants = Constants.read(machine or REFERENCE)
    if cores is not None:
        constants = replace(constants, n_cores=cores)
    found = work_out(n_articles, constants, ModelShape.read(resolve(model)))
    print(
        json.dumps(found.to_json(), indent=2) if as_json else found.to_markdown(), end="\n" if as_json else ""
    )


_MAX_DIGITS = 18


def _read_count(text: str) -> int:
    """Read a whole number that may have an exponent. A fraction is refused instead of cut."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    # The bound on the size comes first, because 1e999999999 written out would fill the memory.
    if number.is_finite() and number.adjusted() < _MAX_DIGITS and number == number.to_integral_value():
        return int(number)
    raise ConfigError(f"articles is a whole number, as 38000000 or 38e6, not {text!r}")


def _print_table(
    results: Path, *, as_json: bool, as_tsv: bool, published: bool, baseline: str | None = None
) -> None:
    from pubvec.evaluation import compare as collect
    from pubvec.evaluation import to_json, to_markdown, to_tsv

    if as_json and as_tsv:
        raise ConfigError("--json and --tsv exclude each other")
    table = collect(results, with_published=published, baseline=baseline)
    print((to_json if as_json else to_tsv if as_tsv else to_markdown)(table), end="")
