from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pubvec.conversion import ExportConfig, ParityError, export
from pubvec.conversion.parity import compare, parity_texts
from pubvec.conversion.weights import EncoderWeights
from pubvec.encoder import load
from pubvec.errors import ConfigError, InputError, OutputError
from pubvec.files import read_manifest
from tiny_models import TEXTS, make_tiny_bert


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_model, tmp_path / "model")


def test_export(model: Path) -> None:
    before = {path.name for path in model.iterdir()}
    report = export(model)
    assert {path.name for path in model.iterdir()} == before | {"onnx"}
    assert {path.name for path in (model / "onnx").iterdir()} == {
        "embedding_ranges.json",
        "manifest.json",
        "model.onnx",
        "model_quantized.onnx",
    }
    assert report.fp32.max_difference < 1e-5
    assert report.int8 is not None
    assert report.int8_bytes is not None
    assert report.int8.mean_cosine > 0.998
    assert report.int8_bytes < report.fp32_bytes
    manifest = read_manifest(model / "onnx", made_by="export")
    assert manifest.counts["int8"]["mean_cosine"] == report.int8.mean_cosine
    assert str(model.parent) not in json.dumps(manifest.counts), "a model folder travels"


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalize", [False, True])
def test_pooling_and_normalization_are_in_the_graph(tmp_path: Path, pooling: str, normalize: bool) -> None:
    folder = make_tiny_bert(tmp_path / "model", normalize=normalize)
    path = folder / "1_Pooling/config.json"
    path.write_text(json.dumps({"embedding_dimension": 32, "pooling_mode": pooling}))
    export(folder)
    expected = load(folder, backend="torch").encode(TEXTS, normalize_embeddings=False)
    vectors = load(folder, precision="fp32").encode(TEXTS, normalize_embeddings=False)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    lengths = np.linalg.norm(vectors, axis=1)
    assert bool(np.allclose(lengths, 1, atol=1e-5)) is normalize


def test_fp32_only(model: Path) -> None:
    report = export(model, config=ExportConfig(is_quantized=False))
    assert (report.int8, report.int8_bytes) == (None, None)
    assert not (model / "onnx/model_quantized.onnx").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ExportConfig(max_difference=1e-12), "fp32 graph differs from torch"),
        (ExportConfig(min_mean_cosine_int8=1.0), "int8 graph's mean cosine"),
    ],
)
def test_failed_parity_leaves_the_model_as_it_was(model: Path, config: ExportConfig, message: str) -> None:
    before = sorted(model.rglob("*"))
    with pytest.raises(ParityError, match=message):
        export(model, config=config)
    assert sorted(model.rglob("*")) == before


def test_second_export_needs_force(model: Path) -> None:
    export(model)
    with pytest.raises(OutputError, match="--force"):
        export(model)
    export(model, force=True)


def test_graphs_of_others_are_not_overwritten(model: Path) -> None:
    (model / "onnx").mkdir()
    (model / "onnx/model_O4.onnx").write_bytes(b"theirs")
    with pytest.raises(OutputError, match="not written by pubvec"):
        export(model, force=True)
    assert (model / "onnx/model_O4.onnx").read_bytes() == b"theirs"


def test_export_of_a_copy(model: Path, tmp_path: Path) -> None:
    before = sorted(model.rglob("*"))
    export(model, output=tmp_path / "deep/copy", texts=TEXTS)
    assert sorted(model.rglob("*")) == before
    assert (tmp_path / "deep/copy/onnx/model.onnx").is_file()
    with pytest.raises(OutputError, match="exists already"):
        export(model, output=tmp_path / "deep/copy")


def test_bad_models(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        export(tmp_path / "nothing")
    with pytest.raises(InputError, match="found 1 texts"):
        export(model, texts=["one"])
    (model / "1_Pooling/config.json").write_text('{"pooling_mode": "max"}')
    with pytest.raises(InputError, match="mean or cls"):
        export(model)


@pytest.mark.parametrize("change", [{"model_type": "deberta"}, {"hidden_act": "silu"}])
def test_unknown_architecture(model: Path, change: dict[str, str]) -> None:
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match="the export knows bert"):
        EncoderWeights.read(model, 128)


def test_damaged_weights(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"model.safetensors is damaged"):
        EncoderWeights.read(model, 128)


@pytest.mark.parametrize(
    "arguments",
    [
        {"smoothing": 1.5},
        {"n_calibration_texts": 0},
        {"n_parity_texts": 0},
        {"max_difference": 0},
        {"min_cosine_fp32": 2},
        {"min_mean_cosine_int8": -2},
    ],
)
def test_wrong_settings(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        ExportConfig(**arguments)


def test_compare() -> None:
    reference = np.array([[2.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    parity = compare(reference, reference)
    assert (parity.max_difference, parity.min_cosine, parity.mean_cosine) == (0, 1, 1)
    assert compare(reference * 2, reference).max_difference == 1
    assert compare(-reference, reference).mean_cosine == -1


def test_parity_texts_are_of_many_lengths() -> None:
    lengths = [len(text.split()) for text in parity_texts(512)]
    assert min(lengths) == 0
    assert max(lengths) > 150
    assert len(set(lengths)) > 15
