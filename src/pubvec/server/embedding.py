"""What the embedding endpoints of both protocols share: inputs → tokens → vectors, and scores of pairs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, NamedTuple, TypeVar

from anyio import to_thread
from pydantic import Field, PlainValidator

from pubvec.encoder import Calibration, EmbeddingForm, FloatArray, Scorer, Side, TextEncoder
from pubvec.errors import ConfigError, InputError
from pubvec.server.batching import DynamicBatcher
from pubvec.server.limits import LimitsConfig, Refusal
from pubvec.server.metrics import Metrics

_LOGISTIC = Calibration(slope=1.0, intercept=0.0)
"""Logit → probability."""
_Given = TypeVar("_Given")
_Computed = TypeVar("_Computed")
_N_CHARACTERS = 20_000
"""Texts above this are cut into tokens in a thread: below, the change of thread would take longer."""


_Text = Annotated[str, Field(min_length=1)]
_Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
_Item = TypeVar("_Item")
_Many = Annotated[list[_Item], Field(min_length=1)]


def _read_inputs(value: Any) -> list[str] | list[list[int]]:
    """One text or many, as strings or as token ids, always as a list."""
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
    """Inputs as the model reads them."""

    tokens: list[list[int]]

    @property
    def n_tokens(self) -> int:
        """Of all texts together."""
        return sum(map(len, self.tokens))


class Embedder:
    """One model, and perhaps a second one that reranks, for all requests of an event loop.

    Args:
        encoder: of texts.
        reranker: of pairs. None: these are scored by the cosine of the encoder.
        limits: checked here: inputs a request, tokens that wait.
        metrics: told of every batch.
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
        self._prompts = {"query": encoder.prompts.query, "document": encoder.prompts.document}

    async def prepare(
        self,
        inputs: Sequence[str] | Sequence[list[int]],
        *,
        prompt_name: str | None = None,
        truncate: bool = True,
        side: Side = "right",
    ) -> Prepared:
        """Tokens of `inputs`.

        Args:
            inputs: texts, or token ids with the special ones or without.
            prompt_name: `query` or `document`, of the model's prompts. None: what it has by default.
            truncate: cut what is longer than the model reads, rather than refuse it.
            side: that is cut off.

        Raises:
            Refusal: 400: there is none, or one is empty; 413: too many; 422: a prompt or token that the model does not have,
                or a text longer than it reads.
        """
        self.check_number(len(inputs))
        empty = next((number for number, each in enumerate(inputs) if not each), None)
        if empty is not None:
            raise Refusal(400, f"input {empty} (counted from 0) is empty", kind="empty")
        prompt = self._prompt_of(prompt_name)
        if sum(map(len, inputs)) > _N_CHARACTERS:
            return await to_thread.run_sync(self._prepare, inputs, prompt, truncate, side)
        return self._prepare(inputs, prompt, truncate, side)

    def check_number(self, n_inputs: int) -> None:
        """Refuse a request of no input or of too many."""
        if not n_inputs:
            raise Refusal(400, "there is no input: send at least one text", kind="empty")
        if n_inputs > self.limits.max_client_batch_size:
            raise Refusal(
                413,
                f"{n_inputs:,} inputs: max_client_batch_size is {self.limits.max_client_batch_size:,}: send fewer at a time",
            )

    async def embed(self, prepared: Prepared, form: EmbeddingForm) -> FloatArray:
        """Vectors of prepared inputs in a `form`. *Shape:* (n, dimensions), float32

        Raises:
            Refusal: 422: the model has no such form; 429: too much waits.
        """
        try:
            form.check(self.encoder.dim)
        except ConfigError as error:
            raise Refusal(422, str(error)) from error
        return form.apply(await self._batcher.encode(prepared.tokens), None)

    async def embed_each_token(self, prepared: Prepared) -> list[FloatArray]:
        """The vector of every token. *Shape:* (n_tokens, width), float32, for each input

        Raises:
            Refusal: 413: more tokens than a batch may have; 424: the model gives no such vectors.
        """
        limit = self.limits.max_batch_tokens
        if prepared.n_tokens > limit:
            raise Refusal(
                413,
                f"{prepared.n_tokens:,} tokens, each with a vector: max_batch_tokens is {limit:,}: send fewer texts",
            )
        try:
            return await self._in_thread(self.encoder.encode_each_token, prepared.tokens)
        except InputError as error:
            raise Refusal(424, str(error)) from error

    async def score(self, query: str, texts: Sequence[str], *, truncate: bool = True) -> FloatArray:
        """Relevance of each of `texts` to `query`. *Shape:* (n,)

        Logits of a cross-encoder, MaxSim of late interaction, or cosine. A reranker cuts what is too long for it.
        """
        self.check_number(len(texts))
        if self.reranker is not None:
            return await self._in_thread(self.reranker.score, [(query, text) for text in texts])
        return await self.compare(query, texts, names=("query", "document"), truncate=truncate)

    def probabilities(self, scores: FloatArray) -> FloatArray:
        """Scores as `score` gives them → probabilities of relevance, where the model knows these. *Shape:* any"""
        if self.reranker is None:
            calibration = self.encoder.calibration
            return scores if calibration is None else calibration.apply(scores)
        if self.reranker.kind == "cross-encoder":
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
    ) -> FloatArray:
        """Cosine of `source` to each of `texts`. *Shape:* (n,)"""
        first = await self.prepare([source], prompt_name=names[0], truncate=truncate, side=side)
        rest = await self.prepare(texts, prompt_name=names[1], truncate=truncate, side=side)
        vectors = await self.embed(Prepared(first.tokens + rest.tokens), EmbeddingForm())
        cosines: FloatArray = vectors[1:] @ vectors[0]
        return cosines

    async def close(self) -> None:
        """Finish what was taken on."""
        await self._batcher.close()
        self._thread.shutdown()

    async def _in_thread(self, compute: Callable[[_Given], _Computed], given: _Given) -> _Computed:
        """One at a time, beside the batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, compute, given)

    def _prompt_of(self, name: str | None) -> str:
        if name is None:
            return self.encoder.prompts.default
        if name not in self._prompts:
            raise Refusal(422, f"prompt_name must be {' or '.join(self._prompts)}, not {name!r:.40}")
        return self._prompts[name]

    def _prepare(
        self, inputs: Sequence[str] | Sequence[list[int]], prompt: str, truncate: bool, side: Side
    ) -> Prepared:
        tokenizer = self.encoder.tokenizer
        try:
            if isinstance(inputs[0], str):
                whole = tokenizer.encode(inputs, prompt)  # type: ignore[arg-type]  # all are of one type
            else:
                whole = [tokenizer.complete(tokens) for tokens in inputs]  # type: ignore[arg-type]
        except InputError as error:
            raise Refusal(422, str(error), kind="tokenizer") from error
        cut = [tokenizer.cut(tokens, side) for tokens in whole]
        too_long = [number for number, tokens in enumerate(whole) if len(cut[number]) < len(tokens)]
        if too_long and not truncate:
            raise Refusal(
                422,
                f"input {too_long[0]} (counted from 0) has {len(whole[too_long[0]])} tokens: the model reads "
                f"{tokenizer.max_seq_length}: set truncate, or send less",
                kind="tokenizer",
            )
        self._metrics.truncated.inc(len(too_long))
        return Prepared(cut)
