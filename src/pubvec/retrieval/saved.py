"""Saved searches: what is new since the last run, each article once, and what has become of the articles that were told.

A saved search is one file in the folder `saved/` of the index. It holds the query, the version of the index that was seen
last, the state of each article that was told, and a delivery that was made and not yet taken. The file is replaced as a
whole, so a run that is killed has either made its delivery, which the next run hands over again, or nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from pubvec.errors import ConfigError, InputError
from pubvec.files import json_ready, lock, read_manifest, write_json
from pubvec.records import Hit, article_text
from pubvec.retrieval.alerts import find_new
from pubvec.retrieval.constraints import Filters, Pmids
from pubvec.retrieval.fields import text_hash
from pubvec.retrieval.indexing import SAVED
from pubvec.retrieval.lexical import Entry
from pubvec.retrieval.searcher import Ranking, Searcher

MIN_PROBABILITY = 0.5
"""A question without conditions ranks every article, near or far: these are told only if they are as likely as this to be
relevant, by the calibrated probability."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_ALARMING = frozenset(
    {
        "retracted",
        "partly retracted",
        "expression of concern",
        "erratum",
        "retracted and republished",
        "corrected and republished",
        "updated",
    }
)
_PMID_LINES = re.compile(
    r"^(?:(?:PMID|AN)\s*-\s*|\s*pmid\s*=\s*[{\"]?\s*|\s*)(\d{1,10})\s*[}\"]?\s*,?\s*$",
    re.MULTILINE | re.IGNORECASE,
)
"""An article's PMID in `.nbib`, RIS, BibTeX, and in a list of PMIDs."""


class Change(NamedTuple):
    """A change of an article that was told or is watched."""

    pmid: int
    title: str
    kind: str
    """A kind of badge (`retracted`, `erratum`, …); `revised`: its title, abstract or version changed; `deleted`."""
    by: int | None
    """PMID of the notice that says so."""

    def __str__(self) -> str:
        words = {
            "retracted": "was retracted",
            "partly retracted": "was partly retracted",
            "expression of concern": "has an expression of concern",
            "erratum": "was corrected (erratum)",
            "retracted and republished": "was retracted and republished",
            "corrected and republished": "was corrected and republished",
            "updated": "was updated",
            "revised": "was revised",
            "deleted": "was deleted from the collection",
        }
        notice = f", see PMID {self.by}" if self.by else ""
        return f"PMID {self.pmid} {words[self.kind]}{notice}: {self.title or '[title not available]'}"


class SavedSearch(NamedTuple):
    """A search that is remembered."""

    name: str
    query: str
    """"" where it only watches articles."""
    filters: Filters
    ranking: Ranking
    min_probability: float | None
    """Articles below it are not told; None: all that fulfill the conditions are."""
    version: int
    """The version of the index that was seen last."""
    n_watched: int
    """The number of articles whose retraction, correction or revision is told."""


class SavedRun(NamedTuple):
    """The result of a run of a saved search."""

    search: SavedSearch
    since: int
    """The version of the index that had been seen before."""
    hits: list[Hit]
    """Every article that is new, the best first."""
    changes: list[Change]
    notes: list[str]
    """What else a reader must know, in sentences."""


