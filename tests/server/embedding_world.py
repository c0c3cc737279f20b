"""A server of embeddings over a tiny model, in this process or at an address."""

from __future__ import annotations

import threading
from typing import Any

from starlette.testclient import TestClient

from pubvec.encoder.text_encoder import TextEncoder
from pubvec.server.app import create_app
from pubvec.server.config import LimitsConfig, ServerConfig

TEXTS = [
    "Aspirin after a stroke.",
    "Does metformin cause lactic acidosis in patients with impaired kidneys?",
    "β-Blockers, naïve patients and 5 µg of vitamin D",
    "malaria",
]


def make_client(
    encoder: TextEncoder, *, config: ServerConfig | None = None, reranker: Any = None, **limits: float
) -> TestClient:
    """A client of a server with these limits."""
    app = create_app(encoder=encoder, reranker=reranker, limits=LimitsConfig(**limits), config=config)
    return TestClient(app, raise_server_exceptions=False)


class Gate:
    """An encoder that computes when it is let."""

    def __init__(self, encoder) -> None:
        self._encoder = encoder
        self.is_open = threading.Event()

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def encode_tokens(self, tokens, *, is_alone):
        assert self.is_open.wait(20)
        return self._encoder.encode_tokens(tokens, is_alone=is_alone)
