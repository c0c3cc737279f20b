"""Small sentence-embedding models for biomedical literature, and a PubMed search on an ordinary CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pubvec.version import __version__

if TYPE_CHECKING:
    from pubvec.encoder import load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import the encoder on first use, so that `import pubvec` stays light."""
    if name == "load":
        from pubvec.encoder import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
