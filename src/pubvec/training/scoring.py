"""The cache of reranker logits for step 2: computed once, shard by shard, resumed after a kill.

Logits are kept and not sigmoids: a softmax over the sigmoids of one positive and one negative cannot exceed 0.731, so
the student would learn to be uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sentence_transformers.cross_encoder import CrossEncoder

from pubvec.encoder import count_positions, resolve
from pubvec.engine import Engine, LocalEngine
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
    engine: Engine | None = None,
    force: bool = False,
) -> Manifest:
    """Score each anchor's positive and hard negatives with `reranker` into a `scores/` folder.

    Args:
        pairs: folder made by `pubvec pairs`.
        reranker: cross-encoder with one logit, a folder or a hub name.
        engine: what scores, a shard a task; None: this process. All its workers see `pairs`, the reranker and `output`
            under their absolute paths.

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
    engine = engine or LocalEngine(1)
    with folder as out:
        work = ScoreShard(Path(pairs).absolute(), model_path.absolute(), config, engine.n_threads)
        tasks = [
            (start, path.absolute())
            for shard, start in enumerate(range(0, table.num_rows, config.shard_size))
            if not (path := out / f"part-{shard:05d}.parquet").exists()
        ]
        n_left = len(tasks)
        for _ in engine.run(work, tasks):
            n_left -= 1
            report("queries scored", max(0, table.num_rows - n_left * config.shard_size), table.num_rows)
        out.counts.update(n_queries=table.num_rows, n_candidates=table.num_rows * (config.n_negatives + 1))
    return read_manifest(output, made_by="train scores")


@dataclass(frozen=True)
class ScoreShard:
    """The work of `scores`: a shard of the sampled pairs → one file of logits."""

    pairs: Path
    model_path: Path
    config: ScoresConfig
    n_threads: int | None

    def __call__(self, start: int, path: Path) -> None:
        """Score the pairs from row `start` on into `path`."""
        rows = self._table.slice(start, self.config.shard_size)
        scored = score_candidates(self._model, rows, self.config.batch_size)
        with atomic_path(path) as temporary:
            pq.write_table(scored, temporary, compression="zstd")

    @cached_property
    def _table(self) -> pa.Table:
        return read_pairs(self.pairs, self.config, n_negatives=self.config.n_negatives)

    @cached_property
    def _model(self) -> CrossEncoder:
        quiet_libraries()
        if self.n_threads is not None:
            torch.set_num_threads(self.n_threads)
        model = CrossEncoder(str(self.model_path))
        halve_for_gpu(model)
        model.max_seq_length = min(self.config.max_seq_length, count_positions(self.model_path))
        return model


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
