"""A search as a feed of RSS, and the description by which browsers offer the server as a search engine."""

from __future__ import annotations

from xml.sax.saxutils import escape

from pubvec.retrieval import AddedAfter, Searcher, as_rss, strength_of
from pubvec.server.parameters import Parameters, read_request
from pubvec.server.search_service import Cancellation

_N_ITEMS = 100
_N_VERSIONS = 30
"""Number of the last versions of the index whose articles a feed contains."""


def write_feed(parameters: Parameters, searcher: Searcher, cancellation: Cancellation) -> str:
    """Return a feed of the best articles that came with the last updates of the index.

    An index that was never updated gives the best of all its articles. Weak matches are left out. The newest article comes
    first.

    Raises:
        InputError: The query is malformed.
    """
    last = searcher.version.number
    since = max(min(1, last - 1), last - _N_VERSIONS)
    request = read_request(searcher, parameters, AddedAfter(since) if since else None)
    cancellation.check()
    hits = [hit for hit in searcher.search(request, _N_ITEMS) if strength_of(hit) != "weak"]
    hits.sort(key=lambda hit: str(hit.article.date_created or hit.article.year or ""), reverse=True)
    return as_rss(request.query or request.text or "articles that meet the filters", hits)


def describe_search(base_url: str) -> str:
    """Return the OpenSearch description (https://github.com/dewitt/opensearch) of the server at `base_url`."""
    base = escape(base_url.rstrip("/"), {'"': "&quot;"})
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/">\n'
        "<ShortName>pubvec</ShortName><Description>Search PubMed by meaning</Description>\n"
        "<InputEncoding>UTF-8</InputEncoding>\n"
        f'<Image width="16" height="16" type="image/svg+xml">{base}/static/icon.svg</Image>\n'
        f'<Url type="text/html" template="{base}/?q={{searchTerms}}"/>\n'
        f'<Url type="application/rss+xml" template="{base}/feed.rss?q={{searchTerms}}"/>\n'
        "</OpenSearchDescription>\n"
    )
