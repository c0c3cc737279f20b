"""What a query is cut into, and the fields that it may name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from pubvec.errors import InputError
from pubvec.retrieval.constraints import TermField, TextField

TEXT_FIELDS: dict[str, TextField] = {
    **dict.fromkeys(("ti", "title"), "title"),
    **dict.fromkeys(("ab", "abstract"), "abstract"),
    **dict.fromkeys(("tiab", "title/abstract", "tw", "text word", "all", "all fields"), "text"),
}
TERM_FIELDS: dict[str, TermField] = {
    **dict.fromkeys(("au", "author"), "author"),
    **dict.fromkeys(("mh", "mesh", "mesh terms"), "mesh"),
    **dict.fromkeys(("majr", "mesh major topic"), "major_mesh"),
    **dict.fromkeys(("ta", "journal"), "journal"),
    **dict.fromkeys(("pt", "publication type"), "type"),
    **dict.fromkeys(("la", "lang", "language"), "language"),
}
DATE_FIELDS = ("dp", "pdat", "date - publication", "publication date")
PMID_FIELDS = ("pmid", "uid")
_FIELDS = (*TEXT_FIELDS, *TERM_FIELDS, *DATE_FIELDS, *PMID_FIELDS)
_KNOWN = "|".join(sorted(map(re.escape, _FIELDS), key=len, reverse=True))
_TAG = rf"\[\s*(?:{_KNOWN})(?::noexp)?\s*\]"
QUOTES = '"“”„'
_TOKEN = re.compile(
    rf"""(?P<tag>{_TAG})
    | (?P<phrase> [{QUOTES}] [^{QUOTES}]* [{QUOTES}])
    | (?P<quote> [{QUOTES}])
    | (?P<open> \()
    | (?P<close> \))
    | (?P<operator> (?-i:AND|OR|NOT) (?=[\s(){QUOTES}]|$))
    | (?P<word> (?:(?!{_TAG})[^\s(){QUOTES}])+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_IS_CONDITION = re.compile(
    rf"[{QUOTES}] | (?<![^\s()])(?-i:AND|OR|NOT)(?=[\s()]|$) | {_TAG} | (?<!\S)hasabstract(?!\S)",
    re.IGNORECASE | re.VERBOSE,
)
_UNKNOWN_FIELD = re.compile(r"(?<=[^\W_])\[([a-z]{2,5}|[A-Z]{2,5})(?::\w+)?\](?=[\s)]|$)")


class Token(NamedTuple):
    """A piece of a query."""

    kind: Literal["tag", "phrase", "quote", "open", "close", "operator", "word"]
    text: str
    column: int


def is_question(text: str) -> bool:
    """Whether `text` has no quotes, operators or known fields, so that all of it is a question."""
    return _IS_CONDITION.search(text) is None


def check_fields(text: str) -> None:
    """Refuse what looks like a field and is none.

    Raises:
        InputError: with its column, counted from 1.
    """
    for found in _UNKNOWN_FIELD.finditer(text):
        if not re.fullmatch(_TAG, found[0], re.IGNORECASE):
            raise InputError(
                f"unknown field {found[0]} at column {found.start() + 1}: fields are [ti] [ab] [tiab] [au] [mh] [majr] "
                "[ta] [dp] [pt] [la] [pmid]; put a space before a bracket that means no field"
            )


def read_field(tag: str) -> tuple[str, bool]:
    """The field of a tag, in lower case, and whether headings below count as well."""
    field, _, mark = tag[1:-1].strip().lower().partition(":")
    return field.strip(), not mark


def tokenize(text: str) -> Iterator[Token]:
    """The tokens of `text`, without the white space between."""
    for found in _TOKEN.finditer(text):
        yield Token(found.lastgroup, found[0], found.start() + 1)  # type: ignore[arg-type]  # its groups are the kinds
