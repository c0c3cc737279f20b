"""Prompts of checkpoints, on both backends, against sentence-transformers."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from pubvec.encoder import load_scorer
from pubvec.encoder.prompts import Prompts, read_prompts
from pubvec.encoder.scorer import BiEncoderScorer
from pubvec.errors import InputError
from pubvec.evaluation.pairs import evaluate_pairs
from pubvec.evaluation.sets import PairSet
from pubvec.export.export import export
from tiny_models import TEXTS, make_tiny_bert

PAIRS = list(itertools.pairwise(TEXTS))


def with_prompts(folder: Path, **prompts: str) -> Path:
    make_tiny_bert(folder)
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prompts": prompts}))
    return folder


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_prompts_are_those_of_the_library(backend: str, tmp_path: Path) -> None:
    folder = with_prompts(tmp_path / "model", query="search for: ", document="text: ")
    export(folder)
    scorer = load_scorer(folder, backend=backend, precision="fp32" if backend == "onnx" else None)
    library = SentenceTransformer(str(folder), device="cpu")
    queries, documents = map(list, zip(*PAIRS, strict=True))
    expected = library.similarity_pairwise(library.encode_query(queries), library.encode_document(documents))
    np.testing.assert_allclose(scorer.score(PAIRS), expected, atol=1e-5)

    outcome = evaluate_pairs(scorer, PairSet(queries, documents), seeds=(0,), n_resamples=10)
    np.testing.assert_allclose(outcome.scores["positive"], expected, atol=1e-5)
    plain = BiEncoderScorer(scorer.encoder)
    assert np.abs(plain.score(PAIRS) - expected.numpy()).max() > 1e-3, "the prompts matter"


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, Prompts()),
        ({"query": "q: "}, Prompts("q: ", "")),
        ({"query": "", "document": "", "passage": "p: "}, Prompts("", "p: ")),
        ({"clustering": "c: "}, Prompts()),
    ],
)
def test_names_of_prompts(stored: dict, expected: Prompts, tmp_path: Path) -> None:
    assert read_prompts(with_prompts(tmp_path / "model", **stored)) == expected


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
