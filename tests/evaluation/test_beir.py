"""Folders in BEIR layout: read, refused, and measured as ir_measures does."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import ir_measures
import pytest
from evaluation_world import DRUGS, ORGANS, write_parquet

from pubvec.encoder.scorer import BiEncoderScorer
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from pubvec.evaluation.ranking import evaluate_retrieval
from pubvec.evaluation.tasks import find_task
from pubvec.evaluation.tasks.beir import BeirTask
from pubvec.evaluation.tasks.sets import RetrievalSet

CORPUS = [
    {"_id": f"d{organ}{drug}", "title": organ, "text": f"{drug} in the {organ}", "metadata": {"n": organ}}
    for organ in ORGANS
    for drug in DRUGS
]
QUERIES = [{"_id": str(n), "text": f"{drug} and the {ORGANS[n]}"} for n, drug in enumerate(DRUGS)]
JUDGED = [(str(n), f"d{ORGANS[n]}{DRUGS[n]}", 2) for n in range(6)]
JUDGED += [("0", "dheartaspirin", 1), ("0", "dskinaspirin", 0), ("1", "deyeinsulin", -1)]


def write_lines(path: Path, rows: list[dict]) -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def write_qrels(path: Path, rows: list[tuple]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in [TABLE, *rows]))


TABLE = ("query-id", "corpus-id", "score")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight queries, two of them judged in another split only."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    write_lines(folder / "corpus.jsonl", [*CORPUS, {"_id": "empty", "title": "", "text": None}])
    write_lines(folder / "queries.jsonl", QUERIES)
    write_qrels(folder / "qrels" / "test.tsv", JUDGED)
    write_qrels(folder / "qrels" / "dev.tsv", [("6", CORPUS[0]["_id"], 1)])
    return folder


def test_a_folder_is_a_collection(folder: Path) -> None:
    collection = find_task(str(folder)).load(Path())
    assert list(collection.queries) == ["0", "1", "2", "3", "4", "5"]
    assert collection.documents["dheartaspirin"] == "heart aspirin in the heart"
    assert collection.documents["empty"] == ""
    assert collection.qrels["0"] == {"dliveraspirin": 2.0, "dheartaspirin": 1.0, "dskinaspirin": 0.0}
    assert collection.qrels["1"]["deyeinsulin"] == 0.0
    assert list(find_task(f"{folder}:dev").load(Path()).queries) == ["6"]


def test_figures_equal_ir_measures(folder: Path, encoder) -> None:
    collection = find_task(str(folder)).load(Path())
    outcome = evaluate_retrieval(BiEncoderScorer(encoder), collection, depth=1000, n_resamples=10)
    assert list(outcome.figures) == ["nDCG@10", "R@100", "RR@10"]
    queries = encoder.encode(collection.queries.values())
    documents = encoder.encode(collection.documents.values())
    run = [
        ir_measures.ScoredDoc(query_id, doc_id, float(score))
        for query_id, row in zip(collection.queries, queries @ documents.T, strict=True)
        for doc_id, score in zip(collection.documents, row, strict=True)
    ]
    qrels = [ir_measures.Qrel(*row) for row in JUDGED]
    names = {"nDCG@10": "nDCG@10", "R@100": "R@100"}
    measures = [ir_measures.parse_measure(name) for name in names]
    for value in ir_measures.iter_calc(measures, qrels, run):
        ours = outcome.figures[str(value.measure)].per_query[value.query_id]
        assert ours == pytest.approx(value.value, abs=1e-6)
    for value in ir_measures.iter_calc([ir_measures.RR], qrels, run):  # RR@k has another order of ties
        expected = value.value if value.value >= 1 / 10 else 0.0
        assert outcome.figures["RR@10"].per_query[value.query_id] == pytest.approx(expected, abs=1e-6)


def values_of_ir_measures(
    collection: RetrievalSet, encoder, judged: list[tuple], names: list[str], *, without_own: bool = False
) -> dict[str, dict[str, float]]:
    """Measure → query → value, by ir_measures, of the exact ranking of the collection."""
    scores = encoder.encode(collection.queries.values()) @ encoder.encode(collection.documents.values()).T
    known = {query_id for query_id, doc_id, _ in judged if query_id == doc_id}
    run = [
        ir_measures.ScoredDoc(query_id, doc_id, float(score))
        for query_id, row in zip(collection.queries, scores, strict=True)
        for doc_id, score in zip(collection.documents, row, strict=True)
        if not (without_own and query_id == doc_id and query_id not in known)
    ]
    qrels = [ir_measures.Qrel(*row) for row in judged if row[0] in collection.queries]
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for value in ir_measures.iter_calc([ir_measures.parse_measure(name) for name in names], qrels, run):
        found[str(value.measure)][value.query_id] = value.value
    return found


def test_other_forms_of_the_files_are_the_same_collection(folder: Path, tmp_path: Path) -> None:
    expected = find_task(str(folder)).load(Path())
    other = tmp_path / "other"
    other.mkdir()
    write_lines(other / "corpus.jsonl.gz", [*CORPUS, {"_id": "empty", "title": "", "text": ""}])
    write_parquet(
        other / "queries.parquet", **{key: [row[key] for row in QUERIES] for key in ("_id", "text")}
    )
    write_qrels(other / "qrels.tsv", JUDGED)
    assert find_task(str(other)).load(Path()) == expected
    (other / "qrels.tsv").unlink()
    write_parquet(
        other / "qrels.parquet", **dict(zip(TABLE, map(list, zip(*JUDGED, strict=True)), strict=True))
    )
    assert find_task(str(other)).load(Path()) == expected


def test_numeric_ids_of_parquet_are_texts(tmp_path: Path) -> None:
    write_parquet(tmp_path / "corpus.parquet", _id=[1, 2], title=["a", None], text=["b", "c"])
    write_parquet(tmp_path / "queries.parquet", _id=[7], text=["a"])
    write_parquet(tmp_path / "qrels.parquet", **{"query-id": [7], "corpus-id": [2], "score": [1]})
    collection = find_task(f"{tmp_path}/").load(Path())
    assert (collection.documents, collection.qrels) == ({"1": "a b", "2": "c"}, {"7": {"2": 1.0}})


def test_names_and_places(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is looked for in the data folder, then in the current one."""
    task = find_task("./tiny:dev")
    assert isinstance(task, BeirTask)
    assert (task.name, task.folder, task.split) == ("tiny-dev", "./tiny", "dev")
    assert [path.name for path in task.files(folder.parent)] == ["corpus.jsonl", "queries.jsonl", "dev.tsv"]
    monkeypatch.chdir(folder.parent)
    assert len(find_task("./tiny").load(Path("/nowhere")).queries) == 6
    for name in ("tiny", "tiny:dev", "./", "../", "/", "./tiny:"):
        with pytest.raises(ConfigError, match="is not a task: .* folder in BEIR layout"):
            find_task(name)


