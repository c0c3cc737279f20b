"""The server: one process that answers programs and people."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from pubvec.encoder import DEFAULT_MODEL, Scorer, TextEncoder, load, load_scorer
from pubvec.server.api_errors import ErrorResponder
from pubvec.server.config import LimitsConfig, ServerConfig
from pubvec.server.embedding import Embedder
from pubvec.server.fast_path import FastPath
from pubvec.server.metrics import Metrics
from pubvec.server.middleware import RequestMiddleware
from pubvec.server.openai import make_openai_router
from pubvec.server.tei import make_tei_router
from pubvec.version import __version__

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from pubvec.retrieval import ChatConfig, Searcher

_MAX_HEAD_BYTES = 64 * 1024
_BACKLOG = 2048
_OFTEN = ("/embed", "/v1/embeddings")


def create_app(
    *,
    searcher: Searcher | None = None,
    encoder: TextEncoder | None = None,
    reranker: Scorer | None = None,
    chat: ChatConfig | None = None,
    limits: LimitsConfig | None = None,
    config: ServerConfig | None = None,
) -> FastAPI:
    """The endpoints for embeddings and, over an open index, the search API and the pages.

    Args:
        searcher: of the index. None: there is no search.
        encoder: of the embedding endpoints. None: the index's, or pubvec-small.
        reranker: of `/rerank`. None: it scores by the encoder's cosine.
        chat: the endpoint that answers questions. None: there are no answers, only evidence.
        limits: None: the defaults.
        config: None: no key is asked for, and any name of the host will do.

    Raises:
        ConfigError: a text of the model does not fit the limits.
    """
    limits = limits or LimitsConfig()
    metrics = Metrics()
    encoder = encoder or (load(DEFAULT_MODEL) if searcher is None else searcher.encoder)
    embedder = Embedder(encoder, limits, metrics, reranker)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await embedder.close()

    app = FastAPI(title="pubvec", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    tei, openai = make_tei_router(embedder, metrics), make_openai_router(embedder)
    app.include_router(tei)
    app.include_router(openai)
    responder = ErrorResponder()
    if searcher is not None:
        from pubvec.server.search_api import make_search_router
        from pubvec.server.web import make_web_router, render_error

        app.include_router(make_search_router(searcher, chat))
        app.include_router(make_web_router(searcher, chat))
        responder = ErrorResponder(render_error)
    responder.add_to(app)
    routes = [route for router in (tei, openai) for route in router.routes]
    often = [route for route in routes if isinstance(route, APIRoute) and route.path in _OFTEN]
    app.add_middleware(FastPath, routes=often)
    add_request_middleware(app, limits, metrics, responder, config)
    return app


def add_request_middleware(
    app: Starlette,
    limits: LimitsConfig,
    metrics: Metrics,
    responder: ErrorResponder,
    config: ServerConfig | None,
) -> None:
    """Put the limits, the key and the permission of other sites before the routes of `app`."""
    app.add_middleware(
        RequestMiddleware,
        limits=limits,
        metrics=metrics,
        responder=responder,
        key=None if config is None else config.key,
        hosts=None if config is None else config.hosts,
    )
    if config is not None and config.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["X-Request-Id"],
        )


def serve(
    index: Path | str | None = None,
    *,
    model: str | None = None,
    reranker: str | None = None,
    chat: ChatConfig | None = None,
    limits: LimitsConfig | None = None,
    config: ServerConfig | None = None,
) -> None:
    """Serve an index, or a model alone, until the process is told to stop; what it has taken on is finished first.

    Args:
        index: folder made by `pubvec index`. None: embeddings alone.
        model: None: the index's, or pubvec-small.
        reranker: name or folder of a cross-encoder or a late-interaction model, for `/rerank`.
        chat: see `create_app`.
        limits: see `create_app`.
        config: None: this machine alone, at port 8000.

    Raises:
        ConfigError: a text of the model does not fit the limits.
        InputError: see `Searcher` and `load`.
    """
    config, limits = config or ServerConfig(), limits or LimitsConfig()
    searcher = None
    if index is not None:
        from pubvec.retrieval import Searcher

        searcher = Searcher(index, model)
    app = create_app(
        searcher=searcher,
        encoder=load(model or DEFAULT_MODEL) if searcher is None else None,
        reranker=None if reranker is None else load_scorer(reranker),
        chat=chat,
        limits=limits,
        config=config,
    )
    run(app, config, limits)


def run(app: ASGIApp, config: ServerConfig, limits: LimitsConfig) -> None:
    """Listen until the process is told to stop."""
    log_requests()
    uvicorn.Server(configure(app, config, limits)).run()


def configure(app: ASGIApp, config: ServerConfig, limits: LimitsConfig) -> uvicorn.Config:
    """How uvicorn serves `app`."""
    return uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        timeout_graceful_shutdown=int(limits.request_timeout_s) + 1,
    )


def log_requests() -> None:
    """Write one line of JSON a request to stderr, without its text."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = (
        False  # which takes longer than the line
    )
    log = logging.getLogger("pubvec.server")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
