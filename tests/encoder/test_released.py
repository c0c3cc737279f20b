"""Released models by name: from the repository, else the package, else the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pubvec.cli import run
from pubvec.encoder import load, released, resolve
from pubvec.errors import InputError


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Empty places in which released models are looked for."""
    found = {name: tmp_path / name for name in ("_REPOSITORY", "_PACKAGE")}
    for name, folder in found.items():
        monkeypatch.setattr(released, name, folder)
    return found


def test_repository_first_then_package(exported_model: Path, places: dict[str, Path]) -> None:
    package = shutil.copytree(exported_model, places["_PACKAGE"] / "pubvec-small")
    assert resolve("pubvec-small") == package
    with load("pubvec-small") as encoder:
        assert encoder.name == "pubvec-small"
        assert encoder.encode(["aspirin"]).shape == (1, 32)
    repository = shutil.copytree(exported_model, places["_REPOSITORY"] / "pubvec-small")
    assert resolve("pubvec-small") == repository


def test_what_is_not_here_is_asked_of_the_hub(places: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="pubvec/pubvec-nano is no folder here, nor did the hub give it"):
        resolve("pubvec-nano")


def test_a_folder_of_that_name_is_no_release(
    exported_model: Path, places: dict[str, Path], tmp_path, monkeypatch
):
    shutil.copytree(exported_model, tmp_path / "here" / "pubvec-nano")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="hub"):
        resolve("pubvec-nano")
    assert resolve("./pubvec-nano").name == "pubvec-nano"


def test_models_lists_what_is_here(exported_model: Path, places: dict[str, Path], capsys) -> None:
    folder = shutil.copytree(exported_model, places["_REPOSITORY"] / "pubvec-small")
    assert run(["models"]) == 0
    lines = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["pubvec-small"].startswith(f"{folder}\t")
    assert lines["pubvec-nano"].startswith("not here\t")
    assert "minilm" in lines
