"""Damage of an index is found and never passed on: by verify, update and compact, also in a copy; links lead nowhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from makers import make_article as make_xml
from makers import write_xml
from pubvec.errors import InputError, PubvecError
from pubvec.files import MANIFEST, MODEL_MANIFEST
from pubvec.follow import update as follow
from pubvec.retrieval import Searcher, compact, info, verify


@pytest.fixture
def own(library: Path, tmp_path: Path) -> Path:
    """A copy of the index, so that no inode is the one that was written down."""
    shutil.copytree(library / "index", tmp_path / "index")
    return tmp_path / "index"


def segment_files(index: Path) -> list[Path]:
    folder = index / "versions" / "00001"
    names = [path for path in (folder / "segments").rglob("*") if path.is_file()]
    return [*names, *(path for path in (folder / "lexical").iterdir() if len(path.stem) == 32)]


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_damage_in_a_copy_is_not_taken_for_new(own: Path, tmp_path: Path) -> None:
    source = write_xml(tmp_path / "new.xml", [make_xml(5_000_001)])
    paths = segment_files(own)
    assert paths
    for path in paths[:: max(1, len(paths) // 4)]:
        before = path.read_bytes()
        damage(path)
        with pytest.raises(InputError):
            verify(own)
        for change in (lambda: compact(own), lambda: follow(own, [str(source)])):
            with pytest.raises(PubvecError) as caught:
                change()
            assert "\n" not in str(caught.value)
        assert info(own).versions[-1].version == 1
        path.write_bytes(before)
    assert verify(own) == 1
    follow(own, [str(source)])
    compact(own)
    assert verify(own) == 1


@pytest.mark.parametrize("version", [-1, 0, 2, None, "1", True, 1.5, []])
def test_a_pointer_to_no_version_is_damage(own: Path, version: object) -> None:
    path = own / MODEL_MANIFEST
    pointer = json.loads(path.read_text())
    pointer["counts"]["version"] = version
    path.write_text(json.dumps(pointer))
    for call in (verify, info, compact, Searcher):
        with pytest.raises(InputError) as caught:
            call(own)
        assert "damaged" in str(caught.value) and "\n" not in str(caught.value)


def test_a_version_that_is_gone_or_exchanged_is_damage(own: Path) -> None:
    manifest = own / "versions" / "00001" / MANIFEST
    text = manifest.read_text()
    manifest.write_text(text.replace('"n_articles"', '"n_articles" '))
    with pytest.raises(InputError, match="is not the one that was written"):
        verify(own)
    manifest.write_text(text)
    assert verify(own) == 1
    shutil.rmtree(own / "versions" / "00001")
    with pytest.raises(InputError, match="its current version 1 is gone"):
        verify(own)


def test_no_link_in_an_index_is_followed(own: Path, tmp_path: Path) -> None:
    decoy = tmp_path / "decoy"
    decoy.mkdir()
    (decoy / "precious").write_text("mine")
    before = files_of(decoy)
    (own / ".lock").unlink(missing_ok=True)
    (own / ".lock").symlink_to(decoy / "precious")
    source = write_xml(tmp_path / "new.xml", [make_xml(5_000_001)])
    for change in (lambda: compact(own), lambda: follow(own, [str(source)])):
        with pytest.raises(PubvecError, match="is a link"):
            change()
    (own / ".lock").unlink()
    path = segment_files(own)[0]
    path.rename(decoy / "moved")
    path.symlink_to(decoy / "moved")
    with pytest.raises(InputError, match="is a link"):
        Searcher(own)
    path.unlink()
    (decoy / "moved").unlink()
    assert files_of(decoy) == before


def test_a_refused_update_leaves_nothing(own: Path, tmp_path: Path) -> None:
    (own / ".lock").unlink(missing_ok=True)
    before = files_of(own)
    bad = write_xml(tmp_path / "bad.xml", [make_xml(1), make_xml("x")])
    with pytest.raises(InputError):
        follow(own, [str(bad)])
    assert not list(own.glob("incoming-*"))
    assert {name: data for name, data in files_of(own).items() if name != ".lock"} == before
