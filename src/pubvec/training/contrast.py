"""Step 2 of the distillation: the student learns the reranker's ranking of each query's candidates.

KL divergence between the softmax over the reranker's logits and the softmax over the student's cosines
(Lin et al. 2020, arXiv 2010.11386), by default beside a MultipleNegativesRanking term over the batch, which
keeps the space spread out where the reranker has scored nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
            loss=ContrastLoss(model, config),
        )
        train(trainer, config, out, what="contrast steps")
        save_model(model, start, config, out)
    return read_manifest(output, made_by="train contrast")


class ContrastLoss(torch.nn.Module):  # type: ignore[misc]
    """KL divergence to the reranker plus, if asked for, the in-batch ranking term, from one forward pass."""

    def __init__(self, model: SentenceTransformer, config: ContrastConfig) -> None:
        super().__init__()
        self.model = model
        self._config = config
        self._divergence = DistillKLDivLoss(
            model,
            similarity_fct=pairwise_cos_sim,
            student_temperature=config.student_temperature,
            teacher_temperature=config.teacher_temperature,
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


def _dataset(table: pa.Table, n_candidates: int) -> Dataset:
    """Columns `query`, `positive`, `negative_1` …, and `label` (n_candidates logits)."""
    candidates = table["candidates"].to_pylist()
    names = ["positive", *(f"negative_{number}" for number in range(1, n_candidates))]
    columns: dict[str, list[Any]] = {"query": table["query"].to_pylist()}
    for position, name in enumerate(names):
        columns[name] = [texts[position] for texts in candidates]
    return Dataset.from_dict({**columns, "label": table["logits"].to_pylist()})
