"""Static models, as sentence-transformers and model2vec save them, against sentence-transformers' own scores."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from pubvec.encoder import load, load_scorer, model_type_of
from pubvec.errors import ConfigError, InputError
from tiny_models import TEXTS, make_tiny_static

QUERIES = [*TEXTS, "", "stroke " * 2000, "[CLS] sepsis"]
PAIRS = list(itertools.pairwise(TEXTS))


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_static(tmp_path_factory.mktemp("models") / "static")


@pytest.fixture(scope="module")
def model2vec(static: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of model2vec: its own config, rows shared by tokens, a weight for each token."""
    folder = tmp_path_factory.mktemp("models") / "model2vec"
    shutil.copytree(static, folder)
    table = load_file(folder / "model.safetensors")["embedding.weight"]
    n_tokens = len(table)
    tensors = {"embeddings": table[: n_tokens // 2 + 1].contiguous(), "mapping": torch.arange(n_tokens) // 2}
    save_file(tensors | {"weights": torch.linspace(0.1, 1, n_tokens)}, folder / "model.safetensors")
    modules = [("StaticEmbedding", "."), ("Normalize", "1_Normalize")]
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
                for n, (kind, path) in enumerate(modules)
            ]
        )
    )
    (folder / "config_sentence_transformers.json").unlink()
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def in_a_folder_of_its_own(static: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As sentence-transformers 3 and 4 wrote it."""
    folder = tmp_path_factory.mktemp("models") / "own"
    shutil.copytree(static, folder)
    part = folder / "0_StaticEmbedding"
    part.mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).rename(part / name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = part.name
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.fixture(params=["static", "model2vec", "in_a_folder_of_its_own"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_vectors_and_scores_are_the_library_s(folder: Path) -> None:
    library = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(load(folder).encode(QUERIES), library.encode(QUERIES), atol=1e-6)
    scorer = load_scorer(folder)
    queries, documents = map(list, zip(*PAIRS, strict=True))
    expected = library.similarity_pairwise(library.encode(queries), library.encode(documents))
    assert np.ptp(expected.numpy()) > 0.1
    np.testing.assert_allclose(scorer.score(PAIRS), expected, atol=1e-6)
    assert (scorer.model_type, model_type_of(folder), scorer.dim) == ("bi-encoder", "bi-encoder", 16)


def test_without_normalize_the_cosine_is_the_same(static: Path, tmp_path: Path) -> None:
    plain = make_tiny_static(tmp_path / "plain", normalize=False)
    np.testing.assert_allclose(load_scorer(plain).score(PAIRS), load_scorer(static).score(PAIRS), atol=1e-6)


def test_the_window_has_no_end_unless_one_is_given(static: Path) -> None:
    assert load(static).max_seq_length is None
    assert load_scorer(static).lengths == {"max_seq_length": None}
    short = load(static, max_seq_length=4)
    assert (short.max_seq_length, short.tokenize([TEXTS[0]])) == (
        4,
        [load(static).tokenize([TEXTS[0]])[0][:4]],
    )
    first_words = " ".join(TEXTS[0].split()[:4])
    np.testing.assert_allclose(short.encode([TEXTS[0]]), load(static).encode([first_words]), atol=1e-6)


def test_what_is_refused(static: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a static model, which runs on torch alone"):
        load(static, backend="onnx")
    with pytest.raises(ConfigError, match="max_seq_length is 0: expected 1 or more"):
        load(static, max_seq_length=0)
    broken = shutil.copytree(static, tmp_path / "broken")
    (broken / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r": tokenizer.json missing"):
        load(broken)
