"""Settings of the training stages; "off" is None.

The defaults are those of the first contrastive step of `recipes/small.sh`. No released model was trained by the defaults
alone: the later steps of the recipes set their own mix, learning rates, batch sizes and weights.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from pubvec.errors import ConfigError

_POSITIVE = (
    "n_pairs",
    "n_epochs",
    "batch_size",
    "learning_rate",
    "max_seq_length",
    "saved_max_seq_length",
    "checkpoint_s",
    "shard_size",
    "student_temperature",
    "teacher_temperature",
    "divergence_weight",
    "in_batch_weight",
    "in_batch_scale",
    "correlation_weight",
    "hidden_size",
    "n_layers",
    "n_heads",
    "intermediate_size",
    "projections",
    "vocab_size",
    "n_dev_blocks",
)
_NOT_NEGATIVE = ("n_negatives", "n_random_negatives", "weight_decay", "seed", "kept_weight")
_FRACTIONS = ("warmup_fraction", "dropout", "mask_fraction", "kept_share")


@dataclass(frozen=True)
class StageConfig:
    """Settings that every stage over pairs has."""

    n_pairs: int | None = None
    """Size of the random sample of pairs; None takes all."""
    max_seq_length: int = 512
    """Tokens kept of a text, special tokens included; at most the positions of the model."""
    batch_size: int = 32
    """Number of pairs in a batch. Under torchrun it is that of all processes together."""
    seed: int = 0
    """Decides the sample, its order and the dropout; two stages with other seeds see separate samples."""

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, tuple) and min(value, default=1) <= 0:
                raise ConfigError(f"{name} must hold numbers above 0, not {min(value)}")
            if value is None or isinstance(value, str | tuple):
                continue
            if name in _POSITIVE and value <= 0:
                raise ConfigError(f"{name} must be above 0, not {value}")
            if name in _NOT_NEGATIVE and value < 0:
                raise ConfigError(f"{name} must be 0 or above, not {value}")
            if name in _FRACTIONS and not 0 <= value <= 1:
                raise ConfigError(f"{name} must lie between 0 and 1, not {value}")


@dataclass(frozen=True)
class TrainConfig(StageConfig):
    """Settings that every training has besides."""

    n_epochs: float = 1.0
    learning_rate: float = 2e-5
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    saved_max_seq_length: int | None = 512
    """Window of the saved model, at most the number of its positions; None keeps the initial model's."""
    dropout: float | None = None
    """Probability that every dropout layer has. None turns dropout off, which suits targets that a teacher gives."""
    precision: Literal["bf16", "fp32"] | None = None
    """Number format of matrix products. None takes bf16 where the hardware is fast at it (GPUs; CPUs with AMX or
    AVX512-BF16), else fp32."""
    checkpoint_s: float = 120.0
    """Seconds between checkpoints. The result does not depend on them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision is not None:
            _check_choice("precision", self.precision, ("bf16", "fp32"))


@dataclass(frozen=True)
class AlignConfig(TrainConfig):
    """Step 1: imitate the teacher's vectors."""

    learning_rate: float = 1e-4
    method: Literal["projection", "pca"] = "projection"
    """`projection`: compare through a learnable linear map (arXiv 2301.12005); `pca`: reduce the
    teacher's vectors to the student's width and minimize the squared error."""
    distance: Literal["cosine", "l2", "mse"] = "cosine"
    """Distance of the projected student to the teacher; `pca` always takes `mse`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_choice("method", self.method, ("projection", "pca"))
        _check_choice("distance", self.distance, ("cosine", "l2", "mse"))


@dataclass(frozen=True)
class RerankerConfig(TrainConfig):
    """The cross-encoder: relevance of (anchor, text) as one logit, binary cross-entropy."""

    n_negatives: int = 2
    """BM25 hard negatives a pair."""
    n_random_negatives: int = 1
    """Positives of other pairs drawn as easy negatives, so that logits are calibrated far away too."""


@dataclass(frozen=True)
class ScoresConfig(StageConfig):
    """The cache of reranker logits."""

    n_negatives: int = 4
    seed: int = 1
    """Another seed than that of the stages before, so that the reranker scores pairs that it was not trained on."""
    shard_size: int = 1024
    """Number of queries in a shard. A run that is killed loses at most one shard."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_negatives < 1:
            raise ConfigError("n_negatives must be 1 or above: one candidate alone has no ranking")


