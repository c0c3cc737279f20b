"""Cuts the tables beside PubMed (question titles, lay questions, plain language, terms) into training tables and dev sets.

The dev sets are test collections in BEIR's layout, so `pubvec evaluate -t FOLDER` measures a model on them, and
`pubvec pairs --exclude` keeps their texts out of the training pairs. Articles, conditions and reviews are cut whole: no
article, condition or review is in both parts. Usage: python more_tables.py MORE OUTPUT
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Row = Mapping[str, Any]
SEED = 21
N_QUESTION_TITLES = 800
N_LAY_QUESTIONS = 600
DEV_SHARE = 0.15
"""Share of the conditions, and of the Cochrane reviews, that are kept for dev."""
_MAX_WORDS = 220
"""Answers are cut to this many words: no window of the training is longer."""


def main(more: Path, output: Path) -> None:
    """Write `output/train/*.parquet` and the collections `output/dev/*`."""
    rng = np.random.default_rng(SEED)
    titles = _read(more / "question_titles.parquet")
    dev_titles, train_titles = _cut(titles, rng.permutation(len(titles)), N_QUESTION_TITLES)
    _write_beir(
        output / "dev" / "question-titles",
        [(row["question"], row["conclusion"]) for row in dev_titles],
        pmids=[row["pmid"] for row in dev_titles],
        others=[],
    )
    _write_pairs(
        output / "train" / "question_titles.parquet",
        [{"anchor": row["question"], "positive": row["conclusion"]} for row in train_titles],
    )

    lay = _read(more / "lay_qa.parquet")
    aspects = [row for row in lay if row["kind"] == "aspect" and _is_whole(row)]
    dev_aspects, train_aspects = _cut_groups(aspects, "condition", rng)
    _write_beir(
        output / "dev" / "aspects",
        [(row["question"], _short(row["answer"])) for row in dev_aspects],
        others=[],
    )
    _write_pairs(
        output / "train" / "aspects.parquet",
        [
            {
                "anchor": row["question"],
                "positive": _short(row["answer"]),
                "negatives": negatives,
                "group": row["condition"],
            }
            for row, negatives in zip(train_aspects, _other_aspects(train_aspects, rng), strict=True)
        ],
    )

    others = [row for row in lay if row["kind"] in ("covid faq", "cochrane") or _is_long_forum(row)]
    others = [row for row in others if _is_whole(row)]
    dev_lay, train_lay = _cut(others, rng.permutation(len(others)), N_LAY_QUESTIONS)
    _write_beir(
        output / "dev" / "lay-answers",
        [(row["question"], _short(row["answer"])) for row in dev_lay],
        others=[],
    )
    _write_pairs(
        output / "train" / "lay.parquet",
        [{"anchor": row["question"], "positive": _short(row["answer"])} for row in train_lay],
    )

    plain = [
        row
        for row in _read(more / "plain_language.parquet")
        if row["level"] in ("paragraph", "document, aligned part")
    ]
    dev_plain, train_plain = _cut_groups(plain, "doi", rng)
    _write_beir(
        output / "dev" / "plain-language",
        [(_short(row["plain"]), _short(row["technical"])) for row in dev_plain],
        others=[],
    )
    _write_pairs(
        output / "train" / "plain.parquet",
        [
            {"anchor": _short(row["plain"]), "positive": _short(row["technical"]), "group": row["doi"]}
            for row in train_plain
        ],
    )
    _write_pairs(
        output / "train" / "terms.parquet",
        [
            {"anchor": row["plain"], "positive": row["term"]}
            for row in _read(more / "terms_plain.parquet")
            if row["plain"].lower() != row["term"].lower()
        ],
    )
    _write_pairs(
        output / "train" / "articles.parquet",
        [
            {
                "anchor": row["title"].rstrip("."),
                "positive": _short(row["abstract"].removeprefix("UNASSIGNED: ")),
            }
            for row in _read(more / "articles_more.parquet")
            if len(row["title"].split()) >= 4 and len(row["abstract"].split()) >= 20
        ],
    )


def _read(path: Path) -> list[Row]:
    return pq.read_table(path).to_pylist()


def _short(text: str) -> str:
    return " ".join(text.split()[:_MAX_WORDS])


def _is_whole(row: Row) -> bool:
    """Whether question and answer have words enough to say something."""
    return len(row["question"].split()) >= 3 and len(row["answer"].split()) >= 6


def _is_long_forum(row: Row) -> bool:
    """Whether a question comes from a forum whose answers are more than one line."""
    return row["kind"] == "forum" and "Question Doctors" not in row["source"]


def _cut(rows: Sequence[Row], order: np.ndarray[Any, Any], n_dev: int) -> tuple[list[Row], list[Row]]:
    return [rows[i] for i in order[:n_dev]], [rows[i] for i in order[n_dev:]]


def _cut_groups(rows: Iterable[Row], column: str, rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """Dev and train, so that all rows with one value of `column` are on one side."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column].lower()].append(row)
    names = [sorted(groups)[i] for i in rng.permutation(len(groups))]
    n_dev = round(DEV_SHARE * len(names))
    return (
        [row for name in names[:n_dev] for row in groups[name]],
        [row for name in names[n_dev:] for row in groups[name]],
    )


def _other_aspects(rows: Sequence[Row], rng: np.random.Generator) -> list[list[str]]:
    """For each row up to three answers about another aspect of the same condition, in random order."""
    of_condition: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        of_condition[row["condition"].lower()].append(row)
    negatives = []
    for row in rows:
        others = [
            _short(other["answer"])
            for other in of_condition[row["condition"].lower()]
            if other["aspect"] and row["aspect"] and other["aspect"] != row["aspect"]
        ]
        negatives.append([others[i] for i in rng.permutation(len(others))[:3]])
    return negatives


def _write_pairs(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    print(f"{path}: {len(rows):,} rows")


def _write_beir(
    folder: Path,
    pairs: Sequence[tuple[str, str]],
    *,
    others: Sequence[str],
    pmids: Sequence[str] | None = None,
) -> None:
    """Write each distinct text once; a query that occurs several times has several relevant documents."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    texts = {
        text: f"d{i}" for i, text in enumerate(dict.fromkeys([text for _, text in pairs] + list(others)))
    }
    queries = {query: f"q{i}" for i, query in enumerate(dict.fromkeys(query for query, _ in pairs))}
    corpus: dict[str, list[str]] = {
        "_id": list(texts.values()),
        "title": [""] * len(texts),
        "text": list(texts),
    }
    if pmids is not None:
        of_text = {text: pmid for (_, text), pmid in zip(pairs, pmids, strict=True)}
        corpus["pmid"] = [of_text[text] for text in texts]
    pq.write_table(pa.table(corpus), folder / "corpus.parquet")
    pq.write_table(
        pa.table({"_id": list(queries.values()), "text": list(queries)}), folder / "queries.parquet"
    )
    judged = sorted({(queries[query], texts[text]) for query, text in pairs})
    pq.write_table(
        pa.table(
            {
                "query-id": [query for query, _ in judged],
                "corpus-id": [text for _, text in judged],
                "score": [1] * len(judged),
            }
        ),
        folder / "qrels" / "test.parquet",
    )
    pq.write_table(
        pa.table({"anchor": [a for a, _ in pairs], "positive": [b for _, b in pairs]}),
        folder / "pairs.parquet",
    )
    print(f"{folder}: {len(queries):,} queries, {len(texts):,} documents")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
