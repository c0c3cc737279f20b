"""`search`, `snowball` and `alert`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from pubvec.cli.console import console
from pubvec.cli.index import IndexFolder, TrustIndex
from pubvec.cli.options import with_config
from pubvec.errors import ConfigError
from pubvec.files import atomic_path
from pubvec.records import Hit
from pubvec.retrieval import Filters
from pubvec.terminal import printable

if TYPE_CHECKING:
    from pubvec.retrieval import Searcher, SearchRequest

TEXT = "text"
Number = Annotated[
    int, typer.Option("--number", "-n", min=1, help="Most hits to show; there is no upper limit.")
]
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="Encoder of the query.", show_default="the index's")
]
RankingName = Annotated[str, typer.Option("--ranking", help="How hits are ranked: hybrid, dense or lexical.")]
MeshTreeFile = Annotated[
    Path | None,
    typer.Option("--mesh-tree", help="NLM's mtrees or descriptor file: headings take in those below."),
]
Reranker = Annotated[
    str | None,
    typer.Option("--rerank", help="Cross-encoder or late-interaction model that sorts the best anew."),
]


Like = Annotated[
    list[int] | None,
    typer.Option("--like", help="PMID of an article that hits are to be like; may be repeated."),
]
Unlike = Annotated[
    list[int] | None,
    typer.Option("--unlike", help="PMID of an article that hits are not to be like; may be repeated."),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        help="Format of the output: text, ris, bibtex, nbib, csl-json, csv, jsonl or pmids.",
    ),
]
FormatOrFeed = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        help="Format of the output: text, rss, ris, bibtex, nbib, csl-json, csv, jsonl or pmids.",
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File, instead of stdout.")]
Reranked = Annotated[int, typer.Option(min=1, help="Best hits that --rerank sorts.")]
Offset = Annotated[int, typer.Option(min=0, help="Number of hits to leave out before the first.")]
SortName = Annotated[
    str, typer.Option("--sort", help="Order of the hits: relevance, year for the newest first, or citations.")
]
Passages = Annotated[
    int,
    typer.Option(
        "--passages", min=0, help="Number of hits, from the best on, that are shown with a passage."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    app.command()(search)
    app.command()(snowball)
    app.command()(alert)


@with_config(Filters)
def search(
    index: IndexFolder,
    query: Annotated[str | None, typer.Argument(help="A question or a few words, with conditions.")] = None,
    like: Like = None,
    unlike: Unlike = None,
    n: Number = 10,
    offset: Offset = 0,
    sort: SortName = "relevance",
    ranking: RankingName = "hybrid",
    rerank: Reranker = None,
    n_reranked: Reranked = 50,
    n_passages: Passages = 100,
    mesh_tree: MeshTreeFile = None,
    as_of: Annotated[int | None, typer.Option("--as-of", help="An older version of the index.")] = None,
    model: Model = None,
    trust_index: TrustIndex = False,
    form: Format = TEXT,
    output: Output = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a hit and line.")] = False,
    *,
    config: Filters,
) -> None:
    """Find the articles that answer a question, best first.

    Beside plain words a query may hold what PubMed knows: "an exact phrase", AND, OR, NOT and parentheses, wildcard*,
    and PubMed's field tags. Plain words rank and exclude nothing; the rest must match. PMIDs, PMC numbers, DOIs, their
    addresses and whole titles give their articles first. Without a question, filters list the newest articles.

    Example: pubvec search index/ "does aspirin prevent stroke" --year 1990.. -n 5
    """
    _check_search(query, like, unlike, config)
    _check_rerank(rerank, offset, sort)
    if as_json and form != TEXT:
        raise ConfigError(f"--json and --format {form} ask for two formats: give one of them")
    searcher = open_searcher(
        index, model, as_of=as_of, mesh_tree=mesh_tree, reranker=rerank, trust_index=trust_index
    )
    request = searcher.read(
        query or "",
        like=like or (),
        unlike=unlike or (),
        filters=config,
        ranking=ranking,  # type: ignore[arg-type]  # checked there
    )
    with_passages = form == TEXT and not as_json and not like
    if offset or sort != "relevance":
        hits = _page(searcher, request, n, offset, sort, with_passages)
    else:
        hits = searcher.search(
            request, n, n_reranked=n_reranked, with_passages=with_passages, n_passages=n_passages
        )
    for line in searcher.explain(request).lines(has_hits=bool(hits)):
        console().say(line)
    with opened(output) as file:
        write(hits, "jsonl" if as_json else form, file)
    if not hits:
        console().say("No hits.")


@with_config(Filters)
def snowball(
    index: IndexFolder,
    pmids: Annotated[list[int], typer.Argument(help="PMIDs of the articles to start from.")],
    direction: Annotated[
        str,
        typer.Option(help="Follow citations backward (what they cite), forward (what cites them), or both."),
    ] = "both",
    n_rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Rounds; each starts from what the one before found.")
    ] = 1,
    n: Number = 100,
    form: Format = TEXT,
    output: Output = None,
    model: Model = None,
    trust_index: TrustIndex = False,
    *,
    config: Filters,
) -> None:
    """Find the articles that a set cites and those that cite it, those with most links first.

    Only articles of the index are found, and only reference lists that its records hold are followed.

    Example: pubvec snowball index/ 1001 1002 --direction backward
    """
    from pubvec.retrieval import snowball as follow

    found = follow(
        open_searcher(index, model, trust_index=trust_index),
        pmids,
        n,
        direction=direction,  # type: ignore[arg-type]  # checked there
        n_rounds=n_rounds,
        filters=config,
    )
    with opened(output) as file:
        if form != TEXT:
            write([each.hit for each in found.linked], form, file)
        for rank, each in enumerate(found.linked if form == TEXT else (), start=1):
            links = [("cites", each.cites), ("cited by", each.cited_by)]
            said = "; ".join(f"{word} {', '.join(map(str, them))}" for word, them in links if them)
            print(f"{describe_hit(rank, each.hit)}\n     {said}", file=file)
    shown = len(found.linked)
    rest = f", {shown:,} shown: `-n {found.n_found}` shows all" if shown < found.n_found else ""
    absent = (
        f"; articles of reference lists that the index lacks: {found.n_absent:,}" if found.n_absent else ""
    )
    console().say(f"{found.n_found:,} articles found{rest}{absent}")


def _page(
    searcher: Searcher, request: SearchRequest, n: int, offset: int, sort: str, with_passages: bool
) -> list[Hit]:
    """Return the hits of a page that does not begin with the best one."""
    page = searcher.page(
        request,
        n,
        offset,
        sort=sort,  # type: ignore[arg-type]  # checked there
        with_passages=with_passages,
        with_facets=False,
    )
    return page.hits


def _check_rerank(rerank: str | None, offset: int, sort: str) -> None:
    """Refuse an order that a reranker does not give."""
    if rerank and (offset or sort != "relevance"):
        raise ConfigError("--rerank sorts the first hits by relevance: leave out --offset and --sort")


def _check_search(
    query: str | None, like: Sequence[int] | None, unlike: Sequence[int] | None, filters: Filters
) -> None:
    """Refuse a search that asks for nothing, or for two things at once."""
    if query is not None and (like or unlike):
        raise ConfigError("give a query, or --like PMID and --unlike PMID, not both")
    if query is None and not like and filters.constraint is None:
        raise ConfigError("give a query, --like PMID, or filters such as --year 2015")


@with_config(Filters)
def alert(
    index: IndexFolder,
    query: Annotated[str, typer.Argument(help="A saved query, written as for search.")],
    since: Annotated[int, typer.Option("--since", min=0, help="Version of the index that was seen last.")],
    n: Number = 100,
    ranking: RankingName = "hybrid",
    min_probability: Annotated[
        float | None, typer.Option(min=0, max=1, help="Leave out hits below this calibrated score.")
    ] = None,
    mesh_tree: MeshTreeFile = None,
    model: Model = None,
    trust_index: TrustIndex = False,
    form: FormatOrFeed = TEXT,
    output: Output = None,
    *,
    config: Filters,
) -> None:
    """Tell what has come into the index since a version, for a saved query. `pubvec info` lists the versions.

    Example: pubvec alert index/ "aspirin AND stroke" --since 1 --format rss
    """
    from pubvec.retrieval import as_rss, find_new

    searcher = open_searcher(index, model, mesh_tree=mesh_tree, trust_index=trust_index)
    hits, n_new = find_new(
        searcher,
        query,
        since,
        n,
        ranking=ranking,  # type: ignore[arg-type]  # checked there
        min_probability=min_probability,
        filters=config,
    )
    with opened(output) as file:
        if form == "rss":
            file.write(as_rss(query, hits))
        else:
            write(hits, form, file)
    rest = f", the best {len(hits):,} shown: `-n {n_new}` shows all" if n_new > len(hits) else ""
    console().say(
        f"{n_new} new since version {since}{rest}; the index is at version {searcher.version.number}"
    )


def open_searcher(
    index: Path,
    model: str | None,
    *,
    as_of: int | None = None,
    mesh_tree: Path | None = None,
    reranker: str | None = None,
    trust_index: bool = False,
) -> Searcher:
    """An index open for the verbs that search it."""
    from pubvec.retrieval import MeshTree, Searcher

    mesh = None if mesh_tree is None else MeshTree.read(mesh_tree)
    return Searcher(index, model, as_of=as_of, mesh=mesh, reranker=reranker, trust_index=trust_index)


@contextmanager
def opened(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there only if all of it is."""
    if output is None:
        yield _SafeTerminal() if sys.stdout.isatty() else sys.stdout  # type: ignore[misc]
        return
    with atomic_path(output) as path, path.open("w", encoding="utf-8", newline="") as file:
        yield file