@dataclass(frozen=True)
class ContrastConfig(TrainConfig):
    """Step 2: imitate the reranker's ranking of each query's candidates."""

    learning_rate: float = 1e-4
    batch_size: int = 128
    student_temperature: float = 0.05
    """Temperature that divides the student's cosines. Cosines lie between -1 and 1, so a low temperature is needed to
    express a teacher's certainty."""
    teacher_temperature: float | None = None
    """Temperature that divides the reranker's logits. (Sigmoids would limit the target of one positive and one
    negative to 0.731.) None fits it on the pairs, so that the reranker's certainty is calibrated (arXiv 1706.04599)."""
    divergence_weight: float = 1.0
    """Weight of the KL divergence. It has no effect on `pairs/`, which no reranker has scored."""
    in_batch_weight: float | None = 1.0
    """Weight of a MultipleNegativesRanking term over the batch beside it; None: off."""
    in_batch_scale: float = 20.0
    """Inverse temperature of that term."""
    correlation_weight: float | None = 3.0
    """Weight of the share of the cosines' variance that relevance does not explain (1 − r² of the batch's positives
    and of its random pairs, which weigh as much): what balanced-pair Pearson and thresholds see. None: off."""
    matryoshka_dims: tuple[int, ...] = (256, 128, 64)
    """Widths whose first dimensions are trained to be embeddings too (arXiv 2205.13147), where the model is wider."""
    n_negatives: int | None = None
    """Negatives taken of each query; None: all that `scores/` has, of `pairs/` none."""
    fixed_candidates: bool = False
    """Train the anchors alone, against the vectors that the student gives the candidates at its start. Anchors are
    short, so this is several times as fast as training both sides. It works on `pairs/` alone."""
    kept_share: float = 0.125
    """Share of a batch's positives that `fixed_candidates` encodes too and holds at their vectors."""
    kept_weight: float = 10.0
    """Weight of 1 − cosine between the vectors of these positives now and at the start, with `fixed_candidates`."""
    source_pairs: tuple[int, ...] = ()
    """Size of the sample of each source, in their order, so that the sources are mixed in chosen shares; empty: `n_pairs` of
    each."""


@dataclass(frozen=True)
class PretrainConfig(TrainConfig):
    """The language model that a student starts from: masked language modeling. The defaults are those of pubvec-nano."""

    architecture: Literal["bert", "bert_hash"] = "bert_hash"
    hidden_size: int = 128
    n_layers: int = 2
    n_heads: int = 2
    intermediate_size: int = 512
    projections: int = 16
    """Width of the token table of `bert_hash`, before the linear map to the hidden size."""
    n_positions: int = 512
    vocab_size: int = 30522
    """Number of entries of the vocabulary to learn."""
    mask_fraction: float = 0.15
    """Share of the tokens that the model must predict. Of these 80 % are masked, 10 % replaced and 10 % kept (Devlin et al.
    2019, arXiv 1810.04805)."""
    max_seq_length: int = 128
    """Number of tokens of the blocks into which texts are joined."""
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    n_dev_blocks: int = 256
    """Blocks of held-out text that accuracy is measured on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_choice("architecture", self.architecture, ("bert", "bert_hash"))
        if self.hidden_size % self.n_heads:
            raise ConfigError(
                f"hidden_size must be a multiple of n_heads = {self.n_heads}, not {self.hidden_size}"
            )
        if not 4 <= self.max_seq_length <= self.n_positions:
            raise ConfigError(
                f"max_seq_length must lie between 4 and n_positions = {self.n_positions}, not {self.max_seq_length}"
            )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


@dataclass(frozen=True)
class ColbertConfig(TrainConfig):
    """Late interaction: a vector for each token (ColBERT; Khattab and Zaharia 2020, doi:10.1145/3397271.3401075)."""

    dim: int = 128
    """Width of a token's vector."""
    query_length: int = 32
    """Tokens of a query that count; shorter queries are expanded to it with the mask token."""
    document_length: int = 256
    """Tokens of a document that count, in training and in the saved model."""
    student_temperature: float = 1.0
    """Temperature that divides the scores, which are sums over the tokens of a query, each between -1 and 1."""
    teacher_temperature: float | None = None
    """Temperature that divides the reranker's logits. None fits it, as in step 2 of the distillation."""
    divergence_weight: float = 1.0
    """Weight of the KL divergence to the reranker. It has no effect on `pairs/`, which no reranker has scored."""
    in_batch_weight: float | None = 1.0
    """Weight of the contrastive term over the batch; None: off, where a reranker has scored."""
    in_batch_scale: float = 1.0
    """Inverse temperature of that term."""
    correlation_weight: float | None = 3.0
    """Weight of the share of the scores' variance that relevance does not explain (1 − r² of the batch's positives and of
    its random pairs, which weigh as much). None: off."""
    n_negatives: int | None = None
    """Negatives taken of each query; None: all that `scores/` has, of `pairs/` none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("dim", 1), ("query_length", 4), ("document_length", 4)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, not {getattr(self, name)}")
