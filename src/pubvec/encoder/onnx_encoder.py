"""The encoder that users run: onnxruntime and tokenizers, no torch."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from pubvec.encoder.batching import Batcher, Compute, IntArray
from pubvec.encoder.model_folder import ModelSettings, Prompts
from pubvec.encoder.output_format import FloatArray, scale_to_unit
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.encoder.tokenizing import TextTokenizer
from pubvec.errors import InputError
from pubvec.machine import count_cores

SENTENCE_OUTPUT = "sentence_embedding"
"""Name of the output of a graph that pools inside of it, as our graphs do."""
TOKENS_PER_BATCH = 512
"""Number of tokens in a batch. The activations of a batch of this size fit into a core's cache; with 2,048 tokens a
batch, encoding is a seventh slower."""
TOKENS_FOR_ONE_THREAD = 64
"""Batches of up to this many tokens run on one thread. A second thread would make them less than a tenth faster and
take as much processor time again."""
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_SLOWER = ["SkipLayerNormFusion", "BiasGeluFusion"]
"""Fusions that onnxruntime makes when it loads a graph, and whose operators are two to three times as slow on a
processor as what they replace."""
_encoders: WeakSet[OnnxEncoder] = WeakSet()
"""All encoders of this process, for `_abandon_threads`."""


class OnnxEncoder(TextEncoder):
    """An ONNX graph of a transformer encoder, on the processor.

    Works on our exports (pooling inside the graph) and on others' (token embeddings, pooled here). An encoder may be
    shared between threads, sent to other processes, and used on both sides of a fork. (A forked child must end with
    `os._exit`,
    as those of multiprocessing do: onnxruntime, once imported, hangs in an ordinary exit of one.)

    A single batch is computed by all threads together, unless it is as short as a query. Several batches are computed
    at the same time with one thread each, which is more efficient. The session of all threads is opened when it is
    first needed.

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
        self._max_seq_length = max_seq_length or settings.max_seq_length
        self.n_threads = n_threads or count_cores()
        self._graph = graph
        self._settings = settings
        self._opened: _Threads | None = None
        self._made_batcher = self._make_batcher()
        self._threads()
        _encoders.add(self)

    @property
    def max_seq_length(self) -> int:
        """See `Encoder.max_seq_length`."""
        return self._max_seq_length

    @property
    def prompts(self) -> Prompts:
        """See `TextEncoder.prompts`."""
        return self._settings.prompts

    @property
    def n_workers(self) -> int:
        """See `TextEncoder.n_workers`."""
        return self.n_threads

    def close(self) -> None:
        """Release threads and memory. The next `encode` opens them again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _batcher(self) -> Batcher:
        return self._made_batcher

    def _make_batcher(self) -> Batcher:
        tokenizer = TextTokenizer(
            _open_tokenizer(self._settings.folder / "tokenizer.json"),
            max_seq_length=self.max_seq_length,
            is_lowercased=self._settings.is_lowercased,
            is_parallel=self.n_threads > 1,
        )
        return Batcher(tokenizer, tokens_per_batch=TOKENS_PER_BATCH, is_padded=False)

    def _threads(self) -> _Threads:
        """Sessions and workers of this process."""
        opened = self._opened = self._opened or _Threads(self._graph, self.n_threads)
        return opened

    def abandon_threads(self) -> None:
        """Drop the sessions and workers of the parent after a fork, because their threads do not exist in the child.
        They are not freed, because that would wait for these threads.
        """
        if self._opened is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._opened))
            self._opened = None

    def _compute(self) -> Compute:
        threads = self._threads()
        return Compute(
            alone=lambda *arrays: self._run(threads.session_for(arrays[0].size), *arrays),
            beside_others=partial(self._run, threads.narrow),
            pool=lambda: threads.pool,
        )

    def _run(self, session: _Session, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        output = session.run(input_ids, attention_mask)
        if output.ndim == 2:
            return output
        vectors = _pool_tokens(output, attention_mask, self._settings)
        return scale_to_unit(vectors) if self._settings.is_normalized else vectors

    def _last_layer(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        return self._threads().session_for(input_ids.size).run(input_ids, attention_mask, is_pooled=False)

    @property
    def folder(self) -> Path:
        """See `TextEncoder.folder`."""
        return self._settings.folder

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None, "_made_batcher": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._made_batcher = self._make_batcher()
        _encoders.add(self)


class _Threads:
    """The sessions and workers of one process."""

    def __init__(self, graph: Path, n_threads: int) -> None:
        self._graph = graph
        self._n_threads = n_threads
        self.narrow = _Session(graph, 1)
        """The session that runs with one thread."""

    @cached_property
    def wide(self) -> _Session:
        """The session that runs with all threads."""
        return self.narrow if self._n_threads == 1 else _Session(self._graph, self._n_threads)

    def session_for(self, n_tokens: int) -> _Session:
        """Return the session that computes a single batch of this many tokens fastest."""
        return self.narrow if n_tokens <= TOKENS_FOR_ONE_THREAD else self.wide

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """The workers that call `narrow`, one in each thread."""
        return ThreadPoolExecutor(self._n_threads, thread_name_prefix="pubvec")

    def close(self) -> None:
        if "pool" in self.__dict__:
            self.pool.shutdown(cancel_futures=True)


class _Session:
    """A graph in memory."""

    def __init__(self, graph: Path, n_threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # onnxruntime would keep a memory plan for every shape of input that it has ever seen.
        options.enable_mem_pattern = False
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph), options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOWER
            )
        except Exception as error:  # onnxruntime's errors share no base class but Exception
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"onnxruntime cannot load {graph} ({reason}): export the model again") from error
        inputs = {field.name for field in self._session.get_inputs()}
        if not {"input_ids", "attention_mask"} <= inputs <= _INPUTS:
            raise InputError(
                f"{graph} takes {sorted(inputs)}: expected input_ids, attention_mask and, if need be, "
                "token_type_ids"
            )
        self._takes_types = "token_type_ids" in inputs
        self._sentence_output, self._token_output = _name_outputs(self._session, graph)

    def run(
        self, input_ids: IntArray, attention_mask: IntArray, *, is_pooled: bool | None = None
    ) -> FloatArray:
        """*Shape:* (n, dim) if pooled, else (n, length, dim); None: the former if the graph can"""
        is_wanted = self._sentence_output is not None if is_pooled is None else is_pooled
        name = self._sentence_output if is_wanted else self._token_output
        if name is None:
            raise InputError("the model's graph does not give the vectors of tokens: export it again")
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self._takes_types:
            feed["token_type_ids"] = np.zeros_like(input_ids)
        (output,) = self._session.run([name], feed)
        return np.asarray(output, dtype=np.float32)


def _abandon_threads() -> None:
    if _encoders:
        # The threads of the tokenizer do not exist in the child either.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for encoder in list(_encoders):
        encoder.abandon_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_threads)


def _name_outputs(session: Any, graph: Path) -> tuple[str | None, str | None]:
    """Return the names of the outputs for a text and for its tokens. At least one of them is not None."""
    outputs: dict[str, int] = {field.name: len(field.shape) for field in session.get_outputs()}
    sentence = SENTENCE_OUTPUT if SENTENCE_OUTPUT in outputs else None
    tokens = next((name for name, n_axes in outputs.items() if n_axes == 3), None)
    if sentence is None and tokens is None:
        raise InputError(
            f"{graph} gives {sorted(outputs)}: expected {SENTENCE_OUTPUT}, or token embeddings of 3 axes"
        )
    return sentence, tokens


def _open_tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise InputError(f"{path} is not a tokenizer ({error}): fetch or save the model again") from error


def _pool_tokens(tokens: FloatArray, attention_mask: IntArray, settings: ModelSettings) -> FloatArray:
    """Pool token embeddings. *Shape:* (n, length, dim), (n, length) → (n, dim)"""
    if settings.pooling == "cls":
        return tokens[:, 0]
    mask = attention_mask[:, :, None].astype(np.float32)
    mean: FloatArray = (tokens * mask).sum(axis=1) / np.maximum(mask.sum(axis=1), np.float32(1e-9))
    return mean
