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
from pubvec.files import read_manifest
from pubvec.mining.config import PairsConfig
from pubvec.mining.own import Columns, build_own_pairs
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


def build(
    table: Path,
    output: Path,
    *,
    negatives_column: str | None = None,
    group_column: str | None = None,
    **options: Any,
) -> list[Pair]:
    columns = Columns("question", "answer", negatives_column, group_column)
    build_own_pairs(table, output, columns=columns, **options)
    return [
        pair for name in ("train", "dev") for pair in rows_of(Pair, pq.read_table(output / f"{name}.parquet"))
    ]


def test_each_row_is_a_pair(table, tmp_path):
    pairs = build(table, tmp_path / "pairs")
    assert sorted(pair.pmid for pair in pairs) == list(range(30))
    for pair in pairs:
        assert pair.anchor == f"Does drug {pair.pmid} help?"
        assert pair.positive.startswith(f"Drug {pair.pmid} was given")
        assert pair.rule == "own"
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


def test_rows_without_two_texts_are_left_out_and_repeated_texts_are_kept(tmp_path):
    table = write(
        tmp_path / "own.parquet",
        question=["a", "b", " ", "a", "c", "d", None, "e", "a"],
        answer=["A", "B", "C", "D", "B", "", "E", "e", "A"],
    )
    pairs = build(table, tmp_path / "pairs")
    assert {(pair.anchor, pair.positive) for pair in pairs} == {
        ("a", "A"),
        ("b", "B"),
        ("a", "D"),
        ("c", "B"),
    }
    counts = read_manifest(tmp_path / "pairs", made_by="pairs").counts
    assert (counts["n_pairs_read"], counts["n_unusable"], counts["n_repeated"]) == (9, 4, 1)


def test_a_list_of_positives_makes_a_pair_of_each_and_none_is_a_negative_of_another(tmp_path):
    table = write(
        tmp_path / "own.parquet",
        question=[f"Which drugs treat disease {n}?" for n in range(12)],
        answer=[[f"Disease {n} is treated with drug {n} {k} times" for k in "abc"] for n in range(12)],
    )
    pairs = build(table, tmp_path / "pairs", config=PairsConfig(n_negatives=3, n_dev=0))
    assert len(pairs) == 36
    for pair in pairs:
        assert len(pair.negatives) == 3
        assert not any(f"Disease {pair.pmid} " in text for text in pair.negatives)


def test_given_negatives_come_first_and_all_are_kept(tmp_path):
    table = write(
        tmp_path / "own.parquet",
        question=[f"question number {n}" for n in range(10)],
        answer=[f"the answer that belongs to {n}" for n in range(10)],
        wrong=[["a wrong one", "another bad one", None, "the answer that belongs to 0"], *[None] * 9],
    )
    config = PairsConfig(n_negatives=1, n_dev=0)
    pairs = build(table, tmp_path / "pairs", config=config, negatives_column="wrong")
    (given,) = (pair for pair in pairs if pair.pmid == 0)
    assert given.negatives == [
        "a wrong one",
        "another bad one",
    ]  # a positive of the anchor is no negative of it
    assert all(len(pair.negatives) == 1 for pair in pairs if pair.pmid)


def test_texts_of_the_same_group_are_the_first_negatives(tmp_path):
    names = ["asthma", "gout", "measles", "mumps", "rabies", "scurvy"]
    table = write(
        tmp_path / "own.parquet",
        question=[f"what are the {aspect} of {name}" for name in names for aspect in ("causes", "signs")],
        answer=[f"{name} {text}" for name in names for text in ("comes from a virus", "shows as a rash")],
        disease=[name for name in names for _ in range(2)],
    )
    config = PairsConfig(n_negatives=1, n_dev=0)
    for pair in build(table, tmp_path / "pairs", config=config, group_column="disease"):
        (negative,) = pair.negatives
        assert negative.split()[0] == pair.positive.split()[0]
        assert negative != pair.positive
    counts = read_manifest(tmp_path / "pairs", made_by="pairs").counts
    assert counts["train"]["negatives"] == {"own": 0, "same_group": 12, "bm25": 0, "random": 0}


def test_rows_that_share_a_text_or_a_group_are_on_one_side(tmp_path):
    table = write(
        tmp_path / "own.parquet",
        question=[f"question {n // 2}" for n in range(40)],
        answer=[f"answer {n} of many" for n in range(39)] + ["answer 0 of many"],
        topic=[f"topic {n // 4}" if n > 3 else None for n in range(40)],
    )
    build(table, tmp_path / "pairs", config=PairsConfig(n_dev=4), group_column="topic")
    sides = [
        {text for name in ("anchor", "positive") for text in pq.read_table(path)[name].to_pylist()}
        for path in (tmp_path / "pairs" / "train.parquet", tmp_path / "pairs" / "dev.parquet")
    ]
    assert all(sides)
    assert not sides[0] & sides[1]
    numbers = pq.read_table(tmp_path / "pairs" / "dev.parquet")["pmid"].to_pylist()
    assert len({number // 4 for number in numbers}) == 1


def test_bm25_finds_the_negatives_and_random_texts_fill_them_up(tmp_path):
    subjects = ["heart", "liver", "kidney", "lung"]
    numbers = ["one", "two", "three", "four", "five", "six"]
    table = write(
        tmp_path / "own.parquet",
        question=[f"{subject} trouble {number}" for subject in subjects for number in numbers],
        answer=[f"the {subject} takes remedy {n}{n} of kind {n}" for subject in subjects for n in "abcdef"],
    )
    config = PairsConfig(n_negatives=2, n_dev=0, negative_ranks=(1, 6))
    for pair in build(table, tmp_path / "pairs", config=config):
        subject = pair.anchor.split()[0]
        assert len(pair.negatives) == 2
        assert all(subject in text for text in pair.negatives)
    few = write(tmp_path / "few.parquet", question=["q1", "q2", "q3"], answer=["a1", "a2", "a3"])
    pairs = build(few, tmp_path / "random", config=PairsConfig(n_negatives=4, n_dev=0))
    assert [len(pair.negatives) for pair in pairs] == [2, 2, 2]  # no more texts exist


def test_bad_tables_are_refused(tmp_path):
    table = write(tmp_path / "own.parquet", question=["a", "b"], answer=[1, 2], note=["x", "y"])
    with pytest.raises(InputError, match="column 'answer': expected a text, found 1"):
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
