"""Checkpoints of PyLate: against `MultiVectorEncoder`, and against plain transformers step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import MultiVectorEncoder
from transformers import AutoModel, AutoTokenizer

from pubvec.encoder import load_scorer, model_type_of
from pubvec.encoder.late_interaction import LateInteractionScorer
from pubvec.errors import ConfigError, InputError
from tiny_models import TEXTS, make_tiny_pylate

PAIRS = [(TEXTS[n], TEXTS[(3 * n + 1) % len(TEXTS)]) for n in range(len(TEXTS))]
QUERIES, DOCUMENTS = zip(*PAIRS, strict=True)


@pytest.fixture(scope="module")
def pylate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pylate(tmp_path_factory.mktemp("models") / "pylate")


def by_hand(folder: Path, text: str, prefix: str, length: int, *, is_expanded: bool) -> torch.Tensor:
    """Unit vectors of tokens as PyLate's paper and code describe them. *Shape:* (n_tokens, 8)"""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    ids = tokenizer(text, truncation=True, max_length=length - 1)["input_ids"]
    ids.insert(1, tokenizer.convert_tokens_to_ids(prefix))
    n_missing = length - len(ids) if is_expanded else 0
    mask = torch.tensor([[1] * len(ids) + [0] * n_missing])
    input_ids = torch.tensor([ids + [tokenizer.mask_token_id] * n_missing])
    with torch.no_grad():
        tokens = model(input_ids=input_ids, attention_mask=mask)[0][0]
    vectors = tokens @ load_file(folder / "1_Dense" / "model.safetensors")["linear.weight"].T
    if prefix == "[D] ":
        skipped = tokenizer.convert_tokens_to_ids([".", ",", ":", "-"])
        vectors = vectors[[number not in skipped for number in ids]]
    return torch.nn.functional.normalize(vectors, dim=1)


def maxsim_by_hand(folder: Path, query: str, document: str, *, is_expanded: bool) -> tuple[float, float]:
    """Sum and mean."""
    left = by_hand(folder, query, "[Q] ", 16, is_expanded=is_expanded)
    right = by_hand(folder, document, "[D] ", 24, is_expanded=False)
    best = (left @ right.T).max(dim=1).values
    return best.sum().item(), best.mean().item()


@pytest.mark.parametrize("settings", [{}, {"do_query_expansion": False}, {"model_type": "ColBERT"}])
def test_scores_are_the_library_s_and_those_by_hand(settings: dict[str, object], tmp_path: Path) -> None:
    folder = make_tiny_pylate(tmp_path / "model", **settings)
    assert model_type_of(folder) == "late interaction"
    is_expanded = settings.get("do_query_expansion", True)
    library = MultiVectorEncoder(str(folder), device="cpu")
    queries, documents = library.encode_query(list(QUERIES)), library.encode_document(list(DOCUMENTS))
    for place, (similarity, function) in enumerate({"sum": "maxsim", "mean": "meanmaxsim"}.items()):
        library.similarity_fn_name = function
        scorer = load_scorer(folder, similarity=similarity)
        scores = scorer.score(PAIRS)
        np.testing.assert_allclose(scores, library.similarity_pairwise(queries, documents), atol=1e-5)
        expected = [maxsim_by_hand(folder, *pair, is_expanded=is_expanded)[place] for pair in PAIRS]
        np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert np.ptp(scores) > 0.01
    assert scorer.lengths == {"query_length": 16, "document_length": 24}
    how = "expanded to 16 tokens" if is_expanded else "not expanded"
    assert scorer.definition == f"mean over query tokens of the greatest cosine (MaxSim), queries {how}"


def test_query_expansion_can_be_turned_off(pylate: Path, tmp_path: Path) -> None:
    without = make_tiny_pylate(tmp_path / "without", do_query_expansion=False)
    scorer, expected = load_scorer(pylate, query_expansion=False), load_scorer(without)
    np.testing.assert_allclose(scorer.score(PAIRS), expected.score(PAIRS), atol=1e-6)
    assert (scorer.lengths, scorer.definition) == (expected.lengths, expected.definition)
    assert len(scorer.encode_queries(["insulin"])[0]) < 16
    assert np.abs(scorer.score(PAIRS) - load_scorer(pylate).score(PAIRS)).max() > 1e-3


def test_query_expansion_can_be_turned_on(pylate: Path, tmp_path: Path) -> None:
    without = make_tiny_pylate(tmp_path / "without", do_query_expansion=False)
    scorer = load_scorer(without, query_expansion=True)
    np.testing.assert_allclose(scorer.score(PAIRS), load_scorer(pylate).score(PAIRS), atol=1e-6)
    assert scorer.definition == load_scorer(pylate).definition
    same = load_scorer(pylate, query_expansion=True)
    np.testing.assert_allclose(same.score(PAIRS), scorer.score(PAIRS), atol=1e-6)


def test_query_expansion_and_length_together(pylate: Path) -> None:
    for query_expansion, expected in ((True, [16, 20]), (False, [4, 20])):
        scorer = load_scorer(pylate, query_expansion=query_expansion, query_length=20)
        assert scorer.lengths["query_length"] == 20
        vectors = scorer.encode_queries(["stroke", " ".join(TEXTS)])
        assert [len(each) for each in vectors] == expected
    bare = MultiVectorEncoder(str(pylate), device="cpu")
    bare[0].query_expansion = None
    scorer = LateInteractionScorer(bare, name="bare", query_expansion=True)
    assert len(scorer.encode_queries(["stroke"])[0]) == 32, "the length of ColBERT, where nobody says one"


def test_what_is_refused(pylate: Path, tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match="query_expansion is a setting of late interaction"):
        load_scorer(tiny_model, query_expansion=False)
    model = MultiVectorEncoder(str(pylate), device="cpu")
    model[0].query_expansion = None
    model.tokenizer.mask_token = None
    with pytest.raises(InputError, match="queries cannot be expanded"):
        LateInteractionScorer(model, name="maskless", query_expansion=True)
