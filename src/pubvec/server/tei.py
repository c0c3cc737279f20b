"""The endpoints of text-embeddings-inference (https://huggingface.github.io/text-embeddings-inference/)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from pubvec.encoder import EmbeddingForm, Side, Token, choose_backend
from pubvec.errors import InputError
from pubvec.server.embedding import Embedder, Inputs
from pubvec.server.limits import Refusal
from pubvec.server.metrics import CONTENT_TYPE, Metrics
from pubvec.server.refusals import REFUSALS
from pubvec.server.writing import JSON, write_json
from pubvec.version import __version__


class _Cutting(BaseModel):
    """How a text that is longer than the model reads is dealt with."""

    truncate: bool | None = None
    """False: it is refused. None, as here by default: it is cut."""
    truncation_direction: Literal["left", "right", "Left", "Right"] = "right"
    """The end that is cut off."""
    prompt_name: str | None = None
    """`query` or `document`, of the model's prompts."""

    @property
    def side(self) -> Side:
        return "left" if self.truncation_direction.lower() == "left" else "right"

    @property
    def is_cut(self) -> bool:
        return self.truncate is not False


class EmbedRequest(_Cutting):
    """Texts, and the form in which their vectors are wanted."""

    inputs: Inputs
    normalize: bool = True
    dimensions: Annotated[int, Field(ge=1)] | None = None


class EmbedAllRequest(_Cutting):
    """Texts whose tokens' vectors are wanted."""

    inputs: Inputs


class RerankRequest(BaseModel):
    """A query and texts that may answer it."""

    query: Annotated[str, Field(min_length=1)]
    texts: list[str]
    raw_scores: bool = False
    """Logits, MaxSim or cosines rather than probabilities."""
    return_text: bool = False
    truncate: bool | None = None
    truncation_direction: Literal["left", "right", "Left", "Right"] = "right"


class Rank(BaseModel):
    """A text's place."""

    index: int
    score: float
    text: str | None = None


class SimilarityInputs(BaseModel):
    """A text, and those that it is compared with."""

    source_sentence: Annotated[str, Field(min_length=1)]
    sentences: list[str]


class SimilarityRequest(BaseModel):
    """A text, and those that it is compared with."""

    inputs: SimilarityInputs
    parameters: _Cutting | None = None


class TokenizeRequest(BaseModel):
    """Texts."""

    inputs: str | list[str]
    add_special_tokens: bool = True


class TokenAnswer(BaseModel):
    """A token of a text."""

    id: int
    text: str
    special: bool
    start: int | None
    """Characters of the text; null of a special token."""
    stop: int | None


class DecodeRequest(BaseModel):
    """Token ids of one text or many."""

    ids: list[int] | list[list[int]]
    skip_special_tokens: bool = True


class InfoAnswer(BaseModel):
    """The model and the limits."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    model_type: dict[str, Any]
    dimensions: int
    reranker: str | None
    max_input_length: int | None
    auto_truncate: bool
    max_concurrent_requests: int
    max_waiting_tokens: int
    max_client_batch_size: int
    max_batch_tokens: int
    payload_limit: int
    request_timeout_s: float
    version: str


def make_tei_router(embedder: Embedder, metrics: Metrics) -> APIRouter:
    """`/embed` (also `POST /`), `/embed_all`, `/rerank`, `/similarity`, `/tokenize`, `/decode`, `/info`, `/health`,
    `/ping` and `/metrics`.
    """
    router = APIRouter(tags=["text-embeddings-inference"], responses=REFUSALS)
    encoder = embedder.encoder

    @router.post("/", response_model=list[list[float]], operation_id="embed_root")
    @router.post("/embed", response_model=list[list[float]])
    async def embed(request: EmbedRequest) -> Response:
        """A vector of each text."""
        form = EmbeddingForm(request.normalize, request.dimensions)
        vectors = await embedder.embed(await _prepare(request), form)
        return Response(write_json(vectors), media_type=JSON)

    @router.post("/embed_all", response_model=list[list[list[float]]])
    async def embed_all(request: EmbedAllRequest) -> Response:
        """A vector of each token of each text: the model's last layer, special tokens included."""
        vectors = await embedder.embed_each_token(await _prepare(request))
        return Response(write_json(vectors), media_type=JSON)

    @router.post("/rerank")
    async def rerank(request: RerankRequest) -> list[Rank]:
        """The texts, the most relevant first."""
        scores = await embedder.score(request.query, request.texts, truncate=request.truncate is not False)
        shown = scores if request.raw_scores else embedder.probabilities(scores)
        return [
            Rank(
                index=int(index),
                score=float(shown[index]),
                text=request.texts[index] if request.return_text else None,
            )
            for index in np.argsort(-scores, kind="stable")
        ]

    @router.post("/similarity")
    async def similarity(request: SimilarityRequest) -> list[float]:
        """Cosine of a text to each of the others."""
        cutting, name = request.parameters or _Cutting(), (request.parameters or _Cutting()).prompt_name
        cosines = await embedder.compare(
            request.inputs.source_sentence,
            request.inputs.sentences,
            names=(name, name),
            truncate=cutting.is_cut,
            side=cutting.side,
        )
        return [float(cosine) for cosine in cosines]

    @router.post("/tokenize")
    def tokenize(request: TokenizeRequest) -> list[list[TokenAnswer]]:
        """The tokens of each whole text."""
        texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        embedder.check_number(len(texts))
        special = request.add_special_tokens
        tokens = [encoder.tokenizer.describe(text, has_special_tokens=special) for text in texts]
        return [[_describe(token) for token in each] for each in tokens]

    @router.post("/decode")
    def decode(request: DecodeRequest) -> list[str]:
        """A text of each list of token ids."""
        many: Sequence[Any] = request.ids
        if many and isinstance(many[0], int):
            many = [many]
        embedder.check_number(len(many))
        skip = request.skip_special_tokens
        try:
            return [encoder.tokenizer.decode(ids, skip_special_tokens=skip) for ids in many]
        except InputError as error:
            raise Refusal(422, str(error), kind="tokenizer") from error

    @router.get("/info")
    async def info() -> InfoAnswer:
        """The model and the limits."""
        return _describe_server(embedder)

    @router.get("/health", response_class=Response, responses={200: {"content": {}}})
    @router.get("/ping", response_class=Response, responses={200: {"content": {}}})
    async def health() -> Response:
        """200 while the server answers."""
        return Response()

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def read_metrics() -> Response:
        """Counts in Prometheus' format."""
        return Response(metrics.write(), headers={"Content-Type": CONTENT_TYPE})

    async def _prepare(request: EmbedRequest | EmbedAllRequest) -> Any:
        return await embedder.prepare(
            request.inputs, prompt_name=request.prompt_name, truncate=request.is_cut, side=request.side
        )

    return router


def _describe(token: Token) -> TokenAnswer:
    place = (None, None) if token.is_special else (token.start, token.stop)
    return TokenAnswer(id=token.id, text=token.text, special=token.is_special, start=place[0], stop=place[1])


def _describe_server(embedder: Embedder) -> InfoAnswer:
    encoder, reranker, limits = embedder.encoder, embedder.reranker, embedder.limits
    folder = encoder.folder
    return InfoAnswer(
        model_id=encoder.name,
        model_sha=None,
        model_dtype="float32" if folder is None or choose_backend(folder)[1] == "fp32" else "int8",
        model_type={"embedding": {}},
        dimensions=encoder.dim,
        reranker=None if reranker is None else reranker.name,
        max_input_length=encoder.max_seq_length,
        auto_truncate=True,
        version=__version__,
        **limits.__dict__,
    )
