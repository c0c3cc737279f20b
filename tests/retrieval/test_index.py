"""Making an index, and what it says of itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from search_world import make_library, make_random_article

from makers_records import make_article, make_articles_folder
from pubvec.collection import Collection
from pubvec.encoder.vectors import encode
from pubvec.errors import CompleteError, ConfigError, InputError, OutputError
from pubvec.files import MODEL_MANIFEST, read_manifest
from pubvec.records import Article, article_text
from pubvec.retrieval.config import IndexConfig
from pubvec.retrieval.indexing import compact, index, writing
from pubvec.retrieval.inspection import info, verify
from pubvec.retrieval.searcher import Searcher
from pubvec.tables import rows_of
from tiny_models import make_tiny_bert


@pytest.fixture
def own(library: Path, tmp_path: Path) -> Path:
    """A copy of the index that a test may change."""
    shutil.copytree(library / "index", tmp_path / "index")
    return tmp_path / "index"


def read_articles(folder: Path) -> list[Article]:
    return [article for table in Collection(folder).iter_tables() for article in rows_of(Article, table)]


def test_every_article_is_kept_whole(library, searcher):
    """All fields but the reference list, and the vector of its text."""
    articles = read_articles(library / "articles")
    entries = searcher.articles([article.pmid for article in articles])
    assert [entry.article for entry in entries] == articles
    texts = [article_text(article.title, article.abstract) for article in articles]
    rows = [np.flatnonzero(searcher.dense.keys["pmid"] == article.pmid)[0] for article in articles]
    np.testing.assert_allclose(
        searcher.dense.vectors(np.array(rows)), searcher.encoder.encode(texts), atol=1e-3
    )


def test_vectors_made_before_give_the_same_index(library, tiny_model, tmp_path):
    encode(library / "articles", tiny_model, tmp_path / "vectors")
    index(library / "articles", str(tiny_model), tmp_path / "index", vectors=tmp_path / "vectors")
    for name in ("keys.npy", "vectors.npy"):
        path = Path("versions/00001/segments/00001") / name
        assert (tmp_path / "index" / path).read_bytes() == (library / "index" / path).read_bytes()


def test_vectors_of_other_articles_or_models_are_refused(library, tiny_model, tmp_path):
    make_library(tmp_path / "fewer", n=59)
    encode(tmp_path / "fewer", tiny_model, tmp_path / "vectors")
    with pytest.raises(InputError, match="vectors of other articles"):
        index(library / "articles", str(tiny_model), tmp_path / "index", vectors=tmp_path / "vectors")
    wide = make_tiny_bert(tmp_path / "wide", dim=48)
    encode(library / "articles", wide, tmp_path / "wide-vectors")
    with pytest.raises(InputError, match="not floats of 32 dimensions"):
        index(library / "articles", str(tiny_model), tmp_path / "index", vectors=tmp_path / "wide-vectors")


def test_info(library, tiny_model):
    found = info(library / "index")
    assert (found.n_articles, found.dim, len(found.versions)) == (60, 32, 1)
    assert found.versions[0].n_encoded == 60
    assert found.model == str(tiny_model)
    assert found.n_bytes > 60 * 32 * 2


def test_data_through_comes_from_the_files(tiny_model, tmp_path):
    names = {"files": ["pubmed26n0002.xml.gz", "pubmed26n0010.xml.gz"]}
    make_articles_folder(tmp_path / "a", [make_article()], [make_article(2)], config=names)
    index(tmp_path / "a", str(tiny_model), tmp_path / "index")
    assert info(tmp_path / "index").data_through_file == "pubmed26n0010.xml.gz"


def test_a_sample_is_seeded(library, tiny_model, tmp_path):
    config = IndexConfig(n_articles=10, seed=1)
    for name in ("first", "second"):
        index(library / "articles", str(tiny_model), tmp_path / name, config=config)
    keys = [Searcher(tmp_path / name).dense.keys for name in ("first", "second")]
    assert np.array_equal(*keys)
    assert len(keys[0]) == 10


def test_an_index_is_not_made_twice(library, tiny_model):
    with pytest.raises(CompleteError, match="add --force"):
        index(library / "articles", str(tiny_model), library / "index")


def test_folders_that_are_no_index(tmp_path, tiny_model):
    with pytest.raises(InputError, match="`pubvec index` makes it"):
        Searcher(tmp_path)
    with pytest.raises(InputError, match="`pubvec parse` makes it"):
        index(tmp_path, str(tiny_model), tmp_path / "index")
    make_articles_folder(tmp_path / "articles", [])
    with pytest.raises(InputError, match="no current article"):
        index(tmp_path / "articles", str(tiny_model), tmp_path / "index")


def test_another_model_is_refused(own, tmp_path, tiny_model):
    wide = make_tiny_bert(tmp_path / "wide", dim=48)
    with pytest.raises(InputError, match="is not the model that made"):
        Searcher(own, model=str(wide))
    recipe = json.loads((own / MODEL_MANIFEST).read_text())
    recipe["config"]["model"] = str(make_tiny_bert(tmp_path / "other", seed=7))
    (own / MODEL_MANIFEST).write_text(json.dumps(recipe))
    with pytest.raises(InputError, match="is not the model that made"):
        Searcher(own)
    assert len(Searcher(own, model=str(tiny_model))) == 60


def test_verify_passes_and_finds_every_changed_byte(own):
    assert verify(own) == 1
    files = sorted(path for path in (own / "versions").rglob("*") if path.is_file() and path.stat().st_size)
    named = read_manifest(own / "versions" / "00001", made_by="index").counts["files"]
    for path in files:
        name = path.relative_to(own / "versions" / "00001").as_posix()
        if name not in named:
            continue
        before = path.read_bytes()
        path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
        with pytest.raises(InputError, match=f"{name} has been changed"):
            verify(own)
        path.write_bytes(before)
    (own / "versions/00001/live.npy").unlink()
    with pytest.raises(InputError, match="live.npy is missing"):
        verify(own)


def test_every_file_but_locks_is_verified(own):
    folder = own / "versions" / "00001"
    named = set(read_manifest(folder, made_by="index").counts["files"])
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in there - named if not name.endswith(".lock")} == {"manifest.json"}


def test_compact_keeps_articles_and_vectors(own):
    before = Searcher(own)
    version = compact(own)
    after = Searcher(own)
    assert version.number == 2
    assert len(list((own / "versions").iterdir())) == 1
    pmids = sorted(before.dense.keys["pmid"].tolist())
    assert before.articles(pmids) == after.articles(pmids)
    assert info(own).versions[0].n_encoded == 0
    for query in ("aspirin in stroke", "malaria"):
        assert [hit.pmid for hit in before.search(query, 20)] == [hit.pmid for hit in after.search(query, 20)]
    assert verify(own) == 1
    with pytest.raises(ConfigError, match="1 version or more"):
        compact(own, keep=0)


def test_two_writers_exclude_each_other(own):
    with writing(own), pytest.raises(OutputError, match="another process"), writing(own):
        pass


def test_unknown_version(library):
    with pytest.raises(InputError, match="has no version 7: it has 1"):
        Searcher(library / "index", as_of=7)


def test_an_odd_article_is_indexed(tiny_model, tmp_path):
    """Lone surrogates, control characters, words longer than any, an empty title, a huge PMID."""
    odd = [
        make_article(2**31 - 1, title="", abstract=None),
        make_article(5, title="\x00\x0b" + "x" * 70_000, abstract="\u202e" * 10),
        make_random_article(6, title="<b>&amp;</b>", abstract="a\n\nb"),
    ]
    make_articles_folder(tmp_path / "a", odd)
    index(tmp_path / "a", str(tiny_model), tmp_path / "index")
    found = Searcher(tmp_path / "index").articles([2**31 - 1, 5, 6])
    assert [entry.article for entry in found] == odd
    assert verify(tmp_path / "index") == 1
