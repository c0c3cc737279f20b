"""The embedding endpoints of OpenAI's API (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

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
    """Must be the one that is served, if it is given."""
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


def make_openai_router(embedder: Embedder) -> APIRouter:
    """Return the routes `/v1/embeddings`, `/embeddings` and `/v1/models`."""
    router = APIRouter(tags=["OpenAI"], responses=OPENAI_ERRORS)
    name = embedder.encoder.name

    async def embeddings(request: EmbeddingsRequest) -> Response:
        """Return the vectors of texts. Texts that are too long for the model are truncated."""
        if request.model not in (None, name):
            raise ApiError(404, f"the model {request.model!r:.80} is not served here: {name!r} is")
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
