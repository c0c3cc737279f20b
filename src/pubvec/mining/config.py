"""Settings of the stage `pairs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pubvec.errors import ConfigError

RULES = (
    "title-abstract",
    "title-conclusion",
    "title-passage",
    "phrases-abstract",
    "section-section",
    "similar-title",
)
"""Names of the rules that pairs are made by."""


def _released_mix() -> dict[str, float]:
    return {
        "title-abstract": 40,
        "title-conclusion": 35,
        "title-passage": 25,
        "section-section": 10,
        "similar-title": 10,
    }


@dataclass(frozen=True)
class PairsConfig:
    """How pairs are made. The defaults are the mix of the first contrastive step of `recipes/small.sh`.

    Raises:
        ConfigError: a value is outside of its range.
    """

    n_articles: int | None = None
    """Number of articles drawn at random; None takes all. Leakage control comes before the draw and screens all
    articles."""
    max_per_shard: int | None = None
    """Articles drawn at most from one shard, that is from one PubMed file; None sets no limit."""
    pairs_per_article: int = 1
    """Number of pairs of an article, each made by another rule. It is lower where fewer rules are possible."""
    mix: Mapping[str, float] = field(default_factory=_released_mix)
    """Weight of each rule in the draw among those that are possible for an article; 0 or absent: never."""
    n_negatives: int = 4
    """Negatives of each pair."""
    negative_ranks: tuple[int, int] = (1, 30)
    """First and last BM25 rank, from 1, among other titles, between which hard negatives are drawn."""
    similar_score: float = 0.55
    """Two titles with at least this relative BM25 score are similar: they make a pair, and never a negative."""
    duplicate_score: float = 0.8
    """Two titles with at least this relative BM25 score are the same: they make no pair."""
    n_dev: int = 1000
    """Articles set apart for `dev.parquet`; at most a tenth of those drawn."""
    min_title_words: int = 3
    min_abstract_words: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_articles", "max_per_shard"):
            value = getattr(self, name)
            _check(name, value is None or value >= 1, "None, or 1 or more", value)
        for name, least in (
            ("n_negatives", 0),
            ("n_dev", 0),
            ("seed", 0),
            ("min_title_words", 1),
            ("min_abstract_words", 1),
        ):
            _check(name, getattr(self, name) >= least, f"{least} or more", getattr(self, name))
        n_pairs = self.pairs_per_article
        _check("pairs_per_article", 1 <= n_pairs <= len(RULES), f"1 to {len(RULES)}", n_pairs)
        unknown = sorted(set(self.mix) - set(RULES))
        _check("mix", not unknown, f"rules among {', '.join(RULES)}", ", ".join(unknown))
        has_weight = all(weight >= 0 for weight in self.mix.values()) and sum(self.mix.values()) > 0
        _check("mix", has_weight, "weights from 0 up, not all 0", dict(self.mix))
        first, last = self.negative_ranks
        _check("negative_ranks", 1 <= first <= last, "1 ≤ first ≤ last", (first, last))
        scores = (self.similar_score, self.duplicate_score)
        _check("similar_score", 0 < scores[0] < scores[1], "0 < similar_score < duplicate_score", scores)


def _check(name: str, is_valid: bool, expected: str, found: object) -> None:
    if not is_valid:
        raise ConfigError(f"{name}: expected {expected}, found {found}")
