"""The wheel carries the model that a search needs, and no weights."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory):
    """Build a wheel of a copy of the project with the given files as its models."""
    # The version is read and the library is not imported: setuptools fails to import where another test
    # of this process has already imported the standard library's `distutils`.
    if int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("builds without an index need setuptools 77")

    def make(**files: bytes) -> set[str]:
        root = tmp_path_factory.mktemp("project")
        shutil.copytree(
            ROOT / "src", root / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__")
        )
        for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
            shutil.copyfile(ROOT / name, root / name)
        for name, content in files.items():
            path = root / "models" / "pubvec-small" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-build-isolation",
            "--no-deps",
            "-w",
            "dist",
            ".",
        ]
        subprocess.run(command, cwd=root, check=True, capture_output=True)
        (wheel,) = (root / "dist").glob("*.whl")
        with zipfile.ZipFile(wheel) as content_of:
            return {name for name in content_of.namelist() if name.startswith("pubvec/")}

    return make


def test_graph_and_tokenizer_travel_and_weights_do_not(build) -> None:
    files = ("config.json", "tokenizer.json", "model.safetensors", "onnx/model_quantized.onnx")
    found = build(**dict.fromkeys(files, b"{}"))
    models = {name for name in found if name.startswith("pubvec/models/")}
    assert models == {
        f"pubvec/models/pubvec-small/{name}"
        for name in ("config.json", "tokenizer.json", "onnx/model_quantized.onnx")
    }
    assert "pubvec/py.typed" in found


def test_a_checkout_without_models_makes_a_wheel_too(build) -> None:
    assert not [name for name in build() if name.startswith("pubvec/models/")]
