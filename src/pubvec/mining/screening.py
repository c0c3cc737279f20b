"""Screening chooses articles that may yield pairs: of no evaluation set, with title and English abstract, each once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from pubvec.collection import Collection
from pubvec.mining.config import PairsConfig
from pubvec.mining.leakage import LEAKAGE_RULES, Excluded, Findings, Rows
from pubvec.mining.text import clean_title, is_english
from pubvec.progress import track


class Screening:
    """Screens the articles of a collection shard by shard, and counts what it drops and why."""

    def __init__(self, excluded: Excluded, config: PairsConfig) -> None:
        self._excluded = excluded
        self._config = config
        self._n_articles = 0
        self._dropped: Counter[str] = Counter()
        self._first = np.zeros(len(LEAKAGE_RULES), dtype=np.int64)
        self._each = np.zeros(len(LEAKAGE_RULES), dtype=np.int64)
        self._rows_found: set[int] = set()
        self._seen: set[int] = set()

    def keep(self, collection: Collection) -> list[Rows]:
        """Row numbers, among the current articles of each shard, of those kept. *Shape of each:* (n_kept,)"""
        tables = collection.iter_tables(["pmid", "title", "abstract"])
        return [self._keep(table) for table in track(tables, "shards screened", len(collection.shards))]

    def counts(self) -> dict[str, Any]:
        """What was dropped, for the manifest."""
        return {
            "n_articles": self._n_articles,
            "n_leaked": int(self._first.sum()),
            "leaked_by_first_rule": dict(zip(LEAKAGE_RULES, self._first.tolist(), strict=True)),
            "leaked_by_each_rule": dict(zip(LEAKAGE_RULES, self._each.tolist(), strict=True)),
            "excluded": self._excluded.counts(np.array(sorted(self._rows_found), dtype=np.int64)),
            "n_unusable": sum(self._dropped.values()),
            "unusable": dict(sorted(self._dropped.items())),
        }

    def _keep(self, table: pa.Table) -> Rows:
        titles = [clean_title(title) for title in table["title"].to_pylist()]
        abstracts = [abstract or "" for abstract in table["abstract"].to_pylist()]
        findings = self._excluded.find(table["pmid"].to_numpy(), titles, abstracts)
        self._n_articles += table.num_rows
        self._each += findings.fires.sum(axis=0)
        self._first += np.bincount(findings.first_rule + 1, minlength=len(LEAKAGE_RULES) + 1)[1:]
        self._rows_found.update(findings.rows.tolist())
        is_leaked: list[bool] = (findings.first_rule >= 0).tolist()
        texts = zip(titles, abstracts, _keys(findings), strict=True)
        is_kept = [
            not leaked and self._is_usable(title, abstract, keys)
            for leaked, (title, abstract, keys) in zip(is_leaked, texts, strict=True)
        ]
        return np.flatnonzero(is_kept)

    def _is_usable(self, title: str, abstract: str, keys: tuple[int, int]) -> bool:
        reason = self._find_fault(title, abstract)
        if not reason and not self._seen.isdisjoint(keys):
            reason = "same title or abstract as an article before"
        if reason:
            self._dropped[reason] += 1
            return False
        self._seen.update(keys)
        return True

    def _find_fault(self, title: str, abstract: str) -> str:
        if len(title.split()) < self._config.min_title_words:
            return "short title" if title else "no title"
        if len(abstract.split()) < self._config.min_abstract_words:
            return "short abstract" if abstract else "no abstract"
        return "" if is_english(abstract) else "not English"


def _keys(findings: Findings) -> list[tuple[int, int]]:
    """Title and abstract of each article as numbers; an abstract never equals a title."""
    hashes = zip(findings.title_hash.tolist(), findings.abstract_hash.tolist(), strict=True)
    return [(title, ~abstract) for title, abstract in hashes]
