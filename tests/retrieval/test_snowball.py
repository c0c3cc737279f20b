"""Citations within an index: counts, order, and snowballing, against a graph kept by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from makers_records import make_article, make_articles_folder
from pubvec.cli import run as command
from pubvec.errors import ConfigError, InputError
from pubvec.records import Reference
from pubvec.retrieval import Filters, Searcher, index, snowball, update

ABSENT = 900
"""The articles cite this one, and the index lacks it."""
_DRAW = random.Random(4)
GRAPH = {pmid: set(_DRAW.sample(range(1, 41), _DRAW.randint(0, 6))) | {ABSENT} for pmid in range(1, 41)}
for _pmid in (39, 40):
    GRAPH[_pmid] = set()


def _articles(pmids):
    return [
        make_article(
            pmid,
            f"trial {pmid}",
            year=2000 + pmid,
            references=[Reference(None, cited, None) for cited in sorted(GRAPH[pmid])]
            + [Reference("a book", None, None)],
        )
        for pmid in pmids
    ]


@pytest.fixture(scope="module")
def cited(tiny_model: Path, tmp_path_factory) -> Searcher:
    """The last ten articles come with an update."""
    folder = tmp_path_factory.mktemp("cited")
    make_articles_folder(folder / "a", _articles(range(1, 31)))
    make_articles_folder(folder / "b", _articles(range(31, 41)))
    index(folder / "a", str(tiny_model), folder / "index")
    update(folder / "index", folder / "b")
    return Searcher(folder / "index")


def citing(pmid: int) -> set[int]:
    return {other for other, cites in GRAPH.items() if pmid in cites}


def test_counts_and_lists_are_those_of_the_graph(cited):
    hits = cited.search("trial", 40)
    assert {hit.pmid: hit.n_cited_by for hit in hits} == {pmid: len(citing(pmid)) for pmid in GRAPH}
    for pmid in GRAPH:
        assert cited.cited_by(pmid) == sorted(citing(pmid))
        assert cited.references(pmid) == sorted(GRAPH[pmid] - {ABSENT})
    page = cited.page(cited.read("trial"), 40, sort="citations")
    counts = [hit.n_cited_by for hit in page.hits]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("direction", ["both", "backward", "forward"])
def test_rounds_follow_the_graph(cited, direction):
    for start in ([1], [2, 3, 7], [40]):
        seen, wave, rounds = set(start), set(start), {}
        for number in (1, 2, 3):
            near = set()
            for pmid in wave:
                near |= GRAPH[pmid] if direction != "forward" else set()
                near |= citing(pmid) if direction != "backward" else set()
            wave = near - seen - {ABSENT}
            seen |= wave
            rounds |= dict.fromkeys(wave, number)
            found = snowball(cited, start, None, direction=direction, n_rounds=number)
            assert {each.hit.pmid: each.round for each in found.linked} == rounds
            assert found.n_found == len(rounds)
        first = snowball(cited, start, None, direction=direction)
        for each in first.linked:
            assert set(each.cites) == (
                GRAPH[each.hit.pmid] & set(start) if direction != "backward" else set()
            )
            assert set(each.cited_by) == (
                citing(each.hit.pmid) & set(start) if direction != "forward" else set()
            )
        links = [len(each.cites) + len(each.cited_by) for each in first.linked]
        assert links == sorted(links, reverse=True)


def test_a_cut_says_how_many_there_are_and_filters_hold(cited):
    everything = snowball(cited, [1, 2, 3], None)
    cut = snowball(cited, [1, 2, 3], 2)
    assert (cut.linked, cut.n_found, cut.n_absent) == (everything.linked[:2], everything.n_found, 1)
    late = snowball(cited, [1, 2, 3], None, filters=Filters(year="2020.."))
    assert [e.hit.pmid for e in late.linked] == [
        e.hit.pmid for e in everything.linked if e.hit.article.year >= 2020
    ]


def test_what_cannot_be_followed_is_refused(cited):
    with pytest.raises(InputError, match="PMID 900 is not in the index"):
        snowball(cited, [1, ABSENT])
    with pytest.raises(InputError, match="at least one PMID"):
        snowball(cited, [])
    for wrong in ({"direction": "up"}, {"n_rounds": 0}, {"n": 0}):
        with pytest.raises(ConfigError):
            snowball(cited, [1], **wrong)


def test_the_command_line(cited, capsys):
    folder = str(cited.index)
    assert command(["snowball", folder, "1", "2", "--format", "pmids", "-n", "3"]) == 0
    said = capsys.readouterr()
    best = snowball(cited, [1, 2], 3)
    assert said.out.split() == [str(each.hit.pmid) for each in best.linked]
    assert f"{best.n_found} articles found, 3 shown" in said.err
    assert "articles of reference lists that the index lacks: 1" in said.err
    assert command(["snowball", folder, "1", "--direction", "backward"]) == 0
    assert "cited by 1" in capsys.readouterr().out
    assert command(["search", folder, "trial", "--sort", "citations", "-n", "1"]) == 0
    most = max(len(citing(pmid)) for pmid in GRAPH)
    assert f"cited by {most} in the index" in capsys.readouterr().out
