"""Settings of `pubvec parse`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pubvec.errors import ConfigError


@dataclass(frozen=True)
class ParseConfig:
    """What is kept of damaged files, and the limits that guard against hostile ones.

    Raises:
        ConfigError: a limit below 1.
    """

    skip_bad_records: bool = False
    """Keep the rest of a file with bad records and list them in the manifest, instead of stopping."""
    n_workers: int | None = None
    """Files parsed at a time; None for one a usable core. The output does not depend on it."""
    max_inflated_bytes: int = 4 << 30
    """Most bytes a gzipped file may inflate to. NLM's largest files have 0.5 GB."""
    max_inflation: int = 100
    """Most bytes that a compressed byte may stand for, on average. PubMed's XML has about 10."""
    max_record_bytes: int = 16 << 20
    """Longest record. A paper of 3,000 authors with their addresses takes about 3 MB."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not isinstance(value, bool) and value < 1:
                raise ConfigError(f"{field.name} must be 1 or more, not {value}")
