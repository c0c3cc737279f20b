"""The query language: a question, PubMed's conditions, or both.

    query    = operand { [ "AND" | "OR" | "NOT" ] operand }
    operand  = "(" query ")" | "NOT" operand | range | tagged | phrase | word
    tagged   = ( phrase | word { word } ) "[" field "]"
    range    = tagged ":" tagged               both of publication dates

Operators are in capitals and are applied from left to right with equal weight, as PubMed does
(https://pubmed.ncbi.nlm.nih.gov/help/#combining-with-boolean-operators). Operands beside each other are joined by AND.
Words alone:

- In a query without AND and OR they are a question: they rank and exclude nothing. What NOT names is excluded all the same.
  A field takes in all words before it, up to an operator, a parenthesis, a phrase or another field; a date the last one.
- In a query with AND or OR they are conditions, as in PubMed: each must occur, `word*` at the beginning of a word.

A text without quotes, operators and known fields is a question as it stands, whatever else is in it: `[18F]FDG`, `(p < 1)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pubvec.errors import InputError
from pubvec.retrieval.constraints import (
    And,
    Constraint,
    Flag,
    Not,
    Or,
    Phrase,
    Pmids,
    Term,
    TermField,
    TextField,
    Word,
    Years,
    all_of,
)

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


MAX_CHARACTERS = 10_000
MAX_DEPTH = 50
_MIN_PREFIX = 4
"""Letters before `*`, as PubMed wants."""
_ENDLESS = 3000
"""The year that PubMed's users write for an open end."""
_DATE = re.compile(r"(\d{4})(?:/(\d{1,2})(?:/(\d{1,2}))?)?")


class ParsedQuery(NamedTuple):
    """What a query asks for."""

    text: str
    """The words that rank; "" where there are conditions alone."""
    constraint: Constraint | None
    """What hits must be; None: anything."""


def parse_query(text: str) -> ParsedQuery:
    """Parse what a person typed.

    Raises:
        InputError: the query is empty, too long, or malformed; the message has the column, counted from 1.
    """
    if not text.strip():
        raise InputError("the query is empty: give a question or a few words")
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"the query has {len(text):,} characters: {MAX_CHARACTERS:,} are the most")
    check_fields(text)
    if is_question(text):
        return ParsedQuery(" ".join(text.split()), None)
    parser = _Parser(list(tokenize(text)), end=len(text) + 1)
    constraint = parser.parse()
    return ParsedQuery(" ".join(parser.ranking), constraint)


