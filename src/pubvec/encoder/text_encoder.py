"""What both backends share: the options of `encode`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pubvec.encoder.batching import Batcher, Compute, IntArray
from pubvec.encoder.calibration import CALIBRATION_FILE, Calibration
from pubvec.encoder.forms import (
    RANGES_FILE,
    EmbeddingArray,
    EmbeddingForm,
    EmbeddingRanges,
    FloatArray,
    NumberType,
)
from pubvec.encoder.prompts import Prompts
from pubvec.encoder.tokenizing import TextTokenizer
from pubvec.errors import InputError
from pubvec.progress import draw


class TextEncoder(ABC):
    """An `Encoder`; a backend says how tokens become vectors.

    A vector does not depend on the texts beside it: on ONNX it is that of the text alone to the last bit, on torch, which
    pads, their cosine is at least 0.999999. May be used in a `with` block.
    """

    name: str
    dim: int

    def encode(
        self,
        texts: Iterable[str],
        *,
        normalize: bool = True,
        prompt: str | None = None,
        dimensions: int | None = None,
        precision: NumberType = "float32",
        show_progress: bool = False,
        show_truncated: bool = False,
    ) -> EmbeddingArray:
        """Encode `texts` (n of them), in their order. An empty text is valid.

        Args:
            texts: any iterable of strings; a lone surrogate counts as "?".
            normalize: scale to unit length.
            prompt: put before each text. None: what the model has by default.
            dimensions: leading dimensions to keep, before normalization. None: all.
            precision: of the numbers returned. `int8` rounds unit vectors to 255 levels within the ranges that the
                export saved; `binary` gives the bit "above zero", eight dimensions in a byte.
            show_progress: draw a bar on stderr.
            show_truncated: name the first ten texts that were cut, with their tokens. How many were cut is
                logged in any case.

        *Shape:* (n, dimensions) of that type; (n, dimensions / 8), uint8, for `binary`

        Raises:
            InputError: an element is not a string; the message has its position. Or the model has no ranges.
            ConfigError: the model does not have embeddings of this form.
        """
        stream = self.iter_encode(
            texts,
            normalize=normalize,
            prompt=prompt,
            dimensions=dimensions,
            precision=precision,
            show_truncated=show_truncated,
        )
        arrays = []
        n_texts = len(texts) if isinstance(texts, Sized) else None
        with draw("texts", n_texts) if show_progress else nullcontext() as advance:
            for vectors in stream:
                arrays.append(vectors)
                if advance is not None:
                    advance(len(vectors))
        if not arrays:
            apply = self._applying(EmbeddingForm(normalize, dimensions, precision))
            return apply(np.empty((0, self.dim), np.float32))
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    def iter_encode(
        self,
        texts: Iterable[str],
        *,
        normalize: bool = True,
        prompt: str | None = None,
        dimensions: int | None = None,
        precision: NumberType = "float32",
        show_truncated: bool = False,
    ) -> Iterator[EmbeddingArray]:
        """The same as a stream, in constant memory: arrays of 1,024 rows, the last one shorter."""
        apply = self._applying(EmbeddingForm(normalize, dimensions, precision))
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
        """Cosine of each of `texts` to each of `others`; if `calibrated`, the probability that they belong together.

        *Shape:* (n_texts, n_others), float32

        Raises:
            InputError: an element is not a string, or the model is not calibrated.
        """
        calibration = Calibration.read(self._require_folder("calibration")) if calibrated else None
        cosines: FloatArray = self.encode(texts) @ self.encode(others).T
        return cosines if calibration is None else calibration.apply(cosines)

    @property
    def tokenizer(self) -> TextTokenizer:
        """What cuts texts into tokens."""
        return self._batcher().tokenizer

    def tokenize(self, texts: Iterable[str]) -> list[list[int]]:
        """Token ids of `texts` as the model sees them: with special tokens, cut at `max_seq_length`."""
        return self._batcher().tokenize(texts, self.prompts.default)

    def encode_tokens(self, tokens: Sequence[list[int]], *, is_alone: bool = True) -> FloatArray:
        """Vectors of texts whose token ids are given, special ones included, as the model computes them.

        Args:
            tokens: of each text.
            is_alone: use every core. False: one, for a caller with other calls on their way (see `n_workers`).

        *Shape:* (n, dim), float32; `EmbeddingForm` makes what `encode` returns
        """
        if not tokens:
            return np.empty((0, self.dim), np.float32)
        return self._batcher().compute_tokens(tokens, self._compute(), self.dim, is_alone=is_alone)

    @property
    def tokens_per_batch(self) -> int:
        """Tokens that are computed together, padding included; more are cut into several batches."""
        return self._batcher().tokens_per_batch

    @property
    def is_padded(self) -> bool:
        """Whether texts of different lengths share a batch."""
        return self._batcher().is_padded

    @property
    def n_workers(self) -> int:
        """Calls of `encode_tokens` that may profitably be on their way at a time."""
        return 1

    def encode_each_token(self, tokens: Sequence[list[int]]) -> list[FloatArray]:
        """The vector of every token of each text, the special ones included: the model's last layer.

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

    def _applying(self, form: EmbeddingForm) -> Callable[[FloatArray], EmbeddingArray]:
        """What brings this model's vectors into `form`, checked."""
        form.check(self.dim)
        return partial(form.apply, ranges=self._ranges() if form.number_type == "int8" else None)

    @property
    @abstractmethod
    def max_seq_length(self) -> int | None:
        """Tokens of a text that count, the special ones included; what follows is cut off. None: all count."""

    @property
    @abstractmethod
    def prompts(self) -> Prompts:
        """What the checkpoint wants before texts."""

    @abstractmethod
    def _batcher(self) -> Batcher: ...

    @abstractmethod
    def _compute(self) -> Compute:
        """What computes batches now, in this process."""

    @abstractmethod
    def _last_layer(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """*Shape:* (n, length), (n, length) → (n, length, width)"""

    @property
    @abstractmethod
    def folder(self) -> Path | None:
        """That the model was loaded from; None for one that has not been saved."""

    @property
    def calibration(self) -> Calibration | None:
        """What turns this model's cosines into probabilities; None where it is not calibrated."""
        has_any = self.folder is not None and (self.folder / CALIBRATION_FILE).is_file()
        return Calibration.read(self._require_folder("calibration")) if has_any else None

    def _ranges(self) -> EmbeddingRanges:
        return EmbeddingRanges.read(self._require_folder("ranges for int8 embeddings") / "onnx" / RANGES_FILE)

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
        """Give threads and memory back."""
