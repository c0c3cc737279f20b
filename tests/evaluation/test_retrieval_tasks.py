from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_world import write_parquet

from makers_records import make_article, make_articles_folder
from pubvec.errors import InputError
from pubvec.evaluation.evaluating import read_jobs
from pubvec.evaluation.tasks import find_task
from pubvec.evaluation.tasks.retrieval import AmongArticlesTask


def test_a_question_finds_its_contexts_among_all(data: Path) -> None:
    collection = find_task("pubmed-qa-contexts").load(data)
    assert len(collection.queries) == 80
    texts = [{collection.documents[doc_id] for doc_id in collection.qrels[query]} for query in ("0", "1")]
    assert texts == [
        {"We gave aspirin", "the liver was not harmed, case 0."},
        {"We gave insulin", "the liver was not harmed, case 1."},
    ]
    assert len(collection.documents) == 80 + 8, "equal contexts are one document"


def test_equal_questions_are_one_with_all_their_answers(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "own.parquet", q=["a", "b", "a", "c"], a=["1", "2", "3", "1"])
    task = find_task(f"retrieval:{path}:q,a")
    assert task.name == "retrieval-own"
    collection = task.load(tmp_path)
    assert collection.queries == {"0": "a", "1": "b", "2": "c"}
    assert collection.documents == {"0": "1", "1": "2", "2": "3"}
    assert collection.qrels == {"0": {"0": 1.0, "2": 1.0}, "1": {"1": 1.0}, "2": {"0": 1.0}}


@pytest.mark.parametrize("contexts", [[], ["a", " "], ["a", None], None, 3])
def test_bad_lists(contexts: object, tmp_path: Path) -> None:
    columns = {"q": ["x", "y"], "a": [["z"], contexts] if isinstance(contexts, list) else [None, None]}
    path = write_parquet(tmp_path / "own.parquet", **columns)
    with pytest.raises(InputError, match=r"row \d: 'a' is .*, and a text is needed"):
        find_task(f"retrieval:{path}:q,a").load(tmp_path)


def test_liveqa_has_gains_of_correct_answers_only(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Q1's b and Q3's d are one text; the higher of two grades counts; Q2 has no correct answer."""
    with caplog.at_level(logging.WARNING):
        collection = find_task("liveqa").load(data)
    assert collection.documents == {"a": "Rest.", "b": "Drink tea.", "c": "Take aspirin."}
    assert collection.queries == {"Q1": "Flu?", "Q3": "Cold?"}
    assert collection.qrels == {"Q1": {"a": 2.0, "b": 1.0}, "Q3": {"a": 2.0, "b": 1.0}}
    assert "1 times: the higher grade counts" in caplog.text


def test_bad_liveqa(data: Path) -> None:
    write_parquet(data / "liveqa2017_qrels.parquet", qid=["Q1"], answer_id=["z"], judgment=[4])
    with pytest.raises(InputError, match="row 0 judges document 'z', which is not in"):
        find_task("liveqa").load(data)


@pytest.fixture
def task(data: Path) -> AmongArticlesTask:
    """80 titles; 60 articles in two shards, of which 10 have no abstract, 5 one of the 80 and 5 each other's."""
    positives = list(find_task("title-abstract-retrieval").load(data).documents.values())
    abstracts = [f"Abstract {n}." for n in range(40)] + [None] * 10 + positives[:5] + ["The same."] * 5
    articles = [make_article(pmid, abstract=text) for pmid, text in enumerate(abstracts, 1)]
    make_articles_folder(data / "articles", articles[:35], articles[35:])
    return replace(find_task("title-abstract-10k"), n_documents=100)


def test_titles_find_their_abstracts_among_those_of_other_articles(task, data: Path) -> None:
    collection, alone = task.load(data), task.task.load(data)
    assert (collection.queries, collection.qrels) == (alone.queries, alone.qrels)
    others = [text for doc_id, text in collection.documents.items() if doc_id.startswith("other-")]
    assert len(set(others)) == len(others) == 20
    assert all(text.startswith("Abstract ") or text == "The same." for text in others)
    assert task.load(data) == collection
    assert replace(task, seed=1).load(data).documents != collection.documents
    assert set(replace(task, n_documents=80 + 41).load(data).documents.values()) >= {
        "The same.",
        "Abstract 39.",
    }


def test_articles_parsed_again_are_the_same_data(task, data: Path, monkeypatch) -> None:
    """A manifest says when a folder was made, and by which versions; the texts are what counts."""
    monkeypatch.setattr("pubvec.evaluation.evaluating.find_task", lambda name: task)
    (before,) = read_jobs(["any"], data)
    manifest = data / "articles" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "seconds": 7.5}))
    (after,) = read_jobs(["any"], data)
    assert after.data == before.data
    assert before.data["title_abstract.parquet"] != before.data["articles"]
    monkeypatch.setattr("pubvec.evaluation.evaluating.find_task", lambda name: replace(task, seed=1))
    (other,) = read_jobs(["any"], data)
    assert other.data["articles"] != before.data["articles"]


def test_articles_of_another_place(task, data: Path, tmp_path: Path) -> None:
    (data / "articles").rename(tmp_path / "mine")
    own = find_task(f"title-abstract-10k:{tmp_path}/mine")
    assert (own.name, own.files(data)[-1]) == ("title-abstract-10k", tmp_path / "mine")
    with pytest.raises(InputError, match=r"mine gave 41 other abstracts: this task needs 9920"):
        own.load(data)
    with pytest.raises(InputError, match=r"articles is not a folder: `pubvec parse` makes it"):
        task.load(data)
