"""The base class of both backends, with the options of `encode`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pubvec.encoder.batching import Batcher, Compute, IntArray
from pubvec.encoder.calibration import Calibration
from pubvec.encoder.model_folder import Prompts
from pubvec.encoder.output_format import (
    EmbeddingArray,
    EmbeddingRanges,
    FloatArray,
    NumberType,
    OutputFormat,
)
from pubvec.encoder.tokenizing import TextTokenizer
from pubvec.errors import ConfigError, InputError
from pubvec.progress import draw


class TextEncoder(ABC):
    """An `Encoder` with options; a backend says how tokens become vectors.

    A vector does not depend on the texts beside it: on ONNX it is that of the text alone to the last bit, on torch, which
    pads, their cosine is at least 0.999999. An encoder may be used in a `with` block.
    """

    name: str
    dim: int

    def encode(
        self,
        texts: Iterable[str],
        *,
        batch_size: int | None = None,
        normalize_embeddings: bool = True,
        prompt: str | None = None,
        truncate_dim: int | None = None,
        precision: NumberType = "float32",
        show_progress_bar: bool = False,
        show_truncated: bool = False,
    ) -> EmbeddingArray:
        """Encode `texts` (n of them) and return their vectors in the same order. An empty text is valid.

        The arguments have the names and the meaning that they have in sentence-transformers, with one difference:
        vectors are scaled to unit length unless you say otherwise.

        Args:
            texts: any iterable of strings; a lone surrogate counts as "?".
            batch_size: a hint that changes nothing. Batches are made by the number of tokens, which is faster, and a
                vector does not depend on its batch.
            normalize_embeddings: scale to unit length, after cutting to `truncate_dim`.
            prompt: the string put before each text. None: the model's default prompt.
            truncate_dim: the number of leading dimensions to keep. None: all.
            precision: the type of the numbers. `int8` and `uint8` round unit vectors to 255 levels within the ranges that
                the export saved. `ubinary` packs the bits "above zero" of eight dimensions into a byte, and `binary` is
                that byte minus 128, as int8. `float16` is not one of sentence-transformers'.
            show_progress_bar: draw a bar on stderr.
            show_truncated: name the first ten texts that were cut, with their number of tokens. The number of texts
                that were cut is logged in any case.

        *Shape:* (n, truncate_dim), or (n, truncate_dim / 8) for `binary` and `ubinary`

        Raises:
            InputError: an element is not a string (the message has its position), or the model has no ranges.
            ConfigError: the model does not have embeddings of this format.
        """
        output_format = OutputFormat(normalize_embeddings, truncate_dim, precision)
        stream = self.iter_encode(
            texts,
            batch_size=batch_size,
            normalize_embeddings=normalize_embeddings,
            prompt=prompt,
            truncate_dim=truncate_dim,
            precision=precision,
            show_truncated=show_truncated,
        )
        arrays = []
        n_texts = len(texts) if isinstance(texts, Sized) else None
        with draw("texts", n_texts) if show_progress_bar else nullcontext() as advance:
            for vectors in stream:
                arrays.append(vectors)
                if advance is not None:
                    advance(len(vectors))
        if not arrays:
            return self._formatter(output_format)(np.empty((0, self.dim), np.float32))
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    def iter_encode(
        self,
        texts: Iterable[str],
        *,
        batch_size: int | None = None,
        normalize_embeddings: bool = True,
        prompt: str | None = None,
        truncate_dim: int | None = None,
        precision: NumberType = "float32",
        show_truncated: bool = False,
    ) -> Iterator[EmbeddingArray]:
        """Encode `texts` as a stream in constant memory: arrays of 1,024 rows, the last one shorter. See `encode`."""
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, not {batch_size}")
        apply = self._formatter(OutputFormat(normalize_embeddings, truncate_dim, precision))
        vectors = self._batcher().iter_vectors(
            texts,
            self._compute(),
            self.dim,
            prompt=self.prompts.default if prompt is None else prompt,
            show_truncated=show_truncated,
        )
        return map(apply, vectors)

    def similarity(
        self, texts: Iterable[str], others: Iterable[str], *, calibrated: bool = False
    ) -> FloatArray:
        """Compute the cosine of each of `texts` and each of `others`.

        If `calibrated`, the result is the probability that the two texts belong together.

        *Shape:* (n_texts, n_others), float32

        Raises:
            InputError: an element is not a string, or the model is not calibrated.
        """
        calibration = Calibration.read(self._require_folder("calibration")) if calibrated else None
        cosines: FloatArray = self.encode(texts) @ self.encode(others).T
        return cosines if calibration is None else calibration.apply(cosines)

    @property
    def tokenizer(self) -> TextTokenizer:
        """The model's tokenizer."""
        return self._batcher().tokenizer

    def tokenize(self, texts: Iterable[str]) -> list[list[int]]:
        """Return the token ids of `texts` as the model sees them: with special tokens, cut at `max_seq_length`."""
        return self._batcher().tokenize(texts, self.prompts.default)

    def encode_tokens(self, tokens: Sequence[list[int]], *, is_alone: bool = True) -> FloatArray:
        """Compute the vectors of texts whose token ids are given, special tokens included.

        Args:
            tokens: the token ids of each text.
            is_alone: use every core. False uses one, for a caller that runs several calls at a time (see `n_workers`).

        *Shape:* (n, dim), float32, as the model computes them; `OutputFormat` makes of them what `encode` returns
        """
        if not tokens:
            return np.empty((0, self.dim), np.float32)
        return self._batcher().compute_tokens(tokens, self._compute(), self.dim, is_alone=is_alone)

    @property
    def tokens_per_batch(self) -> int:
        """The number of tokens that are computed together, padding included; more make several batches."""
        return self._batcher().tokens_per_batch

    @property
    def is_padded(self) -> bool:
        """Whether texts of different lengths share a batch."""
        return self._batcher().is_padded

    @property
    def n_workers(self) -> int:
        """The number of calls of `encode_tokens` that are worth running at the same time."""
        return 1

    def encode_each_token(self, tokens: Sequence[list[int]]) -> list[FloatArray]:
        """Compute the vector of every token of each text, special tokens included, from the model's last layer.

        *Shape:* (n_tokens, width of that layer), float32, for each text

        Raises:
            InputError: the model has no such layer, or its graph does not give it.
        """
        vectors: list[FloatArray] = [np.empty((0, self.dim), np.float32)] * len(tokens)
        for rows, input_ids, attention_mask in self._batcher().iter_batches(tokens):
            layer = self._last_layer(input_ids, attention_mask)
            for row, vectors_of_row, mask in zip(rows, layer, attention_mask, strict=True):
                vectors[row] = vectors_of_row[mask.astype(bool)]
        return vectors

    def _formatter(self, output_format: OutputFormat) -> Callable[[FloatArray], EmbeddingArray]:
        """Return the function that brings this model's vectors into `output_format`, after checking that it can."""
        output_format.check(self.dim)
        return partial(output_format.apply, ranges=self._ranges() if output_format.is_rounded else None)

    @property
    @abstractmethod
    def max_seq_length(self) -> int | None:
        """The number of tokens of a text that the model reads, special tokens included; None: all."""

    @property
    @abstractmethod
    def prompts(self) -> Prompts:
        """The strings that the checkpoint wants before texts."""

    @abstractmethod
    def _batcher(self) -> Batcher: ...

    @abstractmethod
    def _compute(self) -> Compute:
        """Return what computes batches in this process."""

    @abstractmethod
    def _last_layer(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """Compute the vectors of all tokens of a batch. *Shape:* (n, length), (n, length) → (n, length, width)"""

    @property
    @abstractmethod
    def folder(self) -> Path | None:
        """The folder that the model was loaded from; None for a model that has not been saved."""

    @property
    def calibration(self) -> Calibration | None:
        """The calibration that turns this model's cosines into probabilities; None where there is none."""
        has_any = self.folder is not None and (self.folder / Calibration.FILE).is_file()
        return Calibration.read(self._require_folder("calibration")) if has_any else None

    def _ranges(self) -> EmbeddingRanges:
        return EmbeddingRanges.read(self._require_folder("ranges for int8 embeddings") / EmbeddingRanges.FILE)

    def _require_folder(self, what: str) -> Path:
        if self.folder is None:
            raise InputError(f"a live model has no {what}: save and export it")
        return self.folder

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Release threads and memory. The next `encode` opens them again."""
