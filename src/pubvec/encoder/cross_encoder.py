"""A cross-encoder as a `Scorer`: it reads query and document together, which is accurate and slow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from pubvec.encoder.model_folder import ModelType, count_positions
from pubvec.encoder.output_format import FloatArray
from pubvec.encoder.protocols import TextPairs
from pubvec.encoder.scorer import check_pairs
from pubvec.encoder.torch_encoder import load_library_model
from pubvec.errors import InputError


class CrossEncoderScorer:
    """Logits of a `CrossEncoder`, or their sigmoids.

    Args:
        model: with one output.
        name: of the system.
        activation: None gives logits, whatever the model's own activation is.
        batch_size: pairs; pairs of like length share a batch.

    Raises:
        InputError: the model has several outputs.
    """

    model_type: ModelType = "cross-encoder"
    dim = None

    def __init__(
        self,
        model: CrossEncoder,
        *,
        name: str,
        activation: Literal["sigmoid"] | None = None,
        batch_size: int = 32,
    ) -> None:
        if model.num_labels != 1:
            raise InputError(f"{name} has {model.num_labels} outputs: a scorer has one, the relevance")
        self.name = name
        self.model = model
        self._activation = activation
        self._batch_size = batch_size

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        name: str,
        max_seq_length: int | None = None,
        activation: Literal["sigmoid"] | None = None,
        n_threads: int | None = None,
        trust_remote_code: bool = False,
    ) -> CrossEncoderScorer:
        """Load a model folder, on a GPU if there is one. `n_threads` is torch's own, for the whole process.

        Raises:
            InputError: the folder needs code of its own, sentence-transformers cannot load it, or the model has several
                outputs.
        """
        model = load_library_model(
            CrossEncoder, folder, n_threads=n_threads, trust_remote_code=trust_remote_code
        )
        n_tokens = max_seq_length or model.max_seq_length or count_positions(folder)
        model.max_seq_length = min(n_tokens, count_positions(folder))
        return cls(model, name=name, activation=activation)

    @property
    def definition(self) -> str:
        """See `Scorer.definition`."""
        return self._activation or "logit"

    @property
    def lengths(self) -> Mapping[str, int]:
        """See `Scorer.lengths`. The limit is that of query and document together, of which the longer is cut first."""
        return {"max_seq_length": int(self.model.max_seq_length)}

    def score(self, pairs: TextPairs) -> FloatArray:
        """See `Scorer.score`."""
        check_pairs(pairs)
        if not pairs:
            return np.empty(0, np.float32)
        activation = torch.nn.Sigmoid() if self._activation == "sigmoid" else torch.nn.Identity()
        scores = self.model.predict(
            list(pairs), batch_size=self._batch_size, activation_fn=activation, show_progress_bar=False
        )
        return np.asarray(scores, dtype=np.float32).ravel()
