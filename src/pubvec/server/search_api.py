"""The search API: queries in the URL, responses in JSON, and files for reference managers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from pubvec.errors import InputError
from pubvec.records import Hit
from pubvec.retrieval import FORMATS, Entry, Searcher, iter_written, snowball
from pubvec.server.api_errors import API_ERRORS
from pubvec.server.article_page import find_citing
from pubvec.server.ask_stream import stream_answer
from pubvec.server.citing import refer
from pubvec.server.field_map import map_field
from pubvec.server.filters_box import Field, suggest
from pubvec.server.parameters import (
    MAX_PMID,
    ExportParameters,
    Parameters,
    SnowballParameters,
    find_hits,
    find_page,
)
from pubvec.server.schemas import (
    ArticleResponse,
    FacetValue,
    MapResponse,
    SearchResponse,
    SnowballResponse,
    describe_article,
    describe_map,
    describe_page,
    describe_snowball,
    dump_piece,
)
from pubvec.server.search_service import Cancellation, SearchService

Asked = Annotated[Parameters, Query()]
Pmid = Annotated[int, Path(ge=1, le=MAX_PMID)]
Suffix = Literal["ris", "bib", "nbib", "json", "csv", "jsonl", "txt"]
"""The suffixes of `FORMATS`."""
_FORMAT_OF = {form.suffix: name for name, form in FORMATS.items()}
ArticlePage = Callable[[Request, int, Searcher, Cancellation], Response]
"""Function that renders the page of the article with a PMID."""
_BLOCK = 200


def make_search_router(service: SearchService, article_page: ArticlePage) -> APIRouter:
    """Return the routes of searches, records, similar articles, snowballing, maps, exports and answers.

    Args:
        service: Runs the searches.
        article_page: Renders an article for a browser.
    """
    router = APIRouter(tags=["search"], responses=API_ERRORS)

    @router.get("/search")
    async def search(request: Request, parameters: Asked) -> SearchResponse:
        """Return the best articles for a query. `docs/search.md` describes the syntax of queries.

        The first 100 hits of a response have passages.
        """
        next_url = parameters.url("/search", offset=parameters.end)
        return await service.run(request, partial(_search, parameters, next_url))

    @router.get("/similar/{pmid}")
    async def similar(request: Request, pmid: Pmid, parameters: Asked) -> SearchResponse:
        """Return the articles that are most similar to one article."""
        near = parameters.model_copy(update={"q": "", "like": pmid})
        next_url = parameters.url(f"/similar/{pmid}", offset=parameters.end)

        def find(searcher: Searcher, cancellation: Cancellation) -> SearchResponse:
            entry_of(searcher, pmid)
            return _search(near, next_url, searcher, cancellation)

        return await service.run(request, find)

    @router.get("/snowball")
    async def snowballing(
        request: Request, parameters: Annotated[SnowballParameters, Query()]
    ) -> SnowballResponse:
        """Return the articles that a set cites and those that cite it, those with most links first."""
        return await service.run(request, partial(_snowball, parameters))

    @router.get("/map.json")
    async def field(request: Request, parameters: Asked) -> MapResponse:
        """Return the best 500 hits as points in a plane."""
        return await service.run(
            request,
            lambda searcher, cancellation: describe_map(
                map_field(searcher, parameters, check=cancellation.check)
            ),
        )

    @router.get("/suggest")
    async def complete(
        request: Request, field: Field, prefix: Annotated[str, Query(min_length=1, max_length=100)]
    ) -> list[FacetValue]:
        """Return values of a filter that may be meant by the beginning of one."""
        found = await service.run(request, lambda searcher, _: suggest(searcher, field, prefix))
        return [FacetValue(value=value, n=n) for value, n in found]

    _add_article(router, service, article_page)
    _add_streams(router, service)
    return router


def _add_article(router: APIRouter, service: SearchService, article_page: ArticlePage) -> None:
    """Add the routes of one record: JSON, the page, and references to it."""

    @router.get("/articles/{pmid}.json", operation_id="get_article_json")
    async def article_json(request: Request, pmid: Pmid) -> ArticleResponse:
        """Return one record as JSON."""
        return await service.run(request, lambda searcher, _: _article(searcher, pmid))

    @router.get("/articles/{pmid}", response_model=ArticleResponse)
    async def article(request: Request, response: Response, pmid: Pmid) -> ArticleResponse | Response:
        """Return one record: as a page if the client accepts HTML, as browsers do, else as JSON."""
        if "text/html" in request.headers.get("accept", "") or "hx-request" in request.headers:
            page = await service.run(request, partial(article_page, request, pmid))
            page.headers.add_vary_header("Accept")
            return page
        response.headers["Vary"] = "Accept"
        return await article_json(request, pmid)

    @router.get("/articles/{pmid}/cite.{suffix}", response_class=Response)
    async def cite(request: Request, pmid: Pmid, suffix: Suffix) -> Response:
        """Return the reference to one article as a file for a reference manager."""
        entry = await service.run(request, lambda searcher, _: entry_of(searcher, pmid))
        form = _FORMAT_OF[suffix]
        return Response(
            "".join(iter_written([entry.hit], form)),
            media_type=FORMATS[form].media_type,
            headers={"Content-Disposition": f'attachment; filename="pmid{pmid}.{suffix}"'},
        )


def _add_streams(router: APIRouter, service: SearchService) -> None:
    """Add the routes whose response is a stream."""

    @router.get("/export.{suffix}", response_class=StreamingResponse)
    async def export(
        request: Request, suffix: Suffix, parameters: Annotated[ExportParameters, Query()]
    ) -> StreamingResponse:
        """Return the best hits, or selected ones, as a file for a reference manager or a spreadsheet."""
        hits = await service.run(
            request,
            lambda searcher, cancellation: find_hits(searcher, parameters.wanted, cancellation.check),
        )
        return StreamingResponse(
            write_blocks(hits, _FORMAT_OF[suffix]),
            media_type=FORMATS[_FORMAT_OF[suffix]].media_type,
            headers={"Content-Disposition": f'attachment; filename="pubvec.{suffix}"'},
        )

    @router.get("/ask", response_class=StreamingResponse)
    async def ask(request: Request, parameters: Asked) -> StreamingResponse:
        """Stream an answer that a chat model writes from the best hits.

        Each line is a JSON object of type `text` or `citation`. The last one is of type `answer` or `failure`.
        """
        service.check_answers()
        pieces = await service.run(
            request,
            lambda searcher, cancellation: stream_answer(
                searcher, parameters, service.chat, cancellation.check
            ),
        )
        lines = (f"{dump_piece(piece)}\n" for piece in pieces)
        return StreamingResponse(service.iterate(lines), media_type="application/x-ndjson")


def _search(
    parameters: Parameters, next_url: str, searcher: Searcher, cancellation: Cancellation
) -> SearchResponse:
    page = find_page(searcher, parameters, cancellation.check)
    return describe_page(page, next_url, searcher.version.number)


def _article(searcher: Searcher, pmid: int) -> ArticleResponse:
    entry = entry_of(searcher, pmid)
    citing = [hit.pmid for hit in find_citing(searcher, pmid).hits]
    references = {each.style: each.text for each in refer(entry.hit)}
    return describe_article(entry).model_copy(update={"cited_by": citing, "citations": references})


def _snowball(
    parameters: SnowballParameters, searcher: Searcher, cancellation: Cancellation
) -> SnowballResponse:
    found = snowball(
        searcher,
        parameters.pmid,
        parameters.n,
        direction=parameters.direction,
        n_rounds=parameters.n_rounds,
        check=cancellation.check,
    )
    return describe_snowball(found, searcher.version.number)


def write_blocks(hits: Sequence[Hit], form: str) -> Iterator[str]:
    """Yield the content of a file of `hits` in blocks."""
    pieces = iter_written(hits, form)
    while block := "".join(islice(pieces, _BLOCK)):
        yield block


def entry_of(searcher: Searcher, pmid: int) -> Entry:
    """Return the record of an article.

    Raises:
        HTTPException: 404 if the index does not have it.
    """
    try:
        return searcher.articles([pmid])[0]
    except InputError as error:
        raise HTTPException(404, str(error)) from error
