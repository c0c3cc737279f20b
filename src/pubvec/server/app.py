"""The server: one process that answers programs and people."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI, Response
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from pubvec.encoder import DEFAULT_MODEL, Scorer, TextEncoder, load, load_scorer
from pubvec.errors import ConfigError
from pubvec.server.api_docs import describe_security, make_docs_router
from pubvec.server.api_errors import ErrorResponder
from pubvec.server.config import LimitsConfig, ServerConfig
from pubvec.server.embedding import Embedder
from pubvec.server.fast_path import FastPath
from pubvec.server.metrics import Metrics
from pubvec.server.middleware import RequestMiddleware
from pubvec.server.openai import make_openai_router
from pubvec.server.protocol import LimitedProtocol, make_protocol
from pubvec.server.tei import make_tei_router
from pubvec.version import __version__

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from pubvec.retrieval import ChatConfig, Searcher

_BACKLOG = 2048
_N_OTHER_FILES = 128
"""Files that the process may need to open besides its connections."""
_FAST_PATHS = ("/embed", "/v1/embeddings")
_log = logging.getLogger(__name__)


def create_app(
    *,
    searcher: Searcher | None = None,
    encoder: TextEncoder | None = None,
    reranker: Scorer | None = None,
    chat: ChatConfig | None = None,
    limits: LimitsConfig | None = None,
    config: ServerConfig | None = None,
    reopen: Callable[[Searcher], Searcher | None] | None = None,
) -> FastAPI:
    """Create the app with the endpoints for embeddings and, over an open index, the search API and the pages.

    Args:
        searcher: The open index. None means that there is no search.
        encoder: Encodes texts for the embedding endpoints. None uses the encoder of the index, or pubvec-small.
        reranker: Scores the pairs of `/rerank`. None scores them by the cosine of the encoder.
        chat: Endpoint of the chat model that answers questions. None means that there are no answers.
        limits: None uses the defaults.
        config: None requires no key and accepts any host.
        reopen: See `SearchService`.

    Raises:
        ConfigError: The longest text of the model does not fit the limits.
    """
    limits = limits or LimitsConfig()
    metrics = Metrics()
    encoder = encoder or (load(DEFAULT_MODEL) if searcher is None else searcher.encoder)
    embedder = Embedder(encoder, limits, metrics, reranker)
    stack = AsyncExitStack()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with stack:
            stack.push_async_callback(embedder.close)
            for context in contexts:
                await stack.enter_async_context(context())
            yield

    app = FastAPI(title="pubvec", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    contexts: list[Callable[[], AbstractAsyncContextManager[None]]] = []
    responder = ErrorResponder()
    describe_index: Callable[[], dict[str, Any] | None] = _describe_nothing
    if searcher is not None:
        from pubvec.server.search_api import make_search_router
        from pubvec.server.search_service import SearchService
        from pubvec.server.web import make_web_router, render_article, render_error

        service = SearchService(searcher, limits, chat, reopen)
        contexts.append(service.watching)
        app.include_router(make_search_router(service, render_article))
        app.include_router(make_web_router(service))
        responder, describe_index = ErrorResponder(render_error), service.describe
    else:
        app.add_api_route("/", _answer_probe, methods=["GET", "HEAD"], include_in_schema=False)
    tei = make_tei_router(embedder, metrics, describe_index)
    openai = make_openai_router(embedder, is_strict=config is not None and config.strict_model)
    app.include_router(tei)
    app.include_router(openai)
    app.include_router(make_docs_router())
    describe_security(app, has_key=config is not None and config.key is not None)
    responder.add_to(app)
    routes = [route for router in (tei, openai) for route in router.routes]
    fast = [route for route in routes if isinstance(route, APIRoute) and route.path in _FAST_PATHS]
    app.add_middleware(FastPath, routes=fast)
    add_request_middleware(app, limits, metrics, responder, config)
    return app


async def _answer_probe() -> Response:
    return Response()


def _describe_nothing() -> None:
    return None


def add_request_middleware(
    app: Starlette,
    limits: LimitsConfig,
    metrics: Metrics,
    responder: ErrorResponder,
    config: ServerConfig | None,
) -> None:
    """Put the limits, the key and the permissions of other sites before the routes of `app`."""
    app.add_middleware(
        RequestMiddleware,
        limits=limits,
        metrics=metrics,
        responder=responder,
        key=None if config is None else config.key,
        hosts=None if config is None else config.hosts,
        origins=() if config is None else config.origins,
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
    on_ready: Callable[[str], None] = lambda _: None,
    trust_index: bool = False,
) -> None:
    """Serve an index, or a model alone, until the process is stopped. Accepted requests are finished first.

    Args:
        index: Folder made by `pubvec index`. New versions of it are served without a restart. None serves embeddings only.
        model: Name or folder of the encoder. None uses that of the index, or pubvec-small.
        reranker: Name or folder of a cross-encoder or a late-interaction model for `/rerank`.
        chat: See `create_app`.
        limits: See `create_app`.
        config: None serves this machine only, at port 8000.
        on_ready: Called with the address of the server when it accepts requests.
        trust_index: Fetch the model that the index names if it is not on this machine.

    Raises:
        ConfigError: The port is taken, or the longest text of the model does not fit the limits.
        InputError: The index or the model cannot be opened (see `Searcher` and `load`).
    """
    config, limits = config or ServerConfig(), limits or LimitsConfig()
    sockets = bind(config)
    searcher = reopen = None
    if index is not None:
        from pubvec.retrieval import Searcher, find_version

        searcher = Searcher(index, model, trust_index=trust_index)

        def reopen(current: Searcher) -> Searcher | None:
            is_new = find_version(Path(index)).number != current.version.number
            return Searcher(index, model, trust_index=trust_index) if is_new else None

    app = create_app(
        searcher=searcher,
        encoder=load(model or DEFAULT_MODEL) if searcher is None else None,
        reranker=None if reranker is None else load_scorer(reranker),
        chat=chat,
        limits=limits,
        config=config,
        reopen=reopen,
    )
    run(app, config, limits, sockets, on_ready)


def embed_server(
    model: str = DEFAULT_MODEL,
    *,
    reranker: str | None = None,
    limits: LimitsConfig | None = None,
    config: ServerConfig | None = None,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve embeddings alone, in the protocols of OpenAI and text-embeddings-inference, until the process is stopped.

    Args:
        model: Name or folder of the encoder.
        reranker: See `serve`.
        limits: See `serve`.
        config: See `serve`.
        on_ready: See `serve`.

    Raises:
        ConfigError: The port is taken, or the longest text of the model does not fit the limits.
        InputError: The model cannot be opened (see `load`).
    """
    serve(model=model, reranker=reranker, limits=limits, config=config, on_ready=on_ready)


