"""One process that serves the search of an index: pages for people, JSON for programs."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from pubvec.errors import ConfigError
from pubvec.search.chat import ChatConfig
from pubvec.search.query import Searcher
from pubvec.serve.search_api import make_search_router
from pubvec.serve.web import make_web_router
from pubvec.version import __version__


def create_site(searcher: Searcher, chat: ChatConfig | None = None) -> FastAPI:
    """The pages and the search API over an open index.

    Args:
        chat: the endpoint that answers questions. None: there are no answers, only evidence.
    """
    app = FastAPI(title="pubvec", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(make_search_router(searcher, chat))
    app.include_router(make_web_router(searcher, chat))
    return app


def serve(
    index: Path | str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    model: str | None = None,
    chat: ChatConfig | None = None,
) -> None:
    """Serve `index` until the process is interrupted; requests that are under way are finished.

    Raises:
        ConfigError: `host` is another machine's to reach: this server knows no keys.
        InputError: see `Searcher`.
    """
    if host != "localhost" and not _is_loopback(host):
        raise ConfigError(
            f"host must be this machine's own, 127.0.0.1 or ::1, not {host}: the server asks for no key"
        )
    app = create_site(Searcher(index, model), chat)
    uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
