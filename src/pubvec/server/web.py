"""The web pages. They work without JavaScript, keep their state in the URL, and have no inline script or style."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute

from pubvec.errors import ConfigError, InputError
from pubvec.retrieval import Answer, Decade, Flag, Searcher, Years
from pubvec.server.answer_blocks import blocks_of, sources_of
from pubvec.server.api_errors import ApiError, explain
from pubvec.server.article_page import view_article
from pubvec.server.ask_stream import Failure, Piece, describe, stream_answer
from pubvec.server.feeds import describe_search, write_feed
from pubvec.server.field_map import map_field
from pubvec.server.middleware import is_cross_site
from pubvec.server.parameters import Parameters
from pubvec.server.rendering import STATIC_FILES, compress, render
from pubvec.server.results_page import find_fault, heading_of, plain_url, view_results
from pubvec.server.search_api import Asked
from pubvec.server.search_service import Cancellation, SearchService

EXAMPLES = (
    ("does aspirin prevent stroke", "plain words rank all articles by meaning and by words"),
    ('metformin "lactic acidosis" case reports[pt]', "the phrase and the publication type must match"),
    ("sepsis[ti] AND mortality NOT review[pt]", "AND, OR and NOT in capitals, with PubMed’s fields"),
    ("vitamin D and depression 2015:2020[dp]", "published in these years"),
    ("Smith J[au] malaria", "by an author"),
)
_FIRST_DECADE = 1780
_N_SHOWN = 2000
"""Maximum length of a refused query in the search box, in characters."""
_NOT_KEPT = ("q", "offset", "answer", "like", "select")
_N_KEPT = 50
"""Maximum number of filters that the page of an error keeps."""
_HEADINGS = {
    400: "This cannot be searched",
    404: "There is no such page",
    422: "This cannot be searched",
    429: "Too many searches at a time",
}


class PageParameters(Parameters):
    """Parameters of the results page."""

    answer: bool = False
    """True asks the chat model before the page is sent."""


class PageRoute(APIRoute):
    """A route whose errors are shown as a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of FastAPI with this handling of errors around it."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return compress(request, await handle(request))
            except ApiError as error:
                response = _refuse(request, error.status, [error.message])
                response.headers.update(error.headers)
                return response
            except (InputError, ConfigError) as error:
                return _refuse(request, 400, [str(error)])
            except RequestValidationError as error:
                return _refuse(request, 422, [explain(flaw) for flaw in error.errors()])
            except HTTPException as error:
                return _refuse(request, error.status_code, [str(error.detail)])

        return guarded


