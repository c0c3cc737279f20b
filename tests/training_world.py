"""A pairs folder and a scores folder for the trainings."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.files import OutputFolder
from pubvec.records import Pair
from pubvec.tables import table_of
from pubvec.training.scoring import SCHEMA

TOPICS = [
    "aspirin",
    "insulin",
    "sepsis",
    "malaria",
    "asthma",
    "stroke",
    "memory",
    "cancer",
    "depression",
    "fracture",
]


def make_pairs(folder: Path, n: int = 40) -> Path:
    """Pairs whose anchor and positive share a topic, with three negatives of other topics."""
    rows = []
    for number in range(n):
        topic = TOPICS[number % len(TOPICS)]
        others = [TOPICS[(number + step) % len(TOPICS)] for step in (1, 2, 3)]
        anchor = f"effect of {topic} in cohort {number}"
        positive = f"patients with {topic} were followed for {number} weeks in a randomized trial."
        negatives = [f"patients with {other} were treated for {number} days." for other in others]
        rows.append(Pair(anchor, positive, negatives, "title-abstract", number + 1))
    with OutputFolder(folder, command="pairs", config={}) as out:
        for name in ("train", "dev"):
            pq.write_table(table_of(Pair, rows), out / f"{name}.parquet")
    return folder


def make_scores(folder: Path, n: int = 40) -> Path:
    """Logits of a reranker that knows the topic of each query, in the format of `train scores`."""
    rows = [
        {
            "query": f"effect of {TOPICS[number % 10]} in cohort {number}",
            "candidates": [f"patients with {TOPICS[(number + step) % 10]}, {number}" for step in range(3)],
            "logits": [4.0, -2.0, -3.0],
            "rule": "title-abstract",
            "pmid": number,
        }
        for number in range(n)
    ]
    with OutputFolder(folder, command="train scores", config={"n_negatives": 2}) as out:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), out / "part-00000.parquet")
    return folder
