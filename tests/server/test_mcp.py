"""The tools of the Model Context Protocol, used by the SDK's own client over stdio and HTTP."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import rispy
from anyio.from_thread import BlockingPortal, start_blocking_portal
from web_world import HOSTILE, HOSTILE_PMID, RETRACTED_PMID, make_web_index, serving

from pubvec.retrieval.searcher import Searcher
from pubvec.server.config import LimitsConfig, ServerConfig

mcp = pytest.importorskip("mcp")

Client = Callable[..., Any]
"""It calls the named method of the SDK's client and returns its result."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    return make_web_index(tmp_path_factory.mktemp("mcp"), tiny_model)


@pytest.fixture(scope="module")
def searcher(folder):
    return Searcher(folder)


@pytest.fixture(scope="module")
def address(searcher):
    from pubvec.server.mcp_server import create_http_app, make_mcp_server

    with serving(create_http_app(make_mcp_server(searcher), ServerConfig(), LimitsConfig())) as address:
        yield address


@pytest.fixture(scope="module")
def portal():
    """Runs the clients, which are asynchronous, in a thread of its own."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module", params=[pytest.param("stdio", marks=pytest.mark.slow), "http"])
def client(request, folder, address, portal):
    """One client for all tests of a transport, because over stdio each client starts a process."""
    target = f"{address}/mcp" if request.param == "http" else stdio(folder)
    with portal.wrap_async_context_manager(mcp.Client(target, read_timeout_seconds=60)) as client:
        yield partial(call_method, portal, client)


@pytest.fixture(scope="module")
def over_http(address, portal):
    """One client over HTTP, for what no transport changes."""
    target = f"{address}/mcp"
    with portal.wrap_async_context_manager(mcp.Client(target, read_timeout_seconds=60)) as client:
        yield partial(call_method, portal, client)


def stdio(folder: Path) -> Any:
    return mcp.StdioServerParameters(command=sys.executable, args=["-m", "pubvec", "mcp", str(folder)])


def call_method(portal: BlockingPortal, client: Any, method: str, *arguments: Any) -> Any:
    return portal.call(getattr(client, method), *arguments)


def call(client: Client, tool: str, **arguments: Any) -> Any:
    result = client("call_tool", tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


def refuse(client: Client, tool: str, **arguments: Any) -> str:
    """Return the message of a call that fails."""
    result = client("call_tool", tool, arguments)
    assert result.is_error
    return result.content[0].text


def test_a_client_that_starts_the_server_gets_an_answer(folder, portal):
    """One call over stdio; the others over stdio run in CI."""
    with portal.wrap_async_context_manager(mcp.Client(stdio(folder))) as client:
        result = portal.call(client.call_tool, "search", {"query": "aspirin after a stroke", "n": 1})
    assert result.structured_content["hits"]


def test_tools_have_types_and_descriptions(client):
    tools = {tool.name: tool for tool in client("list_tools").tools}
    assert set(tools) == {"search", "get", "similar", "snowball", "cite"}
    assert all(tool.description and tool.output_schema for tool in tools.values())
    assert tools["search"].input_schema["properties"]["n"]["maximum"] == 100
    assert tools["search"].output_schema["properties"]["hits"]["type"] == "array"


def test_search_gives_the_searchers_hits(client, searcher):
    hits = call(client, "search", query="aspirin after a stroke", n=5, year="1990..")["hits"]
    assert len(hits) == 5
    assert all(hit["year"] >= 1990 for hit in hits)
    assert hits[0]["url"].endswith(f"/{hits[0]['pmid']}/")
    first = call(client, "search", query="aspirin after a stroke", n=3)
    assert [hit["pmid"] for hit in first["hits"]] == [
        hit.pmid for hit in searcher.search("aspirin after a stroke", 3)
    ]
    assert first["through"] == searcher.version.through[1]


def test_what_is_retracted_says_so_or_is_left_out(client):
    query = "Aspirin for recurrent stroke: a trial that never was"
    hits = call(client, "search", query=query, n=100)["hits"]
    marked = next(hit for hit in hits if hit["pmid"] == RETRACTED_PMID)
    assert [badge["kind"] for badge in marked["badges"]] == ["retracted"]
    sound = call(client, "search", query=query, n=100, not_retracted=True)["hits"]
    assert RETRACTED_PMID not in [hit["pmid"] for hit in sound]


def test_get_gives_the_whole_record_as_data(client):
    article = call(client, "get", pmid=HOSTILE_PMID)["article"]
    assert article["title"] == HOSTILE
    assert article["authors"]


def test_similar_leaves_the_article_itself_out(client, searcher):
    hits = call(client, "similar", pmid=1001, n=4)["hits"]
    assert [hit["pmid"] for hit in hits] == [hit.pmid for hit in searcher.like(1001, 4)]
    assert 1001 not in [hit["pmid"] for hit in hits]


def test_cite_writes_references(client):
    cited = call(client, "cite", pmids=[1001, 1002])
    assert cited["style"] == "ris"
    assert [entry["accession_number"] for entry in rispy.loads(cited["text"])] == ["1001", "1002"]
    assert call(client, "cite", pmids=[1001], style="bibtex")["text"].startswith("@")


@pytest.mark.parametrize(
    ("tool", "loose", "strict"),
    [
        ("search", {"query": "aspirin", "year": 2001}, {"query": "aspirin", "year": "2001"}),
        ("search", {"query": "aspirin", "year": "1990-2005"}, {"query": "aspirin", "year": "1990..2005"}),
        ("search", {"query": "aspirin", "year": "1990 to 2005"}, {"query": "aspirin", "year": "1990..2005"}),
        ("search", {"query": "aspirin", "year": "2001:"}, {"query": "aspirin", "year": "2001.."}),
        ("search", {"query": "aspirin", "mesh": "Stroke"}, {"query": "aspirin", "mesh": ["Stroke"]}),
        (
            "search",
            {"query": "a stroke", "mesh": "Diabetes Mellitus, Type 2", "journal": None},
            {"query": "a stroke", "mesh": ["Diabetes Mellitus, Type 2"]},
        ),
        ("get", {"pmid": "PMID: 1001"}, {"pmid": 1001}),
        ("get", {"pmid": "1001"}, {"pmid": 1001}),
        ("similar", {"pmid": "pmid 1001 ", "n": "3"}, {"pmid": 1001, "n": 3}),
        ("cite", {"pmids": "PMID: 1001, PMID 1002"}, {"pmids": [1001, 1002]}),
        ("cite", {"pmids": 1001}, {"pmids": [1001]}),
    ],
)
def test_types_are_forgiven(over_http, tool, loose, strict):
    assert call(over_http, tool, **loose) == call(over_http, tool, **strict)


def test_tools_say_that_they_only_read(over_http):
    tools = over_http("list_tools").tools
    assert all(tool.annotations.read_only_hint for tool in tools)


def test_an_article_has_no_empty_fields(over_http):
    def is_compact(value):
        if isinstance(value, dict | list):
            return bool(value) and all(map(is_compact, value.values() if isinstance(value, dict) else value))
        return value is not None and value != ""

    assert is_compact(call(over_http, "get", pmid=1001)["article"])


def test_no_hits_have_a_reason(over_http):
    found = call(over_http, "search", query="aspirin", mesh="No Such Heading")
    assert found["hits"] == [] and "No Such Heading" in found["note"]
    assert call(over_http, "search", query="aspirin")["note"] is None


def test_get_opens_no_stream(address):
    for method in ("GET", "DELETE"):
        answer = httpx.request(method, f"{address}/mcp", headers={"Accept": "text/event-stream"})
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"


def test_what_cannot_be_done_is_said(client):
    assert "PMID 5 is not in the index" in refuse(client, "get", pmid=5)
    assert "PMID 5" in refuse(client, "cite", pmids=[1001, 5])
    assert "2020..2010" in refuse(client, "search", query="aspirin", year="2020..2010")
    assert refuse(client, "search", query="aspirin", n=101)
    assert refuse(client, "search", query='"unclosed')
    assert refuse(client, "cite", pmids=[])


def test_http_keeps_the_servers_rules(searcher, address):
    from pubvec.server.mcp_server import create_http_app, make_mcp_server

    assert httpx.get(f"{address}/health").status_code == 200
    assert httpx.post(f"{address}/mcp", headers={"Host": "example.org"}).status_code == 421
    app = create_http_app(
        make_mcp_server(searcher), ServerConfig("0.0.0.0", key="k"), LimitsConfig(payload_limit=50)
    )
    with serving(app) as guarded:
        assert httpx.post(f"{guarded}/mcp", json={}).status_code == 401
        headers = {"Authorization": "Bearer k"}
        assert httpx.post(f"{guarded}/mcp", json={"a": "b" * 50}, headers=headers).status_code == 413
