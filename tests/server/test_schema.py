"""Whatever the OpenAPI document allows or forbids is answered as it says: schemathesis tries all of it."""

from __future__ import annotations

import contextlib

import hypothesis
import pytest
from web_world import make_web_index

from pubvec.retrieval.searcher import Searcher
from pubvec.server.app import create_app

pytestmark = pytest.mark.slow

schemathesis = pytest.importorskip("schemathesis")
positive_data_acceptance = pytest.importorskip("schemathesis.specs.openapi.checks").positive_data_acceptance


@pytest.fixture(scope="module")
def documented(tmp_path_factory, tiny_model):
    searcher = Searcher(make_web_index(tmp_path_factory.mktemp("schema"), tiny_model, 60))
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(searcher=searcher))


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_endpoint_keeps_to_its_schema(documented, mode):
    """What it allows, and what it forbids. Which tokens a model has and which queries are well formed no schema says."""
    for found in documented.get_all_operations():
        operation = found.ok()
        cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))

        @hypothesis.settings(
            max_examples=25,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            derandomize=True,
            database=None,
        )
        @hypothesis.given(case=cases)
        def keep(case):
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # nothing is forbidden
            keep()


def test_every_endpoint_is_documented(documented):
    paths = set(documented.raw_schema["paths"])
    assert paths >= {
        *("/v1/embeddings", "/v1/models", "/embed", "/embed_all", "/rerank", "/similarity", "/tokenize"),
        *("/decode", "/info", "/health", "/metrics", "/search", "/articles/{pmid}", "/similar/{pmid}"),
        *("/export.{suffix}", "/ask"),
    }
