"""What is asked, as it stands in a URL: one reading of it for the API and for the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pubvec.errors import ConfigError
from pubvec.retrieval import Filters, Ranking

MAX_HITS = 10_000
"""So deep pages and exports go; the command line knows no limit."""
MAX_PMID = 2**31 - 1
Sort = Literal["relevance", "year"]


def _drop_blank(values: Any) -> Any:
    """What a form sends of a field that was left empty is nothing."""
    if isinstance(values, list | tuple):
        return [value for value in values if not isinstance(value, str) or value.strip()]
    return None if isinstance(values, str) and not values.strip() else values


def _check_years(value: str) -> str:
    try:
        Filters(year=value)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return value


_Pmid = Annotated[int, Field(ge=1, le=MAX_PMID)]
_Pmids = Annotated[list[_Pmid], BeforeValidator(_drop_blank), Field(max_length=MAX_HITS)]
_Name = Annotated[str, Field(max_length=300)]
_Names = Annotated[list[_Name], BeforeValidator(_drop_blank), Field(max_length=100)]
_Years = Annotated[str, Field(max_length=20), AfterValidator(_check_years)]
_Year = Annotated[Annotated[int, Field(ge=1, le=9999)] | None, BeforeValidator(_drop_blank)]


class Parameters(BaseModel):
    """A query with its filters, and which of its hits are wanted in which order."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    q: Annotated[str, Field(max_length=2000)] = ""
    """A question or a few words, with conditions as PubMed writes them."""
    like: Annotated[_Pmid | None, BeforeValidator(_drop_blank)] = None
    """Articles near to this one, where there is no query."""
    year: Annotated[_Years | None, BeforeValidator(_drop_blank)] = None
    """2020, or a range whose ends may be open: 2015..2020, 2015.., ..2020."""
    first_year: Annotated[_Year, Field(alias="from")] = None
    """The same as a form asks for it."""
    last_year: Annotated[_Year, Field(alias="to")] = None
    journal: _Names = []
    mesh: _Names = []
    publication_type: _Names = []
    language: _Names = []
    author: _Names = []
    pmid: _Pmids = []
    has_abstract: Annotated[bool, BeforeValidator(lambda value: _drop_blank(value) or False)] = False
    not_retracted: Annotated[bool, BeforeValidator(lambda value: _drop_blank(value) or False)] = False
    ranking: Ranking = "hybrid"
    sort: Sort = "relevance"
    """`year`: the best 1,000 hits, newest first."""
    n: Annotated[int, Field(ge=1, le=MAX_HITS)] = 10
    """Hits a page."""
    offset: Annotated[int, Field(ge=0, le=MAX_HITS)] = 0
    """Hits before the first one."""

    @model_validator(mode="after")
    def _check(self) -> Parameters:
        if self.q.strip():  # typed on the page of similar articles, which it leaves
            object.__setattr__(self, "like", None)  # frozen for everyone else
        if self.offset + self.n > MAX_HITS:
            raise ValueError(f"offset + n must be {MAX_HITS} or below: the command line gives more")
        if self.first_year and self.last_year and self.first_year > self.last_year:
            raise ValueError(f"the years {self.first_year} to {self.last_year} end before they begin")
        return self

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked."""
        return not self.q.strip() and self.like is None

    @property
    def end(self) -> int:
        """Of the page: the offset of the next one."""
        return self.offset + self.n

    @property
    def filters(self) -> Filters:
        """The conditions that are not words of the query."""
        return Filters(
            year=self.year or self._span,
            journal=tuple(self.journal),
            mesh=tuple(self.mesh),
            publication_type=tuple(self.publication_type),
            language=tuple(self.language),
            author=tuple(self.author),
            pmid=tuple(self.pmid),
            has_abstract=self.has_abstract,
            not_retracted=self.not_retracted,
        )

    @property
    def _span(self) -> str | None:
        first, last = self.first_year or "", self.last_year or ""
        return f"{first}..{last}" if first or last else None

    def pairs(self, **changes: Any) -> Iterator[tuple[str, str]]:
        """Names and values that say the same in a URL, what is at its default left out."""
        changed = self.model_copy(update=changes)
        for name, field in type(self).model_fields.items():
            value = getattr(changed, name)
            if value == field.default:
                continue
            for item in value if isinstance(value, list) else [value]:
                yield field.alias or name, "true" if item is True else str(item)

    def url(self, path: str, **changes: Any) -> str:
        """`path` with this query, `changes` to it made."""
        return f"{path}?{urlencode(list(self.pairs(**changes)))}"


class ExportParameters(Parameters):
    """A query, and which of its hits are to be exported."""

    n: Annotated[int, Field(ge=1, le=MAX_HITS)] = 1000
    select: _Pmids = []
    """These of the hits alone, however many."""

    @property
    def wanted(self) -> Parameters:
        """The hits: a selection is a filter by PMID."""
        if not self.select:
            return self
        return self.model_copy(update={"pmid": self.select, "n": len(self.select), "offset": 0})
