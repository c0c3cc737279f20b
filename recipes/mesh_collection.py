"""Make test collections, to choose models by, from the MeSH headings of articles.

python recipes/mesh_collection.py ARTICLES OUTPUT

Pairs of titles and abstracts do not see what retrieval loses (LOG.md), and the evaluation sets are not to choose by. NLM's
indexers have said what articles are about, so their headings stand in for judgements. Two folders in BEIR layout, for
`pubvec evaluate -t OUTPUT/headings -t OUTPUT/titles`:

- `headings`: a query asks for two headings that few articles share; relevant are those with both.
- `titles`: a query is the title of an article left out of the collection; an article's gain is the cosine of their headings.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from math import log
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pubvec.collection import Collection

N_ARTICLES, N_QUERIES, N_RELEVANT = 4000, 400, (5, 30)
MIN_HEADINGS, MIN_WORDS, MIN_GAIN = 4, 60, 0.25
SHARE_TOO_COMMON = 0.1
"""Headings of more articles than this say little: Humans, Female, Aged."""
QUESTIONS = (
    "{0} and {1}",
    "What is known about {0} in {1}?",
    "What is the relation of {0} to {1}?",
    "What are the effects of {0} on {1}?",
)


class Indexed(NamedTuple):
    pmid: str
    title: str
    abstract: str
    headings: frozenset[str]


def read(folder: str) -> list[Indexed]:
    """Articles with enough headings and words, one of each title."""
    found: dict[str, Indexed] = {}
    for table in Collection(folder).iter_tables(("pmid", "title", "abstract", "mesh_headings")):
        for row in table.to_pylist():
            headings = frozenset(heading["name"] for heading in row["mesh_headings"] or ())
            if len(headings) >= MIN_HEADINGS and len((row["abstract"] or "").split()) > MIN_WORDS:
                article = Indexed(str(row["pmid"]), row["title"], row["abstract"], headings)
                found.setdefault(row["title"].lower(), article)
    return list(found.values())


def ask_for_headings(
    articles: list[Indexed], rng: np.random.Generator
) -> Iterator[tuple[str, dict[str, float]]]:
    """Queries with what is relevant to them, in random order."""
    n_with = Counter(heading for article in articles for heading in article.headings)
    useful = {heading for heading, n in n_with.items() if n <= SHARE_TOO_COMMON * len(articles)}
    having: dict[tuple[str, str], list[str]] = defaultdict(list)
    for article in articles:
        for pair in combinations(sorted(article.headings & useful), 2):
            having[pair].append(article.pmid)
    pairs = sorted(pair for pair, pmids in having.items() if N_RELEVANT[0] <= len(pmids) <= N_RELEVANT[1])
    for place in rng.permutation(len(pairs)).tolist():
        words = [" ".join(reversed(pairs[place][i].split(", "))).lower() for i in rng.permutation(2)]
        question = QUESTIONS[int(rng.integers(len(QUESTIONS)))].format(*words)
        yield question, dict.fromkeys(having[pairs[place]], 1.0)


def ask_with_titles(articles: list[Indexed], asked: list[Indexed]) -> Iterator[tuple[str, dict[str, float]]]:
    """Titles of `asked`, with the articles whose headings are like theirs."""
    n_with = Counter(heading for article in articles for heading in article.headings)
    weight = {
        heading: log(len(articles) / n)
        for heading, n in n_with.items()
        if n <= SHARE_TOO_COMMON * len(articles)
    }

    def total(headings: Iterable[str]) -> float:
        return sum(weight.get(heading, 0.0) for heading in headings)

    for query in asked:
        gains = {
            article.pmid: shared / (total(query.headings) * total(article.headings)) ** 0.5
            for article in articles
            if (shared := total(query.headings & article.headings))
        }
        relevant = {pmid: gain for pmid, gain in gains.items() if gain >= MIN_GAIN}
        if len(relevant) >= N_RELEVANT[0]:
            yield query.title, relevant


def write(folder: Path, articles: list[Indexed], queries: Iterable[tuple[str, dict[str, float]]]) -> None:
    """One collection in BEIR layout, of the first queries."""
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for article in articles:
            file.write(
                json.dumps({"_id": article.pmid, "title": article.title, "text": article.abstract}) + "\n"
            )
    with (
        (folder / "queries.jsonl").open("w", encoding="utf-8") as texts,
        (folder / "qrels" / "test.tsv").open("w") as judged,
    ):
        rows = csv.writer(judged, delimiter="\t", lineterminator="\n")
        rows.writerow(["query-id", "corpus-id", "score"])
        for number, (text, relevant) in zip(range(N_QUERIES), queries, strict=False):
            texts.write(json.dumps({"_id": str(number), "text": text}) + "\n")
            rows.writerows([number, pmid, f"{gain:.4f}"] for pmid, gain in relevant.items())


def main() -> None:
    source, output = sys.argv[1:]
    rng = np.random.default_rng(0)
    articles = read(source)
    order = rng.permutation(len(articles)).tolist()
    n_kept = min(N_ARTICLES, len(articles) * 3 // 4)
    kept, asked = ([articles[place] for place in part] for part in (order[:n_kept], order[n_kept:]))
    write(Path(output) / "headings", kept, ask_for_headings(kept, rng))
    write(Path(output) / "titles", kept, ask_with_titles(kept, asked))
    sys.stderr.write(f"{output}: {len(kept):,} of {len(articles):,} indexed articles\n")


if __name__ == "__main__":
    main()
