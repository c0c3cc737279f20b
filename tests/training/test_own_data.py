"""A user's own table of another field goes through both steps by the documented commands (docs/train.md)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pubvec.mining import PairsConfig, pairs
from pubvec.training import (
    AlignConfig,
    ContrastConfig,
    RerankerConfig,
    ScoresConfig,
    align,
    contrast,
    reranker,
    scores,
)

PRODUCTS = ("kettle", "toaster", "heater", "blender", "vacuum cleaner", "lamp", "radio", "camera")
ASPECTS = {
    "How do I clean the {}?": [
        "Unplug the {} and wipe it with a damp cloth.",
        "Never put the {} under water.",
    ],
    "Why does the {} not start?": ["Check that the {} is plugged in and its fuse is whole."],
    "How long is the warranty of the {}?": ["We repair or replace the {} for two years.", ""],
}
SHORT = {"batch_size": 8, "max_seq_length": 32, "saved_max_seq_length": 64}


def write_questions(path: Path) -> Path:
    """A shop's questions in JSON Lines: one or two answers each, grouped by product, with two repeated rows."""
    rows = [
        {
            "question": question.format(product),
            "answers": [answer.format(product) for answer in answers],
            "product": product,
        }
        for product in PRODUCTS
        for question, answers in ASPECTS.items()
    ]
    path.write_text("\n".join(json.dumps(row) for row in [*rows, *rows[:2]]) + "\n")
    return path


def test_a_table_of_another_field_goes_through_both_steps(tiny_model, teacher, tmp_path):
    table = write_questions(tmp_path / "questions.jsonl")
    made = pairs(
        table,
        tmp_path / "pairs",
        PairsConfig(n_negatives=2, n_dev=4),
        anchor_column="question",
        positive_column="answers",
        group_column="product",
    )
    assert made.counts["n_pairs_read"] == 4 * len(PRODUCTS) + 3
    assert (made.counts["n_repeated"], made.counts["n_unusable"]) == (3, 0)
    assert made.counts["train"]["n_pairs"] + made.counts["dev"]["n_pairs"] == 4 * len(PRODUCTS)
    for row in pq.read_table(tmp_path / "pairs" / "train.parquet").to_pylist():
        assert len(row["negatives"]) == 2
        (product,) = (name for name in PRODUCTS if name in row["anchor"])
        assert all(product in text for text in row["negatives"])

    names = {name: str(tmp_path / name) for name in ("pairs", "aligned", "reranker", "scores", "small")}
    align(
        names["pairs"],
        names["aligned"],
        student=str(tiny_model),
        teacher=str(teacher),
        config=AlignConfig(**SHORT),
    )
    reranker(names["pairs"], names["reranker"], base=str(tiny_model), config=RerankerConfig(**SHORT))
    config = ScoresConfig(n_negatives=2, max_seq_length=32)
    scored = scores(names["pairs"], names["scores"], reranker=names["reranker"], config=config)
    assert scored.counts["n_queries"] == made.counts["train"]["n_pairs"]
    small = contrast(
        names["scores"], names["small"], student=names["aligned"], config=ContrastConfig(**SHORT)
    )
    assert np.isfinite(small.counts["loss_last"])
