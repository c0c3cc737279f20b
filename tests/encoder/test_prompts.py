"""Prompts of checkpoints, on both backends, against sentence-transformers."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from pubvec.conversion.exporting import export
from pubvec.encoder import load, load_scorer
from pubvec.encoder.model_folder import Prompts
from pubvec.encoder.scorer import BiEncoderScorer
from pubvec.encoder.torch_encoder import TorchEncoder
from pubvec.errors import InputError
from pubvec.evaluation.tasks.pairs import evaluate_pairs
from pubvec.evaluation.tasks.sets import PairSet
from tiny_models import TEXTS, make_tiny_bert

PAIRS = list(itertools.pairwise(TEXTS))


def with_prompts(folder: Path, default: str | None = None, **prompts: str) -> Path:
    make_tiny_bert(folder)
    path = folder / "config_sentence_transformers.json"
    config = {"prompts": prompts, "default_prompt_name": default}
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


@pytest.mark.parametrize("backend", ["torch", "onnx"])
@pytest.mark.parametrize("default", [None, "query", "clustering"])
def test_prompts_are_those_of_the_library(backend: str, default: str | None, tmp_path: Path) -> None:
    folder = with_prompts(
        tmp_path / "model", default, query="search for: ", document="text: ", clustering="stroke "
    )
    export(folder)
    scorer = load_scorer(folder, backend=backend, precision="fp32" if backend == "onnx" else None)
    library = SentenceTransformer(str(folder), device="cpu")
    queries, documents = map(list, zip(*PAIRS, strict=True))
    expected = library.similarity_pairwise(library.encode_query(queries), library.encode_document(documents))
    np.testing.assert_allclose(scorer.score(PAIRS), expected, atol=1e-5)

    outcome = evaluate_pairs(scorer, PairSet(queries, documents), seeds=(0,), n_resamples=10)
    np.testing.assert_allclose(outcome.scores["positive"], expected, atol=1e-5)
    assert load_scorer(make_tiny_bert(tmp_path / "plain")).score(PAIRS) != pytest.approx(
        expected.numpy(), abs=1e-3
    ), "the prompts matter"
    np.testing.assert_allclose(
        scorer.encoder.encode(TEXTS), library.encode(list(TEXTS), normalize_embeddings=True), atol=1e-5
    )


def test_a_loaded_encoder_keeps_its_prompts(tmp_path: Path) -> None:
    folder = with_prompts(tmp_path / "model", query="search for: ", document="text: ")
    expected = load_scorer(folder).score(PAIRS)
    np.testing.assert_allclose(BiEncoderScorer(load(folder)).score(PAIRS), expected, atol=1e-6)


def test_a_default_alone_is_for_neither_queries_nor_documents(tmp_path: Path) -> None:
    """As in the library, whose `encode_query` has no default."""
    folder = with_prompts(tmp_path / "model", "clustering", clustering="stroke ")
    plain = make_tiny_bert(tmp_path / "plain")
    np.testing.assert_allclose(load_scorer(folder).score(PAIRS), load_scorer(plain).score(PAIRS), atol=1e-6)
    library = SentenceTransformer(str(folder), device="cpu")
    queries, documents = library.encode_query(list(TEXTS[:-1])), library.encode_document(list(TEXTS[1:]))
    expected = library.similarity_pairwise(queries, documents)
    np.testing.assert_allclose(load_scorer(folder).score(PAIRS), expected, atol=1e-5)


def test_each_text_is_encoded_once(tiny_model: Path, tmp_path: Path) -> None:
    counts = []

    class Counting(TorchEncoder):
        def encode(self, texts, **options):
            counts.append(len(texts := list(texts)))
            return super().encode(texts, **options)

    prompted = with_prompts(tmp_path / "model", query="search for: ")
    for folder, expected in ((tiny_model, [10]), (prompted, [9, 9])):
        counts.clear()
        scores = BiEncoderScorer(Counting.load(folder, name="counting")).score(PAIRS * 2)
        assert counts == expected
        np.testing.assert_allclose(scores[9:], load_scorer(folder).score(PAIRS), atol=1e-6)


def test_the_cosine_is_the_same_with_and_without_a_normalize_module(tiny_model: Path, tmp_path: Path) -> None:
    normalized = make_tiny_bert(tmp_path / "normalized", normalize=True)
    np.testing.assert_allclose(
        load_scorer(normalized).score(PAIRS), load_scorer(tiny_model).score(PAIRS), atol=1e-6
    )


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, Prompts()),
        ({"query": "q: "}, Prompts("q: ", "")),
        ({"query": "", "document": "", "passage": "p: "}, Prompts("", "p: ")),
        ({"clustering": "c: "}, Prompts()),
        ({"query": "q: ", "default": "query"}, Prompts("q: ", "", "q: ")),
    ],
)
def test_names_of_prompts(stored: dict, expected: Prompts, tmp_path: Path) -> None:
    assert Prompts.read(with_prompts(tmp_path / "model", **stored)) == expected


def test_what_is_refused(tmp_path: Path) -> None:
    folder = with_prompts(tmp_path / "model", query="q: ")
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps(json.loads(pooling.read_text()) | {"include_prompt": False}))
    with pytest.raises(InputError, match="leaves prompts out of its pooling"):
        load_scorer(folder)
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({"model_type": "SentenceTransformer", "prompts": {"query": 3}}))
    with pytest.raises(InputError, match="expected prompts by name"):
        load_scorer(folder)
