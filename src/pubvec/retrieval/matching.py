"""Constraints → tantivy queries, built term by term: what a user typed is never parsed as a statement of the store."""

from __future__ import annotations

from typing import Any

from pubvec.errors import InputError, require
from pubvec.retrieval.constraints import (
    AddedAfter,
    And,
    Constraint,
    Flag,
    Not,
    Or,
    Phrase,
    Pmids,
    Term,
    Word,
    Years,
)
from pubvec.retrieval.fields import fold
from pubvec.retrieval.mesh import MeshTree


class Matching:
    """Compiles constraints for an index.

    Args:
        schema: of the tantivy index.
        words: the analyzer of its fields of running text.
    """

    def __init__(self, schema: Any, words: Any) -> None:
        self.mesh: MeshTree | None = None
        """By which MeSH headings take in those below."""
        self._schema = schema
        self._words = words
        self._query = require("tantivy", extra="search").Query

    def compile(self, constraint: Constraint) -> Any:
        """The query that matches what fulfils `constraint`.

        Raises:
            InputError: a word or a name of it holds nothing to look for.
        """
        match constraint:
            case And(parts):
                return match_all([self.compile(part) for part in parts])
            case Or(parts):
                return match_any([self.compile(part) for part in parts])
            case Not(part):
                occur = require("tantivy", extra="search").Occur
                clauses = [(occur.Must, self._query.all_query()), (occur.MustNot, self.compile(part))]
                return self._query.boolean_query(clauses)
            case Word() | Phrase():
                return self._compile_text(constraint)
            case Term():
                return self._compile_term(constraint)
            case Years(first, last):
                return self._range("year", max(first or 1, 1), last)
            case AddedAfter(version):
                return self._range("added", version + 1, None)
            case Pmids(pmids):
                return self._query.term_set_query(self._schema, "pmid", [pmid for pmid in pmids if pmid >= 0])
            case Flag(name):
                return self.term("flag", name)

    def term(self, field: str, value: str) -> Any:
        """The query that matches where `field` holds `value`."""
        return self._query.term_query(self._schema, field, value, index_option="freq")

    def _range(self, field: str, first: int, last: int | None) -> Any:
        kind = require("tantivy", extra="search").FieldType.Unsigned
        return self._query.range_query(self._schema, field, kind, first, last)

    def _compile_text(self, part: Word | Phrase) -> Any:
        words = self._words.analyze(part.text)
        if not words:
            raise InputError(f"{part.text!r} holds no word to look for")
        fields = ("title", "abstract") if part.field == "text" else (part.field,)
        is_prefix = isinstance(part, Word) and part.is_prefix
        return match_any([self._compile_words(field, words, is_prefix) for field in fields])

    def _compile_words(self, field: str, words: list[str], is_prefix: bool) -> Any:
        """What an analyzer splits, `IL-6`, stands together."""
        if len(words) > 1:
            phrase = self._query.phrase_prefix_query if is_prefix else self._query.phrase_query
            return phrase(self._schema, field, words)
        if is_prefix:
            return self._query.regex_query(self._schema, field, words[0] + ".*")
        return self.term(field, words[0])

    def _compile_term(self, term: Term) -> Any:
        values = {term.value}
        if self.mesh is not None and term.is_exploded and term.field in ("mesh", "major_mesh"):
            values = set(self.mesh.explode(term.value))
        folded = sorted({fold(value) for value in values} - {""})
        if not folded:
            raise InputError(f"{term.value!r} names no {term.field.replace('_', ' ')}")
        return self._query.term_set_query(self._schema, term.field, folded)


def match_all(queries: list[Any]) -> Any:
    """The query that matches what all of `queries` match."""
    occur = require("tantivy", extra="search").Occur.Must
    return _combine(occur, queries)


def match_any(queries: list[Any]) -> Any:
    """The query that matches what one of `queries` matches."""
    occur = require("tantivy", extra="search").Occur.Should
    return _combine(occur, queries)


def _combine(occur: Any, queries: list[Any]) -> Any:
    if len(queries) == 1:
        return queries[0]
    return require("tantivy", extra="search").Query.boolean_query([(occur, query) for query in queries])
