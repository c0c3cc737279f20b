"""The documentation page of the API, Swagger UI served by this server, and the security schemes of the OpenAPI document."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.openapi.utils import get_openapi

from pubvec.server.protocol import ALWAYS_OPEN

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
}
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API of pubvec</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<script src="/docs/swagger-ui-bundle.js" defer></script>
<script src="/docs/start.js" defer></script>
</head>
<body>
<main id="docs"><h1>API of pubvec</h1>
<p>This page needs JavaScript. The description is at <a href="/openapi.json">/openapi.json</a>.</p>
</main>
</body>
</html>
"""
_START = """"use strict";
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
"""


def make_docs_router() -> APIRouter:
    """Return the routes of the documentation page, which loads nothing from other sites."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def page() -> Response:
        return Response(_PAGE, headers=_HEADERS, media_type="text/html")

    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, headers=_HEADERS, media_type="text/javascript")

    @router.get("/docs/{name}")
    async def file(request: Request, name: str) -> Response:
        if name not in _FILES:
            raise HTTPException(404, "there is no such file")
        plain, gzipped = _read(name)
        headers = {**_HEADERS, "Cache-Control": "public, max-age=86400", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(gzipped, headers=headers, media_type=_FILES[name])
        return Response(plain, headers=headers, media_type=_FILES[name])

    return router


@cache
def _read(name: str) -> tuple[bytes, bytes]:
    """Return a file of Swagger UI as it is, and compressed."""
    body = (files("fastapi_offline") / "static" / name).read_bytes()
    return body, gzip.compress(body, 6, mtime=0)


def describe_security(app: FastAPI, *, has_key: bool) -> None:
    """Make the OpenAPI document of `app` tell how a key is sent. Without a key of the server, sending one is optional."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schema.setdefault("components", {})["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The key of the server."},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Any user name, and the key of the server as the password.",
                },
            }
            schema["security"] = [{"bearer": []}, {"basic": []}] if has_key else [{}, {"bearer": []}]
            for path in ALWAYS_OPEN:
                for operation in schema["paths"].get(path, {}).values():
                    operation["security"] = []
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]  # FastAPI documents this way of extending the document
