"""The middleware that every request passes first: request id, host, key, origin, limits, metrics and log.

It reads the whole body within its limit, so that a route neither waits for a slow client nor meets a body that is too large.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import math
import random
import re
import time
from collections.abc import Collection, Mapping, Sequence

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pubvec.server.api_errors import ApiError, ErrorResponder, dump_json
from pubvec.server.config import LimitsConfig
from pubvec.server.metrics import Metrics
from pubvec.server.protocol import ALWAYS_OPEN

_NEVER_FULL = (*ALWAYS_OPEN, "/metrics")
_CLIENT_ID = re.compile(r"[\w.:/+=-]{1,80}", re.ASCII)
_PAGES = re.compile(r"/|/map|/about|/docs|/articles/\d+")
"""Pages to which other sites may link."""
_FREE_BODY_BYTES = 65_536
"""Bytes of each body that do not count for `max_body_memory`, so that large bodies cannot keep out short requests."""
_DRAIN_S = 2.0
"""Time in which the rest of a body that is too large is read and dropped. Some clients read no response before they have
sent everything."""
_log = logging.getLogger("pubvec.server.requests")


class RequestMiddleware:
    """ASGI middleware.

    Args:
        app: The app behind the middleware.
        limits: Limits on concurrent requests, bodies and time.
        metrics: Records every request.
        responder: Renders errors.
        key: Key that every request except `/health` must send, as a bearer token or as the password of HTTP basic
            authentication, which browsers ask for. None means that no key is required.
        hosts: Accepted values of the `Host` header. They prevent DNS rebinding, by which a page of another site reaches this
            server under a name of its own. None accepts any value.
        origins: Origins of other sites whose pages may send requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: LimitsConfig,
        metrics: Metrics,
        responder: ErrorResponder,
        key: str | None = None,
        hosts: Collection[str] | None = None,
        origins: Collection[str] = (),
    ) -> None:
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._responder = responder
        self._key = key
        self._hosts = hosts
        self._origins = origins
        self._n_running = 0
        self._bodies = _BodyMemory(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
        exchange = _Exchange(scope, send, headers.get(b"x-request-id", ""))
        try:
            self._admit(scope, headers)
            await self._answer(scope, receive, exchange, headers.get(b"content-length", ""))
        except ApiError as error:
            await exchange.refuse(self._responder, error, receive)
        except Exception:  # an error of the server, which nothing else would log with the id of the request
            _log.exception("request %s failed", exchange.request_id)
            await exchange.refuse(self._responder, ApiError(500, "the server failed: see its log"), receive)
        finally:
            self._bodies.release(exchange.n_received)
            self._record(scope, exchange)

    def _admit(self, scope: Scope, headers: Mapping[bytes, str]) -> None:
        path = scope["path"]
        host = re.sub(r":\d*$", "", headers.get(b"host", ""))
        if self._hosts is not None and host not in self._hosts:
            raise ApiError(421, f"this server is addressed as {', '.join(self._hosts)}, not otherwise")
        if path in ALWAYS_OPEN:
            return
        if self._key is not None:
            given = _key_of(headers.get(b"authorization", ""))
            if not hmac.compare_digest(given.encode(), self._key.encode()):
                raise ApiError(
                    401,
                    "the key is missing or wrong: send Authorization: Bearer KEY",
                    headers={"WWW-Authenticate": 'Basic realm="pubvec", charset="UTF-8"'},
                )
        if is_cross_site(headers) and headers.get(b"origin") not in self._origins:
            is_link = headers.get(b"sec-fetch-mode") == "navigate" and scope["method"] in ("GET", "HEAD")
            is_page = headers.get(b"sec-fetch-dest") == "document" and _PAGES.fullmatch(path)
            if not (is_link and is_page):
                raise ApiError(403, "a page of another site sent this request: --cors-origin allows a site")

    async def _answer(self, scope: Scope, receive: Receive, exchange: _Exchange, declared: str) -> None:
        limit_s = self._limits.request_timeout_s
        takes_place = scope["path"] not in _NEVER_FULL
        has_body = False
        with anyio.move_on_after(limit_s) as timer:
            exchange.timer = timer
            self._check_place(takes_place)
            body = await self._bodies.read(receive, declared, exchange)
            has_body = True
            # Only a request whose body has arrived takes a place, so slow clients keep nobody out.
            self._check_place(takes_place)
            self._count_running(takes_place)
            try:
                await self._app(scope, replay(body, receive), exchange.send)
            finally:
                self._count_running(-takes_place)
        if timer.cancelled_caught:
            if not has_body:
                raise ApiError(408, f"the body has not arrived within request_timeout_s ({limit_s:g} s)")
            raise ApiError(503, f"no answer within request_timeout_s ({limit_s:g} s): ask for less at a time")

    def _check_place(self, takes_place: bool) -> None:
        limit = self._limits.max_concurrent_requests
        if takes_place and self._n_running >= limit:
            raise ApiError(429, f"max_concurrent_requests ({limit:,}) are being answered: try again later")

    def _count_running(self, change: int) -> None:
        self._n_running += change
        self._metrics.running.set(self._n_running)

    def _record(self, scope: Scope, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.began
        route = getattr(scope.get("route"), "path", None) or "none"
        self._metrics.count_request(scope["method"], route, exchange.status, seconds)
        if _log.isEnabledFor(logging.INFO):
            record = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "request_id": exchange.request_id,
                "method": scope["method"],
                "route": route,
                "status": exchange.status,
                "seconds": round(seconds, 6),
                "received_bytes": exchange.n_received,
                "sent_bytes": exchange.n_sent,
            }
            _log.info("%s", dump_json(record).decode())


class _BodyMemory:
    """Reads bodies, and limits the memory that the bodies of all requests take together."""

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self._n_bytes = 0

    async def read(self, receive: Receive, declared: str, exchange: _Exchange) -> bytes:
        """Read the whole body of a request whose `Content-Length` is `declared`.

        Raises:
            ApiError: 413 if the body is too long, 429 if the bodies of all requests together are, 400 if the client leaves.
        """
        limit = self._limits.payload_limit
        too_large = ApiError(
            413, f"the body is longer than payload_limit ({limit:,} bytes): send less at a time"
        )
        if declared.isdecimal() and int(declared) > limit:
            raise too_large
        parts: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ApiError(400, "the client has gone")
            part = message.get("body", b"")
            self._take(exchange.n_received, len(part))
            exchange.n_received += len(part)
            parts.append(part)
            if exchange.n_received > limit:
                raise too_large
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def release(self, n_bytes: int) -> None:
        """Give back the memory of a body of `n_bytes`."""
        self._n_bytes -= max(0, n_bytes - _FREE_BODY_BYTES)

    def _take(self, n_before: int, n_more: int) -> None:
        n_new = max(0, n_before + n_more - _FREE_BODY_BYTES) - max(0, n_before - _FREE_BODY_BYTES)
        limit = self._limits.max_body_memory
        if n_new and self._n_bytes + n_new > limit:
            raise ApiError(429, f"bodies of max_body_memory ({limit:,} bytes) are held: try again later")
        self._n_bytes += n_new


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, send: Send, given_id: str) -> None:
        self.request_id = given_id if _CLIENT_ID.fullmatch(given_id) else f"{random.getrandbits(128):032x}"
        self.began = time.perf_counter()
        self.timer: anyio.CancelScope | None = None
        self.status = 0
        """Status of the response. It is 0 before the response begins."""
        self.n_received = 0
        self.n_sent = 0
        self._scope = scope
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a message of the response. The time limit ends when the response begins."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.timer is not None:
                self.timer.deadline = math.inf
            message["headers"] = [
                *message["headers"],
                (b"x-request-id", self.request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
            ]
        else:
            self.n_sent += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, responder: ErrorResponder, error: ApiError, receive: Receive) -> None:
        """Send an error, unless a response has begun: then the server closes the connection before its end."""
        if self.status:
            return
        response = responder.respond(self._scope, error)
        body = bytes(response.body)
        headers: Sequence[tuple[bytes, bytes]] = response.raw_headers
        if error.status in (408, 413):
            headers = [*headers, (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": error.status, "headers": list(headers)})
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        if error.status == 413:
            with anyio.move_on_after(_DRAIN_S):
                while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                    pass
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


def is_cross_site(headers: Mapping[bytes, str]) -> bool:
    """Return True if a browser sends a request because a page of another site asked for it.

    Browsers say so in `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/). Old ones, and those that reach the server by
    plain HTTP under another name than localhost, send at most `Origin`. Programs send neither.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site in ("cross-site", "same-site")
    origin = headers.get(b"origin")
    return origin is not None and origin.partition("://")[2] != headers.get(b"host")


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body first, and then what `receive` gives."""
    is_given = False

    async def replayed() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _key_of(authorization: str) -> str:
    """Return the key in an `Authorization` header: a bearer token, or the password of basic authentication."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return value.strip() if scheme.lower() == "bearer" else ""
    try:
        return base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
