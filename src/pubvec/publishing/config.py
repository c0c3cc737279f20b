"""Settings of `pubvec release`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pubvec.errors import ConfigError

_LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code")
"""What the hub takes: a code of ISO 639, or one of two words."""


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
    language: tuple[str, ...] = ()
    """A language of the texts that the model reads, as a code of ISO 639, such as de. May be repeated. By default it is en
    for a model that was trained on PubMed, and the card names none for other models."""

    def __post_init__(self) -> None:
        for language in self.language:
            if not _LANGUAGE.fullmatch(language):
                raise ConfigError(f"language must be a code of ISO 639 such as en or de, not {language!r}")
