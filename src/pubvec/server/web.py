"""The web pages. They work without JavaScript, keep their state in the URL, and have no inline script or style."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pubvec.errors import ConfigError, InputError
from pubvec.records import Hit
from pubvec.retrieval import (
    N_BEST,
    N_BY_YEAR,
    Answer,
    Decade,
    Flag,
    Page,
    Searcher,
    Years,
    name_author,
)
from pubvec.server.api_errors import ApiError, explain
from pubvec.server.ask_stream import N_EVIDENCE, Failure, Piece, describe, stream_answer
from pubvec.server.field_map import map_field
from pubvec.server.middleware import is_cross_site
from pubvec.server.parameters import MAX_HITS, Parameters, find_page
from pubvec.server.search_api import Asked
from pubvec.server.search_service import Cancellation, SearchService

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
}
"""Headers of every page: it loads from this server only, and sends its address to no other site."""
EXAMPLES = (
    ("does aspirin prevent stroke", "plain words rank all articles by meaning and by words"),
    ('metformin "lactic acidosis" case reports[pt]', "the phrase and the publication type must match"),
    ("sepsis[ti] AND mortality NOT review[pt]", "AND, OR and NOT in capitals, with PubMed’s fields"),
    ("vitamin D and depression 2015:2020[dp]", "published in these years"),
    ("Smith J[au] malaria", "by an author"),
)
_FOLDER = Path(__file__).parent / "web"
_FIRST_DECADE = 1780
_LISTS = ("publication_type", "mesh", "journal", "language", "author", "pmid")
_N_AUTHORS = 3
_N_SHOWN = 2000
"""Maximum length of a refused query in the search box, in characters."""
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
                return await handle(request)
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
    files = {path.name: path for path in (_FOLDER / "static").iterdir() if path.is_file()}

    @router.head("/")
    @router.get("/")
    async def search(request: Request, parameters: Annotated[PageParameters, Query()]) -> HTMLResponse:
        if parameters.is_empty:
            searcher = service.searcher
            through = searcher.version.through[1]
            return render("start.html", n_articles=len(searcher), through=through, examples=EXAMPLES)
        asked = parameters.model_copy(update={"answer": False})
        values = await service.run(request, partial(_search_page, asked))
        has_chat = service.chat is not None and service.chat.url is not None
        can_answer = has_chat and asked.like is None and asked.q.strip() != ""
        # A link on another site may lead to a page, but must not make the chat model work.
        if (
            can_answer
            and parameters.answer
            and not is_cross_site({name: value.decode("latin-1") for name, value in request.scope["headers"]})
        ):
            service.check_answers()
            parts = await service.run(
                request, lambda searcher, stop: stream_answer(searcher, asked, service.chat, stop.check)
            )
            values |= _answer([part async for part in service.iterate(parts)])
        return render("search.html", can_answer=can_answer, **values)

    @router.get("/map")
    async def field(request: Request, parameters: Asked) -> HTMLResponse:
        return await service.run(request, partial(_map_page, parameters))

    @router.get("/about")
    async def about(request: Request) -> HTMLResponse:
        facts = await service.run(request, lambda searcher, _: _facts(searcher))
        return render("about.html", examples=EXAMPLES, **facts)

    @router.get("/static/{name}")
    async def static(name: str) -> FileResponse:
        if name not in files:
            raise HTTPException(404, "there is no such file")
        return FileResponse(files[name], headers={**HEADERS, "Cache-Control": "no-cache"})

    return router


def _raw_headers(request: Request) -> dict[bytes, str]:
    return {name: value.decode("latin-1") for name, value in request.scope["headers"]}


def render(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template."""
    return HTMLResponse(_pages.get_template(template).render(**values), status, HEADERS)


def _map_page(parameters: Parameters, searcher: Searcher, cancellation: Cancellation) -> HTMLResponse:
    found = map_field(searcher, parameters, check=cancellation.check)
    heading = _heading(searcher, parameters)
    return render("map.html", parameters=parameters, heading=heading, **found._asdict())


