"""The form of a model folder that other libraries and older versions read, and that it changes no vector.

`tests/compat` opens the same form with the libraries themselves.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from model_form import TEI_POOLING, TEI_SENTENCE_BERT, check_form
from pubvec.encoder import load, load_scorer, make_compatible
from tiny_models import (
    TEXTS,
    make_tiny_bert,
    make_tiny_cross_encoder,
    make_tiny_late_interaction,
    make_tiny_static,
)

QUERIES = [*TEXTS, "", "stroke " * 200, "糖尿病 και διαβήτης"]
MAKERS = {
    "bi-encoder": make_tiny_bert,
    "cross-encoder": make_tiny_cross_encoder,
    "late interaction": make_tiny_late_interaction,
    "static": make_tiny_static,
}


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A bi-encoder as sentence-transformers 6 saves it, with what other programs leave in a tokenizer's files."""
    folder = make_tiny_bert(tmp_path / "saved", normalize=True)
    change(
        folder / "tokenizer_config.json",
        max_length=16,
        stride=0,
        truncation_strategy="longest_first",
        tokenizer_class="TokenizersBackend",
    )
    truncation = {"direction": "Right", "max_length": 16, "strategy": "LongestFirst", "stride": 0}
    change(folder / "tokenizer.json", truncation=truncation)
    return folder


def test_the_form(saved: Path) -> None:
    before = [load(saved).encode(QUERIES), SentenceTransformer(str(saved), device="cpu").encode(QUERIES)]
    weights = (saved / "model.safetensors").read_bytes()
    make_compatible(saved)
    check_form(saved)
    after = [load(saved).encode(QUERIES), SentenceTransformer(str(saved), device="cpu").encode(QUERIES)]
    for vectors, expected in zip(after, before, strict=True):
        np.testing.assert_array_equal(vectors, expected)
    assert (saved / "model.safetensors").read_bytes() == weights
    assert json.loads((saved / "sentence_bert_config.json").read_text()) == {
        "max_seq_length": 64,
        "do_lower_case": False,
    }
    assert json.loads((saved / "tokenizer.json").read_text())["truncation"]["max_length"] == 64
    config = json.loads((saved / "tokenizer_config.json").read_text())
    assert (config["tokenizer_class"], config["model_max_length"]) == ("PreTrainedTokenizerFast", 64)


def test_doing_it_twice_changes_nothing(saved: Path) -> None:
    make_compatible(saved)
    files = {path: path.read_bytes() for path in saved.rglob("*") if path.is_file()}
    make_compatible(saved)
    assert {path: path.read_bytes() for path in saved.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("name", MAKERS)
def test_every_type_of_model_gives_the_same_scores(name: str, tmp_path: Path) -> None:
    make: Callable[[Path], Path] = MAKERS[name]
    folder = make(tmp_path / "model")
    copy = shutil.copytree(folder, tmp_path / "copy")
    make_compatible(copy)
    check_form(copy)
    pairs = [(query, text) for query in QUERIES for text in QUERIES]
    ours, theirs = load_scorer(copy), load_scorer(folder)
    np.testing.assert_array_equal(ours.score(pairs), theirs.score(pairs))
    assert (ours.model_type, ours.lengths) == (theirs.model_type, theirs.lengths)


@pytest.mark.parametrize("mode", ["cls", "mean", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"])
def test_every_pooling_has_its_boolean(saved: Path, mode: str) -> None:
    change(saved / "1_Pooling/config.json", pooling_mode=mode)
    expected = SentenceTransformer(str(saved), device="cpu").encode(QUERIES)
    make_compatible(saved)
    config = json.loads((saved / "1_Pooling/config.json").read_text())
    jsonschema.validate(config, TEI_POOLING)
    assert [key for key, value in config.items() if value is True and key.startswith("pooling_mode_")] == [
        f"pooling_mode_{mode}" + {"cls": "_token", "mean": "_tokens", "max": "_tokens"}.get(mode, "")
        if mode not in ("weightedmean",)
        else "pooling_mode_weightedmean_tokens"
    ]
    np.testing.assert_array_equal(SentenceTransformer(str(saved), device="cpu").encode(QUERIES), expected)


def test_an_older_folder_stays_as_it_is(saved: Path) -> None:
    make_compatible(saved)
    change(saved / "sentence_bert_config.json", max_seq_length=50, do_lower_case=True)
    change(saved / "tokenizer_config.json", model_max_length=512)
    make_compatible(saved)
    limits = json.loads((saved / "sentence_bert_config.json").read_text())
    assert limits == {"max_seq_length": 50, "do_lower_case": True}
    jsonschema.validate(limits, TEI_SENTENCE_BERT)


def test_a_cross_encoder_keeps_its_activation(tmp_path: Path) -> None:
    folder = make_tiny_cross_encoder(tmp_path / "cross")
    change(folder / "config_sentence_transformers.json", activation_fn="torch.nn.modules.linear.Identity")
    make_compatible(folder)
    config = json.loads((folder / "config.json").read_text())
    assert config["sentence_transformers"]["activation_fn"] == "torch.nn.modules.linear.Identity"
    assert type(load_scorer(folder).model.activation_fn).__name__ == "Identity"  # type: ignore[attr-defined]
