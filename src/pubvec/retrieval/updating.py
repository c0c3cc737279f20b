"""`update`: the records and deletions of NLM's next files, as the next version of an index.

The index is the same whichever file is applied first: see `history`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pubvec.collection import nlm_number
from pubvec.engine import Engine, threads_of
from pubvec.errors import InputError
from pubvec.records import Badge, article_text
from pubvec.retrieval.article_sources import ArticlesFolder, ArticleSource, GivenArticles, StoredArticles
from pubvec.retrieval.build import VersionPlan, write_version
from pubvec.retrieval.dense import KEY, BoolArray, Dense, IntArray, KeyArray
from pubvec.retrieval.fields import join_marks, marks_made_by, text_hash
from pubvec.retrieval.history import (
    FileNumber,
    History,
    Superseded,
    add_files,
    begin,
    continue_with,
    ends_run,
    gaps_between,
    join_withdrawals,
    last_withdrawals,
    order_of,
    read_history,
)
from pubvec.retrieval.indexing import open_encoder, open_version, writing
from pubvec.retrieval.lexical import Lexical
from pubvec.retrieval.versions import Version, folder_of, publish

_STORED, _SUPERSEDED, _GIVEN = 0, 1, 2
"""The place of a record: a row of the index, a lower version that the index keeps, or a record of the new files."""


def update(
    index: Path | str,
    articles: Path | str | Callable[[], Path],
    *,
    is_baseline: bool = False,
    allow_gaps: bool = False,
    engine: Engine | None = None,
    model: str | None = None,
    trust_index: bool = False,
) -> Version:
    """Apply `articles/`, made from files that the index has not seen, as its next version.

    The result does not depend on the order in which files are applied: of two records with the same PMID and version the one
    from the newer file stays, and a deletion withdraws what older files say, even where they come later. A file with another
    name than NLM's is newer than all that were applied. An article is encoded again only where its title or abstract
    changed. Readers keep the version that they opened.

    Args:
        index: folder made by `index`.
        articles: folder made by `pubvec parse`, or a function that makes it while no other process can write the index.
        is_baseline: it is a whole new baseline: articles that it does not hold go.
        allow_gaps: take it although numbers are missing between its files and those in the index, or although it was applied
            before. A file that fills such a gap later is always taken.
        engine: what encodes, see `encoder.vectors.encode`.
        model: where the model is that made the index. None: where it was then.
        trust_index: fetch the model that the index names where it is not on this machine.

    Raises:
        InputError: a folder is missing, the model is another one or gone, or the files do not follow.
        OutputError: another process writes the index.
    """
    with writing(index) as base:
        encoder = open_encoder(Path(index), model, threads_of(engine), trust_index=trust_index)
        articles = articles() if callable(articles) else articles
        history = read_history(base.folder, base.manifest.counts)
        vectors, lexical = open_version(base)
        source = ArticlesFolder(Path(articles), history.last)
        _check_files(source, history, is_baseline=is_baseline, allow_gaps=allow_gaps)
        plan = (
            _plan_baseline(base, source, vectors)
            if is_baseline
            else _plan(base, source, history, vectors, lexical)
        )
        version = write_version(
            folder_of(Path(index), plan.number),
            plan,
            encoder,
            command="update",
            inputs=[Path(articles), base.folder],
            vectors=vectors,
            engine=engine,
        )
        publish(Path(index), version)
    return version


class _Records(NamedTuple):
    """The records of the articles that new files speak of, from all places. *Shape:* (n,) each"""

    pmid: IntArray
    version: IntArray
    file: IntArray
    origin: IntArray
    place: IntArray
    """The row of the index, or the place among the superseded or the given records."""

    def find_live(self, withdrawn: IntArray) -> BoolArray:
        """Mark the newest record of each PMID and version that no newer file, or the same one, withdraws."""
        order = np.lexsort((self.origin, self.file, self.version, self.pmid))
        is_live = np.zeros(len(order), dtype=bool)
        is_live[order] = ends_run(self.pmid[order], self.version[order])
        live: BoolArray = is_live & (self.file > withdrawn)
        return live

    def find_highest(self, is_live: BoolArray) -> BoolArray:
        """Mark the highest version of each PMID among the live records."""
        order = np.lexsort((self.version, self.pmid))
        order = order[is_live[order]]
        is_highest = np.zeros(len(is_live), dtype=bool)
        is_highest[order] = ends_run(self.pmid[order])
        return is_highest


def _gather(source: ArticlesFolder, history: History, vectors: Dense) -> _Records:
    """Gather every record of an article that the new files hold or withdraw."""
    touched = np.union1d(source.keys["pmid"], source.withdrawn["pmid"])
    rows = _find_rows(vectors, touched)
    rows = rows[rows >= 0]
    pmids = set(touched.tolist())
    lower = [(n, record) for n, record in enumerate(history.superseded) if record.article.pmid in pmids]
    stored, given = vectors.keys[rows], source.keys
    return _Records(
        np.concatenate([stored["pmid"], _int64(r.article.pmid for _, r in lower), given["pmid"]]),
        np.concatenate([stored["version"], _int64(r.article.version for _, r in lower), given["version"]]),
        np.concatenate([stored["file"], _int64(r.file for _, r in lower), given["file"]]),
        np.repeat([_STORED, _SUPERSEDED, _GIVEN], [len(stored), len(lower), len(given)]),
        np.concatenate([rows, _int64(place for place, _ in lower), np.arange(len(given))]),
    )


def _plan(
    base: Version, source: ArticlesFolder, history: History, vectors: Dense, lexical: Lexical
) -> VersionPlan:
    number = base.number + 1
    records = _gather(source, history, vectors)
    withdrawn = join_withdrawals(history.withdrawn, source.withdrawn)
    is_live = records.find_live(last_withdrawals(withdrawn, records.pmid, records.version))
    is_shown = records.find_highest(is_live)
    is_given, is_stored = records.origin == _GIVEN, records.origin == _STORED
    superseded = _supersede(history, records, is_live & ~is_shown, source, vectors, lexical)
    removed = records.place[is_stored & ~is_shown]
    risen = _rise(history, records.place[is_shown & (records.origin == _SUPERSEDED)])
    n_given = len(source.keys)
    source.take(np.isin(np.arange(n_given), records.place[is_given & is_shown]))

    sources: list[ArticleSource] = [source, risen]
    new = np.concatenate([source.keys, risen.keys])
    marks, remarked = _plan_marks(source, risen, new, removed, vectors, lexical)
    old = _find_rows(vectors, new["pmid"])
    is_known = old >= 0
    for part, rows in zip(sources, np.split(old, [len(source.keys)]), strict=True):
        part.keys["added"] = np.where(rows >= 0, vectors.keys["added"][rows], number)
    is_same_text = is_known & (vectors.keys["text_hash"][old] == new["text_hash"])
    gone = np.setdiff1d(vectors.keys["pmid"][removed], new["pmid"])
    return VersionPlan(
        number,
        [*sources, StoredArticles(lexical, vectors.keys, remarked)],
        np.concatenate([np.where(is_same_text, old, -1), remarked]),
        marks,
        _latest(base.through, (source.through_file, source.through_date)),
        continue_with(history, source.names, source.orders, withdrawn, superseded),
        base,
        np.union1d(removed, remarked),
        {
            "n_added": int((~is_known).sum()),
            "n_revised": int(is_known.sum()),
            "n_deleted": len(gone),
            "n_older": int((is_given & ~is_live).sum()),
        },
    )


def _plan_baseline(base: Version, source: ArticlesFolder, vectors: Dense) -> VersionPlan:
    is_below = ~source.is_current
    files = source.keys["file"][is_below].tolist()
    superseded = list(map(Superseded, source.read(is_below), files))
    source.take(source.is_current.copy())
    old = _find_rows(vectors, source.keys["pmid"])
    is_known = old >= 0
    source.keys["added"] = np.where(is_known, vectors.keys["added"][old], base.number + 1)
    is_same_text = is_known & (vectors.keys["text_hash"][old] == source.keys["text_hash"])
    n_gone = int(vectors.live.sum()) - int(is_known.sum())
    return VersionPlan(
        base.number + 1,
        [source],
        np.where(is_same_text, old, -1),
        source.marks,
        _latest(base.through, (source.through_file, source.through_date)),
        begin(source.names, source.orders, source.withdrawn, superseded),
        counts={
            "n_added": int((~is_known).sum()),
            "n_revised": int(is_known.sum()),
            "n_deleted": n_gone,
            "n_older": 0,
        },
    )


def _supersede(
    history: History,
    records: _Records,
    is_below: BoolArray,
    source: ArticlesFolder,
    vectors: Dense,
    lexical: Lexical,
) -> list[Superseded]:
    """Return the lower versions that are kept now: those of other articles, and those marked in `is_below`."""
    touched = set(records.pmid.tolist())
    kept = [record for record in history.superseded if record.article.pmid not in touched]
    places = {
        origin: np.sort(records.place[is_below & (records.origin == origin)])
        for origin in (_STORED, _SUPERSEDED, _GIVEN)
    }
    kept += [history.superseded[place] for place in places[_SUPERSEDED].tolist()]
    rows = places[_STORED]
    stored = StoredArticles(lexical, vectors.keys, rows).iter_articles()
    kept += map(Superseded, stored, vectors.keys["file"][rows].tolist())
    is_given = np.isin(np.arange(len(source.keys)), places[_GIVEN])
    kept += map(Superseded, source.read(is_given), source.keys["file"][is_given].tolist())
    return sorted(kept, key=lambda record: (record.article.pmid, record.article.version))


def _rise(history: History, places: IntArray) -> GivenArticles:
    """Return the superseded records that become articles again because the version above them was withdrawn."""
    risen = [history.superseded[place] for place in np.sort(places).tolist()]
    keys: KeyArray = np.zeros(len(risen), KEY)
    for row, (article, file) in enumerate(risen):
        keys[row] = (
            article.pmid,
            article.version,
            0,
            text_hash(article_text(article.title, article.abstract)),
            file,
        )
    return GivenArticles([record.article for record in risen], keys)


def _plan_marks(
    source: ArticlesFolder,
    risen: GivenArticles,
    new: KeyArray,
    removed: IntArray,
    vectors: Dense,
    lexical: Lexical,
) -> tuple[dict[int, list[Badge]], IntArray]:
    """Return the badges that notices give to the new records, and the rows of other articles whose badges by notices
    have changed.

    The marks of those rows are in the dictionary as well.
    """
    spoken = [(target, badge) for target, badges in source.marks.items() for badge in badges]
    for article in risen.iter_articles():
        spoken += marks_made_by(article)
    silenced = vectors.keys["pmid"][removed].tolist()
    targets = {target for target, _ in spoken} | lexical.marked_by(silenced)
    known = lexical.marks_of(targets.union(new["pmid"].tolist()), but=silenced)
    marks = join_marks([*spoken, *((target, badge) for target, badges in known.items() for badge in badges)])
    rows = _find_rows(vectors, np.setdiff1d(_int64(sorted(targets)), new["pmid"]))
    rows = np.setdiff1d(rows, [*removed, -1])
    pmids = vectors.keys["pmid"][rows].tolist()
    entries = lexical.entries(rows)
    is_changed = [entry.marks != marks.get(pmid, []) for entry, pmid in zip(entries, pmids, strict=True)]
    return marks, rows[np.array(is_changed, dtype=bool)]


def _find_rows(vectors: Dense, pmids: IntArray) -> IntArray:
    """The live row of each PMID, or -1. *Shape:* (n,)"""
    rows = np.flatnonzero(vectors.live)
    if not len(rows):
        return np.full(len(pmids), -1)
    known = vectors.keys["pmid"][rows]
    order = np.argsort(known)
    place = np.searchsorted(known, pmids, sorter=order)
    candidate = order[np.minimum(place, len(order) - 1)]
    return np.where(known[candidate] == pmids, rows[candidate], -1)


def _int64(numbers: Iterable[int]) -> IntArray:
    return np.array(list(numbers), dtype=np.int64)


def _latest(*through: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
    """Return the newest file by NLM's number, and the last day; neither moves backwards where an older file comes later."""
    numbered = [(number, file) for file, _ in through if (number := nlm_number(file or ""))]
    return max(numbered)[1] if numbered else None, max((date for _, date in through if date), default=None)


