"""Budgets of the main job: the settings of every stage, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pubvec.evaluation import EvaluateConfig
from pubvec.mining import PairsConfig
from pubvec.retrieval import IndexConfig
from pubvec.training import AlignConfig, ContrastConfig, RerankerConfig, ScoresConfig


@dataclass(frozen=True)
class Preset:
    """The settings of every stage for one budget."""

    pairs: PairsConfig = field(default_factory=PairsConfig)
    align: AlignConfig = field(default_factory=AlignConfig)
    reranker: RerankerConfig = field(default_factory=RerankerConfig)
    scores: ScoresConfig = field(default_factory=ScoresConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    evaluate: EvaluateConfig = field(default_factory=lambda: EvaluateConfig(backend="torch"))
    index: IndexConfig = field(default_factory=IndexConfig)
    tasks: tuple[str, ...] = ("pubmed-qa", "title-abstract", "article-abstract", "cysticfibrosis")
    """Tasks beside the held-out pairs, where their data is given."""


PRESETS: Mapping[str, Preset] = {
    "full": Preset(),
    # Every stage on real citations in a quarter of an hour on two cores: short texts, small samples.
    "small": Preset(
        pairs=PairsConfig(n_articles=20_000, n_dev=1200),
        align=AlignConfig(n_pairs=500, max_seq_length=64, batch_size=16, checkpoint_s=60),
        reranker=RerankerConfig(
            n_pairs=500, n_negatives=1, learning_rate=5e-5, max_seq_length=80, batch_size=16, checkpoint_s=60
        ),
        scores=ScoresConfig(n_pairs=800, n_negatives=1, max_seq_length=80, shard_size=256),
        # A reranker trained for two minutes is a weak teacher, so its term has a small weight and the in-batch term a
        # large one.
        contrast=ContrastConfig(
            divergence_weight=0.25, in_batch_scale=10, max_seq_length=64, batch_size=32, checkpoint_s=60
        ),
        evaluate=EvaluateConfig(backend="torch", max_seq_length=96, n_resamples=200),
        index=IndexConfig(n_articles=2000, max_seq_length=96),
        tasks=("pubmed-qa",),
    ),
}
