"""The graphs that are written here compute what the model in torch computes, whatever its family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    CamembertConfig,
    MPNetConfig,
    PreTrainedConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from pubvec.conversion.graph import EncoderGraph
from pubvec.conversion.quantize import Int8Graph, measure_ranges, quantize_weight
from pubvec.conversion.weights import EncoderWeights
from pubvec.encoder import ModelSettings
from pubvec.encoder.output_format import FloatArray

SHAPE = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "pad_token_id": 1,
}
FAMILIES = (
    BertConfig(max_position_embeddings=200, **SHAPE),
    RobertaConfig(max_position_embeddings=202, type_vocab_size=1, **SHAPE),
    XLMRobertaConfig(max_position_embeddings=202, type_vocab_size=1, **SHAPE),
    CamembertConfig(max_position_embeddings=202, type_vocab_size=1, **SHAPE),
    MPNetConfig(max_position_embeddings=202, **SHAPE),
)
N_TOKENS = 180
"""Long enough for MPNet's widest distances."""


def save(config: PreTrainedConfig, folder: Path) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModel.from_config(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, mean=0.1, std=0.3)
    model.save_pretrained(folder)
    return model


def make_batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    lengths = np.array([N_TOKENS, 90, 3])
    mask = (np.arange(N_TOKENS) < lengths[:, None]).astype(np.int64)
    return np.where(mask, rng.integers(5, 100, mask.shape), 1), mask


def run(model: onnx.ModelProto, ids: np.ndarray, mask: np.ndarray) -> tuple[FloatArray, FloatArray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    tokens, pooled = session.run(None, {field.name: feed[field.name] for field in session.get_inputs()})
    return tokens, pooled


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.model_type)
def test_every_family(config: PreTrainedConfig, tmp_path: Path) -> None:
    model = save(config, tmp_path)
    (tmp_path / "tokenizer.json").touch()
    settings = ModelSettings.read(tmp_path)
    assert settings.n_positions == 200
    graph = EncoderGraph(EncoderWeights.read(tmp_path, settings.n_positions), settings).build()
    onnx.checker.check_model(graph)
    ids, mask = make_batch()
    with torch.no_grad():
        expected = model(torch.from_numpy(ids), torch.from_numpy(mask)).last_hidden_state.numpy()
    tokens, pooled = run(graph, ids, mask)
    np.testing.assert_allclose(tokens[mask.astype(bool)], expected[mask.astype(bool)], atol=2e-4)
    mean = (expected * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    np.testing.assert_allclose(pooled, mean, atol=2e-4)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_branch_without_padding_gives_the_same(row: int, tmp_path: Path) -> None:
    save(FAMILIES[0], tmp_path)
    (tmp_path / "tokenizer.json").touch()
    settings = ModelSettings.read(tmp_path)
    graph = EncoderGraph(EncoderWeights.read(tmp_path, settings.n_positions), settings).build()
    ids, mask = make_batch()
    length = int(mask[row].sum())
    alone = run(graph, ids[row : row + 1, :length], mask[row : row + 1, :length])[1]
    np.testing.assert_allclose(alone[0], run(graph, ids, mask)[1][row], atol=1e-4)


def test_folding_moves_scales_without_changing_the_function(tmp_path: Path) -> None:
    """Only rounding separates int8 from fp32: with weights and ranges that 8 bits hold well, hardly anything."""
    model = save(FAMILIES[0], tmp_path)
    del model
    (tmp_path / "tokenizer.json").touch()
    settings = ModelSettings.read(tmp_path)
    weights = EncoderWeights.read(tmp_path, settings.n_positions)
    ids, mask = make_batch()
    texts = [row[: int(n)].tolist() for row, n in zip(ids, mask.sum(1), strict=True)]
    ranges = measure_ranges(weights, settings, texts)
    reference = run(EncoderGraph(weights, settings).build(), ids, mask)[1]
    lengths = np.linalg.norm(reference, axis=1)
    for smoothing in (0.0, 0.5, 1.0):
        int8 = Int8Graph(weights, settings, ranges, smoothing=smoothing).build()
        onnx.checker.check_model(int8)
        vectors = run(int8, ids, mask)[1]
        cosines = (vectors * reference).sum(1) / (np.linalg.norm(vectors, axis=1) * lengths)
        assert cosines.min() > 0.99


@pytest.mark.parametrize("shape", [(16, 64), (7, 33)])
def test_quantized_weights_cannot_overflow_a_16_bit_sum(shape: tuple[int, int]) -> None:
    """Processors without VNNI add two products of an unsigned and a signed byte in 16 bits, saturating."""
    weight = np.random.default_rng(0).standard_t(3, shape).astype(np.float32)
    levels, scale = quantize_weight(weight)
    assert np.abs(levels * scale[:, None] - weight).max() <= scale.max() / 2 * 1.001
    pairs = np.pad(levels.astype(int), ((0, 0), (0, shape[1] % 2))).reshape(shape[0], -1, 2)
    for worst in (np.maximum(pairs, 0), np.maximum(-pairs, 0)):
        assert (255 * worst.sum(axis=2)).max() < 2**15
    assert np.abs(levels).max() > 64, "more than 7 bits are used"


def test_weight_of_zeros() -> None:
    levels, scale = quantize_weight(np.zeros((2, 4), np.float32))
    assert not levels.any()
    assert np.isfinite(scale).all()