class _SafeTerminal:
    """Standard output where a person reads it: nothing that is written can steer the terminal."""

    def write(self, text: str) -> int:
        return sys.stdout.write(printable(text))

    def flush(self) -> None:
        sys.stdout.flush()


def write(hits: Sequence[Hit], form: str, file: TextIO) -> None:
    """Write `hits` for reading, or in one of the forms of `citations`."""
    if form != TEXT:
        from pubvec.retrieval import write_hits

        write_hits(hits, file, form)
        return
    for rank, hit in enumerate(hits, start=1):
        print(describe_hit(rank, hit), file=file)


def describe_hit(rank: int, hit: Hit) -> str:
    """A hit in a few lines: title, source, what a reader must know of it, best passage, links."""
    article = hit.article
    types = [term.name for term in article.publication_types if term.name != "Journal Article"]
    source = ", ".join(str(part) for part in (hit.journal, article.year, *types) if part)
    nearness = "" if hit.cosine is None else f"{hit.cosine:.3f}"
    nearness += "" if hit.probability is None else f"  p {hit.probability:.2f}"
    badges = "  ".join(
        f"[{badge.kind.upper()}{f': PMID {badge.pmid}' if badge.pmid else ''}]" for badge in hit.badges
    )
    cited = f"cited by {hit.n_cited_by:,} in the index" if hit.n_cited_by else ""
    links = "  ".join(link for link in (hit.url, hit.doi_url, hit.pmc_url, cited) if link)
    passage = f"“{_marked(hit)}”" if hit.passage else ""
    head = f"{rank:>3}. {nearness}  {hit.title or '[title not available]'}"
    return printable(
        "\n".join([head, *(f"     {line}" for line in (source, badges, passage, links) if line)])
    )


def _marked(hit: Hit) -> str:
    """The best passage, words of the query in it *starred*."""
    assert hit.passage is not None
    abstract, parts, done = hit.article.abstract or "", [], hit.passage.start
    for start, end in hit.passage.highlights:
        parts += [abstract[done:start], "*", abstract[start:end], "*"]
        done = end
    return "".join([*parts, abstract[done : hit.passage.end]])
