"""The search API against the library that it serves."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_world import CONCERN_PMID, RETRACTED_PMID, chatting, make_app, make_web_index

from pubvec.conversion.exporting import export
from pubvec.retrieval.citations import FORMATS, write_hits
from pubvec.retrieval.constraints import Filters
from pubvec.retrieval.searcher import Searcher
from pubvec.server.ask_stream import FAILED
from pubvec.server.field_map import group_vectors, project
from pubvec.server.parameters import Parameters, find_page
from pubvec.server.search_api import write_blocks
from pubvec.tables import dict_of

QUERY = "aspirin after stroke"


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Searcher:
    """With an exported model, as a server has it: such a one may be shared between threads."""
    folder = tmp_path_factory.mktemp("api")
    export(tiny_model, output=folder / "model")
    return Searcher(make_web_index(folder, folder / "model"))


@pytest.fixture(scope="module")
def client(searcher: Searcher) -> Iterator[TestClient]:
    with TestClient(make_app(searcher), raise_server_exceptions=False) as client:
        yield client


def found(client: TestClient, path: str = "/search", **parameters: Any) -> dict[str, Any]:
    response = client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def pmids_of(answer: dict[str, Any]) -> list[int]:
    return [hit["pmid"] for hit in answer["hits"]]


@pytest.mark.parametrize(
    ("parameters", "filters"),
    [
        ({}, Filters()),
        ({"year": "1990..2005"}, Filters(year="1990..2005")),
        ({"from": "1990", "to": "2005"}, Filters(year="1990..2005")),
        ({"from": "2010"}, Filters(year="2010..")),
        (
            {"publication_type": ["Review", "Case Reports"]},
            Filters(publication_type=("Review", "Case Reports")),
        ),
        ({"journal": "Imag Neurol", "language": "fre"}, Filters(journal=("Imag Neurol",), language=("fre",))),
        ({"author": "Dunmore AB", "mesh": "Stroke"}, Filters(author=("Dunmore AB",), mesh=("Stroke",))),
        ({"has_abstract": "true", "not_retracted": "true"}, Filters(has_abstract=True, not_retracted=True)),
        ({"pmid": [1000, 1008, 9001]}, Filters(pmid=(1000, 1008, 9001))),
    ],
)
@pytest.mark.parametrize("ranking", ["hybrid", "dense", "lexical"])
def test_a_search_is_that_of_the_library(
    client: TestClient, searcher: Searcher, parameters: dict[str, Any], filters: Filters, ranking: Any
) -> None:
    expected = searcher.search(QUERY, 12, ranking=ranking, filters=filters, with_passages=True)
    answer = found(client, q=QUERY, n=12, ranking=ranking, **parameters)
    assert pmids_of(answer) == [hit.pmid for hit in expected]
    for told, hit in zip(answer["hits"], expected, strict=True):
        assert told["cosine"] == pytest.approx(hit.cosine)
        assert told["badges"] == [badge._asdict() for badge in hit.badges]
        if hit.passage:
            start, end, highlights = hit.passage
            assert told["passage"]["text"] == (hit.article.abstract or "")[start:end]
            words = [told["passage"]["text"][a:b] for a, b in told["passage"]["highlights"]]
            assert words == [(hit.article.abstract or "")[a:b] for a, b in highlights]
    constraint = filters.constraint
    assert answer["n_matching"] == (
        len(searcher) if constraint is None else searcher.lexical.count(constraint)
    )


def test_fields_that_a_form_left_empty_ask_for_nothing(client: TestClient) -> None:
    empty = {
        "from": "",
        "to": " ",
        "journal": ["", ""],
        "pmid": "",
        "has_abstract": "",
        "year": "",
        "like": "",
    }
    assert found(client, q=QUERY, **empty) == found(client, q=QUERY)


def test_pages_fit_together_beyond_the_depth_of_the_fusion(client: TestClient, searcher: Searcher) -> None:
    seen, path = [], f"/search?q={QUERY}&n=17"
    while path:
        answer = client.get(path).json()
        seen += pmids_of(answer)
        path = answer["next"]
    assert len(seen) == len(set(seen)) == len(searcher)
    assert seen[:100] == [hit.pmid for hit in searcher.search(QUERY, 100)]


def test_the_last_full_page_has_no_next_one(client: TestClient) -> None:
    n = found(client, q=QUERY, mesh="Asthma")["n_matching"]
    assert found(client, q=QUERY, mesh="Asthma", n=n)["next"] is None
    assert found(client, q=QUERY, mesh="Asthma", n=n - 1)["next"] is not None


def test_a_query_without_words_gives_the_newest(client: TestClient) -> None:
    answer = found(client, q="1990:2004[dp]", n=50)
    years = [hit["year"] for hit in answer["hits"]]
    assert years == sorted(years, reverse=True)
    assert set(years) <= set(range(1990, 2005))


def test_sorted_by_year(client: TestClient) -> None:
    answer = found(client, q=QUERY, sort="year", n=200)
    years = [hit["year"] or 0 for hit in answer["hits"]]
    assert years == sorted(years, reverse=True)
    assert set(pmids_of(answer)) == set(pmids_of(found(client, q=QUERY, n=200)))


def test_facets_count_the_best_hits(client: TestClient, searcher: Searcher) -> None:
    articles = [hit.article for hit in searcher.search(QUERY, 100)]
    facets = found(client, q=QUERY, n=3)["facets"]
    headings = Counter(heading.name for article in articles for heading in article.mesh_headings)
    assert [value["n"] for value in facets["mesh"]] == [n for _, n in headings.most_common(8)]
    decades = Counter(
        f"{article.year // 10 * 10}..{article.year // 10 * 10 + 9}" for article in articles if article.year
    )
    assert {value["value"]: value["n"] for value in facets["year"]} == decades
    for value in facets["year"]:  # a value is what the filter takes
        assert found(client, q=QUERY, year=value["value"])["n_matching"] >= value["n"]


def test_a_chosen_value_stays_among_the_facets(client: TestClient) -> None:
    facets = found(client, q=QUERY, journal=["Imag Neurol", "No Such Journal"])["facets"]
    assert [value["value"] for value in facets["journal"]][:2] == ["Imag Neurol", "No Such Journal"]


def test_similar_articles(client: TestClient, searcher: Searcher) -> None:
    expected = [hit.pmid for hit in searcher.like(1000, 8)]
    assert pmids_of(found(client, "/similar/1000", n=8)) == expected
    assert pmids_of(found(client, like=1000, n=8)) == expected
    assert pmids_of(found(client, "/similar/1000", n=8, q="ignored")) == expected
    second = client.get(found(client, "/similar/1000", n=4)["next"]).json()
    assert pmids_of(second) == expected[4:8]


def test_searches_beside_each_other_do_not_mix(searcher: Searcher) -> None:
    asked = [
        Parameters(q=f"{topic} {n}", year=f"{1990 + n}..")
        for n in range(6)
        for topic in ("asthma", "sepsis", "memory")
    ]
    alone = [find_page(searcher, parameters) for parameters in asked]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda parameters: find_page(searcher, parameters), asked * 2)) == alone * 2


def test_an_article(client: TestClient, searcher: Searcher) -> None:
    answer = found(client, f"/articles/{CONCERN_PMID}")
    assert answer["article"] == json.loads(json.dumps(dict_of(searcher.articles([CONCERN_PMID])[0].article)))
    assert answer["badges"] == [{"kind": "expression of concern", "pmid": 7778}]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/articles/123", 404),
        ("/similar/123", 404),
        ("/articles/99999999999999999999", 422),
        ("/articles/../../etc/passwd", 404),
        ("/search", 400),
        ("/search?q=%20", 400),
        ("/search?q=aspirin AND", 400),
        ("/search?q=aspirin&year=20x0", 422),
        ("/search?q=aspirin&from=2010&to=2000", 422),
        ("/search?q=aspirin&n=0", 422),
        ("/search?q=aspirin&offset=9995", 422),
        ("/search?q=aspirin&ranking=best", 422),
        ("/search?q=" + "a" * 2001, 422),
        ("/export.exe?q=aspirin", 422),
        ("/export.ris", 400),
        ("/ask", 400),
        ("/ask?like=1000", 400),
        ("/map.json", 400),
    ],
)
def test_what_cannot_be_answered_is_refused(client: TestClient, path: str, status: int) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert response.json()["error"]


@pytest.mark.parametrize("path", ["/search", "/similar/1000", "/export.ris", "/map.json", "/ask", "/"])
@pytest.mark.parametrize(("name", "near"), [("langauge", "language"), ("pmids", "pmid"), ("sorting", "sort")])
def test_an_unknown_parameter_is_refused_with_the_nearest_known_one(
    client: TestClient, path: str, name: str, near: str
) -> None:
    response = client.get(path, params={"q": QUERY, name: "1"})
    assert response.status_code == 422
    assert name in response.text and near in response.text


@pytest.mark.parametrize(
    ("suffix", "form"),
    [(form.suffix, name) for name, form in FORMATS.items()],
)
def test_exports_are_the_files_of_the_library(
    client: TestClient, searcher: Searcher, suffix: str, form: str
) -> None:
    file = io.StringIO(newline="")
    write_hits(searcher.search(QUERY, 20), file, form)
    response = client.get(f"/export.{suffix}", params={"q": QUERY, "n": 20})
    assert response.content.decode() == file.getvalue()
    assert response.headers["content-disposition"] == f'attachment; filename="pubvec.{suffix}"'


def test_an_export_has_all_that_match(client: TestClient, searcher: Searcher) -> None:
    response = client.get("/export.txt", params={"q": QUERY})
    assert len(response.text.split()) == len(searcher)


def test_an_export_of_a_selection_has_nothing_else(client: TestClient) -> None:
    chosen = {1000, 1003, RETRACTED_PMID}
    response = client.get(
        "/export.csv", params={"q": QUERY, "select": sorted(chosen), "n": 1, "mesh": "", "pmid": 1001}
    )
    assert {
        int(row["pmid"]) for row in csv.DictReader(io.StringIO(response.text.removeprefix("\ufeff")))
    } == chosen


@pytest.mark.parametrize("form", FORMATS)
def test_blocks_of_an_export_make_one_file(searcher: Searcher, form: str) -> None:
    hits = searcher.search(QUERY, 150) * 3
    file = io.StringIO(newline="")
    write_hits(hits, file, form)
    blocks = list(write_blocks(hits, form))
    assert len(blocks) > 1
    assert "".join(blocks) == file.getvalue()
    assert "".join(write_blocks([], form)) == FORMATS[form].opening + FORMATS[form].closing


def test_a_map_of_the_hits(client: TestClient, searcher: Searcher) -> None:
    answer = found(client, "/map.json", q=QUERY)
    assert {place["pmid"] for place in answer["places"]} == {hit.pmid for hit in searcher.search(QUERY, 500)}
    assert all(-1 <= place[axis] <= 1 for place in answer["places"] for axis in "xy")
    sizes = Counter(place["group"] for place in answer["places"])
    assert [sizes[group] for group in range(len(answer["groups"]))] == sorted(sizes.values(), reverse=True)
    assert len(set(answer["groups"])) == len(answer["groups"]) > 1
    assert found(client, "/map.json", q=QUERY) == answer
    assert found(client, "/map.json", q="aspirin[ti] AND malaria[ti]")["places"] == []


@pytest.mark.parametrize("shape", [(1, 8), (2, 8), (3, 8), (60, 8), (200, 32), (5, 2)])
def test_projection_is_that_of_a_singular_value_decomposition(shape: tuple[int, int]) -> None:
    scale = np.linspace(4, 0.5, shape[1]) ** 2
    vectors = (np.random.default_rng(shape[0]).standard_normal(shape) * scale).astype(np.float32)
    points, explained = project(vectors)
    left, lengths, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    reference = np.pad(left[:, :2] * lengths[:2], ((0, 0), (0, max(0, 2 - len(lengths)))))
    reference /= max(np.abs(reference).max(), 1e-9)
    np.testing.assert_allclose(np.abs(points), np.abs(reference), atol=0.02)
    assert explained == pytest.approx((lengths[:2] ** 2).sum() / max((lengths**2).sum(), 1e-12), abs=0.01)


def test_groups_are_found_whatever_their_order() -> None:
    draw = np.random.default_rng(3)
    truth = draw.integers(4, size=120)
    vectors = (np.eye(4, 16)[truth] + 0.05 * draw.standard_normal((120, 16))).astype(np.float32)
    groups = group_vectors(vectors, 4)
    assert len({(a, b) for a, b in zip(truth, groups, strict=True)}) == 4
    assert list(np.bincount(groups)) == sorted(np.bincount(truth), reverse=True)


def test_groups_of_equal_vectors() -> None:
    assert set(group_vectors(np.ones((9, 4), np.float32), 3)) == {0}


def asked(searcher: Searcher, chat: Any, **parameters: Any) -> list[dict[str, Any]]:
    with TestClient(make_app(searcher, chat)) as client:
        response = client.get("/ask", params=parameters)
    assert response.status_code == 200
    return [json.loads(line) for line in response.text.splitlines()]


def test_an_answer_cites_hits_as_footnotes(searcher: Searcher) -> None:
    first, second = [hit.pmid for hit in searcher.search(QUERY, 10) if not hit.is_retracted][:2]
    with chatting(
        "It helps [PMID ", f"{second}]. Or [PMID 31337]", f" not [PMID {first}] [PMID {second}]."
    ) as chat:
        pieces = asked(searcher, chat, q=QUERY)
    notes = [(piece["pmid"], piece["number"]) for piece in pieces if piece["type"] == "citation"]
    assert notes == [(second, 1), (first, 2), (second, 1)]
    answer = pieces[-1]
    assert answer["type"] == "answer"
    assert answer["removed_citations"] == [31337]
    assert "".join(piece["text"] for piece in pieces[:-1]) == answer["text"]
    assert "31337" not in answer["text"]
    assert {first, second} <= {hit["pmid"] for hit in answer["evidence"]}


def test_a_failing_chat_model_is_said_without_its_address(searcher: Searcher) -> None:
    with chatting() as chat:
        pieces = asked(searcher, chat, q=QUERY)
    (piece,) = pieces
    assert piece["type"] == "failure"
    assert piece["message"].startswith(f"{FAILED} Its endpoint reports an error.")
    assert "127.0.0.1" not in piece["message"]


def test_an_endpoint_that_is_gone_is_explained(searcher: Searcher) -> None:
    with chatting("yes") as chat:
        pass
    (piece,) = asked(searcher, chat, q=QUERY)
    assert piece["message"].startswith(f"{FAILED} Its endpoint cannot be reached.")
    assert str(chat.base_url) not in piece["message"]


def test_an_answer_is_markdown_made_harmless(searcher: Searcher) -> None:
    first = next(hit for hit in searcher.search(QUERY, 10, with_passages=True) if not hit.is_retracted)
    text = (
        f"## Heading\n\nIt *does* **help** [PMID {first.pmid}].\n\n- one\n- two `x`\n\n| a | b |\n|---|---|\n| c | d |\n\n"
        "<script>alert(1)</script> <b onclick=x>bold</b> [click](javascript:alert(1)) ![i](https://x.example/i.png) "
        f"`[PMID {first.pmid}]`"
    )
    with chatting(text) as chat:
        answer = asked(searcher, chat, q=QUERY)[-1]
    seen, texts, notes = set(), [], []

    def walk(nodes: list[Any]) -> None:
        for node in nodes:
            if isinstance(node, str):
                texts.append(node)
            elif "number" in node:
                notes.append(node)
            else:
                seen.add(node["tag"])
                walk(node["children"])

    walk(answer["blocks"])
    assert seen == {
        "h3",
        "p",
        "em",
        "strong",
        "ul",
        "li",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    whole = "".join(texts)
    assert "<script>alert(1)</script> <b onclick=x>bold</b> [click](javascript:alert(1)) " in whole
    assert "x.example" not in whole
    assert {(note["number"], note["pmid"]) for note in notes} == {(1, first.pmid)}
    assert notes[0]["label"].startswith(first.title or "[Title not available]")
    (source,) = answer["sources"]
    assert (source["pmid"], source["title"]) == (first.pmid, first.title or "[Title not available]")
    assert source["sentence"] and source["sentence"] in notes[0]["label"]


def test_without_a_chat_model_there_is_the_evidence(
    searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    (answer,) = asked(searcher, None, q=QUERY)
    assert answer["text"] == ""
    assert answer["evidence"]


@given(
    st.builds(
        dict,
        q=st.text(max_size=30),
        first_year=st.none() | st.integers(1, 2000),
        journal=st.lists(st.text(min_size=1, max_size=9).filter(str.strip), max_size=3),
        pmid=st.lists(st.integers(1, 2**31 - 1), max_size=3),
        has_abstract=st.booleans(),
        sort=st.sampled_from(["relevance", "year"]),
        n=st.integers(1, 50),
    )
)
def test_an_address_says_what_its_parameters_say(fields: dict[str, Any]) -> None:
    parameters = Parameters(**fields)
    path, _, query = parameters.url("/search", offset=20).partition("?")
    again: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        again.setdefault(name, []).append(value)
    lists = ("journal", "pmid")
    values = {name: value if name in lists else value[0] for name, value in again.items()}
    assert path == "/search"
    assert Parameters.model_validate(values) == parameters.model_copy(update={"offset": 20})


NASTY = st.from_regex(
    r'["(*\x00\ufffe]|\(\(|a\[ti|AND|NOT x|ab\*\[tiab\]|9{20}\[pmid\]|9{9}:1\[dp\]|0\[dp\]|x\[mh:noexp\]|-1|1e9|%00|'
    r"(\.\./){3}etc/passwd|<script>|' OR 1=1|\{\{7\*7\}\}|a{2001}",
    fullmatch=True,
)
NAMES = st.sampled_from([*Parameters.model_fields, "from", "to", "select", "answer", "nonsense"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["/search", "/similar/1000", "/map.json", "/export.csv", "/ask", "/", "/map"]),
    st.lists(st.tuples(NAMES, NASTY | st.text(max_size=20)), max_size=6),
    st.lists(NASTY | st.text(max_size=8), min_size=1, max_size=4),
)
def test_hostile_parameters_are_answered_or_refused(
    client: TestClient, path: str, parameters: list[tuple[str, str]], words: list[str]
) -> None:
    response = client.get(path, params=[("q", " ".join(words)), *parameters])
    assert 200 <= response.status_code < 300 or 400 <= response.status_code < 500, (
        response.url,
        response.text[:500],
    )
