"""The embedding endpoints of both protocols give what the encoder gives, in the form that each protocol wants."""

from __future__ import annotations

import base64
import json
import re
import shutil

import numpy as np
import pytest
from embedding_world import TEXTS, make_client
from starlette.testclient import TestClient

from pubvec.encoder import load, load_scorer
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.server.config import ServerConfig


@pytest.fixture(scope="module")
def encoder(tiny_model) -> TextEncoder:
    return load(tiny_model)


@pytest.fixture(scope="module")
def client(encoder):
    with make_client(encoder) as client:
        yield client


def embed(client: TestClient, inputs, **others):
    response = client.post("/embed", json={"inputs": inputs, **others})
    assert response.status_code == 200, response.text
    return np.array(response.json(), np.float32)


def openai(client: TestClient, given, **others):
    response = client.post("/v1/embeddings", json={"input": given, **others})
    assert response.status_code == 200, response.text
    return response.json()


def test_vectors_are_the_encoders(client, encoder):
    expected = encoder.encode(TEXTS)
    np.testing.assert_allclose(embed(client, TEXTS), expected, atol=1e-6)
    answer = openai(client, TEXTS)
    np.testing.assert_allclose([each["embedding"] for each in answer["data"]], expected, atol=1e-6)
    assert [each["index"] for each in answer["data"]] == [0, 1, 2, 3]
    n_tokens = sum(map(len, encoder.tokenize(TEXTS)))
    assert answer["usage"] == {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
    assert answer["model"] == encoder.name


def test_one_text_is_a_list_of_one(client, encoder):
    assert embed(client, TEXTS[0]).shape == (1, encoder.dim)
    assert len(openai(client, TEXTS[0])["data"]) == 1


def test_token_ids_with_or_without_special_tokens_are_the_text(client, encoder):
    tokens = encoder.tokenize(TEXTS)
    expected = encoder.encode(TEXTS)
    np.testing.assert_allclose(embed(client, tokens), expected, atol=1e-6)
    np.testing.assert_allclose(embed(client, [ids[1:-1] for ids in tokens]), expected, atol=1e-6)
    np.testing.assert_allclose(embed(client, tokens[1]), expected[1:2], atol=1e-6)


def test_base64_is_little_endian_float32(client, encoder):
    answer = openai(client, TEXTS, encoding_format="base64")
    rows = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in answer["data"]]
    np.testing.assert_allclose(rows, encoder.encode(TEXTS), atol=1e-6)


def test_dimensions_are_cut_before_the_length_is_made_one(client, encoder):
    expected = encoder.encode(TEXTS, truncate_dim=8)
    np.testing.assert_allclose(embed(client, TEXTS, dimensions=8), expected, atol=1e-6)
    answer = openai(client, TEXTS, dimensions=8)
    np.testing.assert_allclose([each["embedding"] for each in answer["data"]], expected, atol=1e-6)


def test_normalize_off_keeps_the_length(client, encoder):
    expected = encoder.encode(TEXTS, normalize_embeddings=False)
    np.testing.assert_allclose(embed(client, TEXTS, normalize=False), expected, rtol=1e-5, atol=1e-6)


def test_normalize_off_gives_the_raw_vector_of_a_model_that_normalizes(tiny_model, encoder, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "normalized")
    modules = json.loads((folder / "modules.json").read_text())
    kind = "sentence_transformers.models.Normalize"
    modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": kind})
    (folder / "modules.json").write_text(json.dumps(modules))
    with make_client(load(folder)) as client:
        raw = embed(client, TEXTS, normalize=False)
        whole = embed(client, TEXTS)
    np.testing.assert_allclose(raw, encoder.encode(TEXTS, normalize_embeddings=False), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(whole, encoder.encode(TEXTS), atol=1e-6)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).min() > 0.01


def test_the_document_of_the_api_says_how_a_key_is_sent_and_has_a_page(client, encoder):
    document = client.get("/openapi.json").json()
    assert {each["scheme"] for each in document["components"]["securitySchemes"].values()} == {
        "bearer",
        "basic",
    }
    assert {} in document["security"]
    with make_client(encoder, config=ServerConfig(key="k" * 20)) as locked:
        assert locked.get("/docs").status_code == 401
        headers = {"Authorization": f"Bearer {'k' * 20}"}
        document = locked.get("/openapi.json", headers=headers).json()
        assert {} not in document["security"]
        assert document["paths"]["/health"]["get"]["security"] == []
    page = client.get("/docs")
    assert "unsafe" not in page.headers["content-security-policy"]
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert client.get(address).status_code == 200
    assert "http" not in re.sub(r"<!.*?>", "", page.text)
    assert client.get("/docs/nothing.js").status_code == 404


