"""The torch side of this room: a sentence-transformers model as an `Encoder`, and the export's trace."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import AutoModel

from pubvec.encoder.base import FloatArray, ModelSettings, scale_to_unit
from pubvec.encoder.batching import Batcher, IntArray
from pubvec.errors import InputError

TOKENS_PER_BATCH = 4096
TOKENS_PER_GPU_BATCH = 65_536
_OPSET = 17


class TorchEncoder:
    """A `SentenceTransformer`, live or loaded, as an `Encoder`.

    Args:
        model: may be in training; `encode` puts it in evaluation mode for its own duration.
        name: of the system.
    """

    def __init__(self, model: SentenceTransformer, *, name: str) -> None:
        self.name = name
        self.model = model
        self.dim = int(model.get_embedding_dimension() or 0)

    @classmethod
    def load(
        cls, folder: Path, *, name: str, max_seq_length: int | None = None, n_threads: int | None = None
    ) -> TorchEncoder:
        """Load a model folder, on a GPU if there is one. `n_threads` is torch's own, for the whole process.

        Raises:
            InputError: the folder is not complete, or sentence-transformers cannot load it.
        """
        if n_threads is not None:
            torch.set_num_threads(n_threads)
        try:
            model = SentenceTransformer(
                str(folder), local_files_only=True, model_kwargs={"use_safetensors": True}
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"sentence-transformers cannot load {folder} ({reason})") from error
        if max_seq_length is not None:
            model.max_seq_length = max_seq_length
        return cls(model, name=name)

    @property
    def max_seq_length(self) -> int:
        """See `Encoder.max_seq_length`."""
        return int(self.model.max_seq_length or self.model[0].config.max_position_embeddings)

    def encode(self, texts: Iterable[str], *, normalize: bool = True) -> FloatArray:
        """Encode `texts`: see `Encoder.encode`."""
        was_training = self.model.training
        self.model.eval()
        try:
            vectors = self._make_batcher().encode(texts, self._forward, self.dim)
        finally:
            self.model.train(was_training)
        return scale_to_unit(vectors) if normalize else vectors

    def _make_batcher(self) -> Batcher:
        model = self.model
        return Batcher(
            Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str()),  # a copy: its settings change
            max_seq_length=self.max_seq_length,
            tokens_per_batch=TOKENS_PER_BATCH if model.device.type == "cpu" else TOKENS_PER_GPU_BATCH,
            prompt=model.prompts.get(model.default_prompt_name or "", "") or "",
        )

    def _forward(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        on_device = {name: torch.from_numpy(array).to(self.model.device) for name, array in features.items()}
        with torch.inference_mode():
            vectors: FloatArray = self.model(on_device)["sentence_embedding"].float().cpu().numpy()
        return vectors


class _PooledTransformer(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy here
    """Transformer, pooling and normalization in one graph: (last_hidden_state, sentence_embedding)."""

    def __init__(self, transformer: torch.nn.Module, settings: ModelSettings, inputs: list[str]) -> None:
        super().__init__()
        self.transformer = transformer
        self._settings = settings
        self._inputs = inputs

    def forward(self, *tensors: Any) -> tuple[Any, Any]:
        features = dict(zip(self._inputs, tensors, strict=True))
        tokens = self.transformer(**features).last_hidden_state
        if self._settings.pooling == "cls":
            vectors = tokens[:, 0]
        else:
            mask = features["attention_mask"].unsqueeze(-1).to(tokens.dtype)
            vectors = (tokens * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        if self._settings.is_normalized:
            vectors = torch.nn.functional.normalize(vectors, dim=-1)
        return tokens, vectors


def trace_to_onnx(settings: ModelSettings, graph: Path) -> None:
    """Write the model of `settings.folder` as ONNX, fp32, any batch and sequence length.

    The graph gives `last_hidden_state`, which sentence-transformers' own onnx backend, transformers.js
    and others read, and `sentence_embedding`, pooled (and normalized, if the model does so).

    It is traced by TorchScript's exporter with plain ("eager") attention: that is the shape which
    onnxruntime's fusion knows. From the graph of the newer exporter it fuses no attention.
    """
    transformer = AutoModel.from_pretrained(
        settings.folder, attn_implementation="eager", use_safetensors=True, dtype=torch.float32
    )
    has_types = getattr(transformer.config, "type_vocab_size", 0) > 1
    inputs = ["input_ids", "attention_mask"] + ["token_type_ids"] * has_types
    outputs = ["last_hidden_state", "sentence_embedding"]
    axes = {name: {0: "batch", 1: "sequence"} for name in [*inputs, outputs[0]]} | {outputs[1]: {0: "batch"}}
    example = {name: torch.zeros((2, 8), dtype=torch.int64) for name in inputs}
    example["input_ids"] += torch.arange(8)
    example["attention_mask"] += torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
    model = _PooledTransformer(transformer, settings, inputs).eval()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # deprecation of this exporter, and constants of the trace
        torch.onnx.export(
            model,
            tuple(example.values()),
            str(graph),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
