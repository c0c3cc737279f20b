"""The HTTP protocol of uvicorn with limits on what a client may send before the app sees a request.

Uvicorn and httptools limit neither the size of a head or of trailers, nor the time in which a head arrives, nor the number
of pipelined requests, and they refuse new connections when too many are open, even for a health check. This module adds
these limits. Everything behind the head of a request is the business of `RequestMiddleware`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from pubvec.server.config import LimitsConfig

ALWAYS_OPEN = ("/health", "/ping")
"""Paths that are answered without a key and when the server is full."""
_N_RESERVED = 16
"""Connections beyond `max_connections` on which only `ALWAYS_OPEN` is answered."""
_MAX_PIPELINED = 32
"""Requests that may wait on a connection for the answer of an earlier one."""
_CLOSING_S = 5.0
"""Time for a client to receive the end of a response before a closed connection is aborted."""


class _HeadError(Exception):
    """A head that exceeds a limit. It ends the parsing of the request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `make_protocol` sets the limits, and `enforce_deadlines` must be called about once a second."""

    limits: ClassVar[LimitsConfig] = LimitsConfig()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reads_fields = False
        """True while the parser reads a head, or after a chunk header, where trailers may follow."""
        self._n_field_bytes = 0
        """Bytes of the parsed parts of the current head or trailers."""
        self._n_raw_bytes = 0
        """Bytes received for the current head or trailers. They include a header that is not complete yet."""
        self._n_headers = 0
        self._n_sections = 0
        """Number of heads, chunks and trailers that have begun or ended. It tells if a packet was part of one only."""
        self._error: _HeadError | None = None
        self._is_reserved = False
        self._head_since: float | None = None
        """Time since which a head is awaited. It is None while a request is answered and after its answer."""
        self._head_arrived = 0.0
        """Time at which the last head arrived."""
        self._stalled_since: float | None = None
        """Time since which the client has not read what was sent."""
        self._closing_since: float | None = None

    @property
    def is_idle(self) -> bool:
        """True if no request of this connection is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def waits_for_client(self) -> bool:
        """True if the connection is idle, or if the body of its request has not arrived yet."""
        return self.is_idle or (self.cycle.more_body and not self.cycle.response_started)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register a connection. If too many are open, close the one that has kept the server waiting for longest."""
        super().connection_made(transport)
        self._head_since = self.loop.time()
        if len(self.connections) <= self.limits.max_connections:
            return
        others = [
            each
            for each in self.connections
            if isinstance(each, LimitedProtocol) and each is not self and not each.transport.is_closing()
        ]
        n_over = len(others) + 1 - self.limits.max_connections
        if n_over <= 0:
            return
        if waiting := [each for each in others if each.waits_for_client]:
            slowest = min(waiting, key=lambda each: each._head_since or each._head_arrived)
            slowest.transport.abort()
            self._is_reserved = slowest._is_reserved
            return
        self._is_reserved = True
        if n_over > _N_RESERVED:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse a packet, and refuse the request if its head or trailers exceed a limit."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._head_since is None and self.is_idle:
            self._head_since = self.loop.time()
        n_sections = self._n_sections
        try:
            self.parser.feed_data(data)
            if self._reads_fields and self._n_sections == n_sections:
                self._n_raw_bytes += len(data)
                self._check_fields()
        except httptools.HttpParserUpgrade:
            pass  # the request goes to the app as an ordinary one: no protocol is offered for an upgrade
        except (httptools.HttpParserError, _HeadError):
            error = self._error or _HeadError(400, "the request is not valid HTTP")
            self._refuse(error.status, error.message)

    def on_message_begin(self) -> None:
        """Begin to count a head."""
        super().on_message_begin()
        self._begin_fields()
        self._n_headers = 0
        if self._head_since is None:
            self._head_since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Count a part of the address."""
        self._n_field_bytes += len(url)
        self._check_fields()
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header. Trailers are counted and dropped: nothing reads them, and they must not pass for headers."""
        self._n_headers += 1
        self._n_field_bytes += len(name) + len(value) + 4
        self._check_fields()
        if self._head_since is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Pass the request on, unless this connection is beyond the maximum."""
        self._end_fields()
        self._head_since = None
        self._head_arrived = self.loop.time()
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._fail(400, f"more than {_MAX_PIPELINED} requests wait on this connection")
        is_open = self.url.split(b"?")[0].decode("latin-1") in ALWAYS_OPEN
        self.app = self.config.loaded_app if is_open or not self._is_reserved else self._answer_full
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Begin to count again, because trailers follow if this is the last chunk."""
        self._begin_fields()

    def on_body(self, body: bytes) -> None:
        """Pass a part of a body on."""
        self._reads_fields = False
        super().on_body(body)

    def on_chunk_complete(self) -> None:
        """Stop counting."""
        self._end_fields()

    def on_message_complete(self) -> None:
        """Stop counting."""
        self._end_fields()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Remember since when the client has not read."""
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Forget it."""
        self._stalled_since = None
        super().resume_writing()

    def enforce_deadlines(self, now: float) -> None:
        """Close the connection if its client takes too long.

        Args:
            now: Time of the event loop, in seconds.
        """
        if self.transport.is_closing():
            self._closing_since = now if self._closing_since is None else self._closing_since
            if now - self._closing_since > _CLOSING_S:
                self.transport.abort()
        elif self._stalled_since is not None:
            if now - self._stalled_since > self.limits.request_timeout_s:
                self.transport.abort()
        elif self._head_since is not None and self.is_idle:
            limit_s = self.limits.head_timeout_s
            if now - self._head_since > limit_s:
                if self._reads_fields:
                    self._refuse(408, f"the head has not arrived within head_timeout_s ({limit_s:g} s)")
                else:
                    self.transport.close()

    def _begin_fields(self) -> None:
        self._reads_fields = True
        self._n_field_bytes = self._n_raw_bytes = 0
        self._n_sections += 1

    def _end_fields(self) -> None:
        self._reads_fields = False
        self._n_sections += 1

    def _check_fields(self) -> None:
        n_bytes, n_headers = self.limits.max_header_bytes, self.limits.max_header_count
        if self._n_headers > n_headers:
            self._fail(431, f"there are more headers than max_header_count ({n_headers:,})")
        if max(self._n_field_bytes, self._n_raw_bytes) > n_bytes:
            self._fail(431, f"the head is longer than max_header_bytes ({n_bytes:,} bytes)")

    def _fail(self, status: int, message: str) -> None:
        # The parser replaces an exception of a callback by one of its own, so the reason is kept here.
        self._error = _HeadError(status, message)
        raise self._error

    def _refuse(self, status: int, message: str) -> None:
        """Send an error and close. A response that has begun, or that an earlier request waits for, is cut off instead."""
        if self.is_idle or not (self.cycle.response_started or self.pipeline):
            body = _error_body(message, "validation")
            head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(
                body
            )
            self.transport.write(STATUS_LINE[status] + head + body)
        if not self.is_idle:
            self.cycle.disconnected = True  # what the app still sends is dropped
            self.cycle.message_event.set()
        self.transport.close()

    async def _answer_full(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self.limits.max_connections
        body = _error_body(f"max_connections ({limit:,}) are open: try again later", "overloaded")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"retry-after", b"1"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def make_protocol(limits: LimitsConfig) -> type[LimitedProtocol]:
    """Return the protocol class that uvicorn shall use."""
    return type("Protocol", (LimitedProtocol,), {"limits": limits})


def _error_body(message: str, error_type: str) -> bytes:
    return json.dumps({"error": message, "error_type": error_type}).encode()