def test_a_long_text_is_cut_at_the_side_that_is_asked_for(client, encoder):
    words = [f"{TEXTS[number % 4]} {number}" for number in range(300)]
    long, limit = " ".join(words), encoder.max_seq_length
    tokens = encoder.tokenizer.encode([long])[0]
    assert len(tokens) > limit
    first, last = tokens[: limit - 1] + tokens[-1:], tokens[:1] + tokens[-limit + 1 :]
    np.testing.assert_allclose(embed(client, long), embed(client, first), atol=1e-6)
    np.testing.assert_allclose(
        embed(client, long, truncation_direction="Left"), embed(client, last), atol=1e-6
    )
    refused = client.post("/embed", json={"inputs": long, "truncate": False})
    assert refused.status_code == 422
    assert f"the model reads {limit}" in refused.json()["error"]
    assert refused.json()["error_type"] == "tokenizer"


def test_embed_all_gives_each_tokens_vector(client, encoder):
    answer = client.post("/embed_all", json={"inputs": TEXTS}).json()
    assert [len(each) for each in answer] == [len(tokens) for tokens in encoder.tokenize(TEXTS)]
    for vectors, expected in zip(answer, encoder.encode(TEXTS), strict=True):
        mean = np.mean(vectors, axis=0)
        np.testing.assert_allclose(mean / np.linalg.norm(mean), expected, atol=1e-5)


def test_the_exported_graph_gives_token_vectors_too():
    encoder = load("pubvec-small")
    with make_client(encoder) as client:
        vectors = client.post("/embed_all", json={"inputs": TEXTS[:1]}).json()[0]
    mean = np.mean(vectors, axis=0)
    np.testing.assert_allclose(mean / np.linalg.norm(mean), encoder.encode(TEXTS[:1])[0], atol=1e-4)


def test_similarity_is_the_cosine(client, encoder):
    inputs = {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}
    answer = client.post("/similarity", json={"inputs": inputs}).json()
    np.testing.assert_allclose(answer, encoder.similarity(TEXTS[:1], TEXTS[1:])[0], atol=1e-5)


def test_rerank_by_cosine_where_there_is_no_reranker(client, encoder):
    answer = client.post("/rerank", json={"query": TEXTS[0], "texts": TEXTS[1:], "return_text": True}).json()
    cosines = encoder.similarity(TEXTS[:1], TEXTS[1:])[0]
    assert [each["index"] for each in answer] == np.argsort(-cosines).tolist()
    np.testing.assert_allclose([each["score"] for each in answer], -np.sort(-cosines), rtol=1e-5)
    assert all(each["text"] == TEXTS[1 + each["index"]] for each in answer)


def test_rerank_by_a_cross_encoder(encoder, cross):
    reranker = load_scorer(cross)
    logits = reranker.score([(TEXTS[0], text) for text in TEXTS[1:]])
    with make_client(encoder, reranker=reranker) as client:
        request = {"query": TEXTS[0], "texts": TEXTS[1:]}
        probabilities = client.post("/rerank", json=request).json()
        raw = client.post("/rerank", json={**request, "raw_scores": True}).json()
        assert client.get("/info").json()["reranker"] == reranker.name
    assert [each["index"] for each in raw] == np.argsort(-logits, kind="stable").tolist()
    by_index = {each["index"]: each["score"] for each in probabilities}
    np.testing.assert_allclose([by_index[n] for n in range(3)], 1 / (1 + np.exp(-logits)), rtol=1e-5)
    np.testing.assert_allclose([each["score"] for each in raw], -np.sort(-logits), rtol=1e-5)


def test_tokenize_and_decode_are_each_others_inverse(client, encoder):
    tokens = client.post("/tokenize", json={"inputs": TEXTS}).json()
    assert [[token["id"] for token in each] for each in tokens] == encoder.tokenize(TEXTS)
    first = tokens[0]
    assert first[0]["special"] and "start" not in first[0]
    assert all(token["stop"] > token["start"] for token in first[1:-1])
    plain = client.post("/tokenize", json={"inputs": TEXTS[3], "add_special_tokens": False}).json()[0]
    assert [token["id"] for token in plain] == encoder.tokenize([TEXTS[3]])[0][1:-1]
    ids = [[token["id"] for token in each] for each in tokens]
    assert client.post("/decode", json={"ids": ids}).json()[3] == TEXTS[3]
    assert client.post("/decode", json={"ids": ids[3]}).json() == [TEXTS[3]]
    kept = client.post("/decode", json={"ids": ids[3], "skip_special_tokens": False}).json()[0]
    assert kept != TEXTS[3] and TEXTS[3] in kept


