"""Embeddings in every output format, beside sentence-transformers' own functions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import quantize_embeddings, truncate_embeddings

from pubvec.encoder import load
from pubvec.encoder.output_format import EmbeddingRanges, NumberType, scale_to_unit
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.encoder.torch_encoder import TorchEncoder
from pubvec.errors import ConfigError, InputError
from tiny_models import TEXTS


@pytest.fixture(params=["onnx", "torch"])
def encoder(request: pytest.FixtureRequest, exported_model: Path) -> TextEncoder:
    return load(exported_model, backend=request.param, precision="fp32")


@pytest.mark.parametrize("normalize", [True, False])
def test_dimensions(encoder: TextEncoder, normalize: bool) -> None:
    expected = truncate_embeddings(encoder.encode(TEXTS, normalize_embeddings=False), 12)
    vectors = encoder.encode(TEXTS, truncate_dim=12, normalize_embeddings=normalize)
    np.testing.assert_allclose(vectors, scale_to_unit(expected) if normalize else expected, atol=1e-6)


def test_float16(encoder: TextEncoder) -> None:
    vectors = encoder.encode(TEXTS, precision="float16")
    assert vectors.dtype == np.float16
    np.testing.assert_allclose(vectors, encoder.encode(TEXTS), atol=5e-4)


@pytest.mark.parametrize("precision", ["float32", "binary", "ubinary"])
def test_precision_means_what_it_means_in_sentence_transformers(
    encoder: TextEncoder, precision: NumberType
) -> None:
    vectors, expected = (
        encoder.encode(TEXTS, precision=precision),
        quantize_embeddings(encoder.encode(TEXTS), precision),
    )
    assert vectors.dtype == expected.dtype
    np.testing.assert_array_equal(vectors, expected)
    assert encoder.encode(TEXTS, precision="binary", truncate_dim=16).shape == (10, 2)


@pytest.mark.parametrize("dimensions", [None, 32])
@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_rounded(
    encoder: TextEncoder, exported_model: Path, dimensions: int | None, precision: NumberType
) -> None:
    vectors = encoder.encode(TEXTS, precision=precision, truncate_dim=dimensions)
    saved = json.loads((exported_model / "onnx/embedding_ranges.json").read_text())["32"]
    ranges = np.array([saved["minimum"], saved["maximum"]], dtype=np.float32)
    exact = encoder.encode(TEXTS)
    expected = quantize_embeddings(np.clip(exact, *ranges), precision, ranges=ranges)
    assert vectors.dtype == expected.dtype == np.dtype(precision)
    assert np.abs(vectors.astype(int) - expected).max() <= 1, "theirs truncates, ours rounds"
    minimum, maximum = ranges
    levels = vectors.astype(np.float32) + (128 if precision == "int8" else 0)
    restored = levels / 255 * (maximum - minimum) + minimum
    assert (scale_to_unit(restored) * exact).sum(axis=1).min() > 0.995


def test_batch_size_is_a_hint(encoder: TextEncoder) -> None:
    np.testing.assert_array_equal(encoder.encode(TEXTS, batch_size=1), encoder.encode(TEXTS))
    with pytest.raises(ConfigError, match="batch_size must be at least 1, not 0"):
        encoder.encode(TEXTS, batch_size=0)


@pytest.mark.parametrize("word", ["normalize", "dimensions", "show_progress"])
def test_there_is_one_word_for_a_thing(encoder: TextEncoder, word: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{word}'"):
        encoder.encode(TEXTS, **{word: 8})  # type: ignore[arg-type]


def test_ranges_of_every_width(tmp_path: Path) -> None:
    vectors = scale_to_unit(np.random.default_rng(0).normal(size=(500, 128)).astype(np.float32))
    ranges = EmbeddingRanges.measure(vectors)
    assert list(ranges.by_width) == [128, 64, 32]
    (tmp_path / "ranges.json").write_text(json.dumps(ranges.to_json()))
    read = EmbeddingRanges.read(tmp_path / "ranges.json")
    for width, bounds in ranges.by_width.items():
        np.testing.assert_array_equal(read.by_width[width], bounds)
    cut = scale_to_unit(vectors[:, :64])
    restored = read.round(cut) / np.float32(255)
    minimum, maximum = read.by_width[64]
    assert (scale_to_unit(restored * (maximum - minimum) + minimum) * cut).sum(axis=1).min() > 0.999


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "int4"}, "float32, float16, int8, uint8, binary, ubinary"),
        ({"truncate_dim": 0}, "at least 1"),
        ({"truncate_dim": 33}, "the model has 32"),
        ({"precision": "uint8", "normalize_embeddings": False}, "leave normalization on"),
        ({"precision": "int8", "truncate_dim": 20}, "have 32 dimensions, not 20"),
        ({"precision": "binary", "truncate_dim": 12}, "no multiple of 8"),
    ],
)
def test_wrong_formats(encoder: TextEncoder, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encoder.encode(TEXTS, **arguments)  # type: ignore[arg-type]


def test_no_texts_have_a_format_too(encoder: TextEncoder) -> None:
    widths = {"float16": 32, "int8": 32, "uint8": 32, "binary": 4, "ubinary": 4}
    for precision, width in widths.items():
        nothing = encoder.encode([], precision=precision)  # type: ignore[arg-type]
        assert nothing.shape == (0, width)
        assert nothing.dtype == encoder.encode(["x"], precision=precision).dtype  # type: ignore[arg-type]


def test_model_without_ranges(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="`pubvec export` makes it"):
        load(tiny_model).encode(TEXTS, precision="int8")
    live = TorchEncoder(SentenceTransformer(str(tiny_model), device="cpu"), name="live")
    with pytest.raises(InputError, match="save and export"):
        live.encode(TEXTS, precision="int8")


@pytest.mark.parametrize("content", ["{", "[]", '{"32": {}}', '{"x": 1}'])
def test_damaged_ranges(tmp_path: Path, content: str) -> None:
    (tmp_path / "ranges.json").write_text(content)
    with pytest.raises(InputError, match="damaged"):
        EmbeddingRanges.read(tmp_path / "ranges.json")