def _search_page(parameters: Parameters, searcher: Searcher, cancellation: Cancellation) -> dict[str, Any]:
    found = find_page(searcher, parameters, cancellation.check)
    offset, n = parameters.offset, parameters.n
    bare = Parameters(q=parameters.q, like=parameters.like, ranking=parameters.ranking, sort=parameters.sort)
    return {
        "parameters": parameters,
        "found": found,
        "heading": _heading(searcher, parameters),
        "count": _count_line(found, parameters),
        "chips": list(_chips(parameters)),
        "unfiltered": bare.url("/"),
        "previous_url": parameters.url("/", offset=max(0, offset - n)) if offset else None,
        "next_url": parameters.url("/", offset=offset + n) if found.has_more else None,
        "answer_url": parameters.url("/", offset=0, sort="relevance", n=max(n, N_EVIDENCE), answer=True),
        "ask_url": parameters.url("/ask"),
        "pieces": [],
        "note": None,
        "n_best": min(N_BEST, found.n_matching),
        "n_by_year": N_BY_YEAR,
        "max_hits": MAX_HITS,
    }


def _answer(parts: Iterable[Piece | Answer | Failure]) -> dict[str, Any]:
    pieces: list[Piece] = []
    note = ""
    for part in parts:
        if isinstance(part, Piece):
            pieces.append(part)
        else:
            note = part.message if isinstance(part, Failure) else describe(part)
    return {"pieces": pieces, "note": note}


def _heading(searcher: Searcher, parameters: Parameters) -> str:
    if parameters.like is None:
        return parameters.q.strip() or "Map of the field"
    title = searcher.articles([parameters.like])[0].article.title
    return f"Similar to: {title or f'PMID {parameters.like}'}"


def _count_line(found: Page, parameters: Parameters) -> str:
    if not found.hits:
        return "No hits"
    first, last = parameters.offset + 1, parameters.offset + len(found.hits)
    of = "the {:,} articles that meet all conditions" if found.is_narrowed else "{:,} articles"
    return f"Hits {first:,}–{last:,} of {of.format(found.n_matching)}"


def _chips(parameters: Parameters) -> Iterator[tuple[str, str]]:
    """Yield the label of each active filter, and the URL without this filter."""
    years = parameters.filters.year
    if years:
        label = years.strip(".").replace("..", "–")
        label = (
            f"{label} and later" if years.endswith("..") else f"until {label}" if years[0] == "." else label
        )
        yield label, parameters.url("/", year=None, first_year=None, last_year=None, offset=0)
    for name in _LISTS:
        values: list[Any] = getattr(parameters, name)
        for value in dict.fromkeys(values):
            rest = [other for other in values if other != value]
            yield f"{'PMID ' if name == 'pmid' else ''}{value}", parameters.url("/", **{name: rest}, offset=0)
    for name, label in (("has_abstract", "with an abstract"), ("not_retracted", "not retracted")):
        if getattr(parameters, name):
            yield label, parameters.url("/", **{name: False}, offset=0)


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
    """Render the page of an error."""
    heading = _HEADINGS.get(status, "This cannot be answered")
    return render("error.html", status, heading=heading, messages=messages, q=query[:_N_SHOWN])


def _refuse(request: Request, status: int, messages: list[str]) -> HTMLResponse:
    return render_error(status, messages, request.query_params.get("q", ""))


def source_of(hit: Hit) -> str:
    """Return one line with the authors, journal, year and publication types of a hit."""
    authors = [name_author(author) for author in hit.article.authors]
    named = ", ".join(authors[:_N_AUTHORS]) + (" et al." if len(authors) > _N_AUTHORS else "")
    kinds = [term.name for term in hit.article.publication_types if term.name != "Journal Article"]
    return " · ".join(part for part in (named, short_source_of(hit), ", ".join(kinds)) if part)


def short_source_of(hit: Hit) -> str:
    """Return the journal and year of a hit."""
    return " ".join(str(part) for part in (hit.journal, hit.article.year) if part)


def pieces_of(hit: Hit) -> Iterator[tuple[str, bool]]:
    """Yield the parts of the passage, and whether each part is a word of the query."""
    assert hit.passage is not None
    abstract, done = hit.article.abstract or "", hit.passage.start
    for start, end in hit.passage.highlights:
        yield abstract[done:start], False
        yield abstract[start:end], True
        done = end
    yield abstract[done : hit.passage.end], False


_pages = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters.update(source=source_of, short_source=short_source_of, pieces=pieces_of)
