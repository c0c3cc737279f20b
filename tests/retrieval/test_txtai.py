"""Our index and our models in txtai."""

from __future__ import annotations

import numpy as np
import pytest
from search_world import make_files, make_random_article

from pubvec.encoder import load, load_scorer
from pubvec.retrieval.searcher import Searcher
from pubvec.retrieval.txtai import open_in_txtai

txtai = pytest.importorskip("txtai", reason="txtai is an extra")
TEXTS = ["aspirin prevents a second stroke", "insulin in diabetes", "sepsis and malaria in children"]


def test_hits_are_those_of_an_exact_scan(library, searcher):
    embeddings = open_in_txtai(library / "index")
    for query in ("aspirin in stroke", "malaria", "memory of patients"):
        expected = searcher.search(query, 10, ranking="dense")
        found = embeddings.search(query, 10)
        assert [int(hit["id"]) for hit in found] == [hit.pmid for hit in expected]
        np.testing.assert_allclose(
            [hit["score"] for hit in found], [hit.score for hit in expected], atol=1e-3
        )


def test_columns_in_sql(library, searcher):
    embeddings = open_in_txtai(library / "index")
    found = embeddings.search(
        "select id, title, year, journal, url from txtai where similar(:query) and year >= :year",
        60,
        parameters={"query": "aspirin", "year": 2010},
    )
    expected = {hit.pmid: hit for hit in searcher.search("2010:2030[dp]", 60)}
    assert {int(hit["id"]) for hit in found} == expected.keys()
    first = expected[int(found[0]["id"])]
    assert found[0] == {
        "id": str(first.pmid),
        "title": first.title,
        "year": first.article.year,
        "journal": first.journal,
        "url": first.url,
    }


def test_nothing_is_encoded_again(library, monkeypatch):
    encoder = type(Searcher(library / "index").encoder)
    calls = []
    encode = encoder.encode
    monkeypatch.setattr(
        encoder, "encode", lambda self, texts, **options: calls.append(texts) or encode(self, texts)
    )
    embeddings = open_in_txtai(library / "index")
    assert calls == []
    embeddings.search("aspirin", 1)
    assert calls == [["aspirin"]]


def test_live_articles_alone(library, tmp_path):
    import shutil

    from pubvec.retrieval.updating import update

    shutil.copytree(library / "index", tmp_path / "index")
    make_files(tmp_path / "a", [make_random_article(990, 7)], [(991, 1)])
    update(tmp_path / "index", tmp_path / "a")
    embeddings = open_in_txtai(tmp_path / "index")
    assert embeddings.count() == 59
    text = make_random_article(990, 7).title
    assert embeddings.search("select id, text from txtai where id = '990'", 1)[0]["text"].startswith(text)
    assert open_in_txtai(tmp_path / "index", as_of=1).count() == 60


def test_a_model_folder_as_the_published_card_has_it(tiny_model):
    embeddings = txtai.Embeddings(path=str(tiny_model), content=True)
    embeddings.index(TEXTS)
    encoder = load(tiny_model)
    cosines = encoder.encode(TEXTS) @ encoder.encode(["stroke"])[0]
    found = embeddings.search("stroke", 3)
    assert [hit["text"] for hit in found] == [TEXTS[place] for place in np.argsort(-cosines)]
    np.testing.assert_allclose([hit["score"] for hit in found], sorted(cosines, reverse=True), atol=1e-3)


@pytest.mark.parametrize("kind", ["cross", "late"])
def test_rerankers_in_a_pipeline(request, kind):
    from txtai.pipeline import Similarity

    model = str(request.getfixturevalue(kind))
    options = {"crossencode": True} if kind == "cross" else {"lateencode": True}
    found = Similarity(path=model, **options)("stroke", TEXTS)
    # txtai fills no query up with [MASK], which is what query expansion is.
    ours = load_scorer(model) if kind == "cross" else load_scorer(model, query_expansion=False)
    scores = ours.score([("stroke", text) for text in TEXTS])
    assert [place for place, _ in found] == np.argsort(-scores).tolist()
