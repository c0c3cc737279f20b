from __future__ import annotations

import json
import logging
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from evaluation_world import write_parquet

from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.systems import SYSTEMS, find_system
from pubvec.evaluation.tasks import TASKS, find_task
from pubvec.evaluation.tasks.sets import PairSet


@pytest.mark.parametrize("name", [name for name in TASKS if name != "title-abstract-10k"])
def test_every_task_loads(name: str, data: Path) -> None:
    task = find_task(name)
    assert task.name == name
    assert all(path.is_file() for path in task.files(data))
    assert task.load(data)


def test_a_pair_task(data: Path) -> None:
    pairs = find_task("pubmed-qa").load(data)
    assert pairs.anchors[0] == "Does aspirin harm the liver?"
    assert pairs.positives[0] == "We gave aspirin and the liver was not harmed, case 0."


def test_held_out_pairs_are_of_one_rule(data: Path) -> None:
    assert len(find_task("held-out-title-abstract").load(data).anchors) == 40
    with pytest.raises(InputError, match="holds 0 pairs of rule dreams: at least 2"):
        find_task("held-out-dreams").load(data)


def test_a_collection_has_exponential_gains_of_mean_grades(data: Path) -> None:
    """A sum of 8 by four judges is grade 2, gain 3; a document without a text keeps its title."""
    collection = find_task("cysticfibrosis").load(data)
    assert collection.qrels == {"1": {"0": 3.0, "1": pytest.approx(2**0.5 - 1)}, "2": {"16": 1.0}}
    assert collection.documents["0"] == "Does aspirin harm the liver?"
    assert collection.documents["1"].startswith("Does insulin harm the liver? We gave insulin")


def test_pairs_as_a_collection(data: Path) -> None:
    collection = find_task("pubmed-qa-retrieval").load(data)
    assert len(collection.documents) == 80
    assert collection.qrels["7"] == {"7": 1.0}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_pairs_of_any_file(suffix: str, tmp_path: Path) -> None:
    """A column of numbers or quotes with a line break must not change on the way."""
    path = tmp_path / f"mine.{suffix}"
    rows = [("007", "seven"), ("a, b", 'two\nlines "quoted"')]
    if suffix == "parquet":
        write_parquet(path, q=[row[0] for row in rows], a=[row[1] for row in rows])
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps({"q": q, "a": a}) + "\n" for q, a in rows))
    else:
        comma = "," if suffix == "csv" else "\t"
        quoted = [[f'"{cell}"'.replace('"quoted"', '""quoted""') for cell in row] for row in rows]
        path.write_text("".join(comma.join(row) + "\n" for row in [["q", "a"], *quoted]))
    task = find_task(f"{path}:q,a")
    assert task.name == "mine"
    assert task.load(tmp_path / "elsewhere") == PairSet(*map(list, zip(*rows, strict=True)))


@pytest.mark.parametrize("name", ["", "pubmed", "file.csv", "file.csv:q", "file.csv:,a", ":q,a"])
def test_unknown_tasks_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a task: use one of pubmed-qa"):
        find_task(name)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"question": ["a", "b"]}, "no column 'long_answer': choose one of question"),
        ({"question": [], "long_answer": []}, "has no rows"),
        ({"question": ["a"], "long_answer": ["b"]}, "holds 1 pairs: at least 2"),
        ({"question": ["a", "b"], "long_answer": ["c", None]}, "row 1: 'long_answer' is None"),
        ({"question": ["a", " \n"], "long_answer": ["c", "d"]}, "row 1: 'question' is blank"),
        ({"question": ["a", "b"], "long_answer": [0.5, float("nan")]}, "row 0: 'long_answer' is 0.5"),
    ],
)
def test_bad_pairs(columns: dict, message: str, data: Path) -> None:
    write_parquet(data / "pubmedqa_labeled.parquet", **columns)
    with pytest.raises(InputError, match=message):
        find_task("pubmed-qa").load(data)


