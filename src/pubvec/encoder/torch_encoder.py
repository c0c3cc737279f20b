"""A sentence-transformers model as an `Encoder`: for training, GPUs and other people's models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

import pubvec.encoder.bert_hash  # noqa: F401 known to transformers from here on
from pubvec.encoder.batching import Batcher, Compute, IntArray
from pubvec.encoder.forms import FloatArray
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.errors import InputError

TOKENS_PER_BATCH = 1024
TOKENS_PER_GPU_BATCH = 65_536


def load_library_model(kind: Callable[..., Any], folder: Path, *, n_threads: int | None = None) -> Any:
    """Load a model folder as a sentence-transformers class, without pickles and without the hub.

    Raises:
        InputError: the folder is not complete, or sentence-transformers cannot load it.
    """
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    try:
        return kind(str(folder), local_files_only=True, model_kwargs={"use_safetensors": True})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"sentence-transformers cannot load {folder} ({reason})") from error


class TorchEncoder(TextEncoder):
    """A `SentenceTransformer`, live or loaded, as an `Encoder`.

    Args:
        model: may be in training; `encode` puts it in evaluation mode for its own duration.
        name: of the system.
        folder: that the model was loaded from, with what was measured of it.
    """

    def __init__(self, model: SentenceTransformer, *, name: str, folder: Path | None = None) -> None:
        self.name = name
        self.model = model
        self._folder = folder
        self._made: tuple[object, Batcher] | None = None
        self.dim = int(model.get_embedding_dimension() or 0)

    @classmethod
    def load(
        cls, folder: Path, *, name: str, max_seq_length: int | None = None, n_threads: int | None = None
    ) -> TorchEncoder:
        """Load a model folder, on a GPU if there is one. `n_threads` is torch's own, for the whole process.

        Raises:
            InputError: the folder is not complete, or sentence-transformers cannot load it.
        """
        model = load_library_model(SentenceTransformer, folder, n_threads=n_threads)
        if max_seq_length is not None:
            model.max_seq_length = max_seq_length
        return cls(model, name=name, folder=folder)

    @property
    def max_seq_length(self) -> int:
        """See `Encoder.max_seq_length`."""
        return int(self.model.max_seq_length or self.model[0].config.max_position_embeddings)

    @property
    def folder(self) -> Path | None:
        """See `TextEncoder.folder`."""
        return self._folder

    def close(self) -> None:
        """Give the worker back; torch keeps its memory as long as the model lives."""
        self.__dict__.pop("_worker", None)

    def _batcher(self) -> Batcher:
        """The batcher of the last call, unless the live model has changed since."""
        model = self.model
        prompt = model.prompts.get(model.default_prompt_name or "", "") or ""
        settings = (id(model.tokenizer), self.max_seq_length, model.device.type, prompt)
        if self._made is None or self._made[0] != settings:
            batcher = Batcher(
                Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str()),  # a copy: its settings change
                max_seq_length=self.max_seq_length,
                tokens_per_batch=TOKENS_PER_BATCH if model.device.type == "cpu" else TOKENS_PER_GPU_BATCH,
                prompt=prompt,
            )
            self._made = (settings, batcher)
        return self._made[1]

    def _compute(self) -> Compute:
        return Compute(alone=self._forward, beside_others=self._forward, pool=lambda: self._worker)

    @cached_property
    def _worker(self) -> ThreadPoolExecutor:
        """One thread that keeps the device busy while the next texts are tokenized."""
        return ThreadPoolExecutor(1, thread_name_prefix="pubvec")

    def _forward(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        on_device = {name: torch.from_numpy(array).to(self.model.device) for name, array in features.items()}
        with self._evaluating(), torch.inference_mode():
            vectors: FloatArray = self.model(on_device)["sentence_embedding"].float().cpu().numpy()
        return vectors

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Leave a model in training as it was."""
        if not self.model.training:
            yield
            return
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()
