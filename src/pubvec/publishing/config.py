"""Settings of `pubvec release`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReleaseConfig:
    """What a card says that no folder knows."""

    name: str = "pubvec-small"
    """The name of the model."""
    repository: str | None = None
    """The hub repository that the model goes to, owner/name. By default the card shows how to use the output folder."""
    base_model: str | None = None
    """The model that training started from, best by its hub name. By default it is what the manifests of the stages say."""
    baselines: tuple[str, ...] = ("all-MiniLM-L6-v2", "all-mpnet-base-v2")
    """The systems of the results that stand beside it in the card."""
    license: str = "apache-2.0"
    """The license of the weights, as the hub abbreviates it."""
    attribution: str | None = None
    """A sentence for the card on training texts that are not PubMed's: whose they are, and under which license."""
