"""Settings of `pubvec release`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReleaseConfig:
    """What a card says that no folder knows."""

    name: str = "pubvec-small"
    """Of the model."""
    base_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    """Hub name of the model that training started from; of one from scratch, the model that it imitated."""
    baselines: tuple[str, ...] = ("all-MiniLM-L6-v2", "all-mpnet-base-v2")
    """Systems of the results that stand beside it in the card."""
    attribution: str | None = None
    """Sentence for the card on training texts that are not PubMed's: whose, and under which license."""
