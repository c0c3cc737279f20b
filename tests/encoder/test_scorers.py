"""The three kinds of scorer, each against the library's own scores."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer

from pubvec.encoder import load, load_scorer, model_type_of
from pubvec.encoder.late_interaction import LateInteractionScorer
from pubvec.errors import ConfigError, InputError
from tiny_models import TEXTS, make_tiny_cross_encoder

PAIRS = [(TEXTS[n], TEXTS[(3 * n + 1) % len(TEXTS)]) for n in range(len(TEXTS))]
QUERIES, DOCUMENTS = zip(*PAIRS, strict=True)


def test_bi_encoder_gives_the_cosine(tiny_model):
    scorer = load_scorer(tiny_model, backend="torch")
    vectors = SentenceTransformer(str(tiny_model), device="cpu").encode(TEXTS, normalize_embeddings=True)
    expected = [vectors[n] @ vectors[(3 * n + 1) % len(TEXTS)] for n in range(len(TEXTS))]
    scores = scorer.score(PAIRS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert (scorer.model_type, scorer.definition, scorer.dim) == ("bi-encoder", "cosine", 32)
    assert scorer.lengths == {"max_seq_length": 64}


def test_cross_encoder_gives_the_library_s_logits_and_sigmoids(cross):
    reference = CrossEncoder(str(cross), device="cpu")
    logits = load_scorer(cross)
    expected = reference.predict(PAIRS, activation_fn=torch.nn.Identity())
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(logits.score(PAIRS), expected, atol=1e-5)
    sigmoids = load_scorer(cross, activation="sigmoid")
    np.testing.assert_allclose(sigmoids.score(PAIRS), reference.predict(PAIRS), atol=1e-5)
    assert (logits.model_type, logits.definition, sigmoids.definition) == (
        "cross-encoder",
        "logit",
        "sigmoid",
    )
    assert logits.dim is None


def test_cross_encoder_cuts_pairs_where_it_says(cross):
    short = load_scorer(cross, max_seq_length=12)
    expected = CrossEncoder(str(cross), device="cpu", max_length=12).predict(
        PAIRS, activation_fn=torch.nn.Identity()
    )
    np.testing.assert_allclose(short.score(PAIRS), expected, atol=1e-5)
    assert short.lengths == {"max_seq_length": 12}
    assert not np.allclose(short.score(PAIRS), load_scorer(cross).score(PAIRS), atol=1e-4)


@pytest.mark.parametrize("similarity", ["mean", "sum"])
def test_late_interaction_gives_the_library_s_maxsim(late, similarity):
    scorer = load_scorer(late, similarity=similarity)
    reference = MultiVectorEncoder(str(late), device="cpu")
    reference.similarity_fn_name = {"mean": "meanmaxsim", "sum": "maxsim"}[similarity]
    queries, documents = reference.encode_query(list(QUERIES)), reference.encode_document(list(DOCUMENTS))
    expected = reference.similarity(queries, documents).numpy()
    np.testing.assert_allclose(scorer.score(PAIRS), expected.diagonal(), atol=1e-5)
    blocks = list(scorer.iter_scores(scorer.encode_queries(QUERIES), DOCUMENTS))
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), expected, atol=1e-5)
    assert (scorer.dim, scorer.lengths) == (8, {"query_length": 16, "document_length": 24})
    assert scorer.definition.startswith(similarity)


def test_maxsim_is_what_its_definition_says(late):
    scorer = load_scorer(late)
    (query,), (document,) = scorer.encode_queries(QUERIES[:1]), scorer.encode_documents(DOCUMENTS[:1])
    expected = (query @ document.T).max(dim=1).values.mean().item()
    assert scorer.score(PAIRS[:1])[0] == pytest.approx(expected, abs=1e-6)
    assert len(query) == 16  # expanded with [MASK], whose vectors are scored too


def test_blocks_change_no_score(late, monkeypatch):
    scorer = load_scorer(late)
    whole, queries = scorer.score(PAIRS), scorer.encode_queries(QUERIES)
    (matrix,) = scorer.iter_scores(queries, DOCUMENTS)
    monkeypatch.setattr("pubvec.encoder.scorer._PAIRS_PER_BLOCK", 3)
    monkeypatch.setattr("pubvec.encoder.late_interaction.DOCUMENTS_PER_BLOCK", 4)
    monkeypatch.setattr("pubvec.encoder.late_interaction._CHUNK_ELEMENTS", 4000)
    np.testing.assert_allclose(scorer.score(PAIRS), whole, atol=1e-6)
    blocks = list(scorer.iter_scores(queries, DOCUMENTS))
    assert [block.shape for block in blocks] == [(10, 4), (10, 4), (10, 2)]
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), matrix, atol=1e-6)


def test_lengths_of_queries_and_documents(late):
    """Longer: expansion stays at the checkpoint's length and more is read. Shorter: both are cut."""
    long_query = " ".join(TEXTS[:2])
    longer = load_scorer(late, query_length=40, max_seq_length=48)
    assert longer.lengths == {"query_length": 40, "document_length": 48}
    (short_vectors, long_vectors) = longer.encode_queries(["insulin", long_query])
    n_tokens = len(longer.model.tokenizer(long_query)["input_ids"])
    assert 16 < n_tokens < 40
    assert (len(short_vectors), len(long_vectors)) == (16, n_tokens)
    same = load_scorer(late)
    torch.testing.assert_close(short_vectors, same.encode_queries(["insulin"])[0])
    shorter = load_scorer(late, query_length=6, max_seq_length=5)
    assert shorter.lengths == {"query_length": 6, "document_length": 5}
    assert [len(vectors) for vectors in shorter.encode_queries(["insulin", long_query])] == [6, 6]
    assert len(shorter.encode_documents([TEXTS[1]])[0]) == 5


