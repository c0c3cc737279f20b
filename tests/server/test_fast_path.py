"""The short way of a request and the framework's give the same answer."""

from __future__ import annotations

import json

import pytest
from embedding_world import TEXTS, make_client

from pubvec.encoder import load
from pubvec.server.fast_path import FastPath

SHORT, LONG = "application/json", "application/json; charset=utf-8"
BODIES = [
    ("/embed", {"inputs": TEXTS}),
    ("/embed", {"inputs": TEXTS[0], "normalize": False, "dimensions": 8}),
    ("/embed", {"inputs": [[5, 6, 7]], "unknown": 1}),
    ("/embed", {"inputs": "lone \ud800 surrogate"}),
    ("/embed", {"inputs": []}),
    ("/embed", {"inputs": 7}),
    ("/embed", {"inputs": "a", "dimensions": 10**6}),
    ("/embed", {}),
    ("/v1/embeddings", {"input": TEXTS, "encoding_format": "base64"}),
    ("/v1/embeddings", {"input": TEXTS[0], "model": "another"}),
    ("/v1/embeddings", {"input": TEXTS[0], "dimensions": 0}),
]


@pytest.fixture(scope="module")
def client(tiny_model):
    with make_client(load(tiny_model)) as client:
        yield client


@pytest.fixture
def handled(monkeypatch):
    """Routes that were answered the short way."""
    routes: list[str] = []
    answer = FastPath.__call__

    async def watched(self, scope, receive, send):
        app, self._app = self._app, watched_app(self._app)
        try:
            await answer(self, scope, receive, send)
        finally:
            self._app = app
        if not scope.pop("is_framework", False):
            routes.append(scope["path"])

    def watched_app(app):
        async def called(scope, receive, send):
            scope["is_framework"] = True
            await app(scope, receive, send)

        return called

    monkeypatch.setattr(FastPath, "__call__", watched)
    return routes


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_both_ways_answer_alike(client, path, body):
    content = json.dumps(body).encode()
    answers = [client.post(path, content=content, headers={"Content-Type": kind}) for kind in (SHORT, LONG)]
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].content == answers[1].content
    assert answers[0].headers["content-type"] == answers[1].headers["content-type"]


def test_sound_requests_alone_go_the_short_way(client, handled):
    for path, body in BODIES[:3] + BODIES[5:6] + BODIES[8:9]:
        client.post(path, json=body)
    client.post("/embed", content=b"{", headers={"Content-Type": SHORT})
    client.post("/embed", content=json.dumps(BODIES[0][1]), headers={"Content-Type": LONG})
    client.get("/embed")
    client.post("/rerank", json={"query": "a", "texts": TEXTS})
    assert handled == ["/embed", "/embed", "/embed", "/v1/embeddings"]


def test_both_ways_are_counted_as_one_route(client):
    for kind in (SHORT, LONG):
        client.post("/embed", content=json.dumps({"inputs": "a"}), headers={"Content-Type": kind})
    lines = [
        line for line in client.get("/metrics").text.splitlines() if line.startswith("pubvec_requests_total")
    ]
    counted = [line for line in lines if 'route="/embed",status="200"' in line]
    assert len(counted) == 1
    assert float(counted[0].split()[-1]) >= 2