def add_saved(
    index: Path | str,
    name: str,
    query: str = "",
    *,
    filters: Filters | None = None,
    ranking: Ranking = "hybrid",
    min_probability: float | None = None,
    articles: Iterable[int] = (),
    is_all_new: bool = False,
    searcher: Searcher | None = None,
) -> SavedSearch:
    """Remember a search. What the index holds now counts as seen, and `run_saved` tells what comes after.

    Args:
        index: folder made by `index`.
        name: letters, digits, `.`, `-` and `_`.
        query: as `Searcher.read` takes it; may be empty where `filters` or `articles` are given.
        filters: conditions beside those of the query.
        ranking: as `Searcher.read` takes it.
        min_probability: tell only articles that are as likely as this to be relevant. None: 0.5 for a question without
            conditions if the model is calibrated, else every article that fulfills the conditions.
        articles: PMIDs to watch besides; a retraction, correction or revision of one is told.
        is_all_new: the first run tells what the index holds now as well.
        searcher: the index, where it is open already. None: it is opened with its own model.

    Raises:
        ConfigError: the name is malformed.
        InputError: the name is taken, the query is malformed, or there is nothing to look for.
        OutputError: another process writes the saved searches.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a name of a saved search has letters, digits, '.', '-' and '_', at most 64, not {name!r}"
        )
    searcher = searcher or Searcher(index)
    filters, pmids = filters or Filters(), sorted(set(articles))
    has_search = bool(query.strip()) or filters.constraint is not None
    if not has_search and not pmids:
        raise InputError("a saved search needs a query, filters, or articles to watch")
    if has_search:
        request = searcher.read(query, filters=filters, ranking=ranking)
        if (
            min_probability is None
            and request.text
            and not request.is_narrowed
            and searcher.encoder.calibration
        ):
            min_probability = MIN_PROBABILITY
    with _writing(index, name):
        path = _path_of(index, name)
        if path.exists():
            raise InputError(
                f"there is a saved search {name} already: `pubvec saved remove {index} {name}`, or another name"
            )
        state = {
            "query": query,
            "filters": json_ready(asdict(filters)),
            "ranking": ranking,
            "min_probability": min_probability,
            "index": _identity(index),
            "version": 0 if is_all_new else searcher.version.number,
            "has_search": has_search,
            "watched": _describe_all(searcher, pmids),
            "pending": None,
        }
        write_json(path, state)
    return _search_of(name, state)


def list_saved(index: Path | str) -> list[SavedSearch]:
    """Return the saved searches of `index`, by name.

    Raises:
        InputError: the index is unfinished, or one of them is damaged.
    """
    read_manifest(index, made_by="index")
    names = sorted(
        path.stem for path in (Path(index) / SAVED).glob("*.json") if not path.name.startswith(".")
    )
    return [_search_of(name, _read(index, name)) for name in names]


def remove_saved(index: Path | str, name: str) -> None:
    """Forget a saved search.

    Raises:
        InputError: there is none of this name.
        OutputError: another process writes the saved searches.
    """
    _read(index, name)
    with _writing(index, name):
        _path_of(index, name).unlink()


def run_saved(index: Path | str, name: str, *, searcher: Searcher | None = None) -> SavedRun:
    """Tell what is new for a saved search since its last run. Each article is told once.

    Args:
        index: folder made by `index`.
        name: of the saved search.
        searcher: the current version of `index`. None: it is opened.

    Raises:
        InputError: there is no saved search of this name.
        OutputError: another process runs a saved search.
    """
    with deliver_saved(index, name, searcher=searcher) as run:
        return run


@contextmanager
def deliver_saved(index: Path | str, name: str, *, searcher: Searcher | None = None) -> Iterator[SavedRun]:
    """Yield what `run_saved` returns; it counts as told when the block ends, and not if the block fails or is killed.

    A delivery that was made and not taken is yielded again, the same articles, by the next run; what has come since then
    follows with the run after it. So a block that writes one file in one step writes each article once.
    """
    with _writing(index, name):
        state = _read(index, name)
        searcher = searcher or Searcher(index)
        if state["pending"] is None:
            state = _collect(searcher, state, name)
            write_json(_path_of(index, name), state)
        yield _revive(searcher, state, name)
        write_json(_path_of(index, name), {**state, "pending": None})


def read_pmids(path: Path | str) -> list[int]:
    """Read the PMIDs of a file that `search --format` wrote in any of its formats, or of a list of PMIDs.

    Raises:
        InputError: the file is missing, no text, or holds none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    found = list(_iter_json_pmids(text)) or list(_iter_csv_pmids(text))
    found = found or [int(number) for number in _PMID_LINES.findall(text)]
    if not found:
        raise InputError(
            f"{path} holds no PMID: give a list of PMIDs, or a file in a format of `pubvec search --format`"
        )
    return list(dict.fromkeys(found))


def _iter_json_pmids(text: str) -> Iterator[int]:
    """Yield the PMIDs of CSL-JSON or JSON Lines."""
    try:
        items = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(line) for line in text.splitlines() if line]
        )
    except json.JSONDecodeError:
        return
    for item in items:
        number = str(item.get("pmid", item.get("PMID"))) if isinstance(item, dict) else ""
        if number.isdecimal():
            yield int(number)


def _iter_csv_pmids(text: str) -> Iterator[int]:
    rows = csv.reader(io.StringIO(text))
    header = [name.strip().lower() for name in next(rows, [])]
    if "pmid" in header and len(header) > 1:
        column = header.index("pmid")
        yield from (int(row[column]) for row in rows if len(row) > column and row[column].strip().isdecimal())


