"""The one reader of table files: what it reads is what the file has written; what it cannot read it names."""

from __future__ import annotations

import datetime
import decimal
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pubvec.encoder import iter_texts
from pubvec.errors import InputError
from pubvec.tablefiles import id_of, iter_lines, iter_rows, place_of, read_columns, suffix_of, text_of

ROWS = [
    {"id": "007", "text": 'a "quoted" text, with a comma\tand a tab'},
    {"id": "1.10", "text": "two\nlines — β"},
    {"id": "true", "text": "NA"},
    {"id": "2020-01-01", "text": ""},
]


def write_table(path: Path, rows: list[dict[str, str]] = ROWS, *, encoding: str = "utf-8") -> Path:
    suffix = suffix_of(path)
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        data = path.read_bytes()
    elif suffix in (".jsonl", ".ndjson"):
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in rows).encode(encoding)
    else:
        mark = "," if suffix == ".csv" else "\t"

        def cell(text: str) -> str:
            return '"' + text.replace('"', '""') + '"'

        lines = [mark.join(map(cell, row)) for row in (list(rows[0]), *(row.values() for row in rows))]
        data = "\r\n".join([*lines, ""]).encode(encoding)
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.lower().endswith(".gz") else data)
    return path


def rows_in(path: Path, *columns: str) -> list[dict[str, Any]]:
    return [row for _, row in iter_rows(path, columns or None)]


NAMES = [
    f"a.{kind}{gz}" for kind in ("parquet", "csv", "tsv", "jsonl", "ndjson", "CSV") for gz in ("", ".gz")
]


@pytest.mark.parametrize("name", [*NAMES, "A.JSONL.GZ"])
def test_every_kind_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    path = write_table(tmp_path / name)
    assert rows_in(path) == ROWS
    assert rows_in(path, "text") == [{"text": row["text"]} for row in ROWS]
    assert read_columns(path, ["id", "text"]) == {key: [row[key] for row in ROWS] for key in ("id", "text")}
    texts = list(iter_texts(path, text_column="text", id_column="id"))
    assert texts == [(row["id"], row["text"]) for row in ROWS]
    assert [number for number, _ in iter_texts(path, text_column="text", id_column=None)] == [0, 1, 2, 3]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv.gz", "a.jsonl"])
