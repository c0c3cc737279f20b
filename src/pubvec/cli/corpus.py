"""`parse` and `pairs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.options import with_config
from pubvec.corpus.config import ParseConfig
from pubvec.pairs.config import PairsConfig

Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the manifest as JSON on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    app.command()(parse)
    app.command()(pairs)


@with_config(ParseConfig)
def parse(
    files: Annotated[list[str], typer.Argument(help="PubMed XML files, .xml or .xml.gz; - is stdin.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: ParseConfig,
) -> None:
    """Turn PubMed XML files into articles/, one Parquet shard a file.

    Example: pubvec parse pubmed26n0001.xml.gz pubmed26n0002.xml.gz -o articles/
    """
    from pubvec.corpus.parse import parse as stage

    with console().progress():
        manifest = stage(files, output, config=config, force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)


@with_config(PairsConfig)
def pairs(
    articles: Annotated[Path, typer.Argument(help="Folder made by parse.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    exclude: Annotated[
        list[Path] | None,
        typer.Option("--exclude", help="File or folder of evaluation texts to keep out; may be repeated."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: PairsConfig,
) -> None:
    """Make training pairs from articles/, without the articles that an evaluation set holds.

    Example: pubvec pairs articles/ -o pairs/ --exclude eval/
    """
    from pubvec.pairs.build import build_pairs

    with console().progress():
        manifest = build_pairs(articles, output, config=config, exclude=exclude or [], force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)
