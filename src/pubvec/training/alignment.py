"""Step 1 of the distillation: the student learns to imitate the teacher's vectors.

EmbedDistill (Kim et al. 2023, arXiv 2301.12005): the teacher's vectors are computed once, the student
is compared with them through a learnable projection that is thrown away afterwards. The older recipe,
PCA of the teacher and squared error, is `method="pca"`.
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
from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss

from pubvec.encoder import resolve
from pubvec.engine import Engine
from pubvec.errors import InputError
from pubvec.files import Manifest, read_manifest
from pubvec.training.batches import LengthBatchSampler
from pubvec.training.config import AlignConfig
from pubvec.training.data import Sources, as_folders, distinct_texts, read_pairs
from pubvec.training.loop import (
    arguments,
    model_folder,
    open_model,
    quiet_libraries,
    save_model,
    train,
)
from pubvec.training.vectors import cached_vectors

FloatArray = npt.NDArray[np.float32]
_N_PROJECTION_TEXTS = 2048
_RIDGE = 0.1  # the strength of the ridge, as a share of the mean eigenvalue


def align(
    pairs: Sources,
    output: Path | str,
    *,
    student: str,
    teacher: str,
    vectors: Path | str | None = None,
    config: AlignConfig | None = None,
    engine: Engine | None = None,
    force: bool = False,
) -> Manifest:
    """Train `student` to imitate `teacher` on the anchors and positives of `pairs`.

    Args:
        pairs: folder made by `pubvec pairs`, or several whose samples are put together.
        output: model folder to make.
        student: model to start from; `teacher`: model to imitate. Both a name or a folder.
        vectors: folder of the teacher's vectors, made if missing; default `OUTPUT-vectors`.
        engine: what computes the teacher's vectors, see `encode`; the training itself is torchrun's to spread.

    Raises:
        InputError: a model or folder is missing, or `vectors` lacks some of the texts, or is another
            teacher's or of another window.
    """
    config = config or AlignConfig()
    quiet_libraries()
    start = resolve(student)
    folders = as_folders(pairs)
    table = pa.concat_tables([read_pairs(folder, config) for folder in folders])
    texts = distinct_texts(table)
    output = Path(output)
    vectors = Path(vectors) if vectors else output.with_name(output.name + "-vectors")
    targets, row_of = cached_vectors(
        folders, texts, vectors, model=teacher, config=config, command="train align", engine=engine
    )
    folder = model_folder(
        output,
        command="train align",
        config={"student": student, "teacher": teacher, **vars(config)},
        inputs=[*folders, vectors, start],
        force=force,
    )
    with folder as out:
        model = open_model(SentenceTransformer, start, config)
        loss = _loss(model, targets, row_of, config)
        dataset = _dataset(table, row_of)
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                **arguments(config, out, batch_sampler=LengthBatchSampler)
            ),
            train_dataset=dataset,
            loss=loss,
        )
        train(trainer, config, out, what="align steps")
        save_model(model, start, config, out)
    return read_manifest(output, made_by="train align")


def _dataset(table: Any, row_of: dict[str, int]) -> Dataset:
    """Columns `anchor`, `positive`, and as `label` the rows of their teacher vectors."""
    anchors, positives = table["anchor"].to_pylist(), table["positive"].to_pylist()
    rows = [[row_of[a], row_of[p]] for a, p in zip(anchors, positives, strict=True)]
    return Dataset.from_dict({"anchor": anchors, "positive": positives, "label": rows})


class _AlignLoss(EmbedDistillLoss):  # type: ignore[misc]
    """`EmbedDistillLoss` whose labels are rows of a vector file, so that a batch reads only its own."""

    def __init__(self, model: SentenceTransformer, targets: FloatArray, **options: Any) -> None:
        super().__init__(model, **options)
        self._targets = targets

    def forward(self, sentence_features: Any, labels: torch.Tensor) -> torch.Tensor:
        vectors = torch.from_numpy(np.asarray(self._targets[labels.cpu().numpy()], dtype=np.float32))
        loss: torch.Tensor = super().forward(sentence_features, vectors)
        return loss


def _loss(
    model: SentenceTransformer, targets: FloatArray, row_of: dict[str, int], config: AlignConfig
) -> _AlignLoss:
    width = model.get_embedding_dimension()
    if config.method == "pca":
        return _AlignLoss(model, reduce(targets, width), distance_metric="mse")
    loss = _AlignLoss(model, targets, distance_metric=config.distance, projection_dim=targets.shape[1])
    _fit_projection(loss, model, targets, row_of, config)
    return loss


def reduce(vectors: FloatArray, dim: int) -> FloatArray:
    """Project vectors on their first principal directions, uncentered so that cosines survive best.

    *Shape:* (n, teacher_dim) → (n, dim), rows of length 1 where they were so before up to what is lost.
    """
    if dim > min(vectors.shape):
        raise InputError(f"PCA to {dim} dimensions needs {dim} vectors or more, found {len(vectors)}")
    sample = np.asarray(vectors[: 100 * dim], dtype=np.float32)
    _, _, directions = np.linalg.svd(sample, full_matrices=False)
    reduced: FloatArray = np.asarray(vectors, dtype=np.float32) @ directions[:dim].T
    return reduced


def _fit_projection(
    loss: _AlignLoss,
    model: SentenceTransformer,
    targets: FloatArray,
    row_of: dict[str, int],
    config: AlignConfig,
) -> None:
    """Start the projection at the ridge regression of teacher on student.

    A random projection would first pull the student toward noise. The fit costs one pass over a few texts.
    """
    assert loss.projection is not None
    sample = list(row_of)[:_N_PROJECTION_TEXTS]
    student = model.encode(sample, batch_size=config.batch_size, show_progress_bar=False)
    design = np.hstack([student, np.ones((len(student), 1), dtype=np.float32)])
    teacher = np.asarray(targets[[row_of[text] for text in sample]], dtype=np.float32)
    gram = design.T @ design
    gram += _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram, design.T @ teacher).astype(np.float32)
    with torch.no_grad():
        loss.projection.weight.copy_(torch.from_numpy(weights[:-1].T))
        loss.projection.bias.copy_(torch.from_numpy(weights[-1]))