def test_models_are_listed_and_others_refused(client, encoder):
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == [encoder.name]
    assert client.get(f"/v1/models/{encoder.name}").json()["id"] == encoder.name
    assert client.get("/v1/models/other/model").status_code == 404


def test_info_names_the_model_and_every_limit(encoder):
    limits = {
        "max_concurrent_requests": 3,
        "max_waiting_tokens": 700,
        "max_client_batch_size": 5,
        "max_batch_tokens": 600,
        "payload_limit": 1000,
        "request_timeout_s": 7.0,
    }
    with make_client(encoder, **limits) as client:
        info = client.get("/info").json()
    assert info.items() >= limits.items()
    assert info["model_id"] == encoder.name
    assert info["max_input_length"] == encoder.max_seq_length
    assert info["dimensions"] == encoder.dim


@pytest.mark.parametrize("path", ["/health", "/ping"])
def test_health(client, path):
    assert client.get(path).status_code == 200


def test_metrics_count_requests_by_route_and_never_by_text(client):
    embed(client, "a secret question about aspirin")
    text = client.get("/metrics").text
    assert 'pubvec_requests_total{method="POST",route="/embed",status="200"}' in text
    assert "pubvec_batch_tokens_bucket" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/embed", {"inputs": []}, 400, "there is no input"),
        ("/embed", {"inputs": ["a", ""]}, 400, "input 1 (counted from 0) is empty"),
        ("/embed", {"inputs": [[]]}, 400, "input 0"),
        ("/embed", {"inputs": 7}, 422, "expected a string, a list of strings"),
        ("/embed", {"inputs": ["a", 1]}, 422, "expected a string"),
        ("/embed", {"inputs": [True]}, 422, "expected a string"),
        ("/embed", {"inputs": [[1], "a"]}, 422, "expected a string"),
        ("/embed", {"inputs": [10**9]}, 422, "token 1000000000 is not of this model"),
        ("/embed", {"inputs": [-1]}, 422, "token -1"),
        ("/embed", {"inputs": "a", "dimensions": 0}, 422, "dimensions"),
        ("/embed", {"inputs": "a", "dimensions": 100000}, 422, "the model has"),
        ("/embed", {"inputs": "a", "prompt_name": "nothing"}, 422, "prompt_name must be query or document"),
        ("/embed", {}, 422, "inputs"),
        ("/embed", [], 422, ""),
        ("/rerank", {"query": "a", "texts": []}, 400, "there is no input"),
        ("/rerank", {"query": "", "texts": ["a"]}, 422, "query"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 400, "there is no input"),
        ("/tokenize", {"inputs": []}, 400, "there is no input"),
        ("/decode", {"ids": []}, 400, "there is no input"),
        ("/decode", {"ids": [10**30]}, 422, ""),
        ("/decode", {"ids": [123456]}, 422, "token 123456"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(client, path, body, status, said):
    response = client.post(path, json=body)
    assert response.status_code == status, response.text
    assert said in response.json()["error"]
    assert response.json()["error_type"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"input": []}, 400, "there is no input"),
        ({"input": ""}, 400, "is empty"),
        ({"input": "a", "encoding_format": "float16"}, 422, "encoding_format"),
        ({"input": "a", "dimensions": 100000}, 422, "the model has"),
        ({"input": {"a": 1}}, 422, "expected a string"),
    ],
)
def test_openai_gets_refusals_in_its_own_form(client, body, status, said):
    response = client.post("/v1/embeddings", json=body)
    assert response.status_code == status
    error = response.json()["error"]
    assert said in error["message"]
    assert error["type"] == "invalid_request_error"


def test_the_queries_of_a_model_with_prompts_get_theirs(tmp_path, tiny_model):
    folder = tmp_path / "prompted"
    shutil.copytree(tiny_model, folder)
    path = folder / "config_sentence_transformers.json"
    config = json.loads(path.read_text())
    config |= {"prompts": {"query": "query: ", "document": "passage: "}, "default_prompt_name": None}
    path.write_text(json.dumps(config))
    encoder = load(folder)
    with make_client(encoder) as client:
        got = embed(client, TEXTS, prompt_name="query")
    np.testing.assert_allclose(got, encoder.encode(TEXTS, prompt="query: "), atol=1e-6)
    assert np.abs(got - encoder.encode(TEXTS)).max() > 1e-3


