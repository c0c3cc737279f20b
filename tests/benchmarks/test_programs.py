"""Every benchmark is a program that says how it is called, and those without a test of their own run on a tiny index."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import search
from benchmarks.grow_index import grow
from makers_records import make_article, make_articles_folder
from pubvec.retrieval import Searcher, index

ROOT = Path(__file__).parents[2]
LIBRARIES = {"measuring", "texts", "plots", "grow_index", "contenders", "plain_server"}
"""Modules that are no programs of this kind; the last two are processes that others start."""
PROGRAMS = sorted(path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py") if path.stem not in LIBRARIES)
WORDS = (
    "aspirin",
    "stroke",
    "trial",
    "cohort",
    "insulin",
    "glucose",
    "kidney",
    "liver",
    "statin",
    "sepsis",
    "lung",
)


def test_every_program_says_how_it_is_called() -> None:
    """In one process: each imports heavy libraries."""
    code = (
        "import contextlib, importlib, io, json, sys\n"
        "found = {}\n"
        "for name in sys.argv[1:]:\n"
        "    module, sys.argv = importlib.import_module(f'benchmarks.{name}'), [name, '--help']\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as page, contextlib.suppress(SystemExit): module.main()\n"
        "    found[name] = page.getvalue()\n"
        "print(json.dumps(found))"
    )
    pytest.importorskip("bm25s", reason="one of the programs measures bm25s")
    done = subprocess.run(
        [sys.executable, "-c", code, *PROGRAMS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    pages = json.loads(done.stdout.splitlines()[-1])
    table = (ROOT / "benchmarks" / "README.md").read_text()
    for name in PROGRAMS:
        assert f"python -m benchmarks.{name}" in pages[name], f"{name} does not say how it is called"
        assert "--output" in pages[name]
        assert f"| `{name}` |" in table, f"benchmarks/README.md does not list {name}"


@pytest.fixture(scope="module")
def tiny_index(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = np.random.default_rng(0)
    articles = [
        make_article(number, title=" ".join(draw.choice(WORDS, 4)), abstract=" ".join(draw.choice(WORDS, 12)))
        for number in range(1, 41)
    ]
    folder = tmp_path_factory.mktemp("search")
    index(make_articles_folder(folder / "articles", articles), str(tiny_model), folder / "index")
    return folder / "index"


def test_search_is_measured_at_several_sizes(tiny_index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_N_QUERIES", 5)
    monkeypatch.setattr(search, "_N_FILTERS", 2)
    point = search.measure_here(tiny_index)
    assert point.n_articles == 40
    assert min(each.recall_at_10 for each in point.filters) > 0.9, "so few articles are scanned exactly"
    assert not any(each.n_short for each in point.filters)
    assert point.disk_bytes > 1000 and point.resident_bytes > 1e7


def test_a_grown_index_repeats_articles_under_new_pmids(tiny_index: Path, tmp_path: Path) -> None:
    grow(tiny_index, 100, tmp_path / "grown")
    pmids = Searcher(tmp_path / "grown").dense.keys["pmid"]
    assert len(pmids) == len(set(pmids.tolist())) == 100
    assert set(range(1, 41)) <= set(pmids.tolist())
