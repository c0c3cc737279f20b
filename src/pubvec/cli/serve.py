"""`serve`, `embed-server` and `mcp`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.index import IndexFolder, TrustIndex
from pubvec.cli.options import with_config
from pubvec.cli.search import Model
from pubvec.cli.settings import ConfigFile, from_environment
from pubvec.encoder import DEFAULT_MODEL
from pubvec.errors import require
from pubvec.retrieval import ChatConfig
from pubvec.server import LimitsConfig

if TYPE_CHECKING:
    from pubvec.server import ServerConfig

Host = Annotated[str, typer.Option(help="Address to listen on; one that others reach needs $PUBVEC_API_KEY.")]
Port = Annotated[int, typer.Option("--port", "-p", min=0, max=65535)]
Origins = Annotated[
    list[str], typer.Option("--cors-origin", help="Site whose pages may read answers; may be repeated.")
]
StrictModel = Annotated[
    bool, typer.Option("--strict-model", help="Refuse requests that name another model than the served one.")
]
RerankModel = Annotated[
    str | None, typer.Option("--reranker", help="Model of /rerank.", show_default="the encoder's cosine")
]


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    app.command(context_settings=from_environment("serve"))(serve)
    app.command(context_settings=from_environment("embed-server"))(embed_server)
    app.command()(mcp)


@with_config(ChatConfig, "chat")
@with_config(LimitsConfig, "limits")
def serve(
    index: Annotated[
        Path | None,
        typer.Argument(help="Folder made by index. Without it: embeddings.", envvar="PUBVEC_SERVE_INDEX"),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    model: Model = None,
    trust_index: TrustIndex = False,
    reranker: RerankModel = None,
    cors_origin: Origins = [],  # noqa: B006  never changed
    strict_model: StrictModel = False,
    config: ConfigFile = None,
    *,
    limits: LimitsConfig,
    chat: ChatConfig,
) -> None:
    """Serve an index: a page to search it, the same as JSON, and embeddings for clients of OpenAI and TEI.

    Example: pubvec serve index/ --port 8000
    """
    del config  # its callback has read it
    server = _make_config(host, port, cors_origin, strict_model)
    from pubvec.server import serve as run

    what = "embeddings" if index is None else str(index)

    def say(address: str) -> None:
        console().say(f"{address}/ serves {what}; interrupt to stop")

    run(
        index,
        model=model,
        reranker=reranker,
        chat=chat,
        limits=limits,
        config=server,
        on_ready=say,
        trust_index=trust_index,
    )


@with_config(LimitsConfig, "limits")
def embed_server(
    model: Annotated[
        str, typer.Argument(help="Model folder or name.", envvar="PUBVEC_EMBED_SERVER_MODEL")
    ] = DEFAULT_MODEL,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    reranker: RerankModel = None,
    cors_origin: Origins = [],  # noqa: B006  never changed
    strict_model: StrictModel = False,
    config: ConfigFile = None,
    *,
    limits: LimitsConfig,
) -> None:
    """Serve embeddings alone, in the protocols of OpenAI and text-embeddings-inference.

    Example: pubvec embed-server --port 8000
    """
    del config  # its callback has read it
    server = _make_config(host, port, cors_origin, strict_model)
    from pubvec.server import embed_server as run

    def say(address: str) -> None:
        console().say(f"{address}/v1 serves embeddings of {model}; interrupt to stop")

    run(model, reranker=reranker, limits=limits, config=server, on_ready=say)


@with_config(LimitsConfig, "limits")
def mcp(
    index: IndexFolder,
    transport: Annotated[str, typer.Option(help="How clients connect: stdio or http.")] = "stdio",
    host: Host = "127.0.0.1",
    port: Port = 8000,
    model: Model = None,
    trust_index: TrustIndex = False,
    *,
    limits: LimitsConfig,
) -> None:
    """Give agents the search of an index as tools of the Model Context Protocol: search, get, similar, cite.

    Example: pubvec mcp index/
    """
    require("mcp", extra="serve")
    config = _make_config(host, port)
    from pubvec.server import mcp as run

    def say(address: str) -> None:
        console().say(f"{address}/mcp serves {index}; interrupt to stop")

    run(
        index,
        model=model,
        transport=transport,
        config=config,
        limits=limits,
        on_ready=say,
        trust_index=trust_index,
    )


def _make_config(
    host: str, port: int, origins: list[str] | None = None, strict_model: bool = False
) -> ServerConfig:
    require("fastapi", extra="serve")
    from pubvec.server import KEY_VARIABLE, ServerConfig

    return ServerConfig(host, port, os.environ.get(KEY_VARIABLE), tuple(origins or ()), strict_model)