def make_web_router(service: SearchService) -> APIRouter:
    """Return the routes of the pages and of their static files. With a chat model the results page offers answers."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.head("/")
    @router.get("/")
    async def search(request: Request, parameters: Annotated[PageParameters, Query()]) -> HTMLResponse:
        if parameters.is_empty:
            searcher = service.searcher
            through = searcher.version.through[1]
            return render("start.html", n_articles=len(searcher), through=through, examples=EXAMPLES)
        asked = parameters.model_copy(update={"answer": False})
        values = await service.run(request, partial(view_results, asked))
        has_chat = service.chat is not None and service.chat.url is not None
        can_answer = has_chat and asked.like is None and asked.q.strip() != ""
        answer: dict[str, Any] = {"blocks": [], "sources": [], "note": None}
        # A link on another site may lead to a page, but must not make the chat model work.
        if can_answer and parameters.answer and not is_cross_site(_raw_headers(request)):
            service.check_answers()
            parts = await service.run(
                request, lambda searcher, stop: stream_answer(searcher, asked, service.chat, stop.check)
            )
            answer = _answer([part async for part in service.iterate(parts)])
        return render("search.html", can_answer=can_answer, **values, **answer)

    @router.get("/map")
    async def field(request: Request, parameters: Asked) -> HTMLResponse:
        return await service.run(request, partial(_map_page, parameters))

    @router.get("/about")
    async def about(request: Request) -> HTMLResponse:
        facts = await service.run(request, lambda searcher, _: _facts(searcher))
        return render("about.html", examples=EXAMPLES, **facts)

    @router.get("/saved")
    async def saved() -> HTMLResponse:
        return render("saved.html")

    _add_files(router, service)
    return router


def _add_files(router: APIRouter, service: SearchService) -> None:
    """Add the feed, the description for search boxes of browsers, and the static files."""

    @router.get("/feed.rss")
    async def feed(request: Request, parameters: Asked) -> Response:
        text = await service.run(request, partial(write_feed, parameters))
        return Response(text, media_type="application/rss+xml")

    @router.get("/opensearch.xml")
    async def opensearch(request: Request) -> Response:
        text = describe_search(str(request.base_url))
        return Response(text, media_type="application/opensearchdescription+xml")

    @router.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        file = STATIC_FILES.get(name)
        if file is None:
            raise HTTPException(404, "there is no such file")
        return file.respond(request)


def _raw_headers(request: Request) -> dict[bytes, str]:
    return {name: value.decode("latin-1") for name, value in request.scope["headers"]}


def _map_page(parameters: Parameters, searcher: Searcher, cancellation: Cancellation) -> HTMLResponse:
    found = map_field(searcher, parameters, check=cancellation.check)
    heading = heading_of(searcher, parameters)
    return render("map.html", parameters=parameters, heading=heading, **found._asdict())


def render_article(request: Request, pmid: int, searcher: Searcher, cancellation: Cancellation) -> Response:
    """Return the page of an article, or a page that says that the index does not have it."""
    try:
        (entry,) = searcher.articles([pmid])
    except InputError as error:
        return compress(request, render("error.html", 404, **_fault_of(404, [str(error)]), pubmed=pmid))
    return compress(request, render("article.html", **view_article(entry, searcher, cancellation)))


def _answer(parts: Iterable[Piece | Answer | Failure]) -> dict[str, Any]:
    """Return what the template shows of an answer. Of one that broke off it is the text until then."""
    pieces: list[str] = []
    for part in parts:
        if isinstance(part, Answer):
            return {"blocks": blocks_of(part), "sources": sources_of(part), "note": describe(part)}
        if isinstance(part, Failure):
            return {"blocks": pieces, "sources": [], "note": part.message}
        pieces.append(part.text)
    return {"blocks": pieces, "sources": [], "note": None}


def _facts(searcher: Searcher) -> dict[str, Any]:
    """Return the figures of the page about the index."""
    count = searcher.count
    dated = count(Years(1, None))
    latest = int(searcher.version.through[1][:4]) + 1 if searcher.version.through[1] else 2100
    decades = [
        Decade(first, first + 9, count(Years(first, first + 9)))
        for first in range(_FIRST_DECADE, latest + 1, 10)
    ]
    filled = [decade for decade in reversed(decades) if decade.n]
    return {
        "n_articles": len(searcher),
        "n_abstracts": count(Flag("has_abstract")),
        "n_retracted": count(Flag("is_retracted")),
        "n_undated": len(searcher) - dated,
        "decades": filled,
        "most": max((decade.n for decade in filled), default=1),
        "through_file": searcher.version.through[0],
        "through": searcher.version.through[1],
        "model": searcher.encoder.name,
        "dim": searcher.encoder.dim,
        "version": searcher.version.number,
    }


def render_error(status: int, messages: list[str], query: str) -> HTMLResponse:
    """Return the page of an error."""
    return render("error.html", status, **_fault_of(status, messages, query), pubmed=None)


def _fault_of(
    status: int, messages: list[str], query: str = "", others: list[tuple[str, str]] | None = None
) -> dict[str, Any]:
    kept = others or []
    return {
        "heading": _HEADINGS.get(status, "This cannot be answered"),
        "messages": messages,
        "q": query[:_N_SHOWN],
        "fault": find_fault(query[:_N_SHOWN], messages),
        "kept": kept,
        "plain_url": plain_url(query[:_N_SHOWN], kept) if status == 400 else None,
    }


def _refuse(request: Request, status: int, messages: list[str]) -> Response:
    """Return the page of an error, whose search box keeps the query, and whose form keeps the filters."""
    query = request.query_params
    kept = [(name, value) for name, value in query.multi_items() if name not in _NOT_KEPT and value]
    values = _fault_of(status, messages, query.get("q", ""), kept[:_N_KEPT])
    return compress(request, render("error.html", status, **values, pubmed=None))
