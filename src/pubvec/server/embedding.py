"""The embedding service behind the endpoints of both protocols: it tokenizes, encodes and scores pairs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np
from anyio import to_thread
from pydantic import Field, PlainValidator

from pubvec.encoder import Calibration, FloatArray, ModelSettings, OutputFormat, Scorer, Side, TextEncoder
from pubvec.errors import ConfigError, InputError
from pubvec.server.api_errors import ApiError
from pubvec.server.batching import DynamicBatcher, Times
from pubvec.server.config import LimitsConfig
from pubvec.server.metrics import Metrics

_LOGISTIC = Calibration(slope=1.0, intercept=0.0)
"""Maps a logit to a probability."""
_Given = TypeVar("_Given")
_Computed = TypeVar("_Computed")
_N_CHARACTERS = 20_000
"""Longer texts are tokenized in a thread. For shorter ones, switching threads takes longer than tokenizing."""


_Text = Annotated[str, Field(min_length=1)]
_Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
_Item = TypeVar("_Item")
_Many = Annotated[list[_Item], Field(min_length=1)]


def _read_inputs(value: Any) -> list[str] | list[list[int]]:
    """Return a list of texts or of lists of token ids, whether one was sent or many."""
    many = value if isinstance(value, list) else [value]
    if many and many is value and all(type(item) is int for item in many):
        many = [many]
    if all(isinstance(item, str) for item in many):
        return many
    if all(isinstance(item, list) and all(type(token) is int for token in item) for item in many):
        return many
    raise ValueError("expected a string, a list of strings, a list of token ids, or a list of such lists")


Inputs = Annotated[
    list[str] | list[list[int]],
    PlainValidator(_read_inputs, json_schema_input_type=_Text | _Many[_Text] | _Tokens | _Many[_Tokens]),
]
"""One text or many, as strings or as token ids."""


class Prepared(NamedTuple):
    """Tokenized inputs."""

    tokens: list[list[int]]

    @property
    def n_tokens(self) -> int:
        """Number of tokens of all inputs together."""
        return sum(map(len, self.tokens))


class Embedder:
    """Encodes and scores for all requests of one event loop.

    Args:
        encoder: Encodes texts.
        limits: Limits on the inputs of a request and on the tokens that wait.
        metrics: Records every batch.
        reranker: Scores pairs. None scores them by the cosine of the vectors of `encoder`.
    """

    def __init__(
        self, encoder: TextEncoder, limits: LimitsConfig, metrics: Metrics, reranker: Scorer | None = None
    ) -> None:
        limits.check(encoder.max_seq_length)
        self.encoder = encoder
        self.reranker = reranker
        self.limits = limits
        self._metrics = metrics
        self._batcher = DynamicBatcher(encoder, limits, metrics)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pubvec-scores")
        self._raw_pooling = _find_raw_pooling(encoder)
        """Pooling of a model that normalizes its vectors itself. The others give raw vectors anyway."""
        self._prompts = {"query": encoder.prompts.query, "document": encoder.prompts.document}

    async def prepare(
        self,
        inputs: Sequence[str] | Sequence[list[int]],
        *,
        prompt_name: str | None = None,
        truncate: bool = True,
        side: Side = "right",
        allow_empty: bool = False,
    ) -> Prepared:
        """Tokenize `inputs`.

        Args:
            inputs: Texts, or lists of token ids with or without the special tokens.
            prompt_name: Name of the model's prompt to put before each text: `query` or `document`. None uses the default.
            truncate: Truncate inputs that are too long for the model. False refuses them.
            side: Side from which tokens are removed.
            allow_empty: Accept empty texts. The model sees only their special tokens.

        Raises:
            ApiError: 400 if there is no input or an empty one, 413 if there are too many, 422 if the model does not have the
                prompt or a token, or if an input is too long and must not be truncated.
        """
        self.check_number(len(inputs))
        empty = next((number for number, each in enumerate(inputs) if not each), None)
        if empty is not None and not allow_empty:
            raise ApiError(400, f"input {empty} (counted from 0) is empty", error_type="empty")
        prompt = self.prompt_of(prompt_name)
        if sum(map(len, inputs)) > _N_CHARACTERS:
            return await to_thread.run_sync(self._prepare, inputs, prompt, truncate, side)
        return self._prepare(inputs, prompt, truncate, side)

    def check_number(self, n_inputs: int) -> None:
        """Raise `ApiError` if a request has no input or too many."""
        if not n_inputs:
            raise ApiError(400, "there is no input: send at least one text", error_type="empty")
        if n_inputs > self.limits.max_client_batch_size:
            raise ApiError(
                413,
                f"{n_inputs:,} inputs: max_client_batch_size is {self.limits.max_client_batch_size:,}: send fewer at a time",
            )

    async def embed(self, prepared: Prepared, form: OutputFormat, times: Times | None = None) -> FloatArray:
        """Encode prepared inputs. *Shape:* (n, dimensions), float32

        Without normalization the vectors are the pooled output, even of a model that ends with a Normalize module. `times`
        is filled with the times of the batches.

        Raises:
            ApiError: 422 if the model does not support `form`, 429 if too many tokens wait.
        """
        try:
            form.check(self.encoder.dim)
        except ConfigError as error:
            raise ApiError(422, str(error)) from error
        if self._raw_pooling is not None and not form.normalize_embeddings:
            return form.apply(await self._embed_raw(prepared, self._raw_pooling), None)
        return form.apply(await self._batcher.encode(prepared.tokens, times), None)

    async def _embed_raw(self, prepared: Prepared, pooling: str) -> FloatArray:
        """Pool the vectors of all tokens. *Shape:* (n, dim), float32"""
        rows = []
        for tokens in prepared.tokens:  # one at a time, because the vectors of all tokens take much memory
            (vectors,) = await self._in_thread(self.encoder.encode_each_token, [tokens])
            rows.append(vectors[0] if pooling == "cls" else vectors.mean(axis=0))
        return np.stack(rows).astype(np.float32)

    async def embed_each_token(self, prepared: Prepared) -> list[FloatArray]:
        """Return the vectors of all tokens of each input. *Shape:* (n_tokens, width), float32

        Raises:
            ApiError: 413 if there are more tokens than a batch may have, 424 if the model has no vectors of tokens.
        """
        limit = self.limits.max_batch_tokens
        if prepared.n_tokens > limit:
            raise ApiError(
                413,
                f"{prepared.n_tokens:,} tokens, each with a vector: max_batch_tokens is {limit:,}: send fewer texts",
            )
        try:
            return await self._in_thread(self.encoder.encode_each_token, prepared.tokens)
        except InputError as error:
            raise ApiError(424, str(error)) from error

    async def score(
        self, query: str, texts: Sequence[str], *, truncate: bool = True, times: Times | None = None
    ) -> FloatArray:
        """Score the relevance of each of `texts` to `query`. *Shape:* (n,)

        A score is the logit of a cross-encoder, the MaxSim of late interaction, or a cosine. A reranker truncates texts
        that are too long for it, whatever `truncate` says.
        """
        self.check_number(len(texts))
        if self.reranker is not None:
            began = time.perf_counter()
            scores = await self._in_thread(self.reranker.score, [(query, text) for text in texts])
            if times is not None:
                times.inference_s = time.perf_counter() - began
            return scores
        return await self.compare(query, texts, names=("query", "document"), truncate=truncate, times=times)

    def probabilities(self, scores: FloatArray) -> FloatArray:
        """Turn scores into probabilities of relevance. Scores of a model without calibration are returned unchanged."""
        if self.reranker is None:
            calibration = self.encoder.calibration
            return scores if calibration is None else calibration.apply(scores)
        if self.reranker.model_type == "cross-encoder":
            return _LOGISTIC.apply(scores)
        return scores

    async def compare(
        self,
        source: str,
        texts: Sequence[str],
        *,
        names: tuple[str | None, str | None] = (None, None),
        truncate: bool = True,
        side: Side = "right",
        times: Times | None = None,
    ) -> FloatArray:
        """Return the cosine of `source` and each of `texts`. *Shape:* (n,)"""
        first = await self.prepare([source], prompt_name=names[0], truncate=truncate, side=side)
        rest = await self.prepare(texts, prompt_name=names[1], truncate=truncate, side=side, allow_empty=True)
        vectors = await self.embed(Prepared(first.tokens + rest.tokens), OutputFormat(), times)
        cosines: FloatArray = vectors[1:] @ vectors[0]
        return cosines

    async def close(self) -> None:
        """Finish the accepted requests, then stop the threads."""
        await self._batcher.close()
        self._thread.shutdown()

    async def _in_thread(self, compute: Callable[[_Given], _Computed], given: _Given) -> _Computed:
        """Run `compute` in the thread that is kept for work outside of the batches, one call at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, compute, given)

    def prompt_of(self, name: str | None) -> str:
        """Return the prompt of a name. None returns the default prompt of the model.

        Raises:
            ApiError: 422 if the model has no such prompt.
        """
        if name is None:
            return self.encoder.prompts.default
        if name not in self._prompts:
            raise ApiError(422, f"prompt_name must be {' or '.join(self._prompts)}, not {name!r:.40}")
        return self._prompts[name]

    def _prepare(
        self, inputs: Sequence[str] | Sequence[list[int]], prompt: str, truncate: bool, side: Side
    ) -> Prepared:
        tokenizer = self.encoder.tokenizer
        try:
            if isinstance(inputs[0], str):
                whole = tokenizer.encode(inputs, prompt)  # type: ignore[arg-type]  # all inputs have one type
            else:
                whole = [tokenizer.complete(tokens) for tokens in inputs]  # type: ignore[arg-type]
        except InputError as error:
            raise ApiError(422, str(error), error_type="tokenizer") from error
        cut = [tokenizer.cut(tokens, side) for tokens in whole]
        too_long = [number for number, tokens in enumerate(whole) if len(cut[number]) < len(tokens)]
        if too_long and not truncate:
            raise ApiError(
                422,
                f"input {too_long[0]} (counted from 0) has {len(whole[too_long[0]])} tokens: the model reads "
                f"{tokenizer.max_seq_length}: set truncate, or send less",
                error_type="tokenizer",
            )
        self._metrics.truncated.inc(len(too_long))
        return Prepared(cut)


def _find_raw_pooling(encoder: TextEncoder) -> str | None:
    """Return the pooling of a model that ends with a Normalize module, and None for other models."""
    try:
        settings = None if encoder.folder is None else ModelSettings.read(encoder.folder)
    except InputError:  # a model whose modules only sentence-transformers can run
        return None
    return settings.pooling if settings is not None and settings.is_normalized else None
