"""Search over HTTP: the whole query in the URL, answers in JSON, hits as files for reference managers."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import StreamingResponse

from pubvec.errors import InputError
from pubvec.records import Hit
from pubvec.retrieval import FORMATS, ChatConfig, Entry, Searcher, write_hits
from pubvec.server.answers import (
    ArticleAnswer,
    MapAnswer,
    SearchAnswer,
    describe_article,
    describe_map,
    describe_page,
    write_piece,
)
from pubvec.server.asking import iter_pieces
from pubvec.server.field_map import map_field
from pubvec.server.finding import find, rank_hits
from pubvec.server.parameters import MAX_PMID, ExportParameters, Parameters
from pubvec.server.refusals import REFUSALS

Asked = Annotated[Parameters, Query()]
Pmid = Annotated[int, Path(ge=1, le=MAX_PMID)]
Suffix = Literal["ris", "bib", "csv", "jsonl", "txt"]
_FORMS = {"ris": "ris", "bib": "bibtex", "csv": "csv", "jsonl": "jsonl", "txt": "pmids"}
_MEDIA = {
    "ris": "application/x-research-info-systems",
    "bib": "application/x-bibtex",
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
    "txt": "text/plain",
}
_BLOCK = 200


def make_search_router(searcher: Searcher, chat: ChatConfig | None = None) -> APIRouter:
    """`/search`, `/articles/{pmid}`, `/similar/{pmid}`, `/map.json`, `/export.{suffix}`, `/ask`."""
    router = APIRouter(tags=["search"], responses=REFUSALS)

    @router.get("/search")
    def search(parameters: Asked) -> SearchAnswer:
        """The best articles for a query; see docs/search.md for what it may hold."""
        return describe_page(
            find(searcher, parameters),
            parameters.url("/search", offset=parameters.end),
            searcher.version.number,
        )

    @router.get("/articles/{pmid}")
    def article(pmid: Pmid) -> ArticleAnswer:
        """One record."""
        return describe_article(_entry_of(searcher, pmid))

    @router.get("/similar/{pmid}")
    def similar(pmid: Pmid, parameters: Asked) -> SearchAnswer:
        """The articles nearest to one."""
        _entry_of(searcher, pmid)
        near = parameters.model_copy(update={"q": "", "like": pmid})
        next_url = parameters.url(f"/similar/{pmid}", offset=parameters.end)
        return describe_page(find(searcher, near), next_url, searcher.version.number)

    @router.get("/map.json")
    def field(parameters: Asked) -> MapAnswer:
        """The best 500 hits as points in a plane."""
        return describe_map(map_field(searcher, parameters))

    @router.get("/export.{suffix}", response_class=StreamingResponse)
    def export(suffix: Suffix, parameters: Annotated[ExportParameters, Query()]) -> StreamingResponse:
        """The best hits, or those selected of them, for a reference manager or a table."""
        wanted = parameters.wanted
        hits = rank_hits(searcher, wanted, wanted.offset + wanted.n).ordered
        return StreamingResponse(
            write_blocks(hits[wanted.offset :][: wanted.n], _FORMS[suffix]),
            media_type=_MEDIA[suffix],
            headers={"Content-Disposition": f'attachment; filename="pubvec.{suffix}"'},
        )

    @router.get("/ask", response_class=StreamingResponse)
    def ask(parameters: Asked) -> StreamingResponse:
        """An answer from the best hits as it is written.

        A JSON object a line, of type `text`, `citation`, and last `answer` or `failure`.
        """
        pieces = iter_pieces(searcher, parameters, chat)
        return StreamingResponse(
            (f"{write_piece(piece)}\n" for piece in pieces), media_type="application/x-ndjson"
        )

    return router


def write_blocks(hits: Sequence[Hit], form: str) -> Iterator[str]:
    """A file of `hits`, piece by piece."""
    file = io.StringIO(newline="")
    write_hits(hits[:_BLOCK], file, form)
    yield file.getvalue()
    for start in range(_BLOCK, len(hits), _BLOCK):
        yield "".join(map(FORMATS[form], hits[start : start + _BLOCK]))


def _entry_of(searcher: Searcher, pmid: int) -> Entry:
    try:
        return searcher.articles([pmid])[0]
    except InputError as error:
        raise HTTPException(404, str(error)) from error