def _collect(searcher: Searcher, state: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Find what is new and what changed; return the state with it as the delivery that is pending."""
    search, notes = _search_of(name, state), []
    since, watched = search.version, dict(state["watched"])
    if state["index"] != _identity(searcher.index):
        notes.append(
            f"{searcher.index} was made anew since the last run, so that new articles cannot be told from old ones: "
            "the search counts from now on."
        )
        since = searcher.version.number
    changes = [list(change) for change in _find_changes(searcher, watched)]
    hits: list[Hit] = []
    if state["has_search"] and since < searcher.version.number:
        found = find_new(
            searcher,
            search.query,
            since,
            None,
            min_probability=search.min_probability or None,
            ranking=search.ranking,
            filters=search.filters,
        )
        hits = [hit for hit in found.hits if str(hit.pmid) not in watched]
    watched |= _describe_all(searcher, [*map(int, watched), *(hit.pmid for hit in hits)])
    pending = {
        "since": search.version,
        "pmids": [hit.pmid for hit in hits],
        "scores": [[hit.score, hit.cosine, hit.probability] for hit in hits],
        "changes": changes,
        "notes": notes,
    }
    return {
        **state,
        "index": _identity(searcher.index),
        "version": searcher.version.number,
        "watched": watched,
        "pending": pending,
    }


def _revive(searcher: Searcher, state: Mapping[str, Any], name: str) -> SavedRun:
    """Read the delivery that is pending: its articles as they are now, with the scores that they were found by.

    Nothing is searched again, so that a first and a repeated delivery tell the same articles in the same order. A delivery
    that an older release left has no scores.
    """
    search, pending = _search_of(name, state), state["pending"]
    present = searcher.held(pending["pmids"])
    scores = dict(zip(pending["pmids"], pending.get("scores", ()), strict=False))
    hits = [
        hit._replace(**dict(zip(("score", "cosine", "probability"), scores.get(hit.pmid, ()), strict=False)))
        for hit in searcher.hits_of([pmid for pmid in pending["pmids"] if pmid in present])
    ]
    notes = list(pending["notes"])
    if n_gone := len(pending["pmids"]) - len(present):
        notes.append(f"{n_gone} of the new articles were deleted from the collection meanwhile.")
    return SavedRun(search, pending["since"], hits, [Change(*change) for change in pending["changes"]], notes)


def _find_changes(searcher: Searcher, watched: Mapping[str, Any]) -> Iterator[Change]:
    """Yield what has become of each watched article since its state was noted."""
    entries = _entries(searcher, list(map(int, watched)))
    for key, before in watched.items():
        pmid = int(key)
        entry = entries.get(pmid)
        if entry is None:
            if before["text"] is not None:
                yield Change(pmid, before["title"], "deleted", None)
            continue
        now = _describe(entry)
        known = {tuple(badge) for badge in before["badges"]}
        title = entry.article.title
        yield from (
            Change(pmid, title, kind, by)
            for kind, by in now["badges"]
            if kind in _ALARMING and (kind, by) not in known
        )
        is_known = before["text"] is not None
        if is_known and (now["text"], now["version"]) != (before["text"], before["version"]):
            yield Change(pmid, title, "revised", None)


def _describe_all(searcher: Searcher, pmids: Iterable[int]) -> dict[str, Any]:
    """Return the state of each article by its PMID, as a key of JSON; one that the index lacks has no text."""
    wanted = list(pmids)
    entries = _entries(searcher, wanted)
    absent: dict[str, Any] = {"title": "", "badges": [], "text": None, "version": None}
    return {str(pmid): _describe(entries[pmid]) if pmid in entries else absent for pmid in wanted}


def _describe(entry: Entry) -> dict[str, Any]:
    article = entry.article
    text = f"{text_hash(article_text(article.title, article.abstract)):016x}"
    return {
        "title": article.title,
        "badges": [list(badge) for badge in entry.badges],
        "text": text,
        "version": article.version,
    }


def _entries(searcher: Searcher, pmids: Iterable[int]) -> dict[int, Entry]:
    """Return those of `pmids` that the index holds."""
    rows = searcher.lexical.rows(Pmids(frozenset(pmids)))
    return {entry.article.pmid: entry for entry in searcher.lexical.entries(rows)}


def _identity(index: Path | str) -> str:
    """Return what stays the same through updates of an index and is another one if it is made anew."""
    manifest = read_manifest(index, made_by="index")
    said = json.dumps([json_ready(manifest.config), dict(manifest.inputs), manifest.seconds], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _search_of(name: str, state: Mapping[str, Any]) -> SavedSearch:
    filters: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in state["filters"].items()
    }
    return SavedSearch(
        name,
        state["query"],
        Filters(**filters),
        state["ranking"],
        state["min_probability"],
        state["version"],
        len(state["watched"]),
    )


def _read(index: Path | str, name: str) -> dict[str, Any]:
    read_manifest(index, made_by="index")
    path = _path_of(index, name)
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _search_of(name, state)
    except FileNotFoundError as error:
        raise InputError(
            f"{index} has no saved search {name}: `pubvec saved list {index}` names those it has"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}): remove it and save the search again") from error
    return state


def _path_of(index: Path | str, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError(f"{index} has no saved search {name!r}")
    return Path(index) / SAVED / f"{name}.json"


@contextmanager
def _writing(index: Path | str, name: str) -> Iterator[None]:
    """Hold a saved search against other runs of it."""
    read_manifest(index, made_by="index")
    folder = _path_of(index, name).parent
    folder.mkdir(exist_ok=True)
    guard = lock(folder / f".{name}.lock")
    try:
        yield
    finally:
        guard.close()
