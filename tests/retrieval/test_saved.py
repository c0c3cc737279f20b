"""Saved searches: each new article once, whatever happens, and what becomes of the articles that were told."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from search_world import make_files, make_random_article

from makers_records import make_article
from pubvec.cli import run as command
from pubvec.errors import ConfigError, InputError, OutputError
from pubvec.files import read_manifest
from pubvec.records import Correction
from pubvec.retrieval import FORMATS, Filters, compact, index, update, write_hits
from pubvec.retrieval import saved as module
from pubvec.retrieval.saved import (
    add_saved,
    deliver_saved,
    list_saved,
    read_pmids,
    remove_saved,
    run_saved,
)


@pytest.fixture
def own(library: Path, tmp_path: Path) -> Path:
    shutil.copytree(library / "index", tmp_path / "index")
    return tmp_path / "index"


def grow(own: Path, *articles, deleted=()) -> None:
    """Apply a file of these articles."""
    folder = own.with_name(f"u{len(list(own.parent.iterdir()))}")
    make_files(folder, articles, deleted)
    update(own, folder)


def told(own: Path, name: str = "s") -> list[int]:
    return sorted(hit.pmid for hit in run_saved(own, name).hits)


def new(*pmids: int, **fields) -> list:
    return [make_article(pmid, f"sartan trial {pmid}", **fields) for pmid in pmids]


def test_each_new_article_is_told_once(own):
    made = add_saved(own, "s", "sartan AND trial", filters=Filters(year="2000.."))
    assert (made.version, made.query) == (1, "sartan AND trial")
    assert told(own) == []
    grow(own, *new(1, 2, 3, year=2001), *new(4, year=1999))
    assert told(own) == [1, 2, 3]
    assert told(own) == []
    grow(own, *new(5, year=2020))
    grow(own, *new(6, year=2020), *new(2, year=2001), deleted=[(1, 1)])
    assert told(own) == [5, 6], "two updates are told together, and a record that comes again is not new"
    grow(own, *new(1, year=2001))
    assert told(own) == [], "an article that was deleted and came back was told before"
    compact(own)
    grow(own, *new(7, year=2020))
    assert told(own) == [7]
    assert list_saved(own) == [list_saved(own)[0]._replace(name="s", version=7, n_watched=6)]


def test_a_run_that_fails_anywhere_tells_nothing_twice_and_loses_nothing(own, tmp_path, monkeypatch):
    """The block writes its output in one step, as `saved run -o` does; the run dies at each step of its way."""
    add_saved(own, "s", "sartan")
    grow(own, *new(1, 2))
    output = tmp_path / "out"
    real_write = module.write_json
    for n_written in (0, 1):  # dies where it would keep the delivery, and where it would mark it as taken
        left = n_written

        def dying(path, value):
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            real_write(path, value)

        monkeypatch.setattr(module, "write_json", dying)
        with pytest.raises(KeyboardInterrupt), deliver_saved(own, "s") as run:
            output.write_text("\n".join(str(hit.pmid) for hit in run.hits))
        grow(own, *new(3 + n_written))
    monkeypatch.setattr(module, "write_json", real_write)
    with pytest.raises(ZeroDivisionError), deliver_saved(own, "s") as run:
        raise ZeroDivisionError
    with deliver_saved(own, "s") as run:
        assert (
            sorted(hit.pmid for hit in run.hits) == sorted(map(int, output.read_text().split())) == [1, 2, 3]
        )
    assert told(own) == [4]
    assert told(own) == []


def test_a_repeated_delivery_tells_what_the_first_told_without_searching_again(own, monkeypatch):
    add_saved(own, "s", "sartan trial", min_probability=0)
    grow(own, *new(1, 2, 3, year=2001))
    with pytest.raises(RuntimeError), deliver_saved(own, "s") as first:
        raise RuntimeError
    assert [hit.score for hit in first.hits] == sorted((hit.score for hit in first.hits), reverse=True)
    assert all(hit.cosine for hit in first.hits)
    monkeypatch.setattr(module, "find_new", None)
    assert run_saved(own, "s").hits == first.hits


def test_a_delivery_that_an_older_release_left_is_told(own):
    add_saved(own, "s", "sartan trial", min_probability=0)
    grow(own, *new(1, 2, 3, year=2001))
    with pytest.raises(RuntimeError), deliver_saved(own, "s") as first:
        raise RuntimeError
    path = own / "saved" / "s.json"
    state = json.loads(path.read_text())
    del state["pending"]["scores"]
    path.write_text(json.dumps(state))
    again = run_saved(own, "s").hits
    assert [(hit.pmid, hit.score) for hit in again] == [(hit.pmid, None) for hit in first.hits]


def test_what_becomes_of_told_and_watched_articles_is_told_once(own):
    add_saved(own, "s", "sartan")
    grow(own, *new(1, 2, 3, 4, 5))
    assert told(own) == [1, 2, 3, 4, 5]
    add_saved(own, "w", articles=[990, 12345])
    notices = {
        10: ("RetractionOf", 1),
        11: ("ExpressionOfConcernFor", 2),
        12: ("ErratumFor", 3),
        13: ("UpdateOf", 990),
    }
    links = [
        make_article(pmid, "notice", corrections=[Correction(kind, None, target, None)])
        for pmid, (kind, target) in notices.items()
    ]
    revised = make_article(4, "sartan trial, corrected")
    own_word = make_article(5, "sartan trial 5", corrections=[Correction("RetractionIn", None, 77, None)])
    grow(own, *links, revised, own_word)
    run = run_saved(own, "s")
    assert [(change.pmid, change.kind, change.by) for change in sorted(run.changes)] == [
        (1, "retracted", 10),
        (2, "expression of concern", 11),
        (3, "erratum", 12),
        (4, "revised", None),
        (5, "retracted", 77),
    ]
    assert str(sorted(run.changes)[0]) == "PMID 1 was retracted, see PMID 10: sartan trial 1"
    assert [(c.pmid, c.kind, c.by) for c in run_saved(own, "w").changes] == [(990, "updated", 13)]
    grow(
        own,
        make_article(12345, "late", corrections=[Correction("RetractionIn", None, 8, None)]),
        deleted=[(4, 1)],
    )
    assert [(c.pmid, c.kind) for c in run_saved(own, "s").changes] == [(4, "deleted")]
    assert [(c.pmid, c.kind) for c in run_saved(own, "w").changes] == [(12345, "retracted")]
    assert run_saved(own, "s").changes == run_saved(own, "w").changes == []


def test_an_index_that_is_made_anew_keeps_its_saved_searches_and_says_what_it_cannot_tell(library, own):
    add_saved(own, "s", "sartan", is_all_new=True)
    model = read_manifest(own, made_by="index").config["model"]
    index(library / "articles", model, own, force=True)
    run = run_saved(own, "s")
    assert (run.hits, len(run.notes)) == ([], 1)
    assert "made anew" in run.notes[0]
    grow(own, *new(1))
    assert told(own) == [1]


@pytest.mark.parametrize("form", FORMATS)
def test_articles_of_every_export_can_be_watched(searcher, tmp_path, form):
    hits = searcher.search("aspirin", 7)
    file = io.StringIO()
    write_hits(hits, file, form)
    (tmp_path / "export").write_text(file.getvalue(), encoding="utf-8")
    assert read_pmids(tmp_path / "export") == [hit.pmid for hit in hits]


def test_what_cannot_be_saved_is_refused(own, tmp_path):
    add_saved(own, "s", "sartan")
    for name, query, error, complaint in (
        ("s", "sartan", InputError, "there is a saved search s already"),
        ("../s", "sartan", ConfigError, "letters, digits"),
        ("", "sartan", ConfigError, "letters, digits"),
        ("t", "", InputError, "needs a query, filters, or articles"),
        ("t", "sartan[xyz]", InputError, "column"),
    ):
        with pytest.raises(error, match=complaint):
            add_saved(own, name, query)
    for verb in (run_saved, remove_saved):
        with pytest.raises(InputError, match="has no saved search t"):
            verb(own, "t")
    (tmp_path / "none.txt").write_text("no number")
    with pytest.raises(InputError, match="holds no PMID"):
        read_pmids(tmp_path / "none.txt")
    with (
        deliver_saved(own, "s"),
        pytest.raises(OutputError, match="another process"),
        deliver_saved(own, "s"),
    ):
        pass
    (own / "saved" / "s.json").write_text("{}")
    with pytest.raises(InputError, match="is damaged"):
        run_saved(own, "s")


def test_the_command_line(own, tmp_path, capsys):
    folder = str(own)
    (tmp_path / "mine.txt").write_text("990\n")
    assert command(["saved", "add", folder, "s", "sartan", "--year", "2000.."]) == 0
    assert command(["saved", "add", folder, "w", "--articles", str(tmp_path / "mine.txt")]) == 0
    grow(own, *new(1, year=2005), make_random_article(990, 3))
    capsys.readouterr()
    assert command(["saved", "list", folder]) == 0
    assert capsys.readouterr().out.startswith(
        "s: 'sartan', year 2000.., 0 articles watched; seen up to version 1"
    )
    assert command(["saved", "run", folder, "--format", "pmids", "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_text() == "1\n"
    assert "PMID 990 was revised" in capsys.readouterr().err
    assert command(["saved", "run", folder, "s", "--format", "nonsense"]) == 1
    assert command(["saved", "remove", folder, "w"]) == 0
    assert [search.name for search in list_saved(own)] == ["s"]
