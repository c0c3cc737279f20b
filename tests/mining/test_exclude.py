from __future__ import annotations

import json
import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pubvec.errors import InputError
from pubvec.mining.exclude import read_sources

ROWS = [
    {"pmid": "123", "question": "Do shrews sleep?", "answers": ["Yes, often.", "At noon."]},
    {"pmid": "", "question": "Do voles?", "answers": []},
]


def write(path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(ROWS))
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "\n")
    elif path.suffix == ".txt":
        path.write_text("Do shrews sleep?\n123\n\nDo voles?\n")
    else:
        mark = "," if path.suffix == ".csv" else "\t"
        path.write_text(f'\ufeffpmid{mark}question\n123{mark}"Do shrews\nsleep?"\n{mark}Do voles?\n')
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.tsv", "a.json", "a.jsonl", "a.ndjson", "A.TXT"])
def test_kinds_of_files(tmp_path: Path, name: str) -> None:
    sources = read_sources([write(tmp_path / name.lower()).rename(tmp_path / name)])
    assert [pmid for source in sources for pmid, _ in source.pmids] == [123]
    questions = {" ".join(text.split()) for source in sources for text, _ in source.texts}
    assert {"Do shrews sleep?", "Do voles?"} <= questions
    if name in ("a.parquet", "a.json"):
        (answers,) = [source for source in sources if source.name == f"{name}:answers"]
        assert answers.texts == [("Yes, often.", 0), ("At noon.", 0)]
        assert answers.n_rows == 2


def test_pmids_are_known_by_their_column(tmp_path: Path) -> None:
    columns = {
        "PMID": [1, None],
        "pubmed_id": [2.0, 3.0],
        "doc_id": [4, 5],
        "pmids": [[6], [7, 8]],
        "text": ["9", "x"],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    sources = read_sources([tmp_path])
    assert [pmid for source in sources for pmid, _ in source.pmids] == [1, 2, 3, 6, 7, 8]
    assert [text for source in sources for text, _ in source.texts] == ["9", "x"]


def test_nested_json(tmp_path: Path) -> None:
    nested = {"data": [{"paragraphs": [{"context": "All about shrews.", "qas": [{"question": "Why?"}]}]}]}
    (tmp_path / "a.json").write_text(json.dumps(nested))
    sources = read_sources([tmp_path / "a.json"])
    assert {(source.name, source.texts[0][0]) for source in sources} == {
        ("a.json:data.paragraphs.context", "All about shrews."),
        ("a.json:data.paragraphs.qas.question", "Why?"),
    }


def test_folders_are_read_wholly_and_what_is_not_read_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write(tmp_path / "deep" / "er" / "a.csv")
    write(tmp_path / "b.txt")
    (tmp_path / "README.md").write_text("# Shrews")
    with caplog.at_level(logging.WARNING):
        names = {source.name for source in read_sources([tmp_path])}
    assert names == {"b.txt:line", "b.txt:pmid", "deep/er/a.csv:pmid", "deep/er/a.csv:question"}
    assert "README.md is not read" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"PAR1 but not really", "cannot be read as .parquet"),
        ("a.json", b'{"text": "cut', "cannot be read as .json"),
        ("a.jsonl", b'{"text": "good"}\n{bad}\n', "cannot be read as .jsonl"),
        ("a.csv", b"text\n\xff\xfe\xfa", "cannot be read as .csv"),
        ("a.csv", b'text\n"never closed', "cannot be read as .csv"),
        ("a.txt", b"\xff\xfe\xfa", "cannot be read as .txt"),
        ("a.docx", b"PK", "unknown kind"),
        ("a.json", b'[{"score": 3}, {"score": 4}]', "holds no text"),
        ("a.csv", b"text\n", "holds no text"),
        ("a.txt", b"", "holds no text"),
    ],
)
def test_what_cannot_be_used_is_an_error_of_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_sources([tmp_path / name])
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_paths_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_sources([tmp_path / "none"])
    with pytest.raises(InputError, match="holds no text"):
        read_sources([tmp_path])
