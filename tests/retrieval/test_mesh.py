"""MeSH's tree from each of NLM's two forms."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubvec.errors import InputError
from pubvec.retrieval.mesh import MeshTree

TREE = """Body Regions;A01
Head;A01.456
Face;A01.456.505
Eye;A01.456.505.420
Eye;A09.371
Retina;A09.371.729
Neck;A01.4561
"""
DESCRIPTORS = """*NEWRECORD
RECTYPE = D
MH = Head
MN = A01.456
UI = D006257

*NEWRECORD
MH = Eye
MN = A01.456.505
MN = A09.371
*NEWRECORD
MH = Retina
MN = A09.371.729
"""


@pytest.fixture
def tree(tmp_path) -> MeshTree:
    (tmp_path / "mtrees2026.bin").write_text(TREE)
    return MeshTree.read(tmp_path / "mtrees2026.bin")


def test_a_heading_takes_in_those_below_it_in_all_its_places(tree):
    assert tree.explode("head") == {"Head", "Face", "Eye"}
    assert tree.explode("Eye") == {"Eye", "Retina"}
    assert tree.explode("Body Regions") == {"Body Regions", "Head", "Face", "Eye", "Neck"}
    assert len(tree) == 6


def test_descriptors_gzipped(tmp_path):
    (tmp_path / "d2026.bin.gz").write_bytes(gzip.compress(DESCRIPTORS.encode()))
    tree = MeshTree.read(tmp_path / "d2026.bin.gz")
    assert tree.explode("Head") == {"Head", "Eye"}
    assert tree.explode("Eye") == {"Eye", "Retina"}


def test_an_unknown_heading_names_its_neighbors(tree):
    with pytest.raises(InputError, match="'Heads' is no MeSH heading: did you mean Head"):
        tree.explode("Heads")
    with pytest.raises(InputError, match="'xyz' is no MeSH heading$"):
        tree.explode("xyz")


@pytest.mark.parametrize("content", [b"", b"<xml/>", b"\xff\x00", b"*NEWRECORD\nMH = Head\n"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "m.bin").write_bytes(content)
    with pytest.raises(InputError, match="holds no MeSH tree"):
        MeshTree.read(tmp_path / "m.bin")
    with pytest.raises(InputError, match="cannot be read"):
        MeshTree.read(tmp_path / "missing.bin")
    (tmp_path / "m.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="cannot be read"):
        MeshTree.read(tmp_path / "m.gz")


NUMBERS = st.lists(st.sampled_from(["01", "010", "1", "2"]), min_size=1, max_size=3).map(
    lambda p: ".".join(["A01", *p])
)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), NUMBERS), min_size=1, max_size=12))
def test_explode_equals_its_definition(places):
    tree = MeshTree(places)
    for heading, _ in places:
        own = [number for name, number in places if name == heading]
        below = {name for name, number in places for top in own if f"{number}.".startswith(f"{top}.")}
        assert tree.explode(heading) == below
