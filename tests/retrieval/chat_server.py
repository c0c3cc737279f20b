"""A small real server of the chat protocol, which answers what a test says and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ChatServer:
    """What to answer next, and all requests so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.chunks: list[bytes] = []

    def say(self, *pieces: str, is_done: bool = True) -> None:
        """Answer in these pieces, one event each."""
        events = [json.dumps({"choices": [{"delta": {"content": piece}}]}) for piece in pieces]
        lines = [": a comment\n\n", *(f"data: {event}\n\n" for event in events)]
        self.chunks = [line.encode() for line in lines] + ([b"data: [DONE]\n\n"] if is_done else [])

    def send(self, body: bytes, status: int = 200) -> None:
        """Answer with these bytes."""
        self.chunks, self.status = [body], status


@contextmanager
def serving() -> Iterator[ChatServer]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            state.requests.append(json.loads(self.rfile.read(length)))
            state.headers.append(dict(self.headers))
            self.send_response(state.status)
            self.end_headers()
            for chunk in state.chunks:
                self.wfile.write(chunk)
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = ChatServer(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
