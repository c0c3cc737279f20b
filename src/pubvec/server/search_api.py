"""The search API: queries in the URL, responses in JSON, and files for reference managers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import StreamingResponse

from pubvec.errors import InputError
from pubvec.records import Hit
from pubvec.retrieval import FORMATS, ChatConfig, Entry, Searcher, iter_written
from pubvec.server.api_errors import API_ERRORS
from pubvec.server.ask_stream import stream_answer
from pubvec.server.field_map import map_field
from pubvec.server.parameters import MAX_PMID, ExportParameters, Parameters, find_hits, find_page
from pubvec.server.schemas import (
    ArticleResponse,
    MapResponse,
    SearchResponse,
    describe_article,
    describe_map,
    describe_page,
    dump_piece,
)

Asked = Annotated[Parameters, Query()]
Pmid = Annotated[int, Path(ge=1, le=MAX_PMID)]
Suffix = Literal["ris", "bib", "nbib", "json", "csv", "jsonl", "txt"]
"""The suffixes of `FORMATS`."""
_FORMAT_OF = {form.suffix: name for name, form in FORMATS.items()}
_BLOCK = 200


def make_search_router(searcher: Searcher, chat: ChatConfig | None = None) -> APIRouter:
    """Return the routes `/search`, `/articles/{pmid}`, `/similar/{pmid}`, `/map.json`, `/export.{suffix}` and `/ask`."""
    router = APIRouter(tags=["search"], responses=API_ERRORS)

    @router.get("/search")
    def search(parameters: Asked) -> SearchResponse:
        """Return the best articles for a query. `docs/search.md` describes the syntax of queries."""
        return describe_page(
            find_page(searcher, parameters),
            parameters.url("/search", offset=parameters.end),
            searcher.version.number,
        )

    @router.get("/articles/{pmid}")
    def article(pmid: Pmid) -> ArticleResponse:
        """Return one record."""
        return describe_article(_entry_of(searcher, pmid))

    @router.get("/similar/{pmid}")
    def similar(pmid: Pmid, parameters: Asked) -> SearchResponse:
        """Return the articles that are most similar to one article."""
        _entry_of(searcher, pmid)
        near = parameters.model_copy(update={"q": "", "like": pmid})
        next_url = parameters.url(f"/similar/{pmid}", offset=parameters.end)
        return describe_page(find_page(searcher, near), next_url, searcher.version.number)

    @router.get("/map.json")
    def field(parameters: Asked) -> MapResponse:
        """Return the best 500 hits as points in a plane."""
        return describe_map(map_field(searcher, parameters))

    @router.get("/export.{suffix}", response_class=StreamingResponse)
    def export(suffix: Suffix, parameters: Annotated[ExportParameters, Query()]) -> StreamingResponse:
        """Return the best hits, or selected ones, as a file for a reference manager or a spreadsheet."""
        hits = find_hits(searcher, parameters.wanted)
        return StreamingResponse(
            write_blocks(hits, _FORMAT_OF[suffix]),
            media_type=FORMATS[_FORMAT_OF[suffix]].media_type,
            headers={"Content-Disposition": f'attachment; filename="pubvec.{suffix}"'},
        )

    @router.get("/ask", response_class=StreamingResponse)
    def ask(parameters: Asked) -> StreamingResponse:
        """Stream an answer that a chat model writes from the best hits.

        Each line is a JSON object of type `text` or `citation`. The last one is of type `answer` or `failure`.
        """
        pieces = stream_answer(searcher, parameters, chat)
        return StreamingResponse(
            (f"{dump_piece(piece)}\n" for piece in pieces), media_type="application/x-ndjson"
        )

    return router


def write_blocks(hits: Sequence[Hit], form: str) -> Iterator[str]:
    """Yield the content of a file of `hits` in blocks."""
    pieces = iter_written(hits, form)
    while block := "".join(islice(pieces, _BLOCK)):
        yield block


def _entry_of(searcher: Searcher, pmid: int) -> Entry:
    try:
        return searcher.articles([pmid])[0]
    except InputError as error:
        raise HTTPException(404, str(error)) from error
