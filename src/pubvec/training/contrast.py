"""Step 2 of the distillation: the student learns the reranker's ranking of each query's candidates.

KL divergence between the softmax over the reranker's logits and the softmax over the student's cosines
(Lin et al. 2020, arXiv 2010.11386), by default beside a MultipleNegativesRanking term over the batch, which
keeps the space spread out where the reranker has scored nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.losses.merged_forward import embed_columns
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss, MultipleNegativesRankingLoss
from sentence_transformers.util import pairwise_cos_sim

from pubvec.encoder import resolve
from pubvec.files import Manifest, read_manifest
from pubvec.training.config import ContrastConfig
from pubvec.training.data import read_scores
from pubvec.training.loop import arguments, model_folder, open_model, quiet_libraries, save_model, train


def contrast(
    scores: Path | str,
    output: Path | str,
    *,
    student: str,
    config: ContrastConfig | None = None,
    force: bool = False,
) -> Manifest:
    """Train `student` on the logits in `scores`.

    Args:
        scores: folder made by `pubvec train scores`.
        output: model folder to make.
        student: model to start from, as a rule the one that `align` made.

    Raises:
        InputError: a folder is missing.
    """
    config = config or ContrastConfig()
    quiet_libraries()
    start = resolve(student)
    table, n_candidates = read_scores(scores, config)
    logits = np.stack(table["logits"].to_numpy())
    temperature = config.teacher_temperature or fit_temperature(logits)
    folder = model_folder(
        output,
        command="train contrast",
        config={"student": student, **vars(config)},
        inputs=[Path(scores), start],
        force=force,
    )
    with folder as out:
        model = open_model(SentenceTransformer, start, config)
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                **arguments(config, out, batch_sampler="no_duplicates")
            ),
            train_dataset=_dataset(table, n_candidates),
            loss=ContrastLoss(model, config, temperature),
        )
        out.counts["teacher_temperature"] = temperature
        train(trainer, config, out, what="contrast steps")
        save_model(model, start, config, out)
    return read_manifest(output, made_by="train contrast")


class ContrastLoss(torch.nn.Module):  # type: ignore[misc]
    """KL divergence to the reranker plus, if asked for, the in-batch ranking term, from one forward pass."""

    def __init__(
        self, model: SentenceTransformer, config: ContrastConfig, teacher_temperature: float
    ) -> None:
        super().__init__()
        self.model = model
        self._config = config
        self._divergence = DistillKLDivLoss(
            model,
            similarity_fct=pairwise_cos_sim,
            student_temperature=config.student_temperature,
            teacher_temperature=teacher_temperature,
        )
        self._ranking = MultipleNegativesRankingLoss(model, scale=config.in_batch_scale)

    def forward(self, sentence_features: Any, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss terms by name. *Shape:* `labels` (batch_size, n_candidates), logits, positive first."""
        embeddings = embed_columns(self.model, sentence_features)
        divergence = self._divergence.compute_loss_from_embeddings(embeddings, labels)
        # The library multiplies by the squared student temperature; undone so that the weights are comparable.
        weight = self._config.divergence_weight / self._config.student_temperature**2
        terms = {"divergence": weight * divergence}
        if self._config.in_batch_weight is not None:
            ranking = self._ranking.compute_loss_from_embeddings(embeddings, labels)
            terms["in_batch"] = self._config.in_batch_weight * ranking
        return terms


def fit_temperature(logits: npt.NDArray[np.float32]) -> float:
    """The temperature at which the softmax over candidates gives the positives the greatest likelihood.

    Temperature scaling (Guo et al. 2017, arXiv 1706.04599). A reranker trained for a short time has small
    logits, one trained for long may have too large ones; both would teach a certainty that is not theirs.

    *Shape:* (n_queries, n_candidates), the positive first. Between 0.01 and 100, to 2 %.
    """
    temperatures = np.geomspace(0.01, 100, 461)
    gaps = (logits - logits[:, :1]).astype(np.float64)
    losses = [float(np.logaddexp.reduce(gaps / temperature, axis=1).mean()) for temperature in temperatures]
    return float(temperatures[int(np.argmin(losses))])


def _dataset(table: pa.Table, n_candidates: int) -> Dataset:
    """Columns `query`, `positive`, `negative_1` …, and `label` (n_candidates logits)."""
    candidates = table["candidates"].to_pylist()
    names = ["positive", *(f"negative_{number}" for number in range(1, n_candidates))]
    columns: dict[str, list[Any]] = {"query": table["query"].to_pylist()}
    for position, name in enumerate(names):
        columns[name] = [texts[position] for texts in candidates]
    return Dataset.from_dict({**columns, "label": table["logits"].to_pylist()})
