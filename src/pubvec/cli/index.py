"""`index`, `update`, `info`, `verify` and `compact`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pubvec.cli.console import console
from pubvec.cli.corpus import AsJson, Force
from pubvec.cli.options import open_engine, with_config
from pubvec.corpus import ParseConfig
from pubvec.encoder import DEFAULT_MODEL
from pubvec.engine import EngineConfig
from pubvec.retrieval import IndexConfig

IndexFolder = Annotated[Path, typer.Argument(help="Folder made by index.")]
IndexModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Name or folder of the model that made the index.",
        show_default="where it was then",
    ),
]
TrustIndex = Annotated[
    bool,
    typer.Option("--trust-index", help="Fetch the model that the index names if it is not on this machine."),
]


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    for verb in (index, update, info, verify, compact):
        app.command()(verb)


@with_config(IndexConfig)
@with_config(EngineConfig, "engine")
def index(
    articles: Annotated[Path, typer.Argument(help="Folder made by parse.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Bi-encoder: a name or a folder.")
    ] = DEFAULT_MODEL,
    vectors: Annotated[
        Path | None,
        typer.Option("--vectors", help="Folder that encode made of the same articles with the same model."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: IndexConfig,
    engine: EngineConfig,
) -> None:
    """Encode articles/ and make them searchable.

    Example: pubvec index articles/ -m small/ -o index/
    """
    from pubvec.retrieval import index as stage

    with console().progress():
        manifest = stage(
            articles, model, output, vectors=vectors, config=config, engine=open_engine(engine), force=force
        )
    console().say_done(f"{output}", manifest, as_json=as_json)


@with_config(ParseConfig)
@with_config(EngineConfig, "engine")
def update(
    index: IndexFolder,
    files: Annotated[list[str], typer.Argument(help="PubMed XML files, in NLM's order or by NLM's names.")],
    baseline: Annotated[
        bool, typer.Option("--baseline", help="They are a whole new baseline: what it lacks goes.")
    ] = False,
    allow_gaps: Annotated[
        bool, typer.Option("--allow-gaps", help="Take files whose numbers do not follow those in the index.")
    ] = False,
    model: IndexModel = None,
    trust_index: TrustIndex = False,
    as_json: AsJson = False,
    *,
    config: ParseConfig,
    engine: EngineConfig,
) -> None:
    """Apply NLM's next files as a new version: new, revised and deleted citations, and retractions.

    Whichever file comes first, the newer one decides; a file that was left out is taken later. Only articles whose title or
    abstract changed are encoded. Searches that run keep the version that they opened.

    Example: pubvec update index/ pubmed26n0003.xml.gz
    """
    from pubvec.follow import update
    from pubvec.retrieval import info as read_info

    with console().progress():
        version = update(
            index,
            files,
            config=config,
            is_baseline=baseline,
            allow_gaps=allow_gaps,
            engine=open_engine(engine),
            model=model,
            trust_index=trust_index,
        )
    console().say_done(f"{index}, version {version.number}", version.manifest, as_json=as_json)
    for line in _describe_update(read_info(index).gaps, version.manifest.counts):
        console().say(line)


def _describe_update(gaps: Sequence[str], counts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a user must know of an update beside its counts."""
    if counts.get("n_older"):
        yield f"{counts['n_older']:,} records are older than what the index has of them and were left out."
    if gaps:
        yield f"Still missing: {', '.join(gaps)}. `pubvec update` takes these files in any order."


def info(index: IndexFolder, as_json: AsJson = False) -> None:
    """Tell what an index holds: articles, model, the last file and day of PubMed, versions.

    Example: pubvec info index/
    """
    from pubvec.retrieval import info as read_info

    found = read_info(index)
    if as_json:
        versions = [version._asdict() for version in found.versions]
        print(json.dumps({**found._asdict(), "versions": versions}, indent=2))
        return
    through = " of ".join(part for part in (found.data_through_date, found.data_through_file) if part)
    without = f", without {', '.join(found.gaps)}" if found.gaps else ""
    print(f"{found.n_articles:,} articles, data through {through or 'an unknown day'}{without}")
    print(f"model {found.model}, {found.dim} dimensions; {found.n_bytes / 1e6:,.0f} MB on disk")
    for version in found.versions:
        print(
            f"version {version.version} ({version.command}): {version.n_articles:,} articles, "
            f"{version.n_encoded:,} encoded in {version.seconds:,.1f} s"
        )


def verify(index: IndexFolder) -> None:
    """Check every byte of every version, and that rows, vectors and full text hold the same articles.

    Example: pubvec verify index/
    """
    from pubvec.retrieval import verify as check

    n_versions = check(index)
    console().say(f"{index}: {n_versions} {'version is' if n_versions == 1 else 'versions are'} whole")


def compact(
    index: IndexFolder,
    keep: Annotated[int, typer.Option(min=1, help="Versions to keep, the new one among them.")] = 1,
    model: IndexModel = None,
    trust_index: TrustIndex = False,
    as_json: AsJson = False,
) -> None:
    """Write the articles that are left as one segment, and drop old versions.

    Example: pubvec compact index/ --keep 2
    """
    from pubvec.retrieval import compact as stage

    with console().progress():
        version = stage(index, keep=keep, model=model, trust_index=trust_index)
    console().say_done(f"{index}, version {version.number}", version.manifest, as_json=as_json)