@dataclass
class _Parser:
    """Recursive descent; `ranking` gathers the words that rank."""

    tokens: list[Token]
    end: int
    """Column after the query."""

    def __post_init__(self) -> None:
        self.ranking: list[str] = []
        self._place = 0
        joined = {token.text for token in self.tokens if token.kind == "operator"}
        self._is_question = not joined & {"AND", "OR"}

    def parse(self) -> Constraint | None:
        constraint = self._parse_query(depth=0, is_negated=False)
        if token := self._peek():
            raise InputError(f") at column {token.column} closes nothing")
        return constraint

    def _parse_query(self, depth: int, is_negated: bool) -> Constraint | None:
        found = self._parse_operand(depth, is_negated)
        while (token := self._peek()) and token.kind != "close":
            if token.kind == "operator":
                self._place += 1
            operator = token.text if token.kind == "operator" else "AND"
            right = self._parse_operand(depth, is_negated or operator == "NOT", after=token)
            found = _join(operator, found, right)
        return found

    def _parse_operand(self, depth: int, is_negated: bool, after: Token | None = None) -> Constraint | None:
        token = self._peek()
        if depth > MAX_DEPTH:
            raise InputError(f"the query is nested more than {MAX_DEPTH} deep at column {self._column()}")
        if token is None or token.kind == "close":
            what = (
                f"{after.text} at column {after.column}"
                if after
                else f"the parenthesis before column {self._column()}"
            )
            raise InputError(f"{what} joins nothing: a word, a phrase or a field is missing")
        if token.kind == "quote":
            raise InputError(f"the quotation mark at column {token.column} is never closed")
        if token.kind == "tag":
            raise InputError(f"{token.text} at column {token.column} follows no word")
        if token.kind == "operator":
            return self._parse_negation(token, depth)
        if token.kind == "open":
            return self._parse_group(token, depth, is_negated)
        return self._parse_terms(is_negated)

    def _parse_negation(self, token: Token, depth: int) -> Constraint:
        if token.text != "NOT":
            raise InputError(
                f"{token.text} at column {token.column} joins nothing: a word is missing before it"
            )
        self._place += 1
        inner = self._parse_operand(depth + 1, True, after=token)
        if inner is None:
            raise InputError(f"NOT at column {token.column} excludes nothing")
        return Not(inner)

    def _parse_group(self, token: Token, depth: int, is_negated: bool) -> Constraint | None:
        self._place += 1
        inner = self._parse_query(depth + 1, is_negated)
        closing = self._peek()
        if closing is None:
            raise InputError(f"( at column {token.column} is never closed")
        self._place += 1
        return inner

    def _parse_terms(self, is_negated: bool) -> Constraint | None:
        """A phrase, or a run of words, with its field if it has one."""
        first = self._take()
        words = [first]
        if first.kind == "word":
            while (token := self._peek()) and token.kind == "word":
                words.append(self._take())
        tag = self._peek()
        if tag is not None and tag.kind == "tag":
            self._place += 1
            return self._tagged(words, tag, is_negated)
        if first.kind == "phrase":
            return self._phrase(first, "text", is_negated)
        return self._bare_words(words, is_negated)

    def _bare_words(self, words: list[Token], is_negated: bool) -> Constraint | None:
        return all_of(*(self._bare(word, is_negated) for word in words))

    def _bare(self, word: Token, is_negated: bool) -> Constraint | None:
        if word.text.lower() == "hasabstract":
            return Flag("has_abstract")
        self._rank(word.text, is_negated)
        if (self._is_question and not is_negated) or not any(map(str.isalnum, word.text)):
            return None
        return _word(word, "text")

    def _phrase(self, phrase: Token, field: TextField, is_negated: bool) -> Constraint:
        text = " ".join(phrase.text[1:-1].split())
        if not any(map(str.isalnum, text)):
            raise InputError(f"the phrase at column {phrase.column} holds no word")
        self._rank(text, is_negated)
        return Phrase(field, text)

    def _tagged(self, words: list[Token], tag: Token, is_negated: bool) -> Constraint:
        field, is_exploded = read_field(tag.text)
        if field in DATE_FIELDS:
            others = self._bare_words(words[:-1], is_negated)
            return all_of(others, self._years(words[-1].text.strip(QUOTES), words[-1].column)) or Years(
                None, None
            )
        is_phrase = words[0].kind == "phrase"
        value = " ".join(
            (words[0].text[1:-1] if is_phrase else " ".join(word.text for word in words)).split()
        )
        if not any(map(str.isalnum, value)):
            raise InputError(f"{tag.text} at column {tag.column} follows no word")
        if field in TEXT_FIELDS:
            return self._text(words, value, TEXT_FIELDS[field], is_negated)
        if field in TERM_FIELDS:
            if TERM_FIELDS[field] in ("mesh", "major_mesh"):
                self._rank(value, is_negated)
            return Term(TERM_FIELDS[field], value, is_exploded)
        return _pmids(value, words[0].column)

    def _text(self, words: list[Token], value: str, field: TextField, is_negated: bool) -> Constraint:
        if words[0].kind == "phrase":
            return self._phrase(words[0], field, is_negated)
        if value.lower() == "hasabstract":
            return Flag("has_abstract")
        self._rank(value, is_negated)
        found = all_of(*(_word(word, field) for word in words if any(map(str.isalnum, word.text))))
        assert found is not None
        return found

    def _years(self, value: str, column: int) -> Years:
        """`2015`, `2015:2020`, or `"2015/01/01"[dp] : "2020/12/31"[dp]`, as PubMed itself writes it."""
        first, _, last = value.partition(":")
        following = self.tokens[self._place : self._place + 3]
        if (
            [token.text for token in following[:1]] == [":"]
            and len(following) == 3
            and following[2].kind == "tag"
        ):
            self._place += 3
            last = following[1].text.strip(QUOTES)
        start = _year(first.strip(), column, is_end=False)
        if ":" not in value and not last:
            if "/" in first:
                raise InputError(f"{first} at column {column}: the index knows years, write {start}[dp]")
            return Years(start, start)
        end = _year(last.strip(), column, is_end=True)
        if end < start:
            raise InputError(f"the range {start}:{end} at column {column} ends before it begins")
        return Years(start, None if end >= _ENDLESS else end)

    def _rank(self, text: str, is_negated: bool) -> None:
        if not is_negated:
            self.ranking.append(text.rstrip("*"))

    def _peek(self) -> Token | None:
        return self.tokens[self._place] if self._place < len(self.tokens) else None

    def _take(self) -> Token:
        self._place += 1
        return self.tokens[self._place - 1]

    def _column(self) -> int:
        token = self._peek()
        return token.column if token else self.end


def _join(operator: str, left: Constraint | None, right: Constraint | None) -> Constraint | None:
    if operator == "NOT":
        return all_of(left, None if right is None else Not(right))
    if left is None or right is None:
        return left or right
    if operator == "AND":
        return And((*(left.parts if isinstance(left, And) else (left,)), right))
    return Or((*(left.parts if isinstance(left, Or) else (left,)), right))


def _word(word: Token, field: TextField) -> Word:
    stem, star, rest = word.text.partition("*")
    if not star:
        return Word(field, stem)
    if rest or sum(map(str.isalnum, stem)) < _MIN_PREFIX:
        raise InputError(
            f"{word.text} at column {word.column}: * stands at the end of a word, after {_MIN_PREFIX} letters or more"
        )
    return Word(field, stem, is_prefix=True)


def _pmids(value: str, column: int) -> Pmids:
    numbers = value.replace(",", " ").split()
    if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
        raise InputError(f"{value} at column {column} is no PMID: expected a number")
    return Pmids(frozenset(map(int, numbers)))


def _year(value: str, column: int, *, is_end: bool) -> int:
    found = _DATE.fullmatch(value)
    if found is None:
        raise InputError(
            f"{value or 'nothing'} at column {column} is no date: expected 2020, or a range 2015:2020"
        )
    months = {None, "12"} if is_end else {None, "1", "01"}
    days = {None, "31"} if is_end else {None, "1", "01"}
    if found[2] not in months or found[3] not in days:
        raise InputError(f"{value} at column {column}: the index knows years, write {found[1]}")
    return int(found[1])
