"""Parameters of a search in a URL, shared by the API and the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pubvec.errors import ConfigError
from pubvec.records import Hit
from pubvec.retrieval import (
    N_PASSAGES,
    Constraint,
    Direction,
    Filters,
    Not,
    Page,
    Ranking,
    Searcher,
    SearchRequest,
    Sort,
    Years,
    all_of,
    parse_query,
)
from pubvec.spelling import did_you_mean, find_nearest

MAX_HITS = 10_000
"""Maximum depth of pages and exports. The command line has no limit."""
MAX_PMID = 2**31 - 1
Quick = Literal["rct", "systematic_review", "free_full_text", "last_5_years", "humans"]
QUICK_FILTERS: dict[Quick, tuple[str, str]] = {
    "rct": ("Randomized trials", "randomized controlled trial[pt]"),
    "systematic_review": ("Systematic reviews", "systematic review[pt]"),
    "free_full_text": ("Free full text", "pubmed pmc[sb]"),
    "last_5_years": ("Last 5 years", "y_5[filter]"),
    "humans": ("Humans", "humans[filter]"),
}
"""Label and condition of each filter that is one click away."""
_N_BLOCK = 10
"""Number of passages that are found between two looks at the deadline."""


def _drop_blank(values: Any) -> Any:
    """Drop the empty strings that a form sends for empty fields."""
    if isinstance(values, list | tuple):
        return [value for value in values if not isinstance(value, str) or value.strip()]
    return None if isinstance(values, str) and not values.strip() else values


def _read_list(most: int) -> Callable[[Any], Any]:
    """Return a function that drops the blanks of a list of `most` values or fewer, and refuses a longer one."""

    def read(values: Any) -> Any:
        if isinstance(values, list | tuple) and len(values) > most:
            raise ValueError(f"there may be {most:,} values at most, not {len(values):,}")
        return _drop_blank(values)

    return read


def _check_years(value: str) -> str:
    try:
        Filters(year=value)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return value


_Pmid = Annotated[int, Field(ge=1, le=MAX_PMID)]
_Pmids = Annotated[list[_Pmid], BeforeValidator(_read_list(MAX_HITS)), Field(max_length=MAX_HITS)]
_Name = Annotated[str, Field(max_length=300)]
_Names = Annotated[list[_Name], BeforeValidator(_read_list(100)), Field(max_length=100)]
_Years = Annotated[str, Field(max_length=20), AfterValidator(_check_years)]
_Year = Annotated[Annotated[int, Field(ge=1, le=9999)] | None, BeforeValidator(_drop_blank)]


class _KnownParameters(BaseModel):
    """Parameters of which each must be known; another one is refused with the nearest that is known."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, values: Any) -> Any:
        known = {name for key, each in cls.model_fields.items() for name in (key, each.alias or key)}
        if isinstance(values, dict) and (unknown := sorted(values.keys() - known)):
            near = did_you_mean(map(repr, find_nearest(unknown[0], known)))
            hint = near or f"known are {', '.join(sorted(known))}"
            raise ValueError(f"there is no parameter {unknown[0][:80]!r}: {hint}")
        return values


class SnowballParameters(_KnownParameters):
    """A set of articles, and how far and in which direction to follow citations from it."""

    pmid: Annotated[list[_Pmid], BeforeValidator(_drop_blank), Field(min_length=1, max_length=MAX_HITS)]
    direction: Direction = "both"
    """`backward` finds what the set cites, `forward` what cites it."""
    n_rounds: Annotated[int, Field(ge=1, le=5)] = 1
    """Number of rounds. Each but the first starts from what the one before found."""
    n: Annotated[int, Field(ge=1, le=MAX_HITS)] = 100
    """Most articles to return."""


