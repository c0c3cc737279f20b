"""What is new for a saved query."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from xml.etree import ElementTree

import pytest
from search_world import make_files, make_random_article

from makers_records import make_article
from pubvec.errors import InputError
from pubvec.records import Hit
from pubvec.retrieval.alerts import as_rss, find_new
from pubvec.retrieval.constraints import Filters
from pubvec.retrieval.searcher import Searcher
from pubvec.retrieval.updating import update

NEW = [make_article(pmid, title=f"aspirin in stroke {pmid}", year=2000 + pmid) for pmid in range(1, 6)]


@pytest.fixture(scope="module")
def updated(library, tmp_path_factory) -> Searcher:
    folder = tmp_path_factory.mktemp("alert")
    shutil.copytree(library / "index", folder / "index")
    make_files(folder / "a", NEW)
    update(folder / "index", folder / "a")
    make_files(folder / "b", [make_random_article(990, 3)])  # revised, not new
    update(folder / "index", folder / "b")
    return Searcher(folder / "index")


def test_new_articles_alone(updated):
    assert {hit.pmid for hit in find_new(updated, "aspirin", since=1).hits} == {1, 2, 3, 4, 5}
    assert find_new(updated, "aspirin", since=2) == ([], 0)
    assert len(find_new(updated, "aspirin", since=0, n=1000).hits) == 65
    assert {hit.pmid for hit in find_new(updated, "stroke AND 3", since=1).hits} == {3}
    assert {hit.pmid for hit in find_new(updated, "x", since=1, filters=Filters(year="2004..")).hits} == {
        4,
        5,
    }


def test_what_is_not_shown_is_counted(updated):
    for n in range(1, 8):
        found = find_new(updated, "aspirin", since=1, n=n)
        assert (len(found.hits), found.n_new) == (min(n, 5), 5)
    assert find_new(updated, "aspirin", since=0, n=3).n_new == 65
    found = find_new(updated, "aspirin", since=1, n=2, ranking="lexical")
    assert (len(found.hits), found.n_new) == (2, 5)
    assert find_new(updated, "malaria", since=1, ranking="lexical") == ([], 0)


class Calibrated:
    """A searcher whose hits have these probabilities."""

    def __init__(self, searcher, probabilities):
        self._searcher, self._probabilities = searcher, probabilities

    def __getattr__(self, name):
        return getattr(self._searcher, name)

    def search(self, request, n):
        hits = self._searcher.search(request, n)
        return [hit._replace(probability=self._probabilities[hit.pmid]) for hit in hits]


def test_a_threshold_comes_before_the_cut(updated):
    """The articles that pass are found wherever the ranking puts them."""
    calibrated = Calibrated(updated, {1: 0.9, 2: 0.1, 3: 0.8, 4: 0.2, 5: 0.7})
    found = find_new(calibrated, "aspirin", since=1, min_probability=0.5)
    assert ({hit.pmid for hit in found.hits}, found.n_new) == ({1, 3, 5}, 3)
    found = find_new(calibrated, "aspirin", since=1, n=1, min_probability=0.5)
    assert (len(found.hits), found.n_new) == (1, 3)


def test_a_version_that_never_was(updated):
    for since in (-1, 4):
        with pytest.raises(InputError, match="the index has had versions 1 to 3"):
            find_new(updated, "aspirin", since=since)


def test_a_threshold_needs_a_calibration(updated):
    with pytest.raises(InputError, match="has no calibration: `pubvec calibrate` makes it"):
        find_new(updated, "aspirin", since=1, min_probability=0.5)


def test_the_feed_is_rss_whatever_a_title_holds():
    article = make_article(5, title="<script>&\x00\x0b ]]> é", abstract=None)
    feed = as_rss('"a" & <b>', [Hit(article, 1, 1, None, ())], datetime(2026, 1, 2, tzinfo=timezone.utc))
    channel = ElementTree.fromstring(feed)[0]
    assert channel.find("title").text == 'PubMed: "a" & <b>'
    assert channel.find("lastBuildDate").text == "Fri, 02 Jan 2026 00:00:00 +0000"
    (item,) = channel.findall("item")
    assert item.find("title").text == "<script>& ]]> é"
    assert item.find("guid").text == item.find("link").text == "https://pubmed.ncbi.nlm.nih.gov/5/"
