"""Embeddings as OpenAI's API has them (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from pubvec.encoder import EmbeddingForm
from pubvec.server.embedding import Embedder, Inputs
from pubvec.server.limits import Refusal
from pubvec.server.refusals import OPENAI_REFUSALS
from pubvec.server.writing import JSON, write_json


class EmbeddingsRequest(BaseModel):
    """Texts, and the form in which their vectors are wanted. What it does not name is ignored."""

    input: Inputs
    """Token ids are those of this server's model."""
    model: str | None = None
    """Must be the one that is served, if it is given."""
    encoding_format: Literal["float", "base64"] = "float"
    """`base64`: little-endian float32."""
    dimensions: Annotated[int, Field(ge=1)] | None = None
    """Leading dimensions to keep, for models trained for it."""


class Embedding(BaseModel):
    """One vector of unit length."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """What was read, the special tokens included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """Vectors, in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class Model(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "pubvec"


class ModelsAnswer(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


def make_openai_router(embedder: Embedder) -> APIRouter:
    """`/v1/embeddings`, the same as `/embeddings`, and `/v1/models`."""
    router = APIRouter(tags=["OpenAI"], responses=OPENAI_REFUSALS)
    name = embedder.encoder.name

    async def embeddings(request: EmbeddingsRequest) -> Response:
        """Vectors of texts. A text longer than the model reads is cut."""
        if request.model not in (None, name):
            raise Refusal(404, f"the model {request.model!r:.80} is not served here: {name!r} is")
        prepared = await embedder.prepare(request.input)
        vectors = await embedder.embed(prepared, EmbeddingForm(dimensions=request.dimensions))
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
        return Response(write_json(answer), media_type=JSON)

    for path in ("/v1/embeddings", "/embeddings"):
        router.post(path, response_model=EmbeddingsAnswer, operation_id=path.strip("/").replace("/", "_"))(
            embeddings
        )

    @router.get("/v1/models")
    async def models() -> ModelsAnswer:
        """The model that is served."""
        return ModelsAnswer(data=[Model(id=name)])

    @router.get("/v1/models/{model:path}")
    async def model(model: str) -> Model:
        """The model that is served, by its name."""
        if model != name:
            raise Refusal(404, f"the model {model!r:.80} is not served here: {name!r} is")
        return Model(id=name)

    return router