class HttpServer(uvicorn.Server):
    """The server of uvicorn, which also enforces the deadlines of `LimitedProtocol` and tells when it is ready.

    Args:
        config: Made by `make_uvicorn_config`.
        on_ready: Called with the address of the server when it accepts requests.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        host = self.config.host
        port = self.servers[0].sockets[0].getsockname()[1]
        self._on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    async def on_tick(self, counter: int) -> bool:
        """Enforce the deadlines once a second. Uvicorn calls this ten times a second."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.enforce_deadlines(now)
        return await super().on_tick(counter)


def run(
    app: ASGIApp,
    config: ServerConfig,
    limits: LimitsConfig,
    sockets: Sequence[socket.socket],
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve `app` on bound `sockets` until the process is stopped."""
    log_requests()
    _raise_file_limit(limits.max_connections + _N_OTHER_FILES)
    HttpServer(make_uvicorn_config(app, config, limits), on_ready).run(list(sockets))


def bind(config: ServerConfig) -> list[socket.socket]:
    """Bind and listen, so that a taken port is known before a model is loaded.

    Raises:
        ConfigError: The host has no address, or the port is taken or not permitted.
    """
    sockets: list[socket.socket] = []
    port = config.port
    try:
        found = socket.getaddrinfo(config.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in sorted({(each[0], each[4][0]) for each in found}):
            listener = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listener)
            if sys.platform != "win32":  # on Windows the option would let two processes share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, port))
            listener.listen(_BACKLOG)
            port = listener.getsockname()[1]
    except OSError as error:
        for each in sockets:
            each.close()
        raise ConfigError(
            f"the server cannot listen on port {config.port} of {config.host}: {error.strerror}"
        ) from error
    return sockets


def make_uvicorn_config(app: ASGIApp, config: ServerConfig, limits: LimitsConfig) -> uvicorn.Config:
    """Return the configuration with which uvicorn serves `app`."""
    return uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        http=make_protocol(limits),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=int(limits.request_timeout_s) + 1,
    )


def log_requests() -> None:
    """Write one line of JSON for each request to stderr. The line contains no text of the request."""
    # Collecting the name of the thread and of the process takes longer than writing the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    log = logging.getLogger("pubvec.server")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def _raise_file_limit(n_files: int) -> None:
    """Let the process open `n_files` files, because each connection is one. Warn if that is not permitted."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n_files if hard == resource.RLIM_INFINITY else min(n_files, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != resource.RLIM_INFINITY and soft < n_files:
        _log.warning(
            "the system lets this process open %d files, but max_connections needs %d: lower the limit",
            soft,
            n_files,
        )
