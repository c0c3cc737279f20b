"""A tiny model with its ONNX graphs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pubvec.conversion import export


@pytest.fixture(scope="session")
def exported_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_model` with `onnx/`. Read only."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("exported") / "tiny")
    export(folder)
    return folder
