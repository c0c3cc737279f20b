"""The clients that people have, as they are, against the server."""

from __future__ import annotations

import threading
import time

import httpx
import numpy as np
import pytest
from embedding_world import TEXTS, Gate
from web_world import serving

from pubvec.encoder import load
from pubvec.server.app import create_app
from pubvec.server.config import LimitsConfig, ServerConfig

KEY = "a-key"


@pytest.fixture(scope="module")
def encoder(tiny_model):
    return load(tiny_model)


@pytest.fixture(scope="module")
def address(encoder):
    with serving(create_app(encoder=encoder, config=ServerConfig("0.0.0.0", key=KEY))) as address:
        yield address


@pytest.fixture(scope="module")
def expected(encoder):
    return encoder.encode(TEXTS)


def test_openai(address, encoder, expected):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{address}/v1", api_key=KEY)
    assert [model.id for model in client.models.list()] == [encoder.name]
    assert client.models.retrieve(encoder.name).id == encoder.name
    answer = client.embeddings.create(model=encoder.name, input=TEXTS)  # asks for base64
    np.testing.assert_allclose([each.embedding for each in answer.data], expected, atol=1e-6)
    plain = client.embeddings.create(model=encoder.name, input=TEXTS, encoding_format="float", dimensions=8)
    np.testing.assert_allclose(
        [each.embedding for each in plain.data], encoder.encode(TEXTS, truncate_dim=8), atol=1e-6
    )
    tokens = client.embeddings.create(model=encoder.name, input=encoder.tokenize(TEXTS))
    assert tokens.usage.prompt_tokens == sum(map(len, encoder.tokenize(TEXTS)))
    np.testing.assert_allclose([each.embedding for each in tokens.data], expected, atol=1e-6)
    named = client.embeddings.create(model="text-embedding-3-small", input=TEXTS)
    np.testing.assert_allclose([each.embedding for each in named.data], expected, atol=1e-6)
    assert named.model == encoder.name, "the answer says which model it was"
    with pytest.raises(openai.NotFoundError, match="is not served here"):
        client.models.retrieve("another")
    with pytest.raises(openai.UnprocessableEntityError, match="999 dimensions"):
        client.embeddings.create(model=encoder.name, input="a", dimensions=999)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{address}/v1", api_key="wrong").models.list()


def test_openai_knows_an_overload_for_one(encoder):
    openai = pytest.importorskip("openai")
    gate = Gate(encoder)
    with serving(create_app(encoder=gate, limits=LimitsConfig(max_concurrent_requests=1))) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        ask = {"model": encoder.name, "input": "a"}
        first = threading.Thread(target=client.embeddings.create, kwargs=ask)
        first.start()
        while "pubvec_running_requests 1.0" not in httpx.get(f"{address}/metrics").text:
            time.sleep(0.01)
        with pytest.raises(openai.RateLimitError, match="max_concurrent_requests"):
            client.embeddings.create(**ask)
        gate.is_open.set()
        first.join()


def test_hugging_face(address, encoder, expected, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # of this machine it may ask
    client = hub.InferenceClient(base_url=address, token=KEY)
    np.testing.assert_allclose(client.feature_extraction(TEXTS[0]), expected[:1], atol=1e-6)
    longer = hub.InferenceClient(base_url=f"{address}/embed", token=KEY)
    np.testing.assert_allclose(
        longer.feature_extraction(TEXTS[0], normalize=False),
        encoder.encode(TEXTS[:1], normalize_embeddings=False),
        rtol=1e-5,
        atol=1e-6,
    )
    similar = hub.InferenceClient(base_url=f"{address}/similarity", token=KEY)
    cosines = similar.sentence_similarity(TEXTS[0], TEXTS[1:])
    np.testing.assert_allclose(cosines, expected[0] @ expected[1:].T, atol=1e-5)


def test_langchain(address, encoder, expected):
    langchain = pytest.importorskip("langchain_openai")
    embeddings = langchain.OpenAIEmbeddings(
        base_url=f"{address}/v1",
        api_key=KEY,
        model=encoder.name,
        check_embedding_ctx_length=False,  # else it sends the tokens of another model
    )
    np.testing.assert_allclose(embeddings.embed_documents(TEXTS), expected, atol=1e-6)
    np.testing.assert_allclose(embeddings.embed_query(TEXTS[0]), expected[0], atol=1e-6)


def test_llama_index(address, encoder, expected):
    tei = pytest.importorskip("llama_index.embeddings.text_embeddings_inference")
    embeddings = tei.TextEmbeddingsInference(
        base_url=address,
        model_name=encoder.name,
        auth_token=KEY,
        query_instruction="",
        text_instruction="",
    )
    np.testing.assert_allclose(embeddings.get_text_embedding_batch(TEXTS), expected, atol=1e-6)
    np.testing.assert_allclose(embeddings.get_query_embedding(TEXTS[0]), expected[0], atol=1e-6)
