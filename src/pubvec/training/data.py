"""Training tables: a seeded sample of a `pairs/` folder, and the score cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pubvec.errors import InputError
from pubvec.files import read_manifest
from pubvec.training.config import StageConfig


def read_pairs(folder: Path | str, config: StageConfig, *, n_negatives: int = 0) -> pa.Table:
    """Sample the training pairs of `folder`, in an order that depends on the seed alone.

    Args:
        n_negatives: keep pairs with at least so many negatives, cut to exactly so many.

    Returns:
        Table with the columns of `records.Pair`.

    Raises:
        InputError: the folder is unfinished, or has no such pair.
    """
    folder = Path(folder)
    read_manifest(folder, made_by="pairs")
    table = pq.read_table(folder / "train.parquet")
    if n_negatives:
        table = table.filter(pc.greater_equal(pc.list_value_length(table["negatives"]), n_negatives))
    if not table.num_rows:
        raise InputError(f"{folder} has no pair with {n_negatives} negatives or more: lower n_negatives")
    table = _sample(table, config)
    negatives = pc.list_slice(table["negatives"], 0, n_negatives)
    return table.set_column(table.schema.get_field_index("negatives"), "negatives", negatives)


def distinct_texts(pairs: pa.Table) -> list[str]:
    """Every anchor and positive once, in order of first appearance."""
    return list(dict.fromkeys([*pairs["anchor"].to_pylist(), *pairs["positive"].to_pylist()]))


def read_scores(folder: Path | str, config: StageConfig) -> tuple[pa.Table, int]:
    """Sample the queries of a `scores/` folder.

    Returns:
        Table with `query` and `candidates` (positive first) and `logits`, and the number of candidates
        that each query has.
    """
    folder = Path(folder)
    manifest = read_manifest(folder, made_by="train scores")
    n_candidates = int(manifest.config["n_negatives"]) + 1
    table = pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("part-*.parquet")))
    return _sample(table, config), n_candidates


def _sample(table: pa.Table, config: StageConfig) -> pa.Table:
    """The first `n_pairs` rows of a permutation that depends on the seed alone."""
    return table.take(np.random.default_rng(config.seed).permutation(table.num_rows)[: config.n_pairs])
