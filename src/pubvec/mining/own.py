"""A table of two text columns → `pairs/`: pairs of one's own field, or kinds of text that PubMed's XML lacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pubvec.errors import InputError
from pubvec.files import Manifest, OutputFolder, atomic_path, read_manifest
from pubvec.mining.config import PairsConfig
from pubvec.mining.exclude import read_sources
from pubvec.mining.leakage import LEAKAGE_RULES, Excluded
from pubvec.records import Pair
from pubvec.tablefiles import iter_rows, place_of, text_of
from pubvec.tables import table_of

OWN_RULE = "own"
"""The rule that such pairs are said to be made by."""


def build_own_pairs(
    table: Path | str,
    output: Path | str,
    config: PairsConfig | None = None,
    *,
    anchor_column: str = "anchor",
    positive_column: str = "positive",
    exclude: Sequence[Path | str] = (),
    force: bool = False,
) -> Manifest:
    """Make `train.parquet` and `dev.parquet`, rows of `records.Pair`, from the texts of a table.

    The pairs have no negatives, and their number in the file for a PMID. Rows with an empty text, and those whose
    anchor or positive occurred before, are left out.

    Args:
        table: a Parquet, CSV, TSV or JSON Lines file, gzipped or not.
        output: the folder to make.
        config: `n_articles`, `n_dev` and `seed` count; None for the released recipe.
        anchor_column, positive_column: texts that belong together.
        exclude: see `build.pairs`.
        force: replace `output`.

    Raises:
        InputError: the file cannot be read, lacks a column, or holds fewer than two usable pairs.
        OutputError: `output` exists and not `force`.
    """
    config = config or PairsConfig()
    inputs = [Path(table), *(Path(path) for path in exclude)]
    settings = {**vars(config), "anchor_column": anchor_column, "positive_column": positive_column}
    with OutputFolder(output, command="pairs", config=settings, inputs=inputs, force=force) as out:
        anchors, positives = _read(Path(table), anchor_column, positive_column)
        findings = Excluded(read_sources(exclude)).find(np.zeros(len(anchors), np.int64), anchors, positives)
        usable = _usable(anchors, positives)
        rows = usable[findings.first_rule[usable] < 0]
        rows = np.random.default_rng(config.seed).permutation(rows)[: config.n_articles]
        n_dev = min(config.n_dev, len(rows) // 10)
        if len(rows) - n_dev < 2:
            raise InputError(
                f"{table} has {len(rows)} usable pairs outside of the exclusions: expected 2 or more"
            )
        out.counts = {
            "n_pairs_read": len(anchors),
            "n_leaked": int((findings.first_rule[usable] >= 0).sum()),
            "leaked_by_each_rule": dict(
                zip(LEAKAGE_RULES, findings.fires[usable].sum(axis=0).tolist(), strict=True)
            ),
            "n_unusable": len(anchors) - len(usable),
        }
        for name, part in (("dev", rows[:n_dev]), ("train", rows[n_dev:])):
            pairs = [Pair(anchors[row], positives[row], [], OWN_RULE, int(row)) for row in part]
            with atomic_path(out / f"{name}.parquet") as path:
                pq.write_table(table_of(Pair, pairs), path, compression="zstd")
            out.counts[name] = {"n_pairs": len(pairs), "rules": {OWN_RULE: len(pairs)}}
    return read_manifest(output, made_by="pairs")


def _read(path: Path, *columns: str) -> list[list[str]]:
    """The texts of each column, with their white space folded; "" where a row has none."""
    texts: list[list[str]] = [[] for _ in columns]
    for number, row in iter_rows(path, columns):
        for found, column in zip(texts, columns, strict=True):
            value = row[column]
            found.append("" if value is None else _fold(text_of(value, place_of(path, number))))
    return texts


def _fold(text: str) -> str:
    return " ".join(text.split())


def _usable(anchors: Sequence[str], positives: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows with two texts, neither of which a row before had in its place."""
    seen: tuple[set[str], set[str]] = {""}, {""}
    rows = []
    for row, texts in enumerate(zip(anchors, positives, strict=True)):
        if any(text in before for text, before in zip(texts, seen, strict=True)):
            continue
        for text, before in zip(texts, seen, strict=True):
            before.add(text)
        rows.append(row)
    return np.array(rows, dtype=np.int64)
