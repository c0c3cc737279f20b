"""Conditions that hits must fulfill, whether they come from the query language, an option or a server's parameter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pubvec.errors import ConfigError

TextField = Literal[
    "title", "abstract", "text", "text_word", "all", "affiliation", "keyword", "vernacular", "coi", "book"
]
"""Fields of running text. `text` is what PubMed calls Title/Abstract, `text_word` its Text Words, `all` its All Fields."""
TermField = Literal[
    "author",
    "first_author",
    "last_author",
    "investigator",
    "editor",
    "subject_name",
    "author_id",
    "corporate_author",
    "mesh",
    "major_mesh",
    "subheading",
    "journal",
    "type",
    "language",
    "substance",
    "registry_number",
    "data_bank",
    "grant",
    "volume",
    "issue",
    "page",
    "country",
    "article_id",
    "doi",
    "pmc_id",
    "isbn",
    "status",
]
"""Fields whose values are compared whole, without case, marks or periods."""
DateField = Literal[
    "published", "electronic", "print", "created", "completed", "revised", "entrez", "indexed"
]


@dataclass(frozen=True)
class Word:
    """A word occurs; with `is_prefix`, a word that begins so."""

    field: TextField
    text: str
    is_prefix: bool = False


@dataclass(frozen=True)
class Phrase:
    """Words occur one after the other; a word may end in `*`.

    With a `distance` they occur in any order, with at most that many other words between the first and the last of them.
    """

    field: TextField
    text: str
    distance: int | None = None


@dataclass(frozen=True)
class Term:
    """A value of a list; `is_exploded` takes in what stands below it in its tree. A value may end in `*`."""

    field: TermField
    value: str
    is_exploded: bool = True


@dataclass(frozen=True)
class Years:
    """Published from year `first` through `last`, in print or electronically; None leaves that end open."""

    first: int | None
    last: int | None


@dataclass(frozen=True)
class Dates:
    """A date lies between two days, written as the numbers 20190512; None leaves that end open.

    A month or a day that is not known is 00: 20190500 is May 2019.
    """

    field: DateField
    first: int | None
    last: int | None


@dataclass(frozen=True)
class Pmids:
    """The article is one of these."""

    pmids: frozenset[int]


@dataclass(frozen=True)
class Cites:
    """The reference list names this article."""

    pmid: int


@dataclass(frozen=True)
class CitedBy:
    """The reference list of this article names it."""

    pmid: int


@dataclass(frozen=True)
class Flag:
    """A property that an article has or does not have."""

    name: Literal["has_abstract", "is_retracted"]


@dataclass(frozen=True)
class AddedAfter:
    """The article came into the index after this version of it."""

    version: int


@dataclass(frozen=True)
class And:
    """All parts are fulfilled."""

    parts: tuple[Constraint, ...]


@dataclass(frozen=True)
class Or:
    """The parts are alternatives: one of them is fulfilled, or more."""

    parts: tuple[Constraint, ...]


@dataclass(frozen=True)
class Not:
    """All articles fulfill it but those that fulfill the part."""

    part: Constraint


Leaf = Word | Phrase | Term | Years | Dates | Pmids | Cites | CitedBy | Flag | AddedAfter
Constraint = Leaf | And | Or | Not


def iter_parts(constraint: Constraint) -> Iterator[Constraint]:
    """Yield `constraint` and everything in it."""
    yield constraint
    if isinstance(constraint, And | Or):
        for part in constraint.parts:
            yield from iter_parts(part)
    elif isinstance(constraint, Not):
        yield from iter_parts(constraint.part)


_YEARS = re.compile(r"\s*(\d{1,4})?\s*(?:(\.\.|:|-|–)\s*(\d{1,4})?)?\s*")
_OPEN_END = 3000
"""PubMed's users write this year, or a later one, for an open end."""


@dataclass(frozen=True)
class Filters:
    """Conditions that stand beside the query. Of several values of one filter one suffices; `mesh` wants all of them.

    All filters must hold.
    """

    year: str | None = None
    """Year of publication in print or online: 2020, or a range whose ends may be open: 2015-2020, 2015.., ..2020."""
    journal: tuple[str, ...] = ()
    """Title, abbreviation, ISSN or NLM ID; may be repeated: one of them."""
    mesh: tuple[str, ...] = ()
    """MeSH heading or its unique ID; may be repeated: all of them. With --mesh-tree also the headings below each."""
    any_mesh: tuple[str, ...] = ()
    """MeSH heading or its unique ID; may be repeated: at least one of them."""
    publication_type: tuple[str, ...] = ()
    """Review, Randomized Controlled Trial …; may be repeated: one of them."""
    language: tuple[str, ...] = ()
    """Name or code of a language: english, eng or en; may be repeated: one of them."""
    author: tuple[str, ...] = ()
    """Smith, Smith J, Smith John, John Smith, an ORCID or the name of a group; may be repeated: one of them."""
    pmid: tuple[int, ...] = ()
    """PMID of an article; may be repeated: one of these articles."""
    cites: tuple[int, ...] = ()
    """PMID of an article that hits must have in their reference list; may be repeated: one of them."""
    cited_by: tuple[int, ...] = ()
    """PMID of an article in whose reference list hits must be; may be repeated: one of them."""
    has_abstract: bool = False
    """Leave out articles without an abstract."""
    not_retracted: bool = False
    """Leave out retracted articles."""

    def __post_init__(self) -> None:
        if self.year is not None:
            read_years(self.year)

    @property
    def constraint(self) -> Constraint | None:
        """All filters as one constraint; None: nothing is filtered."""
        return all_of(*self._parts())

    def _parts(self) -> Iterator[Constraint]:
        if self.year is not None:
            yield read_years(self.year)
        names: dict[TermField, tuple[str, ...]] = {
            "journal": self.journal,
            "mesh": self.any_mesh,
            "type": self.publication_type,
            "language": self.language,
            "author": self.author,
        }
        for field, values in names.items():
            if values:
                yield Or(tuple(Term(field, value) for value in values))
        yield from (Term("mesh", value) for value in self.mesh)
        if self.pmid:
            yield Pmids(frozenset(self.pmid))
        if self.cites:
            yield Or(tuple(Cites(pmid) for pmid in self.cites))
        if self.cited_by:
            yield Or(tuple(CitedBy(pmid) for pmid in self.cited_by))
        if self.has_abstract:
            yield Flag("has_abstract")
        if self.not_retracted:
            yield Not(Flag("is_retracted"))


def read_years(year: str) -> Years:
    """Read a year or a range of years: `2020`, `2015-2020`, `2015:2020`, `2015..2020`, `2015..`, `..2020`.

    Raises:
        ConfigError: it is none, or ends before it begins.
    """
    found = _YEARS.fullmatch(year)
    if found is None or not (found[1] or found[3]):
        raise ConfigError(f"year must be like 2020, 2015-2020, 2015.. or ..2020, not {year!r}")
    first = int(found[1]) if found[1] else None
    last = (int(found[3]) if found[3] else None) if found[2] else first
    if first is not None and last is not None and first > last:
        raise ConfigError(f"the range of years {year} ends before it begins")
    return Years(first, None if last is not None and last >= _OPEN_END else last)


def all_of(*constraints: Constraint | None) -> Constraint | None:
    """Join constraints that must all hold; None among them demands nothing."""
    parts = tuple(part for part in constraints if part is not None)
    if len(parts) < 2:
        return parts[0] if parts else None
    return And(parts)
