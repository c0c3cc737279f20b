"""`alert`: what is new for a saved query since a version of the index."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from pubvec.errors import InputError
from pubvec.records import Hit
from pubvec.retrieval.constraints import AddedAfter, Filters
from pubvec.retrieval.searcher import Ranking, Searcher


class NewArticles(NamedTuple):
    """The articles that are new for a query."""

    hits: list[Hit]
    """The best of them, the best first."""
    n_new: int
    """The number of all of them."""


def find_new(
    searcher: Searcher,
    query: str,
    since: int,
    n: int | None = 100,
    *,
    min_probability: float | None = None,
    ranking: Ranking = "hybrid",
    filters: Filters | None = None,
) -> NewArticles:
    """Find the best `n` hits among articles that came into the index after version `since`, and count all of them.

    Args:
        searcher: the current version of the index.
        query: as for `Searcher.search`.
        since: the version that was seen last.
        n: most hits to return; the count says how many there are beside them. None: all of them.
        min_probability: leave out hits below it: a plain question ranks every article, near or far.
        ranking: as for `Searcher.search`; the lexical one finds only articles that hold one of the words.
        filters: conditions beside those of the query.

    Raises:
        InputError: there was no such version, or the model has no calibration to filter by.
    """
    if not 0 <= since <= searcher.version.number:
        raise InputError(f"--since {since}: the index has had versions 1 to {searcher.version.number}")
    request = searcher.read(query, ranking=ranking, filters=filters, constraint=AddedAfter(since))
    n_matching = searcher.count(request.constraint)
    if min_probability is None and ranking != "lexical":
        return NewArticles(searcher.search(request, max(1, n_matching) if n is None else n), n_matching)
    # Only the ranking of all of them tells how many pass; a cut before the threshold would lose articles.
    hits = searcher.search(request, max(1, n_matching))
    if min_probability is not None:
        if any(hit.probability is None for hit in hits):
            raise InputError(f"{searcher.encoder.name} has no calibration: `pubvec calibrate` makes it")
        hits = [hit for hit in hits if (hit.probability or 0.0) >= min_probability]
    return NewArticles(hits[:n], len(hits))


def alert(
    index: Path | str,
    query: str,
    *,
    since: int,
    n: int = 100,
    model: str | None = None,
    min_probability: float | None = None,
    ranking: Ranking = "hybrid",
    filters: Filters | None = None,
    trust_index: bool = False,
) -> NewArticles:
    """Find what has come into an index since a version of it, for a query.

    Args:
        index: Folder made by `pubvec index`.
        query: See `Searcher.search`.
        since: Version of the index that was seen last; `info` lists the versions.
        n: Most hits to return. The result counts the others too.
        model: Name or folder of the encoder. None uses that of the index.
        min_probability: Hits below this calibrated score are left out.
        ranking: See `Searcher.search`.
        filters: Conditions beside those of the query.
        trust_index: Fetch the model that the index names if it is not on this machine.

    Raises:
        InputError: The index has had no such version, or its model has no calibration to filter by.
    """
    return find_new(
        Searcher(index, model, trust_index=trust_index),
        query,
        since,
        n,
        min_probability=min_probability,
        ranking=ranking,
        filters=filters,
    )


def as_rss(query: str, hits: Sequence[Hit], made_at: datetime | None = None) -> str:
    """`hits` as a feed of RSS 2.0 (https://www.rssboard.org/rss-specification)."""
    made = format_datetime(made_at or datetime.now(timezone.utc))
    items = "".join(
        f"<item><title>{_text(hit.title or '[title not available]')}</title><link>{hit.url}</link>"
        f'<guid isPermaLink="true">{hit.url}</guid>'
        f"<description>{_text(hit.article.abstract or '')}</description></item>\n"
        for hit in hits
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel>'
        f"<title>PubMed: {_text(query)}</title><link>https://pubmed.ncbi.nlm.nih.gov/</link>"
        f"<description>New articles for: {_text(query)}</description><lastBuildDate>{made}</lastBuildDate>\n"
        f"{items}</channel></rss>\n"
    )


def _text(text: str) -> str:
    """Escaped, without the control characters that XML 1.0 forbids."""
    return escape("".join(letter for letter in text if letter >= " " or letter in "\t\n"))
