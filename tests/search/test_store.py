"""The exact store: every search equals a scan with numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from makers_records import make_article, make_articles_folder
from pubvec.encoder import load
from pubvec.encoder.vectors import read_vectors
from pubvec.errors import CompleteError, ConfigError, InputError
from pubvec.records import Journal, article_text
from pubvec.search.config import IndexConfig
from pubvec.search.query import search
from pubvec.search.store import Store, index

TOPICS = ("aspirin", "insulin", "sepsis", "malaria", "asthma", "stroke", "memory")


def make_articles(folder: Path, n: int = 60) -> Path:
    journal = Journal("Journal of Tests", "J Tests", None, None, None, None, None, None, None, None)
    articles = [
        make_article(
            pmid=1000 - number,
            title=f"{TOPICS[number % 7]} in cohort {number // 2}",
            abstract=None if number % 5 == 0 else f"patients with {TOPICS[number % 3]} {number}",
            journal=journal,
            year=1990 + number % 30,
            doi=f"10.1000/{number}",
        )
        for number in range(n)
    ]
    return make_articles_folder(folder, articles[: n // 2], articles[n // 2 :])


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model) -> Path:
    folder = tmp_path_factory.mktemp("search")
    make_articles(folder / "articles")
    index(folder / "articles", str(tiny_model), folder / "index")
    return folder


@pytest.fixture(scope="module")
def store(made) -> Store:
    return Store(made / "index")


def scan(made: Path, vector: np.ndarray, n: int) -> list[tuple[int, float]]:
    """PMIDs and cosines by a plain scan of the stored vectors."""
    ids, vectors = read_vectors(made / "index" / "vectors")
    scores = np.asarray(vectors, dtype=np.float32) @ vector
    ranked = sorted(zip(map(int, ids), scores.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    return ranked[:n]


@given(query=st.lists(st.sampled_from(TOPICS), min_size=1, max_size=5).map(" ".join), n=st.integers(1, 80))
def test_search_equals_an_exact_scan(made, store, query, n):
    expected = scan(made, store.encoder.encode([query])[0], n)
    hits = store.search(query, n)
    assert [hit.pmid for hit in hits] == [pmid for pmid, _ in expected]
    np.testing.assert_allclose([hit.score for hit in hits], [score for _, score in expected], atol=1e-6)


def test_vectors_are_those_of_the_model(made, tiny_model, store):
    rows = pq.read_table(made / "index" / "rows.parquet").to_pylist()
    texts = [article_text(row["title"], row["abstract"]) for row in rows]
    _, vectors = read_vectors(made / "index" / "vectors")
    np.testing.assert_allclose(vectors, load(str(tiny_model)).encode(texts), atol=1e-5)


def test_the_article_itself_comes_first(store):
    hit = store.search("asthma in cohort 5 patients with sepsis 11", 1)[0]
    assert hit.title == "asthma in cohort 5"
    assert hit.journal == "J Tests"
    assert hit.year == 2001
    assert hit.url == f"https://pubmed.ncbi.nlm.nih.gov/{hit.pmid}/"


def test_ties_go_by_pmid(tmp_path, tiny_model):
    same = [make_article(pmid=pmid, title="aspirin", abstract=None) for pmid in (7, 3, 9, 5)]
    make_articles_folder(tmp_path / "articles", same)
    index(tmp_path / "articles", str(tiny_model), tmp_path / "index")
    assert [hit.pmid for hit in search(tmp_path / "index", "aspirin", n=3)] == [3, 5, 7]


def test_more_hits_than_articles_gives_all(store):
    assert len(store.search("stroke", 1000)) == len(store) == 60


def test_sample_is_seeded(made, tiny_model, tmp_path):
    config = IndexConfig(n_articles=10, seed=1)
    for name in ("first", "second"):
        index(made / "articles", str(tiny_model), tmp_path / name, config=config)
    rows = [pq.read_table(tmp_path / name / "rows.parquet") for name in ("first", "second")]
    assert rows[0].equals(rows[1])
    assert rows[0].num_rows == 10


def test_index_is_not_made_twice(made, tiny_model):
    with pytest.raises(CompleteError, match="add --force"):
        index(made / "articles", str(tiny_model), made / "index")


def test_bad_queries(store):
    with pytest.raises(InputError, match="the query is empty"):
        store.search("  ")
    with pytest.raises(ConfigError, match="1 or above, not 0"):
        store.search("aspirin", 0)


def test_bad_folders(tmp_path, tiny_model, made):
    with pytest.raises(InputError, match="`pubvec index` makes it"):
        Store(tmp_path)
    with pytest.raises(InputError, match="`pubvec parse` makes it"):
        index(tmp_path, str(tiny_model), tmp_path / "index")
    make_articles_folder(tmp_path / "articles", [])
    with pytest.raises(InputError, match="no current article"):
        index(tmp_path / "articles", str(tiny_model), tmp_path / "index")


def test_other_models_width_is_refused(made, tmp_path):
    from tiny_models import make_tiny_bert

    wide = make_tiny_bert(tmp_path / "wide", dim=48)
    with pytest.raises(InputError, match="holds vectors of 32 dimensions, the model gives 48"):
        Store(made / "index", model=str(wide))
