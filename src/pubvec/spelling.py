"""Known names that a misspelled one may mean."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def find_nearest(name: str, known: Iterable[str], n: int = 1, *, min_similarity: float = 0.6) -> list[str]:
    """Return the `n` names of `known` that are nearest to `name`, or fewer, the nearest first.

    Args:
        name: The name as it was written.
        known: The names that exist.
        n: Most names to return.
        min_similarity: Names less similar than this are left out; 1 means equal, 0 nothing in common.
    """
    return get_close_matches(name, list(known), n, min_similarity)


def did_you_mean(names: Iterable[str]) -> str:
    """Return "did you mean A or B?" for the names that `find_nearest` found, and "" for none."""
    listed = " or ".join(names)
    return f"did you mean {listed}?" if listed else ""