def test_bad_files(data: Path) -> None:
    (data / "title_abstract.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match=r"title_abstract\.parquet cannot be read as \.parquet"):
        find_task("title-abstract").load(data)
    (data / "title_abstract.parquet").unlink()
    with pytest.raises(InputError, match=r"title_abstract\.parquet does not exist"):
        find_task("title-abstract").load(data)
    with pytest.raises(InputError, match=r"expected \.parquet.*found '\.xlsx'"):
        find_task("pairs.xlsx:a,b").load(data)
    (data / "empty.csv").write_text("")
    with pytest.raises(InputError, match=r"empty\.csv cannot be read"):
        find_task("empty.csv:a,b").load(data)
    (data / "bad.jsonl").write_text('{"a": 1}\n{"a"')
    with pytest.raises(InputError, match=r"bad\.jsonl cannot be read"):
        find_task("bad.jsonl:a,b").load(data)


@pytest.mark.parametrize(
    ("part", "columns", "message"),
    [
        (
            "docs",
            {"doc_id": [1, 1], "title": ["a", "b"], "text": ["c", "d"]},
            "row 1: 'doc_id' '1' occurs twice",
        ),
        (
            "docs",
            {"doc_id": [1, None], "title": ["a", "b"], "text": ["c", "d"]},
            "row 1: 'doc_id': expected an id, found None",
        ),
        ("docs", {"doc_id": [1, 2], "title": ["a", ""], "text": ["c", None]}, "row 1: 'text' is blank"),
        ("docs", {"doc_id": [1], "title": [3], "text": ["c"]}, "row 0: 'title' is 3"),
        ("docs", {"doc_id": [], "title": [], "text": []}, "has no rows"),
        (
            "docs",
            {"doc_id": [5], "title": ["a"], "text": ["b"]},
            "row 0 judges document '0', which is not in",
        ),
        ("queries", {"query_id": [1, 2, 2], "query": ["a", "b", "c"]}, "row 2: 'query_id' '2' occurs twice"),
        (
            "queries",
            {"query_id": [1, 2, 3], "query": ["a", "b", "c"]},
            "no judgement for 1 of 3 queries, first '3'",
        ),
        ("queries", {"query_id": [1], "query": ["a"]}, "row 2 judges query '2', which is not in"),
        (
            "qrels",
            {"query_id": [1, 2], "doc_id": [0, 1], "score_sum": [1.0, float("nan")]},
            "the judgement nan",
        ),
        ("qrels", {"query_id": [1, 2], "doc_id": [0, 1], "score_sum": [1, -1]}, "the judgement -1"),
        (
            "qrels",
            {"query_id": [1, 2], "doc_id": [0, 1], "score_sum": ["high", "low"]},
            "the judgement 'high'",
        ),
    ],
)
def test_bad_collections(part: str, columns: dict, message: str, data: Path) -> None:
    write_parquet(data / f"cysticfibrosis_{part}.parquet", **columns)
    with pytest.raises(InputError, match=message):
        find_task("cysticfibrosis").load(data)


def test_of_two_judgements_the_higher_counts(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = data / "cysticfibrosis_qrels.parquet"
    write_parquet(path, query_id=[1, 1, 2], doc_id=[0, 0, 1], score_sum=[4, 0, 8])
    with caplog.at_level(logging.WARNING):
        collection = find_task("cysticfibrosis").load(data)
    assert collection.qrels["1"] == {"0": 1.0}
    assert "1 times: the higher grade counts" in caplog.text


def test_the_shared_sets(shared: Path) -> None:
    for name in ("pubmed-qa", "title-abstract", "article-abstract"):
        assert len(find_task(name).load(shared / "eval").anchors) == 1000
    sizes = {
        name: (len(collection.queries), len(collection.documents))
        for name in ("pubmed-qa-contexts", "medquad", "liveqa", "title-abstract-retrieval")
        if (collection := find_task(name).load(shared / "eval"))
    }
    assert sizes == {
        "pubmed-qa-contexts": (1000, 3348),
        "medquad": (14979, 15809),
        "liveqa": (78, 1896),
        "title-abstract-retrieval": (1000, 1000),
    }
    collection = find_task("cysticfibrosis").load(shared / "eval")
    assert (len(collection.queries), len(collection.documents)) == (99, 1239)
    assert sum(map(len, collection.qrels.values())) == 4812
    n_rows = pq.read_metadata(shared / "eval" / "cysticfibrosis_qrels.parquet").num_rows
    assert n_rows - 4812 == 8, "eight judgements of query 92 are repeated"


def test_the_published_table() -> None:
    published = [system for system in SYSTEMS if system.published]
    assert len(published) == 8
    assert {kind.kind for kind in published} == {"bi-encoder", "late interaction", "cross-encoder"}
    averages = {
        system.name: sum({figure.dataset: figure.value for figure in system.published.values()}.values()) / 3
        for system in published
    }
    assert averages["all-MiniLM-L6-v2"] == pytest.approx(0.9346, abs=1e-4)
    assert averages["biomedbert-base-reranker"] == pytest.approx(0.9874, abs=1e-4)
    assert all(set(system.published) <= set(TASKS) for system in SYSTEMS)


def test_systems_have_names() -> None:
    minilm = find_system("minilm")
    assert minilm is not None
    assert minilm is find_system("all-MiniLM-L6-v2") is find_system("sentence-transformers/all-MiniLM-L6-v2")
    assert find_system("somebody/all-MiniLM-L6-v2") is None