def test_a_result_is_resumed_and_follows_the_files(folder: Path, encoder, tmp_path: Path) -> None:
    config = EvaluateConfig(n_resamples=10)
    (first,) = evaluate([encoder], [str(folder)], Path(), tmp_path / "results", config)
    assert (first.task, first.n, first.n_documents) == ("tiny", 6, 81)
    assert set(first.identity.data) == {"corpus.jsonl", "queries.jsonl", "test.tsv"}
    n_encoded = encoder.n_encoded
    (again,) = evaluate([encoder], [str(folder)], Path(), tmp_path / "results", config)
    assert again == first
    assert encoder.n_encoded == n_encoded + 3, "only the probes that identify a loaded model"


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        (
            "corpus.jsonl",
            [],
            r"corpus\.jsonl has no rows",
        ),
        ("corpus.jsonl", [["a"]], "expected an object a line, found "),
        ("corpus.jsonl", [{"_id": "a", "title": "b"}], "no column 'text': choose one of _id, title"),
        (
            "corpus.jsonl",
            [{"_id": "a", "title": "", "text": "b"}] * 2,
            r"corpus\.jsonl, row 1: '_id' 'a' occurs twice",
        ),
        ("corpus.jsonl", [{"_id": "a", "title": 3, "text": "b"}], "row 0: 'title' is 3"),
        (
            "queries.jsonl",
            [{"_id": "0", "text": " "}],
            r"test\.tsv judges none of the 0 queries that have a text",
        ),
        ("queries.jsonl", [{"_id": "0", "text": 7}], "row 0: 'text' is 7"),
        ("queries.jsonl", [{"_id": "0", "text": "a"}] * 2, "row 1: '_id' '0' occurs twice"),
        ("queries.jsonl", [{"_id": "x", "text": "a"}], "judges none of the 1 queries that have a text"),
    ],
)
def test_bad_texts(name: str, rows: list, message: str, folder: Path) -> None:
    write_lines(folder / name, rows)
    with pytest.raises(InputError, match=message):
        find_task(str(folder)).load(Path())


@pytest.mark.parametrize("grade", ["high", "nan", "inf", ""])
def test_bad_judgements(grade: str, folder: Path) -> None:
    write_qrels(folder / "qrels" / "test.tsv", [("0", "dliveraspirin", grade)])
    with pytest.raises(InputError, match=rf"test\.tsv, row 0 has the judgement '{grade}': a number"):
        find_task(str(folder)).load(Path())