class Parameters(_KnownParameters):
    """A query, its filters, the order of the hits, and the page of hits to return."""

    q: Annotated[str, Field(max_length=2000)] = ""
    """A question or a few words, with conditions in PubMed's syntax."""
    like: Annotated[_Pmid | None, BeforeValidator(_drop_blank)] = None
    """PMID of an article to which hits should be similar. It is ignored if there is a query."""
    year: Annotated[_Years | None, BeforeValidator(_drop_blank)] = None
    """A year such as 2020, or a range whose ends may be open: 2015..2020, 2015.., ..2020."""
    first_year: Annotated[_Year, Field(alias="from")] = None
    """First and last year, as a form sends them."""
    last_year: Annotated[_Year, Field(alias="to")] = None
    journal: _Names = []
    mesh: _Names = []
    publication_type: _Names = []
    language: _Names = []
    author: _Names = []
    pmid: _Pmids = []
    cites: _Pmids = []
    """PMIDs of articles, one of which hits must cite."""
    cited_by: _Pmids = []
    """PMIDs of articles, one of which must cite the hits."""
    quick: Annotated[list[Quick], BeforeValidator(_read_list(20)), Field(max_length=20)] = []
    """Names of `QUICK_FILTERS`. All of them must hold."""
    no_year: Annotated[bool, BeforeValidator(lambda value: _drop_blank(value) or False)] = False
    """True keeps the articles whose record has no year."""
    has_abstract: Annotated[bool, BeforeValidator(lambda value: _drop_blank(value) or False)] = False
    not_retracted: Annotated[bool, BeforeValidator(lambda value: _drop_blank(value) or False)] = False
    ranking: Ranking = "hybrid"
    sort: Sort = "relevance"
    """`relevance` puts the best hit first. `year` puts the newest of the best 1,000 hits first, `citations` those of
    them that most articles of the index cite."""
    n: Annotated[int, Field(ge=1, le=MAX_HITS)] = 10
    """Number of hits on a page."""
    offset: Annotated[int, Field(ge=0, le=MAX_HITS)] = 0
    """Number of hits to skip."""

    @model_validator(mode="after")
    def _check(self) -> Parameters:
        if self.q.strip():  # a query typed on the page of similar articles replaces them
            # pydantic forbids a normal assignment because the model is frozen.
            object.__setattr__(self, "like", None)
        if self.offset + self.n > MAX_HITS:
            raise ValueError(f"offset + n must be {MAX_HITS} or below: the command line gives more")
        if self.first_year and self.last_year and self.first_year > self.last_year:
            raise ValueError(f"the years {self.first_year} to {self.last_year} end before they begin")
        return self

    @property
    def is_empty(self) -> bool:
        """True if there is neither a query, nor an article to be similar to, nor a filter."""
        return (
            not self.q.strip() and self.like is None and self.constraint is None and self.filters == Filters()
        )

    @property
    def constraint(self) -> Constraint | None:
        """The conditions that are no `Filters`: the quick filters, and that there is no year."""
        quick = [parse_query(QUICK_FILTERS[name][1]).constraint for name in dict.fromkeys(self.quick)]
        return all_of(*quick, Not(Years(1, None)) if self.no_year else None)

    @property
    def end(self) -> int:
        """Offset of the next page."""
        return self.offset + self.n

    @property
    def filters(self) -> Filters:
        """The filters, which are the conditions outside of the query."""
        return Filters(
            year=self.year or self._span,
            journal=tuple(self.journal),
            mesh=tuple(self.mesh),
            publication_type=tuple(self.publication_type),
            language=tuple(self.language),
            author=tuple(self.author),
            pmid=tuple(self.pmid),
            cites=tuple(self.cites),
            cited_by=tuple(self.cited_by),
            has_abstract=self.has_abstract,
            not_retracted=self.not_retracted,
        )

    @property
    def _span(self) -> str | None:
        first, last = self.first_year or "", self.last_year or ""
        return f"{first}..{last}" if first or last else None

    def pairs(self, **changes: Any) -> Iterator[tuple[str, str]]:
        """Yield the names and values of these parameters in a URL. Defaults are left out."""
        changed = self.model_copy(update=changes)
        for name, field in type(self).model_fields.items():
            value = getattr(changed, name)
            if value == field.default:
                continue
            for item in value if isinstance(value, list) else [value]:
                yield field.alias or name, "true" if item is True else str(item)

    def url(self, path: str, **changes: Any) -> str:
        """Return the URL of `path` with these parameters after `changes`."""
        return f"{path}?{urlencode(list(self.pairs(**changes)))}"


class ExportParameters(Parameters):
    """A query, and which of its hits to export."""

    n: Annotated[int, Field(ge=1, le=MAX_HITS)] = 1000
    select: _Pmids = []
    """PMIDs of the selected hits. If there are any, only they are exported."""

    @property
    def wanted(self) -> Parameters:
        """Parameters of the search whose hits are exported. A selection becomes a filter by PMID."""
        if not self.select:
            return self
        return self.model_copy(update={"pmid": self.select, "n": len(self.select), "offset": 0})


def read_request(
    searcher: Searcher, parameters: Parameters, constraint: Constraint | None = None
) -> SearchRequest:
    """Parse the query of `parameters` once, for all that is computed from it. `constraint` is a further condition.

    Raises:
        InputError: The query is empty or malformed, or the index does not have the article of `like`.
    """
    like = () if parameters.like is None else parameters.like
    return searcher.read(
        parameters.q,
        like=like,
        filters=parameters.filters,
        constraint=all_of(parameters.constraint, constraint),
        ranking=parameters.ranking,
    )


def find_page(
    searcher: Searcher,
    parameters: Parameters,
    check: Callable[[], None] = lambda: None,
    request: SearchRequest | None = None,
) -> Page:
    """Search, and return the page of hits with facets and with the passages of the first `N_PASSAGES` hits.

    Args:
        searcher: The open index.
        parameters: The search. Paging ends at `MAX_HITS`.
        check: Function that is called between the steps of the search. An error that it raises ends the search.
        request: What `read_request` returned for `parameters`. None reads them now.

    Raises:
        InputError: The query is empty or malformed, or the index does not have the article of `like`.
    """
    check()
    request = request or read_request(searcher, parameters)
    check()
    page = searcher.page(request, parameters.n, parameters.offset, sort=parameters.sort, with_passages=False)
    hits: list[Hit] = []
    for start in range(0, min(len(page.hits), N_PASSAGES), _N_BLOCK):
        check()
        hits += searcher.passages(request, page.hits[start : min(start + _N_BLOCK, N_PASSAGES)])
    return page._replace(
        hits=hits + page.hits[len(hits) :],
        has_more=page.has_more and parameters.end + parameters.n <= MAX_HITS,
    )


def find_hits(
    searcher: Searcher, parameters: Parameters, check: Callable[[], None] = lambda: None
) -> list[Hit]:
    """Search, and return the hits of the page without passages and facets.

    Raises:
        InputError: The query is empty or malformed, or the index does not have the article of `like`.
    """
    check()
    request = read_request(searcher, parameters)
    check()
    page = searcher.page(
        request,
        parameters.n,
        parameters.offset,
        sort=parameters.sort,
        with_passages=False,
        with_facets=False,
    )
    return page.hits
