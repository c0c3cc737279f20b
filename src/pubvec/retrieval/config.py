"""Settings of `pubvec index`."""

from __future__ import annotations

from dataclasses import dataclass

from pubvec.errors import ConfigError


@dataclass(frozen=True)
class IndexConfig:
    """How an index is made."""

    max_seq_length: int | None = None
    """Tokens of an article that are encoded; None takes the model's window."""
    n_articles: int | None = None
    """Index a random sample of so many articles; None takes all."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_seq_length", "n_articles"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be 1 or above, not {value}")
