from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pairs_world import make_world

from makers_records import make_articles_folder
from pubvec.records import Article


@pytest.fixture(scope="session")
def world() -> list[Article]:
    return make_world(160)


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[..., Path]:
    """Write an `articles/` folder of the given shards."""

    def write(*shards: list[Article]) -> Path:
        return make_articles_folder(tmp_path / "articles", *shards)

    return write
