"""How a refusal looks: for OpenAI's clients, for all other programs, and for a person with a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Scope

from pubvec.errors import ConfigError, InputError
from pubvec.server.limits import KINDS, Refusal

Page = Callable[[int, list[str], str], Response]
"""(status, messages, query) → a page that says so."""
_OPENAI_KINDS: Mapping[int, str] = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
_N_FLAWS = 3


class RefusalAnswer(BaseModel):
    """Why a request was not fulfilled, as text-embeddings-inference says it."""

    error: str
    error_type: str


class OpenaiError(BaseModel):
    """The same as OpenAI says it."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenaiRefusalAnswer(BaseModel):
    """Its envelope."""

    error: OpenaiError


_STATUSES = (400, 401, 404, 405, 408, 413, 415, 421, 422, 424, 429, 503)
REFUSALS: dict[int | str, dict[str, Any]] = {status: {"model": RefusalAnswer} for status in _STATUSES}
OPENAI_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenaiRefusalAnswer} for status in _STATUSES
}


class Refuser:
    """Writes refusals.

    Args:
        page: for whoever prefers HTML, where the path is no program's. None: there are no pages.
    """

    def __init__(self, page: Page | None = None) -> None:
        self._page = page

    def answer(self, scope: Scope, refusal: Refusal) -> Response:
        """A refusal of the request in `scope`."""
        path = scope["path"]
        if path.startswith("/v1/") or path == "/embeddings":
            kind = _OPENAI_KINDS.get(refusal.status, "invalid_request_error")
            error = {"message": refusal.message, "type": kind, "param": None, "code": refusal.kind}
            response = _respond({"error": error}, refusal)
        elif self._page is not None and _prefers_html(scope):
            response = self._page(refusal.status, [refusal.message], "")
        else:
            response = _respond({"error": refusal.message, "error_type": refusal.kind}, refusal)
        response.headers.update(refusal.headers)
        return response

    def add_to(self, app: FastAPI) -> None:
        """Answer in this form whatever the routes of `app` raise."""

        async def refuse(request: Request, error: Exception) -> Response:
            return self.answer(request.scope, _refusal_of(error))

        for kind in (Refusal, InputError, ConfigError, RequestValidationError, HTTPException):
            app.add_exception_handler(kind, refuse)


def _refusal_of(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RequestValidationError):
        flaws = [explain(flaw) for flaw in error.errors()]
        more = f" (and {len(flaws) - _N_FLAWS} more)" if len(flaws) > _N_FLAWS else ""
        return Refusal(422, "; ".join(flaws[:_N_FLAWS]) + more)
    if isinstance(error, HTTPException):
        refusal = Refusal(error.status_code, str(error.detail), kind=KINDS.get(error.status_code))
        refusal.headers = {**refusal.headers, **(error.headers or {})}
        return refusal
    return Refusal(400, str(error))


def explain(flaw: Mapping[str, Any]) -> str:
    """What is wrong with which parameter; what was sent is not repeated."""
    place = [str(part) for part in flaw["loc"][1:]]
    message = str(flaw["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(place)}: {message}" if place else message


def _prefers_html(scope: Scope) -> bool:
    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return b"text/html" in accepted and scope["method"] == "GET" and "route" not in scope


def _respond(content: Mapping[str, Any], refusal: Refusal) -> Response:
    body = json.dumps(content).encode()  # ASCII: a lone surrogate of the request has no other form
    return Response(body, refusal.status, media_type="application/json")
