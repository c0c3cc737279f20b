"""An index for all tests of searching. Read only: a test that updates makes its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_world import make_library

from pubvec.retrieval.indexing import index
from pubvec.retrieval.searcher import Searcher


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with `articles/` and the `index/` made of it."""
    folder = tmp_path_factory.mktemp("library")
    make_library(folder / "articles")
    index(folder / "articles", str(tiny_model), folder / "index")
    return folder


@pytest.fixture(scope="session")
def searcher(library: Path) -> Searcher:
    return Searcher(library / "index")
