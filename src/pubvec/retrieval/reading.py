"""How a query was read: its conditions with the articles of each, what ranks, what was left out, and spellings to try."""

from __future__ import annotations

from typing import NamedTuple

from pubvec.retrieval.constraints import (
    AddedAfter,
    And,
    CitedBy,
    Cites,
    Constraint,
    Dates,
    Flag,
    Not,
    Or,
    Phrase,
    Pmids,
    Term,
    Word,
    Years,
)
from pubvec.retrieval.query_fields import FIELDS
from pubvec.spelling import did_you_mean

_TAGS = {field.name: field.tag for field in reversed(FIELDS.values()) if field.name}
_MAX_PMIDS = 5


class Condition(NamedTuple):
    """A condition of a search."""

    text: str
    """The condition is written as the query language writes it."""
    n: int
    """Number of articles that fulfill it by itself."""


class Reading(NamedTuple):
    """How a search was read."""

    ranks: str
    """The words that rank; "" where the search has conditions alone."""
    conditions: list[Condition]
    """Each hit fulfills all of them."""
    ignored: list[str]
    """Stop words that were left out."""
    known: list[int]
    """PMIDs of articles that the query names by an identifier or by their whole title; they come first."""
    notes: list[str]
    """What else a reader must know, in sentences: an identifier that the index lacks, a truncated word that was capped."""
    suggestions: list[tuple[str, str]]
    """A word of the query that no article has, and the word of the index that is nearest to it."""
    unknown: list[str]
    """Values of fields, written as `revue[pt]`, that no article has, wherever they stand in the conditions."""

    def lines(self, *, has_hits: bool = True) -> list[str]:
        """Return the reading in sentences.

        Without hits, values deep in the conditions that no article has are named too: they may be the reason.
        """
        found = (
            [f"These articles are named by the query: PMID {', '.join(map(str, self.known))}."]
            if self.known
            else []
        )
        if self.conditions:
            conditions = "; ".join(f"{condition.text} ({condition.n:,})" for condition in self.conditions)
            found.append(f"Hits must fulfill: {conditions}.")
            unmet = [condition.text for condition in self.conditions if not condition.n]
            unmet += [] if has_hits else self.unknown
            found += [f"No article fulfills {text}." for text in dict.fromkeys(unmet)]
        if self.ranks and (self.conditions or self.ignored or self.known):
            found.append(f"Ranked by: {self.ranks}.")
        if self.ignored:
            found.append(f"Left out as stop words: {', '.join(dict.fromkeys(self.ignored))}.")
        found += self.notes
        found += [
            f"No article has {word!r}: {did_you_mean([repr(better)])}" for word, better in self.suggestions
        ]
        return found


def describe(constraint: Constraint) -> str:
    """Write a constraint in the query language."""
    match constraint:
        case And(parts):
            return " AND ".join(_grouped(part) for part in parts)
        case Or(parts):
            return " OR ".join(_grouped(part) for part in parts)
        case Not(part):
            return f"NOT {_grouped(part)}"
        case Word(field, text, is_prefix):
            return f"{text}{'*' * is_prefix}[{_TAGS[field]}]"
        case Phrase(field, text, distance):
            return f'"{text}"[{_TAGS[field]}{"" if distance is None else f":~{distance}"}]'
        case Term(field, value, is_exploded):
            return f"{value}[{_TAGS[field]}{'' if is_exploded else ':noexp'}]"
        case Years(first, last):
            return f"{first or 1}:{last or 3000}[dp]" if first != last else f"{first}[dp]"
        case Dates(field, first, last):
            return f"{_day(first) or '1'}:{_day(last) or '3000'}[{_TAGS[field]}]"
        case Pmids(pmids):
            shown = " ".join(map(str, sorted(pmids)[:_MAX_PMIDS]))
            return f"{shown}{' …' if len(pmids) > _MAX_PMIDS else ''}[pmid]"
        case Cites(pmid):
            return f"cites PMID {pmid}"
        case CitedBy(pmid):
            return f"is cited by PMID {pmid}"
        case Flag(name):
            return "hasabstract" if name == "has_abstract" else "is retracted"
        case AddedAfter(version):
            return f"came into the index after version {version}"


def conditions_of(constraint: Constraint | None) -> list[Constraint]:
    """Return the conditions that must all hold, nested ones joined."""
    if constraint is None:
        return []
    if isinstance(constraint, And):
        return [found for part in constraint.parts for found in conditions_of(part)]
    return [constraint]


def _grouped(part: Constraint) -> str:
    text = describe(part)
    return f"({text})" if isinstance(part, And | Or) and len(part.parts) > 1 else text


def _day(number: int | None) -> str:
    if number is None:
        return ""
    year, month, day = number // 10000, number // 100 % 100, number % 100
    parts = [f"{year:04}"] + [f"{part:02}" for part in (month, day) if 0 < part < 99]
    return "/".join(parts)
