"""A checkpoint's own code is not run, unless it is asked for by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import transformers.dynamic_module_utils

from pubvec.cli import run
from pubvec.conversion import export
from pubvec.encoder import load, load_scorer
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from tiny_models import TEXTS, make_tiny_bert, make_tiny_cross_encoder, make_tiny_late_interaction

CODE = """
import pathlib
pathlib.Path({trace!r}).write_text("was here")
from transformers import BertConfig, BertForSequenceClassification, BertModel
class OwnConfig(BertConfig):
    model_type = "own"
class OwnModel(BertModel):
    config_class = OwnConfig
class OwnClassifier(BertForSequenceClassification):
    config_class = OwnConfig
"""
CLASSES = {
    "AutoConfig": "modeling_own.OwnConfig",
    "AutoModel": "modeling_own.OwnModel",
    "AutoModelForSequenceClassification": "modeling_own.OwnClassifier",
}
MAKERS = {
    "bi-encoder": make_tiny_bert,
    "cross-encoder": make_tiny_cross_encoder,
    "late interaction": make_tiny_late_interaction,
}


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the code of a model leaves when it is run."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    return tmp_path / "trace"


def add_code(folder: Path, trace: Path, **config: object) -> Path:
    """Let the model in `folder` be of an architecture that only its own code knows."""
    (folder / "modeling_own.py").write_text(CODE.format(trace=str(trace)))
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": CLASSES} | config))
    return folder


@pytest.mark.parametrize("kind", MAKERS)
def test_own_code_is_refused(kind: str, trace: Path, tmp_path: Path) -> None:
    folder = add_code(MAKERS[kind](tmp_path / "own"), trace, model_type="own")
    with pytest.raises(
        InputError, match=r"needs code of its own \(modeling_own.OwnConfig\).*--trust-remote-code"
    ) as error:
        load_scorer(folder)
    assert "\n" not in str(error.value)
    assert not trace.exists()


def test_own_code_runs_where_it_is_trusted(trace: Path, tmp_path: Path) -> None:
    expected = load(make_tiny_bert(tmp_path / "plain")).encode(TEXTS)
    folder = add_code(make_tiny_bert(tmp_path / "own"), trace, model_type="own")
    np.testing.assert_allclose(load(folder, trust_remote_code=True).encode(TEXTS), expected, atol=1e-6)
    assert trace.exists()


def test_code_of_a_known_architecture_is_left_alone(trace: Path, tmp_path: Path) -> None:
    folder = add_code(make_tiny_bert(tmp_path / "known"), trace)
    assert load(folder).encode(TEXTS).shape == (10, 32)
    assert not trace.exists()


def test_an_exported_graph_needs_no_code(trace: Path, tmp_path: Path) -> None:
    folder = make_tiny_bert(tmp_path / "own")
    export(folder)
    add_code(folder, trace, model_type="own")
    assert load(folder).encode(TEXTS).shape == (10, 32)
    with pytest.raises(InputError, match="needs code of its own"):
        load(folder, backend="torch")
    assert not trace.exists()


@pytest.mark.parametrize("kind", ["modeling_own.OwnModule", "os.path.Module"])
def test_a_module_of_its_own_is_refused(kind: str, trace: Path, tmp_path: Path) -> None:
    folder = add_code(make_tiny_bert(tmp_path / "own"), trace)
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    path.write_text(json.dumps([*modules, {"idx": 2, "name": "2", "path": "", "type": kind}]))
    with pytest.raises(InputError, match=rf"needs code of its own \({kind}\)"):
        load(folder)
    assert not trace.exists()


def test_evaluate_trusts_by_name(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = add_code(make_tiny_bert(tmp_path / "own"), trace, model_type="own")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("a,b\n" + "".join(f'"{text}","{text[9:]}"\n' for text in TEXTS))
    task = f"{pairs}:a,b"
    arguments = [
        "-q",
        "evaluate",
        str(folder),
        "-t",
        task,
        "-d",
        "/",
        "-o",
        str(tmp_path / "r"),
        "--n-resamples",
        "5",
    ]
    assert run(arguments) == 1
    assert "--trust-remote-code MODEL" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="other is trusted to run its own code, and is none of the models"):
        evaluate(
            [folder], [task], "/", tmp_path / "r", EvaluateConfig(n_resamples=5), trust_remote_code=["other"]
        )
    assert not trace.exists()
    assert run([*arguments, "--trust-remote-code", str(folder)]) == 0
    assert trace.exists()
