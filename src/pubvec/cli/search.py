"""`index` and `search`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.corpus import AsJson, Force
from pubvec.cli.options import with_config
from pubvec.encoder.released import DEFAULT_MODEL
from pubvec.records import Hit
from pubvec.search.config import IndexConfig


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    app.command()(index)
    app.command()(search)


@with_config(IndexConfig)
def index(
    articles: Annotated[Path, typer.Argument(help="Folder made by parse.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Bi-encoder: a name or a folder.")
    ] = DEFAULT_MODEL,
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: IndexConfig,
) -> None:
    """Encode articles/ and store them for search.

    Example: pubvec index articles/ -m small/ -o index/
    """
    from pubvec.search.store import index as stage

    with console().progress():
        manifest = stage(articles, model, output, config=config, force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)


def search(
    index: Annotated[Path, typer.Argument(help="Folder made by index.")],
    query: Annotated[str, typer.Argument(help="A question or a few words.")],
    n: Annotated[int, typer.Option("--number", "-n", min=1, help="Most hits to show.")] = 10,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Encoder of the query.", show_default="the index's")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a hit and line.")] = False,
) -> None:
    """Find the articles nearest to a question, best first.

    Example: pubvec search index/ "does aspirin prevent stroke" -n 5
    """
    from pubvec.search.query import search as ask

    for rank, hit in enumerate(ask(index, query, n=n, model=model), start=1):
        print(json.dumps(hit_fields(hit), ensure_ascii=False) if as_json else describe_hit(rank, hit))


def hit_fields(hit: Hit) -> dict[str, object]:
    """A hit as JSON shows it."""
    return {**hit._asdict(), "score": round(hit.score, 6), "url": hit.url}


def describe_hit(rank: int, hit: Hit) -> str:
    """A hit in three lines: title, source, link."""
    source = ", ".join(str(part) for part in (hit.journal, hit.year) if part)
    lines = [f"{rank:>3}. {hit.score:.3f}  {hit.title or '[title not available]'}"]
    if source:
        lines.append(f"            {source}")
    return "\n".join([*lines, f"            {hit.url}"])
