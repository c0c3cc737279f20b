"""Inflating in pieces gives what gzip gives."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pubvec.corpus.config import ParseConfig
from pubvec.corpus.inflate import DamagedStreamError, open_chunks

CONFIG = ParseConfig(max_inflation=10_000)


def inflate(path: Path) -> bytes:
    with open_chunks(str(path), CONFIG) as chunks:
        return b"".join(chunks)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.lists(
        st.tuples(st.integers(0, 700_000), st.booleans(), st.integers(0, 9)), min_size=1, max_size=4
    ),
    n_zeros=st.integers(0, 3),
)
def test_members_of_any_size(members: list[tuple[int, bool, int]], n_zeros: int, tmp_path: Path) -> None:
    random.seed(0)
    texts = [random.randbytes(size) if is_random else bytes([32]) * size for size, is_random, _ in members]
    zipped = b"".join(gzip.compress(text, level) for text, (_, _, level) in zip(texts, members, strict=True))
    (tmp_path / "x.gz").write_bytes(zipped + bytes(n_zeros))
    assert inflate(tmp_path / "x.gz") == b"".join(texts)


@pytest.mark.parametrize("n_missing", [1, 8, 9, 50, 30_000])
def test_cut_off_stream_delivers_what_it_has(n_missing: int, tmp_path: Path) -> None:
    text = random.Random(1).randbytes(200_000)
    (tmp_path / "x.gz").write_bytes(gzip.compress(text)[:-n_missing])
    found = b""
    with (
        open_chunks(str(tmp_path / "x.gz"), CONFIG) as chunks,
        pytest.raises(DamagedStreamError, match="cut off"),
    ):
        for chunk in chunks:
            found += chunk
    assert text.startswith(found) and len(found) >= len(text) - n_missing - 100
