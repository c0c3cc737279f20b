"""Conditions that hits must fulfill, whether they come from the query language, an option or a server's parameter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pubvec.errors import ConfigError

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


_YEARS = re.compile(r"(\d{1,4})?(?:(\.\.)(\d{1,4})?)?")


@dataclass(frozen=True)
class Filters:
    """What hits must be. Of several values of one filter one suffices; all filters must hold."""

    year: str | None = None
    """Of publication: 2020, or a range whose ends may be open: 2015..2020, 2015.., ..2020."""
    journal: tuple[str, ...] = ()
    """Title, abbreviation, ISSN or NLM ID; may be repeated."""
    mesh: tuple[str, ...] = ()
    """MeSH heading or its unique ID; may be repeated. With --mesh-tree also the headings below it."""
    publication_type: tuple[str, ...] = ()
    """`Review`, `Randomized Controlled Trial` …; may be repeated."""
    language: tuple[str, ...] = ()
    """Code of three letters, `eng`; may be repeated."""
    author: tuple[str, ...] = ()
    """`Smith`, `Smith J`, `Smith John`, an ORCID or the name of a group; may be repeated."""
    pmid: tuple[int, ...] = ()
    """One of these articles; may be repeated."""
    has_abstract: bool = False
    """Leave out articles without an abstract."""
    not_retracted: bool = False
    """Leave out retracted articles."""

    def __post_init__(self) -> None:
        if self.year is not None:
            self._years(self.year)

    @property
    def constraint(self) -> Constraint | None:
        """All of it as one constraint; None: nothing is filtered."""
        return all_of(*self._parts())

    def _parts(self) -> Iterator[Constraint]:
        if self.year is not None:
            yield self._years(self.year)
        names: dict[TermField, tuple[str, ...]] = {
            "journal": self.journal,
            "mesh": self.mesh,
            "type": self.publication_type,
            "language": self.language,
            "author": self.author,
        }
        for field, values in names.items():
            if values:
                yield Or(tuple(Term(field, value) for value in values))
        if self.pmid:
            yield Pmids(frozenset(self.pmid))
        if self.has_abstract:
            yield Flag("has_abstract")
        if self.not_retracted:
            yield Not(Flag("is_retracted"))

    def _years(self, year: str) -> Years:
        found = _YEARS.fullmatch(year)
        if found is None or not (found[1] or found[3]):
            raise ConfigError(f"year must be like 2020, 2015..2020, 2015.. or ..2020, not {year!r}")
        first = int(found[1]) if found[1] else None
        last = (int(found[3]) if found[3] else None) if found[2] else first
        if first is not None and last is not None and first > last:
            raise ConfigError(f"the range of years {year} ends before it begins")
        return Years(first, last)


def all_of(*constraints: Constraint | None) -> Constraint | None:
    """All of `constraints`; None among them demands nothing."""
    parts = tuple(part for part in constraints if part is not None)
    if len(parts) < 2:
        return parts[0] if parts else None
    return And(parts)
