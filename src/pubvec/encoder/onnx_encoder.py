"""The encoder that users run: onnxruntime and tokenizers, no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from pubvec.cores import count_cores
from pubvec.encoder.base import FloatArray, ModelSettings, scale_to_unit
from pubvec.encoder.batching import Batcher, IntArray
from pubvec.errors import InputError

SENTENCE_OUTPUT = "sentence_embedding"
"""Output of a graph that does its own pooling, ours among them."""
TOKENS_PER_BATCH = 4096
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}


class OnnxEncoder:
    """An ONNX graph of a transformer encoder, on the processor.

    Works on our exports (pooling inside the graph) and on others' (token embeddings, pooled here).

    Args:
        graph: the `.onnx` file.
        settings: of the model folder it belongs to.
        name: of the system.
        max_seq_length: None: what the model says.
        n_threads: None: every core that the process may use.

    Raises:
        InputError: onnxruntime cannot load `graph`, or its inputs or outputs are not an encoder's.
    """

    def __init__(
        self,
        graph: Path,
        settings: ModelSettings,
        *,
        name: str,
        max_seq_length: int | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.name = name
        self.dim = settings.dim
        self.max_seq_length = max_seq_length or settings.max_seq_length
        self._settings = settings
        self._session = _open_session(graph, n_threads or count_cores())
        self._inputs = {field.name for field in self._session.get_inputs()}
        self._output = _choose_output(self._session, graph)
        if not {"input_ids", "attention_mask"} <= self._inputs <= _INPUTS:
            raise InputError(
                f"{graph} takes {sorted(self._inputs)}: expected input_ids, attention_mask and, if need be, "
                "token_type_ids"
            )
        self._batcher = Batcher(
            _open_tokenizer(settings.folder / "tokenizer.json"),
            max_seq_length=self.max_seq_length,
            tokens_per_batch=TOKENS_PER_BATCH,
            prompt=settings.default_prompt,
            is_lowercased=settings.is_lowercased,
        )

    def encode(self, texts: Iterable[str], *, normalize: bool = True) -> FloatArray:
        """Encode `texts`: see `Encoder.encode`."""
        vectors = self._batcher.encode(texts, self._forward, self.dim)
        return scale_to_unit(vectors) if normalize else vectors

    def _forward(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = np.zeros_like(input_ids)
        (output,) = self._session.run([self._output], feed)
        if output.ndim == 2:
            return np.asarray(output, dtype=np.float32)
        vectors = _pool(np.asarray(output, dtype=np.float32), attention_mask, self._settings)
        return scale_to_unit(vectors) if self._settings.is_normalized else vectors


def _open_session(graph: Path, n_threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class but Exception
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"onnxruntime cannot load {graph} ({reason}): export the model again") from error


def _choose_output(session: Any, graph: Path) -> str:
    outputs: dict[str, int] = {field.name: len(field.shape) for field in session.get_outputs()}
    if SENTENCE_OUTPUT in outputs:
        return SENTENCE_OUTPUT
    token_outputs = [name for name, n_axes in outputs.items() if n_axes == 3]
    if not token_outputs:
        raise InputError(
            f"{graph} gives {outputs}: expected {SENTENCE_OUTPUT}, or token embeddings of 3 axes"
        )
    return token_outputs[0]


def _open_tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise InputError(f"{path} is not a tokenizer ({error}): fetch or save the model again") from error


def _pool(tokens: FloatArray, attention_mask: IntArray, settings: ModelSettings) -> FloatArray:
    """Pool token embeddings. *Shape:* (n, length, dim), (n, length) → (n, dim)"""
    if settings.pooling == "cls":
        return tokens[:, 0]
    mask = attention_mask[:, :, None].astype(np.float32)
    mean: FloatArray = (tokens * mask).sum(axis=1) / np.maximum(mask.sum(axis=1), np.float32(1e-9))
    return mean
