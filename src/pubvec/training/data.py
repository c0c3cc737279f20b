"""Training tables: a seeded sample of a `pairs/` folder, and the score cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pubvec.errors import ConfigError, InputError
from pubvec.files import read_manifest
from pubvec.training.config import ColbertConfig, ContrastConfig, StageConfig

FloatArray = npt.NDArray[np.float32]
Sources: TypeAlias = Path | str | Sequence[Path | str]
"""One folder, or several whose samples are put together."""


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


def as_folders(sources: Sources) -> list[Path]:
    """The folders of `sources`, of which there may be one or several."""
    return [Path(sources)] if isinstance(sources, str | Path) else [Path(source) for source in sources]


def read_queries(
    sources: Sources, config: ContrastConfig | ColbertConfig
) -> tuple[pa.Table, FloatArray | None]:
    """Sample the queries of `scores/` folders, or those of `pairs/` folders, which nothing has scored.

    `n_pairs` is the size of the sample of each folder, unless `source_pairs` has a number for each.

    Returns:
        Table with `query` and `candidates`, positive first, as many for each query; and their logits,
        *shape* (n_queries, n_candidates), or None.

    Raises:
        ConfigError: `source_pairs` has not one number for each folder.
        InputError: a folder is unfinished or of another kind than the others, or has too few negatives.
    """
    folders = as_folders(sources)
    sizes = getattr(config, "source_pairs", ())
    if sizes and len(sizes) != len(folders):
        raise ConfigError(
            f"source_pairs has {len(sizes)} numbers for {len(folders)} sources: give one for each"
        )
    configs = [replace(config, n_pairs=size) for size in sizes] or [config] * len(folders)
    parts = [_read_folder(folder, own) for folder, own in zip(folders, configs, strict=True)]
    widths = {(logits is not None, len(table["candidates"][0])) for table, logits in parts}
    if len(widths) != 1:
        names = ", ".join(map(str, folders)) or "nothing"
        raise InputError(f"{names}: expected folders of pairs, or folders of scores with as many negatives")
    logits = [part for _, part in parts if part is not None]
    table = pa.concat_tables([table for table, _ in parts])
    return table, np.concatenate(logits) if logits else None


def _read_folder(folder: Path, config: ContrastConfig | ColbertConfig) -> tuple[pa.Table, FloatArray | None]:
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
    shards = pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("part-*.parquet")))
    sample = _sample(shards, config)
    kept = {name: pc.list_slice(sample[name], 0, n_negatives + 1) for name in ("candidates", "logits")}
    table = pa.table({"query": sample["query"], "candidates": kept["candidates"]})
    return table, np.stack(kept["logits"].to_numpy())


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
