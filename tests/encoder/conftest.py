"""A tiny model with its ONNX graphs."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub
import pytest

from pubvec.conversion import export


@pytest.fixture(scope="session")
def exported_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_model` with `onnx/`. Read only."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("exported") / "tiny")
    export(folder)
    return folder


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hub that nobody reaches, whether this machine has a network or not, and an empty cache."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("PUBVEC_HUB_OWNER", raising=False)
