from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pubvec
from pubvec.encoder import ModelSettings, load
from pubvec.errors import ConfigError, InputError


def copy(folder: Path, goal: Path) -> Path:
    return shutil.copytree(folder, goal / "copy")


def test_import_is_light() -> None:
    code = (
        "import sys, pubvec; print(sorted({'torch', 'onnxruntime', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_encoding_with_onnx_needs_no_torch(exported_model: Path) -> None:
    code = (
        "import sys, pubvec; "
        f"print(pubvec.load({str(exported_model)!r}).encode(['sepsis']).shape, 'torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "(1, 32) False"


def test_settings(tiny_model: Path) -> None:
    settings = ModelSettings.read(tiny_model)
    assert (settings.dim, settings.pooling, settings.is_normalized) == (32, "mean", False)
    assert settings.max_seq_length == 64
    assert settings.prompts == ("", "", "")


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"embedding_dimension": 32, "pooling_mode": "cls"}, "cls"),
        ({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}, "mean"),
        (
            {
                "word_embedding_dimension": 32,
                "pooling_mode_cls_token": True,
                "pooling_mode_mean_tokens": False,
            },
            "cls",
        ),
    ],
)
def test_pooling_of_every_generation(
    tiny_model: Path, tmp_path: Path, config: dict[str, object], pooling: str
) -> None:
    folder = copy(tiny_model, tmp_path)
    (folder / "1_Pooling/config.json").write_text(json.dumps(config))
    assert ModelSettings.read(folder).pooling == pooling


def test_max_seq_length_of_older_models(tiny_model: Path, tmp_path: Path) -> None:
    folder = copy(tiny_model, tmp_path)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 50, "do_lower_case": false}')
    assert ModelSettings.read(folder).max_seq_length == 50
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 5000}')
    assert ModelSettings.read(folder).max_seq_length == 128, "never more than there are positions"


def test_plain_transformer_is_mean_pooled(tiny_model: Path, tmp_path: Path) -> None:
    folder = copy(tiny_model, tmp_path)
    (folder / "modules.json").unlink()
    settings = ModelSettings.read(folder)
    assert (settings.pooling, settings.is_normalized) == ("mean", False)


def test_backend_and_precision(tiny_model: Path, exported_model: Path) -> None:
    assert type(load(tiny_model)).__name__ == "TorchEncoder"
    assert type(load(exported_model)).__name__ == "OnnxEncoder"
    assert type(load(exported_model, backend="torch")).__name__ == "TorchEncoder"
    by_default = load(exported_model).encode(["sepsis"])
    assert (by_default == load(exported_model, precision="int8").encode(["sepsis"])).all()
    assert (by_default != load(exported_model, precision="fp32").encode(["sepsis"])).any()


def test_attributes(exported_model: Path) -> None:
    for backend in ("onnx", "torch"):
        encoder = pubvec.load(exported_model, backend=backend, max_seq_length=20, n_threads=1)
        assert (encoder.name, encoder.dim, encoder.max_seq_length) == ("tiny", 32, 20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "tensorflow"}, "onnx or torch"),
        ({"precision": "int4"}, "fp32 or int8"),
        ({"backend": "torch", "precision": "int8"}, "leave one"),
        ({"max_seq_length": 2}, "expected 3"),
        ({"max_seq_length": 129}, "to 128"),
        ({"n_threads": 0}, "at least 1"),
    ],
)
def test_wrong_settings(tiny_model: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tiny_model, **arguments)


def test_model_without_graph(tiny_model: Path) -> None:
    for arguments in ({"backend": "onnx"}, {"precision": "int8"}):
        with pytest.raises(InputError, match="pubvec export"):
            load(tiny_model, **arguments)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        load(tmp_path / "nothing")


def test_folder_that_is_no_model_lists_what_is_missing(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config.json, tokenizer.json, model.safetensors missing"):
        load(tmp_path)
    folder = copy(tiny_model, tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r": tokenizer.json missing"):
        load(folder)


@pytest.mark.parametrize("content", ["[{", '{"a": 1}', "[1]", '[{"type": "x.Transformer"}]'])
def test_broken_modules(tiny_model: Path, tmp_path: Path, content: str) -> None:
    folder = copy(tiny_model, tmp_path)
    (folder / "modules.json").write_text(content)
    with pytest.raises(InputError, match=r"modules\.json"):
        ModelSettings.read(folder)
    with pytest.raises(InputError, match=str(folder)):
        load(folder)


def test_unsupported_pooling_and_modules(tiny_model: Path, tmp_path: Path) -> None:
    folder = copy(tiny_model, tmp_path)
    pooling = folder / "1_Pooling/config.json"
    for mode in ("max", ["mean", "cls"]):
        pooling.write_text(json.dumps({"embedding_dimension": 32, "pooling_mode": mode}))
        with pytest.raises(InputError, match="mean or cls"):
            ModelSettings.read(folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(InputError, match=r"Pooling \+ Dense"):
        ModelSettings.read(folder)


def test_pickled_weights_are_not_read(tiny_model: Path, tmp_path: Path) -> None:
    folder = copy(tiny_model, tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"model\.safetensors missing"):
        load(folder)


def test_damaged_graph(exported_model: Path, tmp_path: Path) -> None:
    folder = copy(exported_model, tmp_path)
    (folder / "onnx/model_quantized.onnx").write_bytes(b"not a graph")
    with pytest.raises(InputError, match="export the model again"):
        load(folder)


def test_the_torch_backend_without_torch_names_the_extra(tiny_model):
    code = (
        "import sys; sys.modules['torch'] = None; import pubvec; from pubvec.errors import MissingExtraError\n"
        "try: pubvec.load(sys.argv[1], backend='torch')\n"
        "except MissingExtraError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tiny_model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "'torch', which is not installed: pip install 'pubvec[train]'" in done.stdout
