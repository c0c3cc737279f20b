"""The exported model folder gives the same vectors in the libraries that users have."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from pubvec.encoder import load
from tiny_models import TEXTS

QUERIES = [*TEXTS, "", "stroke " * 100]


@pytest.fixture
def ours(exported_model: Path) -> np.ndarray:
    return load(exported_model, backend="onnx", precision="fp32").encode(QUERIES, normalize_embeddings=False)


def test_sentence_transformers(exported_model: Path, ours: np.ndarray) -> None:
    theirs = SentenceTransformer(str(exported_model), device="cpu").encode(QUERIES)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_plain_transformers_with_mean_pooling(exported_model: Path, ours: np.ndarray) -> None:
    """The snippet that model cards print."""

    def mean_pooling(output: tuple[torch.Tensor, ...], attention_mask: torch.Tensor) -> torch.Tensor:
        tokens = output[0]
        mask = attention_mask.unsqueeze(-1).expand(tokens.size()).float()
        return torch.sum(tokens * mask, 1) / torch.clamp(mask.sum(1), min=1e-9)

    tokenizer = AutoTokenizer.from_pretrained(exported_model)
    model = AutoModel.from_pretrained(exported_model)
    inputs = tokenizer(QUERIES, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        theirs = mean_pooling(model(**inputs), inputs["attention_mask"]).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_txtai(exported_model: Path, ours: np.ndarray) -> None:
    txtai = pytest.importorskip("txtai", reason="txtai is not installed: pip install 'pubvec[txtai]'")
    theirs = txtai.Embeddings(path=str(exported_model), gpu=False).batchtransform(QUERIES)
    np.testing.assert_allclose(
        ours / np.linalg.norm(ours, axis=1, keepdims=True), np.stack(theirs), atol=1e-5
    )


def test_graph_of_others_is_pooled_here(exported_model: Path, ours: np.ndarray, tmp_path: Path) -> None:
    """Most ONNX exports give token embeddings and leave the pooling to the reader."""
    folder = shutil.copytree(exported_model, tmp_path / "theirs")
    graph = onnx.load(folder / "onnx/model.onnx")
    graph.graph.output.remove(next(o for o in graph.graph.output if o.name == "sentence_embedding"))
    onnx.save(graph, folder / "onnx/model.onnx")
    encoder = load(folder, backend="onnx", precision="fp32")
    np.testing.assert_allclose(encoder.encode(QUERIES, normalize_embeddings=False), ours, atol=1e-5)


def test_graph_has_what_other_readers_expect(exported_model: Path) -> None:
    for name in ("model", "model_quantized"):
        graph = onnx.load(exported_model / f"onnx/{name}.onnx").graph
        assert [output.name for output in graph.output] == ["last_hidden_state", "sentence_embedding"]
        axes = [dim.dim_param for dim in graph.input[0].type.tensor_type.shape.dim]
        assert axes == ["batch", "sequence"]
