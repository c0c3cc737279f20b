"""The endpoints of text-embeddings-inference (https://huggingface.github.io/text-embeddings-inference/)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from pubvec.encoder import ModelSettings, OutputFormat, Side, TextEncoder, Token, choose_backend
from pubvec.errors import InputError
from pubvec.server.api_errors import API_ERRORS, JSON, ApiError, dump_json
from pubvec.server.batching import Times
from pubvec.server.embedding import Embedder, Inputs
from pubvec.server.metrics import CONTENT_TYPE, Metrics
from pubvec.version import __version__


class _Cutting(BaseModel):
    """Options for the truncation and the prompt of the inputs."""

    truncate: bool | None = None
    """False refuses an input that is too long for the model. True and None truncate it."""
    truncation_direction: Literal["left", "right", "Left", "Right"] = "right"
    """Side from which tokens are removed."""
    prompt_name: str | None = None
    """Name of a prompt of the model: `query` or `document`."""

    @property
    def side(self) -> Side:
        return "left" if self.truncation_direction.lower() == "left" else "right"

    @property
    def is_cut(self) -> bool:
        return self.truncate is not False


class EmbedRequest(_Cutting):
    """Texts, and the format of their vectors."""

    inputs: Inputs
    normalize: bool = True
    dimensions: Annotated[int, Field(ge=1)] | None = None


class EmbedAllRequest(_Cutting):
    """Texts whose tokens are to be embedded."""

    inputs: Inputs


class RerankRequest(BaseModel):
    """A query, and texts to rank by relevance to it."""

    query: Annotated[str, Field(min_length=1)]
    texts: list[str]
    raw_scores: bool = False
    """True returns logits, MaxSim scores or cosines instead of probabilities."""
    return_text: bool = False
    truncate: bool | None = None
    truncation_direction: Literal["left", "right", "Left", "Right"] = "right"


class Rank(BaseModel):
    """The score of one text."""

    index: int
    score: float
    text: str | None = None


class SimilarityInputs(BaseModel):
    """A text, and the sentences to compare it with."""

    source_sentence: Annotated[str, Field(min_length=1)]
    sentences: list[str]


class SimilarityRequest(BaseModel):
    """A text, and the sentences to compare it with."""

    inputs: SimilarityInputs
    parameters: _Cutting | None = None


class TokenizeRequest(BaseModel):
    """Texts to tokenize."""

    inputs: str | list[str]
    add_special_tokens: bool = True
    prompt_name: str | None = None
    """Name of a prompt of the model to put before each text: `query` or `document`."""


class TokenResponse(BaseModel):
    """A token of a text."""

    id: int
    text: str
    special: bool
    start: int | None = None
    """First character of the token in the text, after the prompt if there is one. A special token has none."""
    stop: int | None = None


class DecodeRequest(BaseModel):
    """Token ids of one text or of several."""

    ids: list[int] | list[list[int]]
    skip_special_tokens: bool = True


class InfoResponse(BaseModel):
    """The model and the limits of the server."""

    model_id: str
    served_model_name: str
    model_sha: str | None = None
    model_dtype: str
    model_type: dict[str, Any]
    dimensions: int
    reranker: str | None = None
    """Name of the model of `/rerank`. Without it the cosine of the vectors ranks."""
    index: dict[str, Any] | None = None
    """Version, size and date of the index. A server of embeddings has none."""
    max_input_length: int | None = None
    auto_truncate: bool
    max_concurrent_requests: int
    max_waiting_tokens: int
    max_client_batch_size: int
    max_batch_tokens: int
    payload_limit: int
    request_timeout_s: float
    version: str


def make_tei_router(
    embedder: Embedder, metrics: Metrics, describe_index: Callable[[], dict[str, Any] | None] = lambda: None
) -> APIRouter:
    """Return the routes of text-embeddings-inference, of which `/embed` is also `POST /`.

    Args:
        embedder: Encodes and scores.
        metrics: Shown by `/metrics`.
        describe_index: Describes the current version of the index for `/info`.
    """
    router = APIRouter(tags=["text-embeddings-inference"], responses=API_ERRORS)
    _add_embedding_routes(router, embedder)
    _add_scoring_routes(router, embedder)
    _add_tokenizer_routes(router, embedder)
    _add_server_routes(router, embedder, metrics, describe_index)
    return router


def _add_embedding_routes(router: APIRouter, embedder: Embedder) -> None:
    async def prepare(request: EmbedRequest | EmbedAllRequest) -> Any:
        return await embedder.prepare(
            request.inputs, prompt_name=request.prompt_name, truncate=request.is_cut, side=request.side
        )

    @router.post("/", response_model=list[list[float]], operation_id="embed_root")
    @router.post("/embed", response_model=list[list[float]])
    async def embed(request: EmbedRequest) -> Response:
        """Return the vector of each text."""
        began = time.perf_counter()
        form = OutputFormat(request.normalize, request.dimensions)
        prepared = await prepare(request)
        tokenized = time.perf_counter()
        times = Times()
        vectors = await embedder.embed(prepared, form, times)
        headers = compute_headers(request.inputs, prepared.n_tokens, began, tokenized, times)
        return Response(dump_json(vectors), media_type=JSON, headers=headers)

    @router.post("/embed_all", response_model=list[list[list[float]]])
    async def embed_all(request: EmbedAllRequest) -> Response:
        """Return the vector of each token of each text: the last layer of the model, including special tokens."""
        began = time.perf_counter()
        prepared = await prepare(request)
        tokenized = time.perf_counter()
        vectors = await embedder.embed_each_token(prepared)
        times = Times(inference_s=time.perf_counter() - tokenized)
        headers = compute_headers(request.inputs, prepared.n_tokens, began, tokenized, times)
        return Response(dump_json(vectors), media_type=JSON, headers=headers)

    @router.post("/embed_sparse", response_model=None)
    async def embed_sparse() -> Response:
        """Answer 424, because no model with sparse vectors is served."""
        raise ApiError(424, "the model has no sparse vectors, which /embed_sparse needs: use /embed")


def _add_scoring_routes(router: APIRouter, embedder: Embedder) -> None:
    @router.post("/rerank", response_model_exclude_none=True)
    async def rerank(request: RerankRequest, response: Response) -> list[Rank]:
        """Rank the texts by relevance, the most relevant first."""
        began, times = time.perf_counter(), Times()
        scores = await embedder.score(
            request.query, request.texts, truncate=request.truncate is not False, times=times
        )
        n_tokens = sum(map(len, embedder.encoder.tokenize([request.query, *request.texts])))
        texts = [request.query, *request.texts]
        response.headers.update(compute_headers(texts, n_tokens, began, began, times))
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
        """Return the cosine of a text and each of the others."""
        cutting, name = request.parameters or _Cutting(), (request.parameters or _Cutting()).prompt_name
        cosines = await embedder.compare(
            request.inputs.source_sentence,
            request.inputs.sentences,
            names=(name, name),
            truncate=cutting.is_cut,
            side=cutting.side,
        )
        return [float(cosine) for cosine in cosines]

    @router.post("/predict", response_model=None)
    async def predict() -> Response:
        """Answer 424, because no classifier is served."""
        raise ApiError(424, "the model is no classifier, which /predict needs: use /embed or /rerank")


def _add_tokenizer_routes(router: APIRouter, embedder: Embedder) -> None:
    encoder = embedder.encoder

    @router.post("/tokenize", response_model_exclude_none=True)
    def tokenize(request: TokenizeRequest) -> list[list[TokenResponse]]:
        """Return the tokens of each text, without truncation."""
        texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        embedder.check_number(len(texts))
        special = request.add_special_tokens
        prompt = "" if request.prompt_name is None else embedder.prompt_of(request.prompt_name)
        tokens = [encoder.tokenizer.describe(prompt + text, has_special_tokens=special) for text in texts]
        return [[_describe(token) for token in each] for each in tokens]

    @router.post("/decode")
    def decode(request: DecodeRequest) -> list[str]:
        """Return the text of each list of token ids."""
        many: Sequence[Any] = request.ids
        if many and isinstance(many[0], int):
            many = [many]
        embedder.check_number(len(many))
        skip = request.skip_special_tokens
        try:
            return [encoder.tokenizer.decode(ids, skip_special_tokens=skip) for ids in many]
        except InputError as error:
            raise ApiError(422, str(error), error_type="tokenizer") from error


def _add_server_routes(
    router: APIRouter,
    embedder: Embedder,
    metrics: Metrics,
    describe_index: Callable[[], dict[str, Any] | None],
) -> None:
    @router.get("/info", response_model_exclude_none=True)
    async def info() -> InfoResponse:
        """Describe the model and the limits of the server."""
        return _describe_server(embedder, describe_index())

    @router.head("/health", include_in_schema=False)
    @router.head("/ping", include_in_schema=False)
    @router.get("/health", response_class=Response, responses={200: {"content": {}}})
    @router.get("/ping", response_class=Response, responses={200: {"content": {}}})
    async def health() -> Response:
        """Return 200 if the server is running."""
        return Response()

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def read_metrics() -> Response:
        """Return the metrics in the format of Prometheus."""
        return Response(metrics.write(), headers={"Content-Type": CONTENT_TYPE})


def _describe(token: Token) -> TokenResponse:
    place = (None, None) if token.is_special else (token.start, token.stop)
    return TokenResponse(
        id=token.id, text=token.text, special=token.is_special, start=place[0], stop=place[1]
    )


def compute_headers(
    inputs: Sequence[Any], n_tokens: int, began: float, tokenized: float, times: Times
) -> dict[str, str]:
    """Return the headers in which text-embeddings-inference reports the work of a request. Times are in milliseconds."""
    total = f"{1000 * (time.perf_counter() - began):.0f}"
    n_characters = sum(len(each) for each in inputs if isinstance(each, str))
    return {
        "x-compute-type": "cpu",
        "x-compute-time": total,
        "x-compute-characters": str(n_characters),
        "x-compute-tokens": str(n_tokens),
        "x-total-time": total,
        "x-tokenization-time": f"{1000 * (tokenized - began):.0f}",
        "x-queue-time": f"{1000 * times.queue_s:.0f}",
        "x-inference-time": f"{1000 * times.inference_s:.0f}",
    }


def _describe_server(embedder: Embedder, index: dict[str, Any] | None) -> InfoResponse:
    encoder, reranker, limits = embedder.encoder, embedder.reranker, embedder.limits
    folder = encoder.folder
    return InfoResponse(
        model_id=encoder.name,
        served_model_name=encoder.name,
        model_dtype="float32" if folder is None or choose_backend(folder)[1] == "fp32" else "int8",
        model_type={"embedding": {"pooling": _pooling_of(encoder)}},
        dimensions=encoder.dim,
        reranker=None if reranker is None else reranker.name,
        index=index,
        max_input_length=encoder.max_seq_length,
        auto_truncate=True,
        version=__version__,
        **limits.__dict__,
    )


def _pooling_of(encoder: TextEncoder) -> str:
    """Return the pooling of the token vectors, or "unknown" if the files of the model do not say it."""
    try:
        return "unknown" if encoder.folder is None else ModelSettings.read(encoder.folder).pooling
    except InputError:
        return "unknown"
