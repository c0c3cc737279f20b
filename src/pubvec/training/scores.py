"""The cache of reranker logits for step 2: computed once, shard by shard, resumed after a kill.

Logits, never sigmoids: a softmax over sigmoids of one positive and one negative cannot leave 0.731 to
0.269, so the student would be taught to doubt.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sentence_transformers.cross_encoder import CrossEncoder

from pubvec.encoder import resolve
from pubvec.encoder.base import count_positions
from pubvec.files import Manifest, OutputFolder, atomic_path, read_manifest
from pubvec.progress import report
from pubvec.training.config import ScoresConfig
from pubvec.training.data import read_pairs
from pubvec.training.loop import quiet_libraries
from pubvec.training.precision import halve_for_gpu

SCHEMA = pa.schema(
    {
        "query": pa.string(),
        "candidates": pa.list_(pa.string()),
        "logits": pa.list_(pa.float32()),
        "rule": pa.string(),
        "pmid": pa.int32(),
    }
)


def scores(
    pairs: Path | str,
    output: Path | str,
    *,
    reranker: str,
    config: ScoresConfig | None = None,
    force: bool = False,
) -> Manifest:
    """Score each anchor's positive and hard negatives with `reranker` into a `scores/` folder.

    Args:
        pairs: folder made by `pubvec pairs`.
        reranker: cross-encoder with one logit, a folder or a hub name.

    Raises:
        InputError: a folder is missing, or no pair has `config.n_negatives` negatives.
    """
    config = config or ScoresConfig()
    quiet_libraries()
    table = read_pairs(pairs, config, n_negatives=config.n_negatives)
    model_path = resolve(reranker)
    folder = OutputFolder(
        output,
        command="train scores",
        config={"reranker": reranker, **vars(config)},
        inputs=[Path(pairs), model_path],
        force=force,
    )
    with folder as out:
        model = CrossEncoder(str(model_path))
        halve_for_gpu(model)
        model.max_seq_length = min(config.max_seq_length, count_positions(model_path))
        for shard, start in enumerate(range(0, table.num_rows, config.shard_size)):
            name = f"part-{shard:05d}.parquet"
            if not out.has(name):
                rows = score_candidates(model, table.slice(start, config.shard_size), config.batch_size)
                with atomic_path(out / name) as path:
                    pq.write_table(rows, path, compression="zstd")
            report("queries scored", min(start + config.shard_size, table.num_rows), table.num_rows)
        out.counts.update(n_queries=table.num_rows, n_candidates=table.num_rows * (config.n_negatives + 1))
    return read_manifest(output, made_by="train scores")


def score_candidates(model: CrossEncoder, pairs: pa.Table, batch_size: int) -> pa.Table:
    """Logits of every (anchor, positive) and (anchor, negative), positive first."""
    queries = pairs["anchor"].to_pylist()
    candidates = [
        [positive, *negatives]
        for positive, negatives in zip(
            pairs["positive"].to_pylist(), pairs["negatives"].to_pylist(), strict=True
        )
    ]
    inputs = [(query, text) for query, texts in zip(queries, candidates, strict=True) for text in texts]
    logits = model.predict(
        inputs, batch_size=batch_size, activation_fn=torch.nn.Identity(), show_progress_bar=False
    )
    split = np.split(
        np.asarray(logits, dtype=np.float32).ravel(), np.cumsum([len(c) for c in candidates])[:-1]
    )
    columns = [queries, candidates, split, pairs["rule"], pairs["pmid"]]
    return pa.table(columns, schema=SCHEMA)
