"""Training tables: a seeded sample of a `pairs/` folder, and the score cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pubvec.errors import InputError
from pubvec.files import read_manifest
from pubvec.training.config import ColbertConfig, ContrastConfig, StageConfig

FloatArray = npt.NDArray[np.float32]


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


def read_queries(
    folder: Path | str, config: ContrastConfig | ColbertConfig
) -> tuple[pa.Table, FloatArray | None]:
    """Sample the queries of a `scores/` folder, or those of a `pairs/` folder, which nothing has scored.

    Returns:
        Table with `query` and `candidates`, positive first, as many for each query; and their logits,
        *shape* (n_queries, n_candidates), or None.

    Raises:
        InputError: the folder is unfinished or of another kind, or has too few negatives.
    """
    folder = Path(folder)
    if (folder / "train.parquet").exists():
        pairs = read_pairs(folder, config, n_negatives=config.n_negatives or 0)
        rows = zip(pairs["positive"].to_pylist(), pairs["negatives"].to_pylist(), strict=True)
        candidates = pa.array([[positive, *negatives] for positive, negatives in rows])
        return pa.table({"query": pairs["anchor"], "candidates": candidates}), None
    manifest = read_manifest(folder, made_by="train scores")
    n_scored = int(manifest.config["n_negatives"])
    n_negatives = n_scored if config.n_negatives is None else config.n_negatives
    if not 1 <= n_negatives <= n_scored:
        raise InputError(f"{folder} has {n_scored} negatives a query: n_negatives cannot be {n_negatives}")
    table = pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("part-*.parquet")))
    table = _sample(table, config)
    for name in ("candidates", "logits"):
        kept = pc.list_slice(table[name], 0, n_negatives + 1)
        table = table.set_column(table.schema.get_field_index(name), name, kept)
    return table, np.stack(table["logits"].to_numpy())


def training_columns(table: pa.Table, logits: FloatArray | None) -> dict[str, list[Any]]:
    """Columns `query`, `positive`, `negative_1` …, and `label` (n_candidates logits) where there are logits."""
    candidates = table["candidates"].combine_chunks()
    columns: dict[str, list[Any]] = {"query": table["query"].to_pylist()}
    for place in range(len(candidates[0])):
        name = f"negative_{place}" if place else "positive"
        columns[name] = pc.list_element(candidates, place).to_pylist()
    if logits is not None:
        columns["label"] = logits.tolist()
    return columns


def _sample(table: pa.Table, config: StageConfig) -> pa.Table:
    """The first `n_pairs` rows of a permutation that depends on the seed alone."""
    return table.take(np.random.default_rng(config.seed).permutation(table.num_rows)[: config.n_pairs])
