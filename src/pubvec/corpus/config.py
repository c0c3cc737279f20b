"""Settings of `pubvec download` and `pubvec parse`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from pubvec.errors import ConfigError

Kind = Literal["baseline", "updates", "all"]
_MOST_CONNECTIONS = 4


@dataclass(frozen=True)
class DownloadConfig:
    """The files to download, their server, and how often and how long a download is tried.

    Raises:
        ConfigError: a limit below its least, or an address of no web server.
    """

    kind: Kind = "baseline"
    """baseline: the yearly one; updates: the daily files that follow it; all: both."""
    base_url: str = "https://ftp.ncbi.nlm.nih.gov/pubmed/"
    """The address of NLM or of a mirror, below which the folders baseline and updatefiles stand."""
    n_connections: int = 3
    """Number of files that are fetched at a time. It is at most 4, to spare NLM's server, which everybody uses."""
    n_attempts: int = 6
    """Number of failures of a file in a row, without a byte received between them, after which the command gives up."""
    wait_s: float = 1.0
    """Seconds before the second attempt; each failure doubles them. A server that says how long to wait is obeyed."""
    timeout_s: float = 60.0
    """Seconds without a byte from the server after which an attempt has failed."""
    max_file_bytes: int = 1 << 30
    """Bytes of the longest file that is accepted. NLM's files have 20 to 80 MB."""
    max_page_bytes: int = 8 << 20
    """Bytes of the longest listing of a folder that is accepted."""

    def __post_init__(self) -> None:
        if self.kind not in ("baseline", "updates", "all"):
            raise ConfigError(f"kind is baseline, updates or all, not {self.kind!r}")
        if not self.base_url.startswith(("https://", "http://")):
            raise ConfigError(f"base_url must begin with https://, not {self.base_url!r}")
        if not 1 <= self.n_connections <= _MOST_CONNECTIONS:
            raise ConfigError(f"n_connections must be 1 to {_MOST_CONNECTIONS}, not {self.n_connections}")
        for name in ("n_attempts", "timeout_s", "max_file_bytes", "max_page_bytes"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.wait_s < 0:
            raise ConfigError(f"wait_s must be 0 or more, not {self.wait_s}")


@dataclass(frozen=True)
class ParseConfig:
    """What is kept of damaged files, and the limits that guard against hostile ones.

    Raises:
        ConfigError: a limit below 1.
    """

    skip_bad_records: bool = False
    """Keep the rest of a file with bad records and list them in the manifest, instead of stopping."""
    max_inflated_bytes: int = 4 << 30
    """Most bytes a gzipped file may inflate to. NLM's largest files have 0.5 GB."""
    max_inflation: int = 100
    """Highest accepted ratio of inflated to compressed bytes. PubMed's XML has about 10."""
    max_record_bytes: int = 16 << 20
    """Bytes of the longest record that is accepted. A paper of 3,000 authors with their addresses takes about 3 MB."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not isinstance(value, bool) and value < 1:
                raise ConfigError(f"{field.name} must be 1 or more, not {value}")
