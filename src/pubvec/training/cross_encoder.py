"""The cross-encoder whose logits teach step 2, trained on pairs against BM25 hard and random negatives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from sentence_transformers.cross_encoder import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
)
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

from pubvec.encoder import resolve
from pubvec.files import Manifest, read_manifest
from pubvec.training.batches import LengthBatchSampler
from pubvec.training.config import RerankerConfig
from pubvec.training.data import read_pairs
from pubvec.training.loop import arguments, model_folder, open_model, quiet_libraries, save_model, train


def reranker(
    pairs: Path | str,
    output: Path | str,
    *,
    base: str,
    config: RerankerConfig | None = None,
    force: bool = False,
) -> Manifest:
    """Train a cross-encoder with one logit on `pairs`.

    Args:
        pairs: folder made by `pubvec pairs`.
        output: model folder to make; loads in `sentence_transformers.CrossEncoder`.
        base: encoder to start from, a name or a folder; its head is new.

    Raises:
        InputError: `base` or `pairs` is missing, or no pair has `config.n_negatives` negatives.
    """
    config = config or RerankerConfig()
    quiet_libraries()
    start = resolve(base)
    table = read_pairs(pairs, config, n_negatives=config.n_negatives)
    folder = model_folder(
        output,
        command="train reranker",
        config={"base": base, **vars(config)},
        inputs=[Path(pairs), start],
        force=force,
    )
    with folder as out:
        torch.manual_seed(config.seed)  # the head is new and starts at random weights
        model = open_model(CrossEncoder, start, config, num_labels=1)
        trainer = CrossEncoderTrainer(
            model=model,
            # Every parameter has a gradient; looking for unused ones breaks this model under torchrun.
            args=CrossEncoderTrainingArguments(
                **arguments(config, out, batch_sampler=LengthBatchSampler, ddp_find_unused_parameters=False)
            ),
            train_dataset=examples(table, config),
            loss=BinaryCrossEntropyLoss(model),
        )
        train(trainer, config, out, what="reranker steps")
        save_model(model, start, config, out)
    return read_manifest(output, made_by="train reranker")


def examples(table: pa.Table, config: RerankerConfig) -> Dataset:
    """(anchor, text, label): each positive (1), its hard negatives (0), and positives of others (0)."""
    anchors, positives = table["anchor"].to_pylist(), table["positive"].to_pylist()
    pmids, negatives = table["pmid"].to_pylist(), table["negatives"].to_pylist()
    rng = np.random.default_rng(config.seed)
    rows: list[tuple[str, str, float]] = []
    for row, (anchor, positive) in enumerate(zip(anchors, positives, strict=True)):
        rows.append((anchor, positive, 1.0))
        rows += [(anchor, negative, 0.0) for negative in negatives[row]]
        drawn = rng.integers(len(positives), size=config.n_random_negatives)
        rows += [(anchor, positives[other], 0.0) for other in drawn if pmids[other] != pmids[row]]
    columns = zip(*rows, strict=True)
    return Dataset.from_dict(dict(zip(("anchor", "text", "label"), map(list, columns), strict=True)))
