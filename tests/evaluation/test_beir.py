"""Collections in BEIR's layout: what is read, and what is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from evaluation_world import WordEncoder

from pubvec.errors import InputError
from pubvec.evaluation.evaluate import evaluate
from pubvec.evaluation.tasks import find_task

CORPUS = [
    {"_id": "d1", "title": "Aspirin", "text": "Aspirin prevents strokes.", "metadata": {"year": 1999}},
    {"_id": "d2", "title": "", "text": "Insulin treats diabetes.", "metadata": {}},
    {"_id": "d3", "text": "Heparin thins blood."},
]
QUERIES = [{"_id": "q1", "text": "stroke aspirin"}, {"_id": "q2", "text": "unjudged"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t-1\n"

Folder = Callable[..., Path]


@pytest.fixture
def folder_of(tmp_path: Path) -> Folder:
    def write(corpus: list = CORPUS, queries: list = QUERIES, qrels: str = QRELS) -> Path:
        folder = tmp_path / "made-up"
        (folder / "qrels").mkdir(parents=True)
        for name, rows in (("corpus", corpus), ("queries", queries)):
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "qrels" / "test.tsv").write_text(qrels)
        return folder

    return write


def test_titles_are_joined_and_unjudged_queries_left_out(folder_of: Folder) -> None:
    """A score of -1, which TREC-COVID has, is no gain."""
    collection = find_task(f"beir:{folder_of()}").load(Path("elsewhere"))
    assert collection.documents == {
        "d1": "Aspirin Aspirin prevents strokes.",
        "d2": "Insulin treats diabetes.",
        "d3": "Heparin thins blood.",
    }
    assert collection.queries == {"q1": "stroke aspirin"}
    assert collection.qrels == {"q1": {"d1": 2.0, "d2": 0.0}}


def test_compressed_files_and_other_splits(folder_of: Folder) -> None:
    folder = folder_of()
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "dev.tsv")
    plain = folder / "corpus.jsonl"
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    task = find_task(f"beir:{folder.name}:dev")
    assert task.name == "made-up-dev"
    assert len(task.load(folder.parent).documents) == 3
    with pytest.raises(InputError, match=r"test\.tsv does not exist: the collection's splits are dev"):
        find_task(f"beir:{folder}").load(folder)


def test_is_evaluated_and_kept(folder_of: Folder, tmp_path: Path) -> None:
    folder, encoder = folder_of(), WordEncoder(dim=4096)
    (result,) = evaluate({"words": encoder}, [f"beir:{folder}"], tmp_path, tmp_path / "results")
    (kept,) = evaluate({"words": encoder}, [f"beir:{folder}"], tmp_path, tmp_path / "results")
    assert kept == result
    assert result.figures["nDCG@10"].value == 1.0
    assert set(result.identity.data) == {"corpus.jsonl", "queries.jsonl", "test.tsv"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corpus": []}, "holds no document"),
        ({"corpus": [CORPUS[0], CORPUS[0]]}, "corpus.jsonl, line 2: _id 'd1' occurs twice"),
        ({"corpus": [{"_id": "d1"}]}, "line 1: expected JSON with _id and text"),
        ({"corpus": [{"_id": "d1", "text": " ", "title": ""}]}, "line 1: 'd1' has no text"),
        ({"queries": [{"_id": "q1", "text": None}]}, "queries.jsonl, line 1: 'q1' has no text"),
        ({"qrels": "query-id\tcorpus-id\tscore\n"}, "holds no judgement"),
        ({"qrels": "q\td\ts\n"}, "lacks the column 'query-id': it has q, d, s"),
        ({"qrels": QRELS + "q9\td1\t1\n"}, "line 4 judges query 'q9'"),
        ({"qrels": QRELS + "q1\td9\t1\n"}, "line 4 judges document 'd9'"),
        ({"qrels": QRELS + "q1\td1\tnan\n"}, "line 4 has the score 'nan': a number is needed"),
        ({"qrels": QRELS + "q1\td1\n"}, "line 4 has the score None"),
    ],
)
def test_bad_collections(settings: dict, message: str, folder_of: Folder) -> None:
    with pytest.raises(InputError, match=message):
        find_task(f"beir:{folder_of(**settings)}").load(Path())


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"corpus\.jsonl does not exist: BEIR's layout"):
        find_task("beir:nowhere").load(tmp_path)
