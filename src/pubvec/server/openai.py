"""The embedding endpoints of OpenAI's API (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal
from uuid import uuid4

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from pubvec.encoder import OutputFormat
from pubvec.server.api_errors import JSON, OPENAI_ERRORS, ApiError, dump_json
from pubvec.server.embedding import Embedder, Inputs


class EmbeddingsRequest(BaseModel):
    """Texts, and the format of their vectors. Unknown fields are ignored, as OpenAI's clients send some."""

    input: Inputs
    """Texts or lists of token ids. The ids are those of this server's model."""
    model: str | None = None
    """Name of the model. Any name is accepted unless the server runs with `--strict-model`."""
    encoding_format: Literal["float", "base64"] = "float"
    """`base64` encodes the vector as little-endian float32."""
    dimensions: Annotated[int, Field(ge=1)] | None = None
    """Number of leading dimensions to keep. The model must have been trained for this number."""


class Embedding(BaseModel):
    """One vector of unit length."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Number of tokens that were read, including special tokens."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """The vectors, in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class RerankDocument(BaseModel):
    """A document to rank."""

    text: str


class RerankRequest(BaseModel):
    """A query, and documents to rank by relevance to it. Unknown fields are ignored."""

    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[list[str | RerankDocument], Field(min_length=1)]
    model: str | None = None
    """Name of the model. Any name is accepted unless the server runs with `--strict-model`."""
    top_n: Annotated[int, Field(ge=1)] | None = None
    """Number of documents to return. None returns all of them."""
    return_documents: bool = False
    """True returns the text of each document, too."""


class RerankResult(BaseModel):
    """The relevance of one document."""

    index: int
    """Index of the document in the request."""
    relevance_score: float
    document: RerankDocument | None = None


class RerankResponse(BaseModel):
    """The documents, the most relevant first."""

    id: str
    model: str
    results: list[RerankResult]


class Model(BaseModel):
    """A served model."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "pubvec"


class ModelsResponse(BaseModel):
    """The list of served models."""

    object: Literal["list"] = "list"
    data: list[Model]


def make_openai_router(embedder: Embedder, *, is_strict: bool = False) -> APIRouter:
    """Return the routes `/v1/embeddings`, `/embeddings`, `/v1/models` and `/v1/rerank`.

    Args:
        embedder: Encodes and scores.
        is_strict: True refuses a request that names another model than the served one. Programs are often configured with
            the name of a model of OpenAI, so by default the name is ignored.
    """
    router = APIRouter(tags=["OpenAI"], responses=OPENAI_ERRORS)
    name = embedder.encoder.name

    def check_model(model: str | None) -> None:
        if is_strict and model not in (None, name):
            raise ApiError(404, f"the model {model!r:.80} is not served here: {name!r} is")

    async def embeddings(request: EmbeddingsRequest) -> Response:
        """Return the vectors of texts. Texts that are too long for the model are truncated."""
        check_model(request.model)
        prepared = await embedder.prepare(request.input)
        vectors = await embedder.embed(prepared, OutputFormat(truncate_dim=request.dimensions))
        rows: list[Any] = list(vectors)
        if request.encoding_format == "base64":
            rows = [base64.b64encode(row).decode() for row in vectors.astype("<f4", copy=False)]
        n_tokens = prepared.n_tokens
        answer = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)
            ],
            "model": name,
            "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens},
        }
        return Response(dump_json(answer), media_type=JSON)

    for path in ("/v1/embeddings", "/embeddings"):
        router.post(path, response_model=EmbeddingsResponse, operation_id=path.strip("/").replace("/", "_"))(
            embeddings
        )

    @router.post("/v1/rerank", response_model_exclude_none=True)
    async def rerank(request: RerankRequest) -> RerankResponse:
        """Rank documents by relevance to a query, as the APIs of Cohere and Jina do."""
        check_model(request.model)
        return await _rerank(embedder, request)

    @router.get("/v1/models")
    async def models() -> ModelsResponse:
        """List the served model."""
        return ModelsResponse(data=[Model(id=name)])

    @router.get("/v1/models/{model:path}")
    async def model(model: str) -> Model:
        """Describe the served model by its name."""
        if model != name:
            raise ApiError(404, f"the model {model!r:.80} is not served here: {name!r} is")
        return Model(id=name)

    return router


async def _rerank(embedder: Embedder, request: RerankRequest) -> RerankResponse:
    texts = [each if isinstance(each, str) else each.text for each in request.documents]
    scores = await embedder.score(request.query, texts)
    shown = embedder.probabilities(scores)
    order = np.argsort(-scores, kind="stable")[: request.top_n]
    results = [
        RerankResult(
            index=int(index),
            relevance_score=float(shown[index]),
            document=RerankDocument(text=texts[index]) if request.return_documents else None,
        )
        for index in order
    ]
    scorer = embedder.reranker or embedder.encoder
    return RerankResponse(id=uuid4().hex, model=scorer.name, results=results)
