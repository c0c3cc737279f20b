"""A fast path around the framework for the endpoints that are called most often.

FastAPI's routing, dependency injection and validation take longer than encoding one short text. The fast path parses a valid
request of such an endpoint itself and calls the endpoint directly.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_type_hints

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from pubvec.server.middleware import replay


class FastPath:
    """ASGI middleware that answers valid requests of some routes and passes all others to the app.

    Args:
        app: The app, which has the same routes: it documents them and explains what is wrong with an invalid request.
        routes: Routes whose endpoint takes one argument, a pydantic model named `request`, and returns a response. The
            middleware around this one handles the errors that an endpoint raises.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[APIRoute]) -> None:
        self._app = app
        self._routes = {route.path: (route, _model_of(route)) for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI request, whose body `RequestMiddleware` delivers in one piece."""
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
