"""`download`, `parse` and `pairs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.options import open_engine, with_config
from pubvec.corpus import DownloadConfig, ParseConfig
from pubvec.engine import EngineConfig
from pubvec.errors import InputError
from pubvec.mining import PairsConfig

Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the manifest as JSON on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    for verb in (download, parse, pairs):
        app.command()(verb)


@with_config(DownloadConfig)
def download(
    folder: Annotated[Path, typer.Argument(help="Folder for the files.")],
    first: Annotated[int | None, typer.Option(min=1, help="Number of the first file.")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Number of the last file.")] = None,
    allow_gaps: Annotated[
        bool, typer.Option("--allow-gaps", help="Fetch although numbers are missing between.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Fetch nothing: check what is in the folder against NLM's MD5 sums."),
    ] = False,
    *,
    config: DownloadConfig,
) -> None:
    """Fetch PubMed's XML files from NLM, and check them; repeat the command to go on, and for what is new.

    The paths of the files are printed, in NLM's order.

    Example: pubvec download pubmed/ --kind updates
    """
    from pubvec.corpus import check_download
    from pubvec.corpus import download as stage

    if check:
        with console().progress():
            faults = check_download(folder)
        for fault in faults:
            print(fault)
        if faults:
            raise InputError(f"{folder}: faults, listed above: download it again mends those of a file")
        console().say(f"{folder}: every file is whole, and none is missing between them")
        return
    with console().progress():
        done = stage(folder, first=first, last=last, allow_gaps=allow_gaps, config=config)
    for path in done.paths:
        print(path)
    console().say(f"{folder}: {len(done.paths):,} files, {done.n_fetched:,} of them fetched now")


@with_config(ParseConfig)
@with_config(EngineConfig, "engine")
def parse(
    files: Annotated[
        list[str],
        typer.Argument(
            help="PubMed XML, also gzipped; RIS, .nbib, BibTeX, CSL-JSON, CSV, TSV, JSON Lines or JATS; - is XML from stdin."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: ParseConfig,
    engine: EngineConfig,
) -> None:
    """Turn PubMed XML files, or files of references and full texts, into articles/, one Parquet shard a file.

    What a file is, its content says. A record without a PMID gets a number of its own, which is the same in every run.

    Example: pubvec parse pubmed26n0001.xml.gz pubmed26n0002.xml.gz -o articles/
    """
    from pubvec.corpus import parse as stage

    with console().progress():
        manifest = stage(files, output, config=config, engine=open_engine(engine), force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)


@with_config(PairsConfig)
def pairs(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder made by parse, or a table with two columns of texts (Parquet, CSV, TSV, JSON Lines)."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    exclude: Annotated[
        list[Path] | None,
        typer.Option("--exclude", help="File or folder of evaluation texts to keep out; may be repeated."),
    ] = None,
    anchor_column: Annotated[str, typer.Option(help="Column of a table that holds the anchors.")] = "anchor",
    positive_column: Annotated[
        str,
        typer.Option(help="Column of a table that holds the positives: a text or a list of texts a row."),
    ] = "positive",
    negatives_column: Annotated[
        str | None,
        typer.Option(help="Column of a table that holds negatives: a text or a list of texts a row."),
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(
            help="Column of a table whose equal values name rows of one subject, the hard negatives of each other."
        ),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: PairsConfig,
) -> None:
    """Make training pairs from articles/ or a table, without the texts that an evaluation set holds.

    Example: pubvec pairs articles/ -o pairs/ --exclude eval/
    """
    from pubvec.mining import pairs as stage

    with console().progress():
        manifest = stage(
            source,
            output,
            config,
            anchor_column=anchor_column,
            positive_column=positive_column,
            negatives_column=negatives_column,
            group_column=group_column,
            exclude=exclude or [],
            force=force,
        )
    console().say_done(f"{output}", manifest, as_json=as_json)