def test_judged_documents_that_are_absent_count_as_not_found(
    folder: Path, encoder, caplog: pytest.LogCaptureFixture
) -> None:
    """As in BEIR, whose sets NFCorpus and ArguAna have some: the ideal ranking has them, a run does not."""
    judged = [*JUDGED, ("0", "gone", 3), ("2", "gone", 1), ("7", "lost", 1)]
    write_qrels(folder / "qrels" / "test.tsv", judged)
    collection = find_task(str(folder)).load(Path())
    assert "judges 2 documents that are not in the corpus, as gone: they count as not found" in caplog.text
    outcome = evaluate_retrieval(BiEncoderScorer(encoder), collection, depth=1000, n_resamples=10)
    assert outcome.n == 7
    for name, expected in values_of_ir_measures(collection, encoder, judged, ["nDCG@10", "R@100"]).items():
        assert outcome.figures[name].per_query == pytest.approx(expected, abs=1e-6)
    assert outcome.figures["R@100"].per_query["0"] == pytest.approx(2 / 3)
    assert outcome.figures["nDCG@10"].per_query["7"] == 0.0


@pytest.mark.parametrize("text", [None, "", " \t", "absent"])
def test_judged_queries_without_text_are_left_out(
    text: str | None, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"_id": row["_id"], "text": text} if row["_id"] == "3" else row for row in QUERIES]
    write_lines(folder / "queries.jsonl", [row for row in rows if row["text"] != "absent"])
    collection = find_task(str(folder)).load(Path())
    assert list(collection.queries) == list(collection.qrels) == ["0", "1", "2", "4", "5"]
    assert "judges 1 queries that have no text, as 3: they are left out" in caplog.text
    assert "not in the corpus" not in caplog.text


def test_the_document_of_a_query_is_no_answer_to_it(tmp_path: Path, encoder) -> None:
    """ArguAna's queries are documents of the corpus, which BEIR takes out of their own rankings."""
    write_lines(tmp_path / "corpus.jsonl", CORPUS)
    queries = [{"_id": row["_id"], "text": f"{row['title']} {row['text']}"} for row in CORPUS[:5]]
    write_lines(tmp_path / "queries.jsonl", queries)
    judged = [(row["_id"], CORPUS[n + 1]["_id"], 1) for n, row in enumerate(queries[:4])]
    judged.append((queries[4]["_id"], queries[4]["_id"], 1))  # one that is judged for itself stays
    write_qrels(tmp_path / "qrels.tsv", judged)
    collection = find_task(f"{tmp_path}/").load(Path())
    outcome = evaluate_retrieval(BiEncoderScorer(encoder), collection, depth=1000, n_resamples=10)
    expected = values_of_ir_measures(collection, encoder, judged, ["nDCG@10"], without_own=True)["nDCG@10"]
    assert outcome.figures["nDCG@10"].per_query == pytest.approx(expected, abs=1e-6)
    assert outcome.figures["RR@10"].per_query[queries[4]["_id"]] == 1.0


@pytest.mark.parametrize("separator", [" ", "\t", "   "])
@pytest.mark.parametrize("name", ["qrels/test.tsv", "qrels.txt", "qrels/test.qrels", "qrels/test.tsv.gz"])
def test_judgements_of_trec_are_read(separator: str, name: str, folder: Path) -> None:
    expected = find_task(str(folder)).load(Path())
    (folder / "qrels" / "test.tsv").unlink()
    lines = [separator.join(map(str, (query, 0, doc, grade))) for query, doc, grade in JUDGED]
    opener = gzip.open if name.endswith(".gz") else open
    with opener(folder / name, "wt") as file:
        file.write("\n".join([*lines, ""]))
    assert find_task(str(folder)).load(Path()) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0 dliveraspirin", "line 2 has 3 columns: expected the 4 of TREC"),
        ("0 0 dliveraspirin high", "line 2 has the judgement 'high': a number is needed"),
        ("0 0 dliveraspirin 1 1", "line 2 has 5 columns"),
    ],
)
def test_bad_judgements_of_trec(line: str, message: str, folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text(f"0 0 dliveraspirin 1\n{line}\n")
    with pytest.raises(InputError, match=rf"test\.tsv {message}"):
        find_task(str(folder)).load(Path())


def test_documents_need_no_title(folder: Path) -> None:
    write_lines(folder / "corpus.jsonl", [{"_id": row["_id"], "text": row["text"]} for row in CORPUS])
    assert find_task(str(folder)).load(Path()).documents["dheartaspirin"] == "aspirin in the heart"


def test_missing_parts(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"tiny lacks qrels/train\.tsv \(or qrels/train\.tsv\.gz, qrels/train\.parquet, .*\)"
    ):
        find_task(f"{folder}:train").load(Path())
    write_qrels(folder / "qrels" / "test.tsv", [])
    with pytest.raises(InputError, match=r"test\.tsv has no rows"):
        find_task(str(folder)).load(Path())
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(
        InputError, match=r"tiny lacks corpus\.jsonl \(or corpus\.jsonl\.gz, corpus\.parquet\)"
    ):
        find_task(str(folder)).load(Path())
    (folder / "corpus.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(InputError, match=r"corpus\.jsonl\.gz cannot be read as \.jsonl"):
        find_task(str(folder)).load(Path())
    with pytest.raises(
        InputError, match="elsewhere is not a folder: expected a test collection in BEIR layout"
    ):
        find_task(f"{folder}/elsewhere").load(Path())
