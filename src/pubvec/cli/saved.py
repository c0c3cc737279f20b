"""`saved add`, `saved list`, `saved run`, `saved remove`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from pubvec.cli.console import console
from pubvec.cli.index import IndexFolder, TrustIndex
from pubvec.cli.options import CommandLine, with_config
from pubvec.cli.search import (
    TEXT,
    FormatOrFeed,
    MeshTreeFile,
    Model,
    Output,
    RankingName,
    open_searcher,
    opened,
    write,
)
from pubvec.errors import InputError
from pubvec.files import json_ready
from pubvec.retrieval import Filters

if TYPE_CHECKING:
    from pubvec.retrieval import SavedRun, SavedSearch

Name = Annotated[str, typer.Argument(help="Name of the saved search: letters, digits, '.', '-' and '_'.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    group = CommandLine(no_args_is_help=True, rich_markup_mode=None)
    for verb in (add, list_, run, remove):
        group.command(name="list" if verb is list_ else None)(verb)
    app.add_typer(
        group, name="saved", help="Saved searches, each new article told once: add, list, run, remove."
    )


@with_config(Filters)
def add(
    index: IndexFolder,
    name: Name,
    query: Annotated[str | None, typer.Argument(help="A query, written as for search.")] = None,
    articles: Annotated[
        Path | None,
        typer.Option(
            "--articles",
            help="File that search --format wrote, or a list of PMIDs: what becomes of these articles is told.",
        ),
    ] = None,
    all_new: Annotated[
        bool, typer.Option("--all-new", help="The first run tells what the index holds now as well.")
    ] = False,
    ranking: RankingName = "hybrid",
    min_probability: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Leave out articles below this calibrated probability; 0 leaves out none.",
            show_default="0.5 for a question without conditions",
        ),
    ] = None,
    model: Model = None,
    trust_index: TrustIndex = False,
    *,
    config: Filters,
) -> None:
    """Remember a query with its filters, or articles to watch; what the index holds now counts as seen.

    Example: pubvec saved add index/ stroke "aspirin AND stroke" --language english
    """
    from pubvec.retrieval import add_saved, read_pmids

    search = add_saved(
        index,
        name,
        query or "",
        filters=config,
        ranking=ranking,  # type: ignore[arg-type]  # checked there
        min_probability=min_probability,
        articles=() if articles is None else read_pmids(articles),
        is_all_new=all_new,
        searcher=open_searcher(index, model, trust_index=trust_index),
    )
    console().say(f"Saved: {_describe(search)}")


def list_(
    index: IndexFolder,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a saved search and line.")] = False,
) -> None:
    """List the saved searches of an index.

    Example: pubvec saved list index/
    """
    from pubvec.retrieval import list_saved

    searches = list_saved(index)
    for search in searches:
        fields = {**search._asdict(), "filters": json_ready(asdict(search.filters))}
        print(json.dumps(fields, ensure_ascii=False) if as_json else _describe(search))
    if not searches:
        console().say(f"{index} has no saved search: `pubvec saved add {index} NAME QUERY` makes one.")


def run(
    index: IndexFolder,
    name: Annotated[
        str | None, typer.Argument(help="Name of the saved search.", show_default="all of them")
    ] = None,
    mesh_tree: MeshTreeFile = None,
    model: Model = None,
    trust_index: TrustIndex = False,
    form: FormatOrFeed = TEXT,
    output: Output = None,
) -> None:
    """Tell what has come since the last run, each article once, and which told or watched articles were retracted,
    corrected or revised.

    What a run has found counts as told when its output is whole: after a kill the next run tells the same articles again.

    Example: pubvec saved run index/ stroke --format ris -o new.ris
    """
    from pubvec.retrieval import deliver_saved, list_saved

    names = [search.name for search in list_saved(index)] if name is None else [name]
    if not names:
        raise InputError(f"{index} has no saved search: `pubvec saved add {index} NAME QUERY` makes one")
    searcher = open_searcher(index, model, mesh_tree=mesh_tree, trust_index=trust_index)
    with ExitStack() as stack:
        runs = [stack.enter_context(deliver_saved(index, each, searcher=searcher)) for each in names]
        with opened(output) as file:
            _write(runs, form, file)
            file.flush()
        for each in runs:
            n_new, n_changed = len(each.hits), len(each.changes)
            console().say(
                f"{each.search.name}: {n_new:,} new since version {each.since}, {n_changed:,} "
                f"{'change' if n_changed == 1 else 'changes'} of told articles; seen up to version {each.search.version}"
            )


def remove(index: IndexFolder, name: Name) -> None:
    """Forget a saved search and the articles that it told.

    Example: pubvec saved remove index/ stroke
    """
    from pubvec.retrieval import remove_saved

    remove_saved(index, name)
    console().say(f"{name} is removed.")


def _write(runs: Sequence[SavedRun], form: str, file: TextIO) -> None:
    """Write what runs tell; formats of references cannot hold changes, which are said on stderr then."""
    from pubvec.retrieval import as_rss

    for each in runs:
        for line in [*each.notes, *map(str, each.changes)]:
            if form == TEXT:
                print(line, file=file)
            else:
                console().say(line)
    hits = list({hit.pmid: hit for each in runs for hit in each.hits}.values())
    if form == "rss":
        file.write(as_rss("; ".join(each.search.query or each.search.name for each in runs), hits))
    else:
        write(hits, form, file)


def _describe(search: SavedSearch) -> str:
    """Describe a saved search in one line."""
    filters = {name: value for name, value in asdict(search.filters).items() if value}
    parts = [repr(search.query)] if search.query else []
    parts += [f"{name.replace('_', ' ')} {value}" for name, value in filters.items()]
    if search.min_probability:
        parts.append(f"probability {search.min_probability:g} or above")
    parts.append(f"{search.n_watched:,} articles watched")
    return f"{search.name}: {', '.join(parts)}; seen up to version {search.version}"
