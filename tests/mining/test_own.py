from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pubvec.errors import InputError
from pubvec.mining.config import PairsConfig
from pubvec.mining.own import build_own_pairs
from pubvec.records import Pair
from pubvec.tables import rows_of


def write(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    body = "was given to number {0} of group {0} for {0} days and helped about {0} of the {0} who took it"
    return write(
        tmp_path / "own.parquet",
        question=[f"Does drug {number}\n help?" for number in range(30)],
        answer=[f"Drug {number} " + body.format(number) for number in range(30)],
    )


def build(table: Path, output: Path, **options: Any) -> list[Pair]:
    build_own_pairs(table, output, anchor_column="question", positive_column="answer", **options)
    return [
        pair for name in ("train", "dev") for pair in rows_of(Pair, pq.read_table(output / f"{name}.parquet"))
    ]


def test_each_row_is_a_pair(table, tmp_path):
    pairs = build(table, tmp_path / "pairs")
    assert sorted(pair.pmid for pair in pairs) == list(range(30))
    for pair in pairs:
        assert pair.anchor == f"Does drug {pair.pmid} help?"
        assert pair.positive.startswith(f"Drug {pair.pmid} was given")
        assert (pair.rule, pair.negatives) == ("own", [])
    assert pq.read_metadata(tmp_path / "pairs" / "dev.parquet").num_rows == 3


def test_seed_and_number_decide_the_sample(table, tmp_path):
    config = PairsConfig(n_articles=10, seed=1)
    first = build(table, tmp_path / "first", config=config)
    assert len(first) == 10
    assert build(table, tmp_path / "second", config=config) == first


def test_texts_of_an_evaluation_set_are_left_out(table, tmp_path):
    held_out = tmp_path / "eval.txt"
    rows = pq.read_table(table).to_pylist()
    held_out.write_text(rows[4]["question"].replace("\n", "") + "\n" + "prefix " + rows[7]["answer"] + "\n")
    pairs = build(table, tmp_path / "pairs", exclude=[held_out])
    assert {*range(30)} - {pair.pmid for pair in pairs} == {4, 7}


def test_empty_and_repeated_texts_are_left_out(tmp_path):
    table = write(
        tmp_path / "own.parquet",
        question=["a", "b", " ", "a", "c", "d", None, "e"],
        answer=["A", "B", "C", "D", "B", "", "E", "F"],
    )
    assert {pair.anchor for pair in build(table, tmp_path / "pairs")} == {"a", "b", "e"}


def test_bad_tables_are_refused(tmp_path):
    table = write(tmp_path / "own.parquet", question=["a", "b"], answer=[1, 2], note=["x", "y"])
    with pytest.raises(InputError, match="row 0 \\(counted from 0\\): expected a text, found 1"):
        build(table, tmp_path / "pairs")
    with pytest.raises(InputError, match="has no column 'anchor': choose one of question, answer, note"):
        build_own_pairs(table, tmp_path / "pairs")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(InputError, match="cannot be read as .parquet"):
        build(tmp_path / "text.parquet", tmp_path / "pairs")
    one = write(tmp_path / "one.parquet", question=["a"], answer=["b"])
    with pytest.raises(InputError, match="has 1 usable pairs outside of the exclusions: expected 2 or more"):
        build(one, tmp_path / "pairs")


@pytest.mark.parametrize("name", ["own.csv", "own.tsv.gz", "own.jsonl"])
def test_pairs_of_any_table_are_those_of_parquet(table: Path, tmp_path: Path, name: str) -> None:
    rows = pq.read_table(table).to_pylist()
    if ".jsonl" in name:
        text = "\n\n".join(map(json.dumps, rows))
    else:
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="," if ".csv" in name else "\t")
        writer.writeheader()
        writer.writerows(rows)
        text = stream.getvalue()
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert build(tmp_path / name, tmp_path / "other") == build(table, tmp_path / "pairs")
