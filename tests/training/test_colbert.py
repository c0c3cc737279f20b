"""Late interaction from a bi-encoder: the loss against the library's, and the stage from start to resumption."""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.losses import (
    MultiVectorDistillKLDivLoss,
    MultiVectorMultipleNegativesRankingLoss,
)
from sentence_transformers.util import maxsim

from pubvec import progress
from pubvec.encoder import load_scorer
from pubvec.errors import ConfigError, InputError
from pubvec.training.config import ColbertConfig
from pubvec.training.late_interaction import ColbertLoss, colbert, late_interaction
from tiny_models import TEXTS, make_tiny_cross_encoder

SHORT = {
    "correlation_weight": None,
    "batch_size": 8,
    "dim": 16,
    "query_length": 12,
    "document_length": 32,
    "learning_rate": 3e-3,
}


@pytest.fixture(scope="module")
def trained(pairs, tiny_model, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("colbert") / "colbert"
    colbert(pairs, output, student=str(tiny_model), config=ColbertConfig(n_epochs=4, **SHORT))
    return output


def counts_of(folder: Path) -> dict:
    return json.loads((folder / "pubvec.json").read_text())["counts"]


def features(model: MultiVectorEncoder, *columns: tuple[str, ...]) -> list[dict]:
    """Columns as the trainer's collator gives them."""
    batches = []
    for place, column in enumerate(columns):
        task = "document" if place else "query"
        batches.append(
            {**model.preprocess(list(column), prompt=model.prompts[task], task=task), "task": task}
        )
    return batches


def test_loss_is_that_of_the_library(tiny_model):
    torch.manual_seed(0)
    config = ColbertConfig(student_temperature=0.7, divergence_weight=2.0, in_batch_scale=3.0, dim=16)
    model = late_interaction(str(tiny_model), config=config).eval()
    columns = features(model, TEXTS[:3], TEXTS[3:6], TEXTS[6:9])
    logits = torch.tensor([[4.0, -2.0], [3.0, 1.0], [0.5, 1.0]])
    terms = ColbertLoss(model, config, teacher_temperature=1.5)(columns, logits)
    ranking = MultiVectorMultipleNegativesRankingLoss(model, scale=3.0)(columns)
    divergence = MultiVectorDistillKLDivLoss(model, student_temperature=0.7, teacher_temperature=1.5)
    expected = divergence(columns, logits) / 0.7**2  # the library multiplies by the squared temperature
    assert terms["in_batch"].item() == pytest.approx(ranking.item(), rel=1e-4)
    assert terms["divergence"].item() == pytest.approx(2.0 * expected.item(), rel=1e-4)
    scores = maxsim(model.encode_query(TEXTS[:3]), model.encode_document(TEXTS[3:6])).numpy()
    is_own = np.eye(3, dtype=bool)
    positives = np.repeat(scores[is_own], 2)  # as heavy as the six others
    r = np.corrcoef(np.concatenate([positives, scores[~is_own]]), np.repeat([1.0, 0.0], 6))[0, 1]
    assert terms["correlation"].item() == pytest.approx(3.0 * (1 - r**2), rel=1e-4)


def test_training_on_pairs_lowers_the_loss(trained, pairs):
    counts = counts_of(trained)
    assert counts["loss_last"] < 0.85 * counts["loss_first"]
    assert counts["teacher_temperature"] is None
    assert counts["n_train_steps"] == 4 * 5
    log = json.loads((trained / "training_log.json").read_text())
    assert "in_batch" in log[0]
    assert not {"divergence", "correlation"} & log[0].keys()


def test_training_on_scores_lowers_the_loss(trained, scored_pairs, tmp_path):
    """And goes on from late interaction, whose head and tokens stay."""
    config = ColbertConfig(n_epochs=8, in_batch_weight=None, **SHORT)
    made = colbert(scored_pairs, tmp_path / "distilled", student=str(trained), config=config)
    assert made.counts["loss_last"] < 0.85 * made.counts["loss_first"]
    assert made.counts["teacher_temperature"] > 0
    log = json.loads((tmp_path / "distilled" / "training_log.json").read_text())
    assert "in_batch" not in log[0]
    before, after = (
        MultiVectorEncoder(str(folder), device="cpu") for folder in (trained, tmp_path / "distilled")
    )
    assert len(before.tokenizer) == len(after.tokenizer)
    assert [type(module) for module in before] == [type(module) for module in after]


def test_the_model_is_what_others_load(trained, tiny_model):
    model = MultiVectorEncoder(str(trained), device="cpu")
    assert model.prompts == {"query": "[Q] ", "document": "[D] "}
    assert model[0].document_length == 32
    assert model[0].query_expansion == {"strategy": "fixed", "attend": False, "token": None, "length": 12}
    assert model[1].linear.weight.shape == (16, 32)
    assert model[1].linear.bias is None
    assert set(model[2].skiplist_words) == set(string.punctuation)
    plain = MultiVectorEncoder(str(tiny_model), device="cpu")
    assert len(model.tokenizer) == len(plain.tokenizer) + 2
    assert model.tokenizer.tokenize("[Q] aspirin") == ["[Q]", "aspirin"]
    assert json.loads((trained / "pubvec.json").read_text())["config"]["query_length"] == 12
    assert not (trained / "checkpoints").exists()


def test_the_model_scores_positives_above_negatives(trained, pairs):
    scorer = load_scorer(trained)
    assert scorer.model_type == "late interaction"
    assert scorer.lengths == {"query_length": 12, "document_length": 32}
    table = pq.read_table(pairs / "train.parquet").to_pylist()
    positive = scorer.score([(row["anchor"], row["positive"]) for row in table])
    for number in range(3):
        negative = scorer.score([(row["anchor"], row["negatives"][number]) for row in table])
        assert (positive > negative).mean() > 0.8


def test_training_sees_prefixes_and_expansion(pairs, tiny_model, tmp_path, monkeypatch):
    """The library's trainer adds no prompt of the model by itself."""
    seen = []
    forward = ColbertLoss.forward

    def spy(self, sentence_features, labels):
        columns = [dict(column) for column in sentence_features]
        seen.append([(column["task"], column["input_ids"]) for column in columns])
        return forward(self, columns, labels)

    monkeypatch.setattr(ColbertLoss, "forward", spy)
    config = ColbertConfig(n_pairs=8, **SHORT)
    colbert(pairs, tmp_path / "model", student=str(tiny_model), config=config)
    tokenizer = MultiVectorEncoder(str(tmp_path / "model"), device="cpu").tokenizer
    (query_task, queries), (document_task, documents) = seen[0]
    assert (query_task, document_task) == ("query", "document")
    assert (queries[:, 1] == tokenizer.convert_tokens_to_ids("[Q]")).all()
    assert (documents[:, 1] == tokenizer.convert_tokens_to_ids("[D]")).all()
    assert queries.shape[1] == 12
    assert documents.shape[1] <= 32


@pytest.mark.slow
def test_interrupted_training_resumes_exactly(trained, pairs, tiny_model, tmp_path):
    config = ColbertConfig(n_epochs=4, checkpoint_s=0.001, **SHORT)
    output = tmp_path / "colbert"

    def stop(what: str, n_done: int, n_total: int | None) -> None:
        if what == "colbert steps" and n_done == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), progress.listen(stop):
        colbert(pairs, output, student=str(tiny_model), config=config)
    made = colbert(pairs, output, student=str(tiny_model), config=config)
    assert made.counts["resumed_at_step"] == 12
    for name in ("model.safetensors", "1_Dense/model.safetensors"):
        expected, actual = load_file(trained / name), load_file(output / name)
        for key, weights in expected.items():
            assert (actual[key] == weights).all(), key


