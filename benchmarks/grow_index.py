"""Indexes of any number of articles, made from one that is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.encoder import EncodeConfig
from pubvec.files import MODEL_MANIFEST, OutputFolder
from pubvec.records import Article
from pubvec.retrieval import (
    IntArray,
    KeyArray,
    Lexical,
    Searcher,
    StoredArticles,
    VersionPlan,
    find_version,
    folder_of,
    summary_of,
    write_version,
)

_NOISE = 0.02
"""Added to each dimension of a vector, before it has unit length again."""
_BLOCK = 65_536


def grow(index: Path, n: int, output: Path) -> None:
    """Make an index of `n` articles of `index`, repeated under new PMIDs as often as need be, all vectors with noise."""
    version = find_version(index)
    old = Searcher(index)
    live = np.flatnonzero(old.dense.live)
    rows = live[np.arange(n) % len(live)]
    source = _Repeated(old.lexical, old.dense.keys, rows, n_own=len(live))
    encoded = output.with_name(f"{output.name}-vectors")
    _write_vectors(encoded, old, source, rows)
    settings = json.loads((index / MODEL_MANIFEST).read_text())["config"]
    plan = VersionPlan(1, [source], np.full(n, -1), {}, version.through)
    with OutputFolder(output, command="index", config=settings, manifest_name=MODEL_MANIFEST) as out:
        made = write_version(
            folder_of(out.path, 1), plan, old.encoder, command="index", inputs=[], encoded=encoded
        )
        out.counts.update(summary_of(made), dim=old.encoder.dim, model=old.encoder.name)


class _Repeated(StoredArticles):
    """Repeated articles are given under new PMIDs."""

    def __init__(self, lexical: Lexical, keys: KeyArray, rows: IntArray, n_own: int) -> None:
        super().__init__(lexical, keys, rows)
        is_repeated = np.arange(len(rows)) >= n_own
        self.keys["pmid"][is_repeated] = keys["pmid"].max() + np.arange(1, is_repeated.sum() + 1)

    def iter_articles(self) -> Iterator[Article]:
        for article, pmid in zip(super().iter_articles(), self.keys["pmid"].tolist(), strict=True):
            yield article._replace(pmid=pmid)


def _write_vectors(folder: Path, old: Searcher, source: _Repeated, rows: IntArray) -> None:
    """A `vectors/` folder, as `pubvec encode` makes it."""
    draw = np.random.default_rng(0)
    with OutputFolder(folder, command="encode", config=asdict(EncodeConfig())) as out:
        for number, start in enumerate(range(0, len(rows), _BLOCK)):
            block = old.dense.vectors(rows[start : start + _BLOCK])
            block += _NOISE * draw.standard_normal(block.shape, dtype=np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            np.save(out / f"part-{number:05}.npy", block.astype(np.float16))
        pq.write_table(pa.table({"id": source.keys["pmid"]}), out / "ids.parquet")
        out.counts.update(n_texts=len(rows), dim=old.encoder.dim)