def test_a_model_without_query_expansion(late):
    model = MultiVectorEncoder(str(late), device="cpu")
    model[0].query_expansion = None
    scorer = LateInteractionScorer(model, name="plain", query_length=4)
    assert len(scorer.encode_queries([TEXTS[1]])[0]) == 4
    assert scorer.lengths["query_length"] == 4


def test_no_pairs_no_scores(tiny_model, cross, late):
    for folder in (tiny_model, cross, late):
        scores = load_scorer(folder).score([])
        assert (scores.shape, scores.dtype) == ((0,), np.float32)


def test_the_kind_follows_from_the_files(tiny_model, cross, late, tmp_path):
    folders = {"bi-encoder": tiny_model, "cross-encoder": cross, "late interaction": late}
    for kind, folder in folders.items():
        assert model_type_of(folder) == load_scorer(folder, kind).model_type == kind
        older = shutil.copytree(folder, tmp_path / folder.name)  # as before sentence-transformers 6
        (older / "config_sentence_transformers.json").unlink()
        assert model_type_of(older) == kind


def test_checkpoints_of_other_makers_are_known(tiny_model, late, tmp_path):
    pylate = shutil.copytree(tiny_model, tmp_path / "pylate")
    (pylate / "config_sentence_transformers.json").write_text('{"model_type": "ColBERT"}')
    assert model_type_of(pylate) == "late interaction"
    stanford = shutil.copytree(tiny_model, tmp_path / "stanford")
    (stanford / "config_sentence_transformers.json").unlink()
    config = json.loads((stanford / "config.json").read_text())
    (stanford / "config.json").write_text(json.dumps({**config, "architectures": ["HF_ColBERT"]}))
    assert model_type_of(stanford) == "late interaction"


def test_a_model_of_another_kind_is_refused(tiny_model, cross, tmp_path):
    with pytest.raises(InputError, match="cross-encoder, and a late interaction was expected"):
        load_scorer(cross, "late interaction")
    sparse = shutil.copytree(tiny_model, tmp_path / "sparse")
    (sparse / "config_sentence_transformers.json").write_text('{"model_type": "SparseEncoder"}')
    with pytest.raises(InputError, match="holds a SparseEncoder: expected a model of type"):
        load_scorer(sparse)
    with pytest.raises(InputError, match="is a cross-encoder, which has no embedding of a text"):
        load(cross)  # the library would convert it silently
    with pytest.raises(InputError, match="is not a folder"):
        load_scorer(tmp_path / "missing")


def test_a_cross_encoder_of_several_classes_is_refused(tmp_path):
    folder = make_tiny_cross_encoder(tmp_path / "classes", n_outputs=3)
    with pytest.raises(InputError, match="classes has 3 outputs: a scorer has one"):
        load_scorer(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"query_length": 8}, "query_length is a setting of late interaction"),
        ({"backend": "onnx"}, "only a bi-encoder has the onnx backend"),
        ({"precision": "int8"}, "only a bi-encoder has the onnx backend"),
        ({"max_seq_length": 129}, "expected 3 to 128, the positions"),
    ],
)
def test_bad_settings(cross, settings, message):
    with pytest.raises(ConfigError, match=message):
        load_scorer(cross, **settings)


def test_elements_that_are_no_pairs(tiny_model, cross, late):
    for folder in (tiny_model, cross, late):
        scorer = load_scorer(folder)
        for bad in ("ab", ("a",), ("a", None)):
            with pytest.raises(InputError, match=r"pair 1 \(counted from 0\): expected two strings"):
                scorer.score([("a", "b"), bad])
