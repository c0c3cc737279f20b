"""What an article must be to count as a hit, whoever asks: the query language, an option, or a server's parameter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

TextField = Literal["title", "abstract", "text"]
"""Fields of running text; `text` is title and abstract."""
TermField = Literal["author", "mesh", "major_mesh", "journal", "type", "language"]
"""Fields whose values are compared whole, without case, accents or periods."""


@dataclass(frozen=True)
class Word:
    """A word occurs, as written but for case and accents; with `is_prefix`, a word that begins so."""

    field: TextField
    text: str
    is_prefix: bool = False


@dataclass(frozen=True)
class Phrase:
    """Words occur one after the other."""

    field: TextField
    text: str


@dataclass(frozen=True)
class Term:
    """A value of a list: an author, a MeSH heading with `is_exploded` for those below it, a journal, a type, a language."""

    field: TermField
    value: str
    is_exploded: bool = True


@dataclass(frozen=True)
class Years:
    """Published from year `first` through `last`; None leaves that end open."""

    first: int | None
    last: int | None


@dataclass(frozen=True)
class Pmids:
    """One of these articles."""

    pmids: frozenset[int]


@dataclass(frozen=True)
class Flag:
    """A yes or no of the article."""

    name: Literal["has_abstract", "is_retracted"]


@dataclass(frozen=True)
class AddedAfter:
    """Came into the index after this version of it."""

    version: int


@dataclass(frozen=True)
class And:
    """All of them."""

    parts: tuple[Constraint, ...]


@dataclass(frozen=True)
class Or:
    """At least one of them."""

    parts: tuple[Constraint, ...]


@dataclass(frozen=True)
class Not:
    """All articles but those."""

    part: Constraint


Constraint = Word | Phrase | Term | Years | Pmids | Flag | AddedAfter | And | Or | Not


def iter_parts(constraint: Constraint) -> Iterator[Constraint]:
    """`constraint` and everything in it."""
    yield constraint
    if isinstance(constraint, And | Or):
        for part in constraint.parts:
            yield from iter_parts(part)
    elif isinstance(constraint, Not):
        yield from iter_parts(constraint.part)
