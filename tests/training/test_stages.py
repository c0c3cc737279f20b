"""Each training stage on tiny real models: it learns, writes what it should, and refuses bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from pubvec.errors import CompleteError, ConfigError, InputError
from pubvec.evaluation.pair_scores import pearson_of_labels
from pubvec.files import read_manifest
from pubvec.training.alignment import align, reduce
from pubvec.training.config import AlignConfig, ContrastConfig, RerankerConfig, ScoresConfig
from pubvec.training.contrastive import (
    ContrastLoss,
    FixedCandidatesLoss,
    contrast,
    fit_temperature,
    unexplained_variance,
)
from pubvec.training.cross_encoder import reranker
from pubvec.training.scoring import scores
from pubvec.training.vectors import text_id

SHORT = {"batch_size": 8, "max_seq_length": 32, "saved_max_seq_length": 64}


@pytest.fixture(scope="module")
def aligned(pairs, teacher, tiny_model, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("align") / "aligned"
    config = AlignConfig(learning_rate=1e-3, n_epochs=8, **SHORT)
    align(pairs, output, student=str(tiny_model), teacher=str(teacher), config=config)
    return output


@pytest.fixture(scope="module")
def cross_encoder(pairs, tiny_model, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("reranker") / "reranker"
    config = RerankerConfig(n_negatives=2, learning_rate=3e-3, n_epochs=6, **SHORT)
    reranker(pairs, output, base=str(tiny_model), config=config)
    return output


@pytest.fixture(scope="module")
def scored(pairs, cross_encoder, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("scores") / "scores"
    config = ScoresConfig(n_negatives=3, shard_size=16, max_seq_length=32)
    scores(pairs, output, reranker=str(cross_encoder), config=config)
    return output


def test_align_lowers_the_distance_to_the_teacher(aligned):
    counts = read_manifest(aligned, made_by="train align").counts
    assert counts["loss_last"] < 0.9 * counts["loss_first"]
    assert counts["n_train_steps"] == 8 * 5


def test_align_writes_a_model_and_its_recipe(aligned, teacher, tiny_model):
    assert SentenceTransformer(str(aligned), device="cpu").max_seq_length == 64
    assert not (aligned / "checkpoints").exists()
    recipe = json.loads((aligned / "pubvec.json").read_text())
    assert recipe["config"]["teacher"] == str(teacher)
    assert recipe["config"]["learning_rate"] == 1e-3
    assert set(recipe["inputs"]) == {"pairs", "aligned-vectors", tiny_model.name}


def test_align_uses_the_vectors_of_the_right_texts(aligned, teacher, pairs):
    vectors = aligned.with_name("aligned-vectors")
    ids = pq.read_table(vectors / "ids.parquet").column(0).to_pylist()
    text = pq.read_table(pairs / "train.parquet")["anchor"][0].as_py()
    stored = np.load(vectors / "part-00000.npy")[ids.index(text_id(text))]
    expected = SentenceTransformer(str(teacher), device="cpu").encode(text)
    assert np.dot(stored, expected / np.linalg.norm(expected)) == pytest.approx(1, abs=1e-3)


def test_align_takes_several_folders(pairs, teacher, tiny_model, tmp_path):
    config = AlignConfig(n_pairs=9, **SHORT)
    other = shutil.copytree(pairs, tmp_path / "other")
    names = {"student": str(tiny_model), "teacher": str(teacher)}
    made = align([pairs, other], tmp_path / "aligned", **names, config=config)
    assert made.counts["n_train_examples"] == 18
    assert set(made.inputs) == {"pairs", "other", "aligned-vectors", tiny_model.name}


def test_align_by_pca_learns_too(pairs, teacher, tiny_model, tmp_path):
    config = AlignConfig(method="pca", learning_rate=1e-3, n_epochs=4, **SHORT)
    made = align(pairs, tmp_path / "pca", student=str(tiny_model), teacher=str(teacher), config=config)
    assert made.counts["loss_last"] < made.counts["loss_first"]


def test_pca_keeps_cosines_when_no_width_is_lost():
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    np.testing.assert_allclose(reduce(vectors, 6) @ reduce(vectors, 6).T, vectors @ vectors.T, atol=1e-4)
    with pytest.raises(InputError, match="needs 8 vectors or more"):
        reduce(vectors, 8)


def test_align_refuses_vectors_of_other_pairs(pairs, teacher, tiny_model, aligned, tmp_path):
    other = tmp_path / "few-vectors"
    config = AlignConfig(n_pairs=4, **SHORT)
    align(
        pairs, tmp_path / "few", student=str(tiny_model), teacher=str(teacher), vectors=other, config=config
    )
    with pytest.raises(InputError, match="lacks 72 of the 80 texts"):
        align(
            pairs,
            tmp_path / "all",
            student=str(tiny_model),
            teacher=str(teacher),
            vectors=other,
            config=AlignConfig(**SHORT),
        )


def test_a_finished_model_is_not_made_again(pairs, teacher, tiny_model, aligned):
    config = AlignConfig(learning_rate=1e-3, n_epochs=8, **SHORT)
    with pytest.raises(CompleteError, match="add --force"):
        align(pairs, aligned, student=str(tiny_model), teacher=str(teacher), config=config)


def test_reranker_separates_positives_from_negatives(cross_encoder, pairs, tiny_model):
    assert set(read_manifest(cross_encoder, made_by="train").inputs) == {"pairs", tiny_model.name}
    model = CrossEncoder(str(cross_encoder), device="cpu")
    table = pq.read_table(pairs / "dev.parquet").to_pylist()
    positive = model.predict(
        [(row["anchor"], row["positive"]) for row in table], activation_fn=torch.nn.Identity()
    )
    negative = model.predict(
        [(row["anchor"], row["negatives"][0]) for row in table], activation_fn=torch.nn.Identity()
    )
    assert positive.mean() > negative.mean() + 1


def test_scores_are_the_logits_of_the_reranker(scored, cross_encoder):
    rows = pq.read_table(scored / "part-00001.parquet").to_pylist()
    assert len(rows) == 16
    row = rows[3]
    model = CrossEncoder(str(cross_encoder), device="cpu", max_length=32)
    inputs = [(row["query"], text) for text in row["candidates"]]
    np.testing.assert_allclose(
        row["logits"], model.predict(inputs, activation_fn=torch.nn.Identity()), atol=1e-4
    )
    assert len(row["logits"]) == 4


def test_scores_resume_at_the_missing_shard(pairs, cross_encoder, scored, tmp_path):
    output = tmp_path / "scores"
    config = ScoresConfig(n_negatives=3, shard_size=16, max_seq_length=32)
    partial = _interrupt(output, lambda: scores(pairs, output, reranker=str(cross_encoder), config=config))
    kept = (partial / "part-00000.parquet").stat().st_mtime_ns
    scores(pairs, output, reranker=str(cross_encoder), config=config)
    assert (output / "part-00000.parquet").stat().st_mtime_ns == kept
    for name in ("part-00000.parquet", "part-00001.parquet", "part-00002.parquet"):
        assert pq.read_table(output / name).equals(pq.read_table(scored / name))


def _interrupt(output: Path, stage) -> Path:
    """Stop a stage from its own progress report, after the first shard."""
    from pubvec import progress

    def stop(what: str, n_done: int, n_total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), progress.listen(stop):
        stage()
    return output.with_name(output.name + ".partial")


def test_contrast_learns_the_ranking(scored, aligned, tmp_path):
    config = ContrastConfig(learning_rate=1e-3, n_epochs=6, **SHORT)
    made = contrast(scored, tmp_path / "small", student=str(aligned), config=config)
    assert made.counts["loss_last"] < made.counts["loss_first"]
    log = json.loads((tmp_path / "small" / "training_log.json").read_text())
    assert {"divergence", "in_batch", "correlation"} <= log[0].keys()
    assert SentenceTransformer(str(tmp_path / "small"), device="cpu").encode("aspirin").shape == (32,)


def test_contrast_on_pairs_needs_no_reranker(pairs, tiny_model, tmp_path):
    config = ContrastConfig(learning_rate=1e-3, n_epochs=6, **SHORT)
    made = contrast(pairs, tmp_path / "base", student=str(tiny_model), config=config)
    assert made.counts["loss_last"] < made.counts["loss_first"]
    assert made.counts["teacher_temperature"] is None
    log = json.loads((tmp_path / "base" / "training_log.json").read_text())
    assert "divergence" not in log[0]
    assert set(made.inputs) == {"pairs", tiny_model.name}


def test_matryoshka_trains_the_first_dimensions(pairs, tiny_model, tmp_path):
    texts = pq.read_table(pairs / "train.parquet")

    def figure(width: int, dims: tuple[int, ...]) -> float:
        """1 − r² of the first `width` dimensions after a training with `dims`."""
        output = tmp_path / f"model-{len(dims)}"
        if not output.exists():
            config = ContrastConfig(
                in_batch_weight=None, learning_rate=1e-3, n_epochs=6, matryoshka_dims=dims, **SHORT
            )
            contrast(pairs, output, student=str(tiny_model), config=config)
        model = SentenceTransformer(str(output), device="cpu", truncate_dim=width)
        vectors = [
            torch.from_numpy(model.encode(texts[name].to_pylist(), normalize_embeddings=True))
            for name in ("anchor", "positive")
        ]
        return float(unexplained_variance(vectors[0] @ vectors[1].T))

    assert figure(4, (4,)) < 0.9 * figure(4, ())


@pytest.mark.filterwarnings("error")
def test_a_batch_of_one_pair_does_no_harm(pairs, tiny_model, tmp_path):
    config = ContrastConfig(n_pairs=9, **SHORT)
    contrast(pairs, tmp_path / "small", student=str(tiny_model), config=config)
    assert np.isfinite(SentenceTransformer(str(tmp_path / "small"), device="cpu").encode("aspirin")).all()


def test_contrast_takes_several_folders(pairs, tiny_model, tmp_path):
    config = ContrastConfig(n_pairs=9, **SHORT)
    other = shutil.copytree(pairs, tmp_path / "other")
    made = contrast([pairs, other], tmp_path / "small", student=str(tiny_model), config=config)
    assert made.counts["n_train_examples"] == 18
    assert set(made.inputs) == {"pairs", "other", tiny_model.name}


def test_contrast_refuses_folders_of_two_kinds(pairs, scored_pairs, tiny_model, tmp_path):
    with pytest.raises(InputError, match="expected folders of pairs, or folders of scores"):
        contrast([pairs, scored_pairs], tmp_path / "small", student=str(tiny_model))


def test_unexplained_variance_is_that_of_the_balanced_pairs_protocol():
    cosines = np.random.default_rng(0).normal(size=(6, 6)) + np.eye(6)
    off = cosines[~np.eye(6, dtype=bool)]
    r = pearson_of_labels(np.repeat(np.diag(cosines), 5), off)  # as many positives as negatives
    assert float(unexplained_variance(torch.from_numpy(cosines))) == pytest.approx(1 - r**2)


def test_contrast_without_the_in_batch_term(scored, aligned, tmp_path):
    config = ContrastConfig(in_batch_weight=None, correlation_weight=None, n_epochs=1, **SHORT)
    contrast(scored, tmp_path / "small", student=str(aligned), config=config)
    log = json.loads((tmp_path / "small" / "training_log.json").read_text())
    assert not {"in_batch", "correlation"} & log[0].keys()
    assert log[0]["divergence"] == pytest.approx(log[0]["loss"], abs=1e-3)


def test_fitted_temperature_is_the_one_that_made_the_logits():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)).astype(np.float32)
    likelihood = np.exp(logits / 0.5)
    likelihood /= likelihood.sum(axis=1, keepdims=True)
    drawn = np.array([rng.choice(4, p=row) for row in likelihood])
    rows = np.arange(len(logits))
    logits[rows, 0], logits[rows, drawn] = logits[rows, drawn], logits[rows, 0]
    assert fit_temperature(logits) == pytest.approx(0.5, rel=0.05)


def test_align_refuses_vectors_of_another_teacher(pairs, tiny_model, aligned, tmp_path):
    vectors, output = aligned.with_name("aligned-vectors"), tmp_path / "other"
    names = {"student": str(tiny_model), "teacher": str(tiny_model), "vectors": vectors}
    with pytest.raises(InputError, match="holds vectors of teacher at 32 tokens, not of"):
        align(pairs, output, **names, config=AlignConfig(**SHORT))


def test_anchors_alone_learn_where_candidates_are_fixed(pairs, tiny_model, scored_pairs, tmp_path):
    config = ContrastConfig(
        fixed_candidates=True,
        kept_share=0.25,
        n_negatives=2,
        learning_rate=1e-3,
        n_epochs=4,
        matryoshka_dims=(),
        **SHORT,
    )
    made = contrast(pairs, tmp_path / "small", student=str(tiny_model), config=config)
    assert made.counts["loss_last"] < made.counts["loss_first"]
    before, after = (
        SentenceTransformer(str(path), device="cpu") for path in (tiny_model, tmp_path / "small")
    )
    rows = pq.read_table(pairs / "train.parquet").slice(0, 20)
    moved = []
    for name in ("anchor", "positive"):
        texts = rows[name].to_pylist()
        vectors = [model.encode(texts, normalize_embeddings=True) for model in (before, after)]
        moved.append(1 - float((vectors[0] * vectors[1]).sum(axis=1).mean()))
    assert moved[1] < moved[0]  # anchors move towards the candidates, which are held
    with pytest.raises(ConfigError, match="fixed_candidates trains on pairs/ alone"):
        contrast(scored_pairs, tmp_path / "scored", student=str(tiny_model), config=config)


def test_fixed_candidates_have_the_loss_of_the_whole_before_anything_has_moved(tiny_model):
    """With the vectors of the start, the terms are those of the ordinary loss on the same batch."""
    model = SentenceTransformer(str(tiny_model), device="cpu").eval()
    config = ContrastConfig(matryoshka_dims=(8,), kept_share=0.5)
    queries = ["effect of aspirin", "cause of fever", "risk of smoking"]
    texts = ["aspirin helps", "fever comes from infection", "smoking harms"]
    features = [model.tokenize(queries), model.tokenize(texts)]
    vectors = model.encode(texts)
    with torch.no_grad():
        whole = ContrastLoss(model, config, None)([dict(f) for f in features], None)
        rows = torch.tensor([[0], [1], [2]])
        fixed = FixedCandidatesLoss(model, config, vectors)([dict(f) for f in features], rows)
    assert float(fixed.pop("kept")) == pytest.approx(0, abs=1e-4)
    assert fixed.keys() == whole.keys()
    for name, term in whole.items():
        assert float(fixed[name]) == pytest.approx(float(term), abs=1e-4)
