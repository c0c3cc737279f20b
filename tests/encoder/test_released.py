"""Released models by name: from the repository, else the package, else the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from model_form import check_form
from pubvec.cli import run
from pubvec.encoder import load, registry, resolve
from pubvec.errors import InputError


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Empty places in which released models are looked for."""
    found = {name: tmp_path / name for name in ("_REPOSITORY", "_PACKAGE")}
    for name, folder in found.items():
        monkeypatch.setattr(registry, name, folder)
    return found


def test_repository_first_then_package(exported_model: Path, places: dict[str, Path]) -> None:
    package = shutil.copytree(exported_model, places["_PACKAGE"] / "pubvec-small")
    assert resolve("pubvec-small") == package
    with load("pubvec-small") as encoder:
        assert encoder.name == "pubvec-small"
        assert encoder.encode(["aspirin"]).shape == (1, 32)
    repository = shutil.copytree(exported_model, places["_REPOSITORY"] / "pubvec-small")
    assert resolve("pubvec-small") == repository


@pytest.mark.usefixtures("no_hub")
def test_no_account_on_the_hub_is_asked_unless_one_is_named(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"pubvec-nano has not been released: .* set PUBVEC_HUB_OWNER"):
        resolve("pubvec-nano")
    with pytest.raises(InputError, match="pubvec-small is not in this installation"):
        resolve("pubvec-small")
    monkeypatch.setenv("PUBVEC_HUB_OWNER", "somebody")
    for name in ("pubvec-nano", "pubvec-small"):
        with pytest.raises(InputError, match=f"the hub did not give somebody/{name}"):
            resolve(name)


@pytest.mark.usefixtures("no_hub")
def test_revisions_are_those_of_hub_repositories(exported_model: Path, places: dict[str, Path]) -> None:
    shutil.copytree(exported_model, places["_REPOSITORY"] / "pubvec-small")
    with pytest.raises(InputError, match="the hub did not give organization/model@v1"):
        resolve("organization/model", revision="v1")
    with pytest.raises(InputError, match="the hub did not give organization/model@v1"):
        resolve("organization/model@v1")
    with pytest.raises(InputError, match="give one of them"):
        resolve("organization/model@v1", revision="v2")
    with pytest.raises(InputError, match="is a folder, which has no revision 'v1'"):
        load(exported_model, revision="v1")
    with pytest.raises(InputError, match="revisions of pubvec-small are on the hub only"):
        load("pubvec-small", revision="v1")
    with pytest.raises(InputError, match="the hub did not give sentence-transformers/all-MiniLM-L6-v2@v1"):
        load("minilm@v1")


def test_a_folder_may_have_an_at_sign_in_its_name(exported_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported_model, tmp_path / "model@v1")
    assert resolve(str(folder)) == resolve(folder) == folder


def test_a_folder_of_that_name_is_no_release(
    exported_model: Path, places: dict[str, Path], tmp_path, monkeypatch
):
    shutil.copytree(exported_model, tmp_path / "here" / "pubvec-nano")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="has not been released"):
        resolve("pubvec-nano")
    assert resolve("./pubvec-nano").name == "pubvec-nano"


def test_models_lists_what_is_here(exported_model: Path, places: dict[str, Path], capsys) -> None:
    folder = shutil.copytree(exported_model, places["_REPOSITORY"] / "pubvec-small")
    assert run(["models"]) == 0
    lines = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["pubvec-small"].startswith(f"{folder}\t")
    assert lines.keys() == {"pubvec-small", "minilm", "mpnet"}


def test_the_released_folder_has_the_form_that_all_libraries_read() -> None:
    check_form(Path(__file__).parents[2] / "models" / "pubvec-small")
