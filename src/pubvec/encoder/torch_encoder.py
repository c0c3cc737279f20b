"""A sentence-transformers model as an `Encoder`: for training, GPUs and other people's models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from transformers import CONFIG_MAPPING

import pubvec.encoder.bert_hash  # noqa: F401 known to transformers from here on
from pubvec.encoder.batching import Batcher, Compute, IntArray
from pubvec.encoder.model_folder import Prompts, refuse_remote_code
from pubvec.encoder.output_format import FloatArray
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.encoder.tokenizing import TextTokenizer
from pubvec.errors import InputError

TOKENS_PER_BATCH = 1024
TOKENS_PER_GPU_BATCH = 65_536


def load_library_model(
    kind: Callable[..., Any], folder: Path, *, n_threads: int | None = None, trust_remote_code: bool = False
) -> Any:
    """Load a model folder as a sentence-transformers class, without pickles and without the hub.

    Raises:
        InputError: the folder is not complete, needs code of its own, or sentence-transformers cannot load it.
    """
    if not trust_remote_code:
        refuse_remote_code(folder, CONFIG_MAPPING)
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    try:
        model = kind(
            str(folder),
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            model_kwargs={"use_safetensors": True},
        )
        # Dropout is switched off once, here: threads that each switched it off and on again would disturb each other.
        return model.eval()
    # The errors of safetensors and of a model's own code share no other base class.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"sentence-transformers cannot load {folder} ({reason})") from error


class TorchEncoder(TextEncoder):
    """A `SentenceTransformer`, live or loaded, as an `Encoder`.

    Args:
        model: may be in training; `encode` puts it in evaluation mode for its own duration.
        name: of the system.
        folder: that the model was loaded from, with what was measured of it.
        static_length: tokens of a text that count in a static model, which has no limit of its own.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        name: str,
        folder: Path | None = None,
        static_length: int | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self._folder = folder
        self._is_static = isinstance(model[0], StaticEmbedding)
        self._static_length = static_length
        self._made: tuple[object, Batcher] | None = None
        self._loading: Callable[[], TorchEncoder] | None = None
        self.dim = int(model.get_embedding_dimension() or 0)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        name: str,
        max_seq_length: int | None = None,
        n_threads: int | None = None,
        trust_remote_code: bool = False,
    ) -> TorchEncoder:
        """Load a model folder, on a GPU if there is one. `n_threads` is torch's own, for the whole process.

        Raises:
            InputError: the folder is not complete, needs code of its own, or sentence-transformers cannot load it.
        """
        model = load_library_model(
            SentenceTransformer, folder, n_threads=n_threads, trust_remote_code=trust_remote_code
        )
        encoder = cls(model, name=name, folder=folder, static_length=max_seq_length)
        encoder._loading = partial(
            cls.load,
            folder,
            name=name,
            max_seq_length=max_seq_length,
            n_threads=n_threads,
            trust_remote_code=trust_remote_code,
        )
        if max_seq_length is not None and not encoder._is_static:
            model.max_seq_length = max_seq_length
        return encoder

    def __reduce__(self) -> Any:
        """Sent to another process, a model that was loaded is loaded there, on the GPU that is there."""
        return (self._loading, ()) if self._loading is not None else super().__reduce__()

    @property
    def max_seq_length(self) -> int | None:
        """See `Encoder.max_seq_length`."""
        if self._is_static:
            return self._static_length
        return int(self.model.max_seq_length or self.model[0].config.max_position_embeddings)

    @property
    def folder(self) -> Path | None:
        """See `TextEncoder.folder`."""
        return self._folder

    @property
    def prompts(self) -> Prompts:
        """See `TextEncoder.prompts`. A live model may change them."""
        return Prompts.select(self.model.prompts, self.model.default_prompt_name)

    def close(self) -> None:
        """Release the worker. torch keeps its memory as long as the model exists."""
        self.__dict__.pop("_worker", None)

    def _batcher(self) -> Batcher:
        """Return the batcher of the last call, or a new one if the live model has changed since."""
        model, tokenizer = self.model, self.model.tokenizer
        settings = (id(tokenizer), self.max_seq_length, model.device.type)
        if self._made is None or self._made[0] != settings:
            fast = tokenizer if self._is_static else tokenizer.backend_tokenizer
            own = TextTokenizer(
                Tokenizer.from_str(fast.to_str()),  # a copy, because its settings are changed
                max_seq_length=self.max_seq_length,
                has_special_tokens=not self._is_static,
            )
            n_tokens = TOKENS_PER_BATCH if model.device.type == "cpu" else TOKENS_PER_GPU_BATCH
            self._made = (settings, Batcher(own, tokens_per_batch=n_tokens, is_padded=True))
        return self._made[1]

    def _compute(self) -> Compute:
        return Compute(alone=self._forward, beside_others=self._forward, pool=lambda: self._worker)

    @cached_property
    def _worker(self) -> ThreadPoolExecutor:
        """One thread that keeps the device busy while the next texts are tokenized."""
        return ThreadPoolExecutor(1, thread_name_prefix="pubvec")

    def _forward(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self._is_static:
            lengths = attention_mask.sum(axis=1)
            features = {
                "input_ids": input_ids[attention_mask.astype(bool)],
                "offsets": np.cumsum(lengths) - lengths,
            }
        on_device = {name: torch.from_numpy(array).to(self.model.device) for name, array in features.items()}
        with self._evaluating(), torch.inference_mode():
            vectors: FloatArray = self.model(on_device)["sentence_embedding"].float().cpu().numpy()
        return vectors

    def _last_layer(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        if self._is_static:
            raise InputError(f"{self.name} is a static model, which has no layer of tokens")
        features = {
            "input_ids": torch.from_numpy(input_ids).to(self.model.device),
            "attention_mask": torch.from_numpy(attention_mask).to(self.model.device),
        }
        with self._evaluating(), torch.inference_mode():
            vectors: FloatArray = self.model[0](features)["token_embeddings"].float().cpu().numpy()
        return vectors

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Put the model in evaluation mode, and restore its mode afterwards."""
        if not self.model.training:
            yield
            return
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()