def test_an_app_without_an_index_has_no_pages(client):
    assert client.get("/").content == b"", "an empty answer to a probe"
    answer = client.get("/search", params={"q": "aspirin"}, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert answer.json()["error_type"] == "not_found"


def test_any_name_of_a_model_is_answered_unless_names_are_strict(encoder, client):
    assert openai(client, "a", model="text-embedding-ada-002")["model"] == encoder.name
    with make_client(encoder, config=ServerConfig(strict_model=True)) as strict:
        headers = {"Host": "localhost"}
        for path, ask in (
            ("/v1/embeddings", {"input": "a"}),
            ("/v1/rerank", {"query": "a", "documents": ["b"]}),
        ):
            assert strict.post(path, json={**ask, "model": encoder.name}, headers=headers).status_code == 200
            assert strict.post(path, json=ask, headers=headers).status_code == 200
            refused = strict.post(path, json={**ask, "model": "another"}, headers=headers)
            assert refused.status_code == 404
            assert refused.json()["error"]["type"] == "not_found_error"


def test_rerank_in_the_form_of_cohere_and_jina(client):
    texts = [*TEXTS, ""]
    ranked = client.post("/rerank", json={"query": TEXTS[0], "texts": texts}).json()
    documents = [*TEXTS[:2], *({"text": text} for text in texts[2:])]
    answer = client.post(
        "/v1/rerank", json={"query": TEXTS[0], "documents": documents, "model": "rerank-v3.5"}
    )
    results = answer.json()["results"]
    assert [(each["index"], each["relevance_score"]) for each in results] == [
        (each["index"], each["score"]) for each in ranked
    ]
    assert all("document" not in each for each in results)
    asked = {"query": TEXTS[0], "documents": documents, "top_n": 2, "return_documents": True}
    best = client.post("/v1/rerank", json=asked).json()["results"]
    assert [each["document"]["text"] for each in best] == [texts[each["index"]] for each in results[:2]]
    assert client.post("/v1/rerank", json={"query": "a", "documents": []}).status_code == 422


def test_one_empty_text_is_ranked(client):
    ranked = client.post("/rerank", json={"query": "a", "texts": [""]})
    assert ranked.status_code == 200
    assert list(ranked.json()[0]) == ["index", "score"], "no text: null"


@pytest.mark.parametrize(("path", "reason"), [("/predict", "classifier"), ("/embed_sparse", "sparse")])
def test_what_this_kind_of_model_cannot_do_is_424(client, path, reason):
    answer = client.post(path, json={"inputs": "a"})
    assert answer.status_code == 424
    assert answer.json()["error_type"] == "backend"
    assert reason in answer.json()["error"]


@pytest.mark.parametrize("path", ["/", "/health", "/ping"])
def test_probes_by_head(client, path):
    for method in ("HEAD", "GET"):
        answer = client.request(method, path)
        assert answer.status_code == 200
        assert answer.content == b""


def test_the_work_of_a_request_is_in_its_headers(client, encoder):
    headers = client.post("/embed", json={"inputs": TEXTS}).headers
    assert headers["x-compute-type"] == "cpu"
    assert int(headers["x-compute-characters"]) == sum(map(len, TEXTS))
    assert int(headers["x-compute-tokens"]) == sum(map(len, encoder.tokenize(TEXTS)))
    assert int(headers["x-compute-time"]) >= int(headers["x-tokenization-time"]) >= 0
    for path, body in {
        "/embed": {"inputs": TEXTS},
        "/embed_all": {"inputs": TEXTS},
        "/rerank": {"query": TEXTS[0], "texts": TEXTS},
    }.items():
        headers = client.post(path, json=body).headers
        names = ("x-queue-time", "x-inference-time", "x-tokenization-time")
        # Each is rounded to a whole millisecond.
        assert sum(int(headers[name]) for name in names) <= int(headers["x-total-time"]) + 2


def test_null_fields_are_left_out(client, encoder):
    info = client.get("/info").json()
    assert None not in info.values()
    assert info["served_model_name"] == encoder.name
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    special = client.post("/tokenize", json={"inputs": "a"}).json()[0][0]
    assert special["special"] and "start" not in special


def test_tokenize_with_a_prompt(client, encoder):
    prompt = encoder.prompts.query
    with_prompt = client.post("/tokenize", json={"inputs": "a b", "prompt_name": "query"}).json()
    assert with_prompt == client.post("/tokenize", json={"inputs": f"{prompt}a b"}).json()
    assert client.post("/tokenize", json={"inputs": "a", "prompt_name": "none"}).status_code == 422


def test_metrics_by_the_names_of_tei(client):
    client.post("/embed", json={"inputs": TEXTS})
    client.post("/embed", json={"inputs": []})
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    assert float(lines['te_request_count{method="/embed"}']) >= 2
    assert float(lines['te_request_success{method="/embed"}']) >= 1
    assert float(lines['te_request_failure{method="/embed"}']) >= 1
    assert lines["te_queue_size"] == "0.0"
    assert {"te_batch_next_size_count", "te_batch_next_tokens_count", "te_request_duration_count"} <= {
        name.partition("{")[0] for name in lines
    }