def _check_files(source: ArticlesFolder, history: History, *, is_baseline: bool, allow_gaps: bool) -> None:
    """Refuse files that the index has, that leave a gap, or that a baseline has replaced.

    Files whose names are not NLM's have no place in a sequence and are taken as the newest.
    """
    numbered = sorted((number, name) for name in source.names if (number := nlm_number(name)))
    if is_baseline:
        if numbered and order_of(numbered[-1][0]) < history.last:
            raise InputError(
                f"{numbered[-1][1]} is older than {_last_name(history)}, which the index has: a baseline must be newer; "
                "`pubvec index` makes an index of an older one"
            )
        return
    for number, name in numbered:
        if order_of(number) < history.floor:
            raise InputError(
                f"{name} cannot be applied: the index begins with a newer baseline, or an older pubvec made it and did not "
                "keep the order of files; `pubvec index` makes a new one from all files"
            )
    if not allow_gaps and history.applied and len(numbered) == len(source.names):
        _check_sequence(numbered, history)


def _check_sequence(numbered: list[tuple[FileNumber, str]], history: History) -> None:
    """Refuse files of another year, files that were applied, and files that leave a gap which was not there before."""
    for number, name in numbered:
        if number[0] != history.applied[-1].year:
            raise InputError(
                f"{name} is of another year than {_last_name(history)}: a new baseline wants --baseline"
            )
        if history.has(number):
            raise InputError(
                f"{name} was applied before: the index has the data through {_last_name(history)} already"
            )
    left = set(history.gaps)
    for gap in gaps_between(add_files(history.applied, [name for _, name in numbered])):
        if not any(old.year == gap.year and old.first <= gap.first and gap.last <= old.last for old in left):
            name = next((name for number, name in numbered if number > (gap.year, gap.last)), numbered[-1][1])
            raise InputError(
                f"{name} leaves a gap after number {gap.first - 1:04}: give the files between, or --allow-gaps"
            )


def _last_name(history: History) -> str:
    if not history.applied:
        return "the files"
    last = history.applied[-1]
    return f"pubmed{last.year:02}n{last.last:04}.xml.gz"