def test_lengths_are_cut_at_the_positions(pairs, tiny_model, tmp_path):
    config = ColbertConfig(n_pairs=8, document_length=400, query_length=300, dim=8)
    colbert(pairs, tmp_path / "model", student=str(tiny_model), config=config)
    assert load_scorer(tmp_path / "model").lengths == {"query_length": 128, "document_length": 128}


def test_students_that_cannot_be_used(pairs, trained, tmp_path):
    cross = make_tiny_cross_encoder(tmp_path / "cross")
    with pytest.raises(InputError, match="is a cross-encoder: start from a bi-encoder"):
        colbert(pairs, tmp_path / "out", student=str(cross), config=ColbertConfig(**SHORT))
    config = ColbertConfig(**{**SHORT, "dim": 8})
    with pytest.raises(ConfigError, match="dim is 8, and the head of .* has 16"):
        colbert(pairs, tmp_path / "out", student=str(trained), config=config)


def test_settings_that_cannot_be_used(pairs, tiny_model, tmp_path):
    with pytest.raises(ConfigError, match="query_length must be at least 4, not 3"):
        ColbertConfig(query_length=3)
    with pytest.raises(ConfigError, match="dim must be at least 1, not 0"):
        ColbertConfig(dim=0)
    with pytest.raises(ConfigError, match="in_batch_weight must be set"):
        colbert(
            pairs,
            tmp_path / "out",
            student=str(tiny_model),
            config=ColbertConfig(in_batch_weight=None, **SHORT),
        )


def test_training_in_bfloat16(trained, pairs, tiny_model, tmp_path):
    config = ColbertConfig(n_epochs=4, precision="bf16", **SHORT)
    made = colbert(pairs, tmp_path / "narrow", student=str(tiny_model), config=config)
    assert made.counts["loss_first"] == pytest.approx(counts_of(trained)["loss_first"], rel=0.05)
    assert made.counts["loss_last"] < 0.85 * made.counts["loss_first"]
    weights = load_file(tmp_path / "narrow" / "1_Dense" / "model.safetensors")
    assert {str(array.dtype) for array in weights.values()} == {"float32"}
