"""`serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.index import IndexFolder
from pubvec.cli.options import with_config
from pubvec.cli.search import Model
from pubvec.errors import require
from pubvec.search.chat import ChatConfig


def add_to(app: typer.Typer) -> None:
    """Register the verb of this module."""
    app.command()(serve)


@with_config(ChatConfig)
def serve(
    index: IndexFolder,
    host: Annotated[str, typer.Option(help="Address of this machine: 127.0.0.1 or ::1.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535)] = 8000,
    model: Model = None,
    *,
    config: ChatConfig,
) -> None:
    """Serve an index on this machine: a page to search it, and the same as JSON under /search.

    Example: pubvec serve index/ --port 8000
    """
    require("fastapi", extra="serve")
    from pubvec.serve.site import serve as run

    console().say(f"http://{host}:{port}/ serves {index}; interrupt to stop")
    run(index, host=host, port=port, model=model, chat=config)