def test_unicode_with_a_mark_or_with_zeros_is_read(name: str, encoding: str, tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "café β"}, {"id": "2", "text": "日本"}]
    assert rows_in(write_table(tmp_path / name, rows, encoding=encoding)) == rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_keep_all_but_their_ends(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("one\n\n  \ntwo\r\n three\x0cfour\rfive\u2028six".encode(encoding))
    expected = ["one", "", "  ", "two", " three\x0cfour\rfive\u2028six"]
    assert [line for _, line in iter_lines(path)] == expected
    assert list(iter_texts(path, text_column="text", id_column=None)) == list(enumerate(expected))
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    assert [line for _, line in iter_lines(tmp_path / "b.txt.gz")] == expected


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_ids_are_strings_as_written(kind: str, tmp_path: Path) -> None:
    """Also where a column looks like dates, numbers or truth values, and where a text comes late."""
    ids = ["007", "010", "2020-01-01", "1.10", "true", "FALSE", "90071992547409930", "1" * 24, "NA", "null"]
    ids += ["1e5", "+5", " 7", "0x1F", "12:30", "NaN", "-0", "1,5", "∞"]
    many = [*map(str, range(30_000)), "PMC30000"]
    for values in ([value] * 2 for value in ids):
        path = write_table(tmp_path / f"a.{kind}", [{"id": value, "text": "x"} for value in values])
        assert [row for row, _ in iter_texts(path, text_column="text", id_column="id")] == values
    path = write_table(tmp_path / f"b.{kind}", [{"id": value, "text": "made up"} for value in many])
    assert [row for row, _ in iter_texts(path, text_column="text", id_column="id")] == many


def test_ids_of_json_are_as_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    written = ["1", "1.10", "90071992547409930", "123456789012345678901234", "true", "1E5", '"PMC2"']
    path.write_text("".join(f'{{"id": {value}, "text": "x"}}\n' for value in written))
    ids = [identifier for identifier, _ in iter_texts(path, text_column="text", id_column="id")]
    assert ids == [value.strip('"') for value in written]


def test_ids_of_parquet_are_strings(tmp_path: Path) -> None:
    columns: dict[str, tuple[list[Any], list[str]]] = {
        "whole": ([2**60 + 1, 2], ["1152921504606846977", "2"]),
        "truth": ([True, False], ["true", "false"]),
        "date": ([datetime.date(2020, 1, 2), datetime.date(1, 1, 1)], ["2020-01-02", "0001-01-01"]),
        "exact": ([decimal.Decimal("1.10"), decimal.Decimal("2.20")], ["1.10", "2.20"]),
        "text": (["007", "x"], ["007", "x"]),
    }
    pq.write_table(pa.table({name: values for name, (values, _) in columns.items()}), tmp_path / "a.parquet")
    for name, (_, expected) in columns.items():
        found = [row[0] for row in iter_texts(tmp_path / "a.parquet", text_column="text", id_column=name)]
        assert found == expected


@pytest.mark.parametrize("value", [None, "", [1], {"a": 1}, b"x"])
def test_what_is_no_id_is_named_by_its_row(value: object) -> None:
    with pytest.raises(InputError, match=r"a\.csv line 3: expected an id, found"):
        id_of(value, place_of(Path("a.csv"), 3))
    with pytest.raises(InputError, match=r"a\.parquet row 3 \(counted from 0\): expected a text, found 7"):
        text_of(7, place_of(Path("a.parquet"), 3))


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("a.json", "jq"),
        ("a.json.gz", "JSON Lines"),
        ("a.xlsx", "save the sheet as CSV"),
        ("a.xml", "pubvec parse"),
        ("a.xml.gz", "pubvec parse"),
        ("a.nbib", "pubvec parse"),
        ("a.docx", ""),
        ("a", "no suffix"),
        ("a.gz", "no suffix"),
        ("a.txt.zip", ""),
    ],
)
def test_an_unknown_suffix_is_refused_with_those_known(name: str, way_out: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('[{"id": 1, "text": "one"}]')
    known = re.escape(".parquet, .csv, .tsv, .jsonl, .ndjson, .txt (each also .gz)")
    with pytest.raises(InputError, match=f"unknown kind: expected {known}") as caught:
        list(iter_texts(tmp_path / name, text_column="text", id_column=None))
    assert way_out in str(caught.value)
    with pytest.raises(InputError, match="unknown kind"):
        read_columns(tmp_path / name, ["text"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"id;text\n1;one\n", r"no column 'text'.*parted by semicolons"),
        ("a.csv", b"id\ttext\n1\tone\n", r"no column 'text'.*parted by tabs"),
        ("a.tsv", b"id,text\n1,one\n", r"no column 'text'.*parted by commas"),
        ("a.csv", b"id,text\n1,caf\xe9\n2,x\n", "line 2 is not UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "caf\xe9"}\n', "line 2 is not UTF-8"),
        ("a.txt", b"one\ntwo\n\xff\n", "line 3 is not UTF-8"),
        ("a.csv", b"\xff\xfei\x00d\x00\x00", "not UTF-16"),
        ("a.csv", b"", "it is empty"),
        ("a.csv", b"id,text\n1,one\n2,two,three\n", "line 3 has 3 cells, and the header has 2"),
        ("a.csv", b"id,text\n1,one\n\n2\n", "line 4 has 1 cells, and the header has 2"),
        ("a.csv", b'id,text\n1,"never closed\n2,x\n', "line 3: unexpected end of data"),
        ("a.csv", b'id,text\n1,"a"b\n', "line 2: "),
        ("a.csv", b"text,text\none,two\n", "two columns are named 'text'"),
        ("a.csv", b"no,such\none,two\n", "no column 'text': choose one of no, such"),
        ("a.jsonl", b'{"text": "a"}\n\nnot\n', "line 3 is not JSON"),
        ("a.jsonl", b'[{"text": "a"}]\n', "line 1: expected an object a line"),
        ("a.jsonl", b'{"text": "a"}\n{"txt": "b"}\n', "line 2 has no column 'text': choose one of txt"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": null}\n', "line 3: expected a text, found None"),
        ("a.jsonl", b'{"text":' + b"[" * 100_000, "line 1 is not JSON"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"text": "a"}\n' * 1000, mtime=0)[:-20],
            "ended before|[Ee]nd-of-stream",
        ),
        ("a.jsonl.gz", gzip.compress(b"x" * 1000, mtime=0)[:12] + b"\xff" * 30, "cannot be read"),
        ("a.parquet", b"PAR1 no", "cannot be read as .parquet"),
        ("a.parquet.gz", gzip.compress(b"PAR1 no", mtime=0), "cannot be read as .parquet"),
    ],
)
def test_damage_is_one_line_with_its_place(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(iter_texts(tmp_path / name, text_column="text", id_column=None))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plain_file_named_gz_and_a_gzipped_file_with_a_plain_name_are_read(tmp_path: Path) -> None:
    plain, packed = write_table(tmp_path / "a.csv"), write_table(tmp_path / "b.csv.gz")
    assert rows_in(plain.rename(tmp_path / "c.csv.gz")) == ROWS
    assert rows_in(packed.rename(tmp_path / "d.csv")) == ROWS


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pubvec.tablefiles._LONGEST_LINE", 1000)
    for name in ("a.csv", "a.jsonl", "a.txt"):
        (tmp_path / name).write_text("text\n" + "x" * 2000)
        with pytest.raises(InputError, match=r"longer than 1,000 characters|is not JSON"):
            list(iter_texts(tmp_path / name, text_column="text", id_column=None))


def test_what_is_no_regular_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv does not exist"):
        list(iter_rows(tmp_path / "none.csv"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="is not a regular file"):
        list(iter_rows(tmp_path / "folder.csv"))


def test_columns_that_some_rows_lack(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"_id": "1", "text": "a"}\n{"_id": "2", "title": null}\n{"_id": "3", "title": "t"}\n')
    assert read_columns(path, ["_id", "title"], optional=["text", "more"]) == {
        "_id": ["1", "2", "3"],
        "title": [None, None, "t"],
        "text": ["a", None, None],
        "more": [None, None, None],
    }
    with pytest.raises(InputError, match="no column 'name': choose one of _id, text, title"):
        read_columns(path, ["name"])
    for name, content in (("b.csv", "_id\n"), ("b.jsonl", "\n"), ("b.tsv", "_id\n\n")):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match="has no rows"):
            read_columns(tmp_path / name, ["_id"])
