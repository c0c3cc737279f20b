"""`update`: the records and deletions of NLM's next files, as the next version of an index."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pubvec.collection import nlm_number
from pubvec.engine import Engine, threads_of
from pubvec.errors import InputError
from pubvec.files import read_manifest
from pubvec.retrieval.article_sources import ArticlesFolder, StoredArticles
from pubvec.retrieval.build import VersionPlan, write_version
from pubvec.retrieval.dense import Dense, IntArray
from pubvec.retrieval.indexing import open_encoder, open_version, writing
from pubvec.retrieval.lexical import Lexical
from pubvec.retrieval.versions import Version, folder_of, publish


def update(
    index: Path | str,
    articles: Path | str,
    *,
    is_baseline: bool = False,
    allow_gaps: bool = False,
    engine: Engine | None = None,
) -> Version:
    """Apply `articles/`, made from files that the index has not seen, as its next version.

    An article is encoded again only where its title or abstract changed. Readers keep the version that they opened.

    Args:
        index: folder made by `index`.
        articles: folder made by `pubvec parse`.
        is_baseline: it is a whole new baseline: articles that it does not hold go.
        allow_gaps: take it although its files' numbers do not follow those in the index.
        engine: what encodes, see `encoder.vectors.encode`.

    Raises:
        InputError: a folder is missing, the model is another one, or the files do not follow.
        OutputError: another process writes the index.
    """
    with writing(index) as base:
        if not is_baseline and not allow_gaps:
            _check_sequence(base, Path(articles))
        vectors, lexical = open_version(base)
        source = ArticlesFolder(Path(articles))
        plan = _plan(base, source, vectors, lexical, is_baseline)
        version = write_version(
            folder_of(Path(index), plan.number),
            plan,
            open_encoder(Path(index), n_threads=threads_of(engine)),
            command="update",
            inputs=[Path(articles), base.folder],
            vectors=vectors,
            engine=engine,
        )
        publish(Path(index), version)
    return version


def _plan(
    base: Version, source: ArticlesFolder, vectors: Dense, lexical: Lexical, is_baseline: bool
) -> VersionPlan:
    number = base.number + 1
    old = _find_rows(vectors, source.keys["pmid"])
    is_known = old >= 0
    if not is_baseline:  # a lower version of a record does not replace a higher one
        is_taken = ~is_known | (source.keys["version"] >= vectors.keys["version"][old])
        source.take(is_taken)
        old, is_known = old[is_taken], is_known[is_taken]
    source.keys["added"] = np.where(is_known, vectors.keys["added"][old], number)
    is_same_text = is_known & (vectors.keys["text_hash"][old] == source.keys["text_hash"])
    reuse = np.where(is_same_text, old, -1)
    if is_baseline:
        through = source.through_file, source.through_date
        return VersionPlan(number, [source], reuse, source.retractions, through)

    removed = np.union1d(old[is_known], _deleted_rows(vectors, source))
    marked = np.setdiff1d(
        _find_rows(vectors, np.array(list(source.retractions), dtype=np.int64)), [*removed, -1]
    )
    targets = StoredArticles(lexical, vectors.keys, marked)
    retracted_by = {pmid: list(notices) for pmid, notices in source.retractions.items()}
    pmids = [*source.keys["pmid"].tolist(), *targets.keys["pmid"].tolist()]
    for pmid, notices in lexical.retractions_of(pmids).items():
        retracted_by[pmid] = sorted({*notices, *retracted_by.get(pmid, ())})
    return VersionPlan(
        number,
        [source, targets],
        np.concatenate([reuse, marked]),
        retracted_by,
        _latest(base.through, (source.through_file, source.through_date)),
        base,
        np.union1d(removed, marked),
    )


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


def _deleted_rows(vectors: Dense, source: ArticlesFolder) -> IntArray:
    """Rows of the records that the files withdraw: a deletion names one version of a PMID."""
    deleted = sorted(source.deleted)
    rows = _find_rows(vectors, np.array([pmid for pmid, _ in deleted], dtype=np.int64))
    versions = np.array([version for _, version in deleted], dtype=np.int64)
    is_meant = (rows >= 0) & (vectors.keys["version"][rows] == versions)
    found: IntArray = rows[is_meant]
    return found


def _latest(*through: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
    files, dates = zip(*through, strict=True)
    named = [file for file in files if file]
    return (named[-1] if named else None), max((date for date in dates if date), default=None)


def _check_sequence(base: Version, articles: Path) -> None:
    """Refuse files that the index has, or that leave a gap.

    NLM numbers baseline and update files of a year in one sequence, to be applied in that order
    (https://pubmed.ncbi.nlm.nih.gov/download/).
    """
    last = nlm_number(base.through[0] or "")
    names = read_manifest(articles, made_by="parse").config["files"]
    numbered = sorted((number, name) for name in names if (number := nlm_number(name)))
    if last is None or len(numbered) < len(names):
        return
    for number, name in numbered:
        if number[0] != last[0]:
            raise InputError(
                f"{name} is of another year than {base.through[0]}: a new baseline wants --baseline"
            )
        if number <= last:
            raise InputError(f"the index has the data through {base.through[0]} already, {name} among it")
        if number[1] != last[1] + 1:
            raise InputError(
                f"{name} leaves a gap after number {last[1]:04}: give the files between, or --allow-gaps"
            )
        last = number
