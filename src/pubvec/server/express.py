"""The endpoints that are called most often, past most layers of the framework, which take longer than the rest of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_type_hints

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from pubvec.server.guard import replay


class Express:
    """ASGI middleware: answers a sound request of some routes itself, and leaves all others to the app.

    Args:
        app: has these routes too; it documents them, and says what is wrong with a request that is not sound.
        routes: each with an endpoint that takes the body alone, as a model named `request`, and gives a response. What it
            raises is for the middleware around this one.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[APIRoute]) -> None:
        self._app = app
        self._routes = {route.path: (route, _model_of(route)) for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. The body comes in one piece, as `Guard` gives it."""
        if scope["type"] != "http" or scope["path"] not in self._routes or not _is_json(scope):
            await self._app(scope, receive, send)
            return
        route, model = self._routes[scope["path"]]
        message = await receive()
        try:
            request = model.model_validate_json(message["body"])
        except ValidationError:
            await self._app(scope, replay(message["body"], receive), send)
            return
        scope["route"] = route
        response = await route.endpoint(request)
        await response(scope, receive, send)


def _model_of(route: APIRoute) -> type[BaseModel]:
    model: type[BaseModel] = get_type_hints(route.endpoint)["request"]
    return model


def _is_json(scope: Scope) -> bool:
    return scope["method"] == "POST" and (b"content-type", b"application/json") in scope["headers"]
