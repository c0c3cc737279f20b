"""Snowballing and counts of citations over HTTP and as a tool of an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from web_world import make_app

from makers_records import make_article, make_articles_folder
from pubvec.conversion.exporting import export
from pubvec.records import Reference
from pubvec.retrieval import Searcher, index

CITES = {1: [2, 3, 900], 2: [3], 3: [], 4: [1, 2], 5: [4]}


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Searcher:
    folder = tmp_path_factory.mktemp("snowball")
    export(tiny_model, output=folder / "model")
    articles = [
        make_article(pmid, f"trial {pmid}", references=[Reference(None, cited, None) for cited in cites])
        for pmid, cites in CITES.items()
    ]
    make_articles_folder(folder / "articles", articles)
    index(folder / "articles", str(folder / "model"), folder / "index")
    return Searcher(folder / "index")


@pytest.fixture(scope="module")
def client(searcher: Searcher) -> Iterator[TestClient]:
    with TestClient(make_app(searcher), raise_server_exceptions=False) as client:
        yield client


def _links(answer: dict[str, Any]) -> list[tuple[int, int, list[int], list[int]]]:
    return [
        (each["hit"]["pmid"], each["round"], each["cites"], each["cited_by"]) for each in answer["linked"]
    ]


def test_http(client: TestClient) -> None:
    answer = client.get("/snowball", params={"pmid": [1, 2]}).json()
    assert _links(answer) == [(3, 1, [], [1, 2]), (4, 1, [1, 2], [])]
    assert (answer["n_found"], answer["n_absent"], answer["version"]) == (2, 1, 1)
    answer = client.get("/snowball", params={"pmid": 3, "direction": "forward", "n_rounds": 2, "n": 3}).json()
    assert _links(answer) == [(4, 2, [1, 2], []), (1, 1, [3], []), (2, 1, [3], [])]
    hits = client.get("/search", params={"q": "trial", "sort": "citations"}).json()["hits"]
    assert [(hit["pmid"], hit["n_cited_by"]) for hit in hits][-1] == (5, 0)
    assert [hit["n_cited_by"] for hit in hits] == [2, 2, 1, 1, 0]


@pytest.mark.parametrize(
    "query", ["", "?pmid=x", "?pmid=900", "?pmid=1&direction=up", "?pmid=1&rounds=2", "?pmid=1&n_rounds=0"]
)
def test_what_cannot_be_followed_is_refused(client: TestClient, query: str) -> None:
    response = client.get(f"/snowball{query}")
    assert response.status_code in (400, 404, 422)
    assert response.json()["error"]


def test_agents(searcher: Searcher) -> None:
    pytest.importorskip("mcp")
    from pubvec.server.mcp_server import make_mcp_server

    server = make_mcp_server(searcher)
    result = asyncio.run(server.call_tool("snowball", {"pmids": "PMID: 1, 2", "direction": "backward"}))
    found = result.structured_content
    assert _links(found) == [(3, 1, [], [1, 2])]
