"""Step 2 of the distillation: the student learns the reranker's ranking of each query's candidates.

KL divergence between the softmax over the reranker's logits and the softmax over the student's cosines
(Lin et al. 2020, arXiv 2010.11386), by default beside a MultipleNegativesRanking term over the batch, which
keeps the embeddings spread out where the reranker has scored nothing, and beside a term for how narrow the clusters
of the scores of related and of random pairs are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
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
from sentence_transformers.util import all_gather, all_gather_with_grad, cos_sim, pairwise_cos_sim

from pubvec.encoder import resolve
from pubvec.errors import ConfigError
from pubvec.files import Manifest, read_manifest
from pubvec.training.batches import AnchorLengthBatchSampler, LengthBatchSampler
from pubvec.training.config import ColbertConfig, ContrastConfig
from pubvec.training.data import FloatArray, Sources, as_folders, read_queries, training_columns
from pubvec.training.loop import arguments, model_folder, open_model, quiet_libraries, save_model, train
from pubvec.training.vectors import cached_vectors


def contrast(
    sources: Sources,
    output: Path | str,
    *,
    student: str,
    config: ContrastConfig | None = None,
    force: bool = False,
) -> Manifest:
    """Train `student` on the logits of `scores/` folders, or on the pairs of `pairs/` folders alone.

    Without logits nothing is distilled. The training is then a plain contrastive one, by which a teacher can be made.

    Args:
        sources: folders made by `pubvec train scores`, or by `pubvec pairs`.
        output: model folder to make.
        student: model to start from, as a rule the one that `align` made.

    Raises:
        InputError: a folder is missing, or a query has too few negatives.
    """
    config = config or ContrastConfig()
    quiet_libraries()
    start = resolve(student)
    table, logits = read_queries(sources, config)
    if config.fixed_candidates and logits is not None:
        raise ConfigError("fixed_candidates trains on pairs/ alone: the sources hold a teacher's scores")
    temperature = choose_temperature(logits, config)
    vectors = None
    if config.fixed_candidates:
        place = Path(output).with_name(Path(output).name + "-vectors")
        vectors = _candidate_vectors(sources, table, place, student=student, config=config)
    folder = model_folder(
        output,
        command="train contrast",
        config={"student": student, **vars(config)},
        inputs=[*as_folders(sources), start],
        force=force,
    )
    with folder as out:
        model = open_model(SentenceTransformer, start, config)
        columns = training_columns(table, logits)
        sampler = AnchorLengthBatchSampler if config.fixed_candidates else LengthBatchSampler
        loss: ContrastLoss = ContrastLoss(model, config, temperature)
        if vectors is not None:
            targets, row_of = vectors
            columns["label"] = [[row_of[text] for text in row] for row in table["candidates"].to_pylist()]
            loss = FixedCandidatesLoss(model, config, targets)
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(**arguments(config, out, batch_sampler=sampler)),
            train_dataset=Dataset.from_dict(columns),
            loss=loss,
        )
        out.counts["teacher_temperature"] = temperature
        train(trainer, config, out, what="contrast steps")
        save_model(model, start, config, out)
    return read_manifest(output, made_by="train contrast")


class ContrastLoss(torch.nn.Module):  # type: ignore[misc]
    """The terms of step 2 from one forward pass, summed over the widths that shall be embeddings.

    Args:
        model: the student.
        config: weights of the terms.
        teacher_temperature: divides the logits; None: there are none, and no divergence.
    """

    def __init__(
        self, model: SentenceTransformer, config: ContrastConfig, teacher_temperature: float | None
    ) -> None:
        super().__init__()
        self.model = model
        self._config = config
        self._widths = _widths(model, config)
        self._divergence = None
        if teacher_temperature is not None:
            self._divergence = DistillKLDivLoss(
                model,
                similarity_fct=pairwise_cos_sim,
                student_temperature=config.student_temperature,
                teacher_temperature=teacher_temperature,
            )
        self._ranking = MultipleNegativesRankingLoss(model, scale=config.in_batch_scale)

    def forward(self, sentence_features: Any, labels: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Loss terms by name. *Shape:* `labels` (batch_size, n_candidates), logits, positive first."""
        # Embeddings are gathered from all processes. Each process computes the loss of the whole batch, and
        # accelerate averages the gradients.
        embeddings = [all_gather_with_grad(column) for column in embed_columns(self.model, sentence_features)]
        return self._sum_terms(embeddings, None if labels is None else all_gather(labels))

    def _sum_terms(
        self, embeddings: list[torch.Tensor], labels: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """The mean of each term over the widths."""
        terms: dict[str, torch.Tensor] = {}
        for width in self._widths:
            for name, term in self._iter_terms([column[:, :width] for column in embeddings], labels):
                terms[name] = terms.get(name, 0) + term / len(self._widths)
        return terms

    def _iter_terms(
        self, embeddings: list[torch.Tensor], labels: torch.Tensor | None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        config = self._config
        if self._divergence is not None:
            divergence = self._divergence.compute_loss_from_embeddings(embeddings, labels)
            # The library multiplies by the squared student temperature; undone so that the weights are comparable.
            yield "divergence", config.divergence_weight / config.student_temperature**2 * divergence
        if config.in_batch_weight is not None:
            ranking = self._ranking.compute_loss_from_embeddings(embeddings, labels)
            yield "in_batch", config.in_batch_weight * ranking
        # The scores of a single pair have no variance.
        if config.correlation_weight is not None and len(embeddings[0]) > 1:
            cosines = cos_sim(embeddings[0], embeddings[1])
            yield "correlation", config.correlation_weight * unexplained_variance(cosines)


class FixedCandidatesLoss(ContrastLoss):
    """The terms of step 2 where only the anchors are encoded, and candidates have the vectors of the start.

    Tuning the query side alone against fixed passage vectors is that of Lee et al. 2021 (arXiv 2012.12624). Here one encoder
    serves both sides, so a share of the positives is encoded too and held at its vectors (term `kept`).

    Args:
        model: the student.
        config: weights of the terms.
        vectors: the candidates' vectors at the start. *Shape:* (n_texts, dim)
    """

    def __init__(self, model: SentenceTransformer, config: ContrastConfig, vectors: FloatArray) -> None:
        super().__init__(model, config, None)
        self._vectors = vectors

    def forward(self, sentence_features: Any, labels: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Loss terms by name. *Shape:* `labels` (batch_size, n_candidates), rows of the vectors, positive first."""
        assert labels is not None
        features = list(sentence_features)
        n_kept = math.ceil(self._config.kept_share * len(labels))
        rows = np.asarray(self._vectors[labels.cpu().numpy()], dtype=np.float32)
        fixed = torch.from_numpy(rows).to(self.model.device)
        anchors = all_gather_with_grad(self.model(features[0])["sentence_embedding"])
        candidates = all_gather(fixed)
        terms = self._sum_terms([anchors, *candidates.unbind(dim=1)], None)
        if n_kept:
            kept = self.model(_first_rows(features[1], n_kept))
            cosines = pairwise_cos_sim(kept["sentence_embedding"], fixed[:n_kept, 0])
            terms["kept"] = self._config.kept_weight * (1 - cosines).mean()
        return terms


def _first_rows(features: Mapping[str, Any], n_rows: int) -> dict[str, Any]:
    """The features of the first texts of a batch; what is no tensor holds for all of them."""
    return {
        name: value[:n_rows] if isinstance(value, torch.Tensor) else value for name, value in features.items()
    }


def _candidate_vectors(
    sources: Sources, table: pa.Table, place: Path, *, student: str, config: ContrastConfig
) -> tuple[FloatArray, dict[str, int]]:
    """The vectors of all candidates by the model that the training starts from, computed once."""
    texts = list(dict.fromkeys(text for row in table["candidates"].to_pylist() for text in row))
    return cached_vectors(
        as_folders(sources), texts, place, model=student, config=config, command="train contrast"
    )


def unexplained_variance(scores: torch.Tensor) -> torch.Tensor:
    """1 − r² between score (a cosine, or MaxSim) and relevance, where positives and random pairs weigh the same.

    r is Pearson's correlation as the balanced-pair protocol has it (`evaluation/tasks/pairs.py`), with every other
    positive of the batch as a negative; so the term asks for two narrow clusters, wherever they lie.

    *Shape:* (n, n), the positives on the diagonal, n ≥ 2; returns a scalar between 0 and 1.
    """
    positive = scores.diagonal()
    negative = scores[~torch.eye(len(scores), dtype=torch.bool, device=scores.device)]
    within = (positive.var(correction=0) + negative.var(correction=0)) / 2
    between = ((positive.mean() - negative.mean()) / 2).square()
    return within / (within + between)


def _widths(model: SentenceTransformer, config: ContrastConfig) -> tuple[int, ...]:
    full = int(model.get_embedding_dimension())
    return (full, *(width for width in config.matryoshka_dims if width < full))


def choose_temperature(logits: FloatArray | None, config: ContrastConfig | ColbertConfig) -> float | None:
    """Return the temperature that divides the reranker's logits: that of `config`, else the fitted one; None without
    logits.
    """
    if logits is None:
        return None
    return config.teacher_temperature or fit_temperature(logits)


def fit_temperature(logits: FloatArray) -> float:
    """The temperature at which the softmax over candidates gives the positives the greatest likelihood.

    Temperature scaling (Guo et al. 2017, arXiv 1706.04599). A reranker trained for a short time has small
    logits, one trained for long may have too large ones; both would teach a wrong certainty.

    *Shape:* (n_queries, n_candidates), the positive first. Between 0.01 and 100, to 2 %.
    """
    temperatures = np.geomspace(0.01, 100, 461)
    gaps = (logits - logits[:, :1]).astype(np.float64)
    losses = [float(np.logaddexp.reduce(gaps / temperature, axis=1).mean()) for temperature in temperatures]
    return float(temperatures[int(np.argmin(losses))])
