"""Responses of the API: compact JSON, and errors in the form that each kind of client expects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Scope

from pubvec.errors import ConfigError, InputError

JSON = "application/json"
ErrorPage = Callable[[int, list[str], str], Response]
"""Function that renders an HTML page from a status, messages, and the query that was refused."""
_ERROR_TYPES: Mapping[int, str] = {
    400: "validation",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "validation",
    415: "validation",
    421: "misdirected",
    422: "validation",
    424: "backend",
    429: "overloaded",
    431: "validation",
    500: "internal",
    503: "unhealthy",
}
"""Class of the error for each status, as text-embeddings-inference names it."""
_OPENAI_ERROR_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
_MAX_MESSAGES = 3


class ApiError(Exception):
    """A request that the server refuses.

    Args:
        status: HTTP status of the response.
        message: Explanation for the client.
        error_type: Class of the error, as text-embeddings-inference names it. None derives it from `status`.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_type = error_type or _ERROR_TYPES.get(status, "error")
        retry = {"Retry-After": "1"} if status in (429, 503) else {}
        self.headers: Mapping[str, str] = {**retry, **(headers or {})}


class ErrorResponse(BaseModel):
    """An error in the form of text-embeddings-inference."""

    error: str
    error_type: str


class OpenaiError(BaseModel):
    """The content of an error in the form of OpenAI."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenaiErrorResponse(BaseModel):
    """An error in the form of OpenAI."""

    error: OpenaiError


_STATUSES = (400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 424, 429, 431, 503)
API_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorResponse} for status in _STATUSES}
OPENAI_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenaiErrorResponse} for status in _STATUSES
}


def dump_json(answer: Any) -> bytes:
    """Return compact JSON of `answer`, which may contain NumPy arrays."""
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY, default=np.ndarray.tolist)


class ErrorResponder:
    """Renders errors.

    Args:
        page: Renders a page for a browser that asks for HTML. None means that the server has no pages.
    """

    def __init__(self, page: ErrorPage | None = None) -> None:
        self._page = page

    def respond(self, scope: Scope, error: ApiError) -> Response:
        """Return the response that tells the client of the request in `scope` about `error`."""
        path = scope["path"]
        if path.startswith("/v1/") or path == "/embeddings":
            kind = _OPENAI_ERROR_TYPES.get(error.status, "invalid_request_error")
            content = {"message": error.message, "type": kind, "param": None, "code": error.error_type}
            response = _respond({"error": content}, error.status)
        elif self._page is not None and _prefers_html(scope):
            response = self._page(error.status, [error.message], "")
        else:
            response = _respond({"error": error.message, "error_type": error.error_type}, error.status)
        response.headers.update(error.headers)
        return response

    def add_to(self, app: FastAPI) -> None:
        """Use this form for every error that a route of `app` raises."""

        async def handle(request: Request, error: Exception) -> Response:
            return self.respond(request.scope, _to_api_error(error))

        for kind in (ApiError, InputError, ConfigError, RequestValidationError, HTTPException):
            app.add_exception_handler(kind, handle)


def explain(error: Mapping[str, Any]) -> str:
    """Return one line for an error of pydantic. It names the parameter and never repeats its value."""
    place = [str(part) for part in error["loc"][1:]]
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(place)}: {message}" if place else message


def _to_api_error(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestValidationError):
        messages = [explain(each) for each in error.errors()]
        more = f" (and {len(messages) - _MAX_MESSAGES} more)" if len(messages) > _MAX_MESSAGES else ""
        return ApiError(422, "; ".join(messages[:_MAX_MESSAGES]) + more)
    if isinstance(error, HTTPException):
        return ApiError(error.status_code, str(error.detail), headers=error.headers)
    return ApiError(400, str(error))


def _prefers_html(scope: Scope) -> bool:
    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return b"text/html" in accepted and scope["method"] == "GET" and "route" not in scope


def _respond(content: Mapping[str, Any], status: int) -> Response:
    # The standard library escapes a lone surrogate, which the message may quote from the request. orjson refuses it.
    return Response(json.dumps(content).encode(), status, media_type=JSON)
