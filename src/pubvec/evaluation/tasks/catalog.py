"""All evaluation tasks by name, and how a task of one's own is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pubvec.errors import ConfigError
from pubvec.evaluation.measures import Measure, parse_measure
from pubvec.evaluation.tasks.beir import DEFAULT_SPLIT, BeirTask
from pubvec.evaluation.tasks.classification import ClassificationTask
from pubvec.evaluation.tasks.pairs import PairRetrievalTask, PairTask
from pubvec.evaluation.tasks.probes import PROBES, ProbeTask
from pubvec.evaluation.tasks.retrieval import AmongArticlesTask, LiveQaTask, RetrievalTask, TextRetrievalTask
from pubvec.evaluation.tasks.similarity import SimilarityTask

_HELD_OUT = "held-out-"
_FORMS: Mapping[str, str] = {
    "": "ANCHOR,POSITIVE",
    "retrieval:": "QUERY,DOCUMENT",
    "sts:": "TEXT1,TEXT2,SCORE",
    "classify:": "TEXT,LABEL",
}
"""How a task is written that takes columns of a file: the prefix before the file, and the columns after it."""


Task = (
    PairTask
    | PairRetrievalTask
    | RetrievalTask
    | TextRetrievalTask
    | AmongArticlesTask
    | LiveQaTask
    | BeirTask
    | SimilarityTask
    | ClassificationTask
    | ProbeTask
)


def find_task(name: str) -> Task:
    """Return the task with this name.

    Args:
        name: a key of `TASKS`; `held-out-RULE` for the held-out pairs of one rule in a `pairs/` folder;
            `title-abstract-10k:ARTICLES` for another folder of articles; or a task of one's own: `FILE:ANCHOR,POSITIVE`,
            `retrieval:FILE:QUERY,DOCUMENT`, `sts:FILE:TEXT1,TEXT2,SCORE` or `classify:FILE:TEXT,LABEL` for columns of any
            Parquet, CSV, TSV or JSON Lines file, or the path of a folder in BEIR layout, `FOLDER` or `FOLDER:SPLIT`, with
            a slash in it (`./scifact`).

    Raises:
        ConfigError: there is no such task.
    """
    if name in TASKS:
        return TASKS[name]
    if name.startswith(_HELD_OUT):
        rule = name.removeprefix(_HELD_OUT)
        return PairTask(name, "dev.parquet", "anchor", "positive", rule=rule)
    articles = name.removeprefix(f"{_AMONG_10K.name}:")
    if articles != name and articles:
        return replace(_AMONG_10K, articles=articles)
    own = _find_own(name)
    if own is None:
        forms = ", ".join(f"{prefix}FILE:{columns}" for prefix, columns in _FORMS.items())
        raise ConfigError(
            f"{name!r} is not a task: use one of {', '.join(TASKS)}, {_HELD_OUT}RULE, {forms}, "
            "or the path of a folder in BEIR layout, as ./scifact or ./scifact:dev"
        )
    return own


def _find_own(name: str) -> Task | None:
    """Return a task of columns of a file, or of a folder in BEIR layout; None where `name` has neither form."""
    prefix = next((prefix for prefix in _FORMS if prefix and name.startswith(prefix)), "")
    file, _, after = name.removeprefix(prefix).rpartition(":")
    stem, columns = Path(file).stem, after.split(",")
    if file and all(columns):
        match prefix, columns:
            case "", [anchor, positive]:
                return PairTask(stem, file, anchor, positive)
            case "retrieval:", [query, document]:
                return TextRetrievalTask(f"retrieval-{stem}", file, query, document, _RANKING)
            case "sts:", [text, other, rating]:
                return SimilarityTask(f"sts-{stem}", file, text, other, rating)
            case "classify:", [text, label]:
                return ClassificationTask(f"classify-{stem}", file, text, label)
    return None if prefix else _find_folder(name)


def _find_folder(name: str) -> BeirTask | None:
    """Return the task of `FOLDER` or `FOLDER:SPLIT`, which is known by its slash."""
    folder, colon, split = name.rpartition(":")
    if not colon or "/" in split:
        folder, split = name, DEFAULT_SPLIT
    title = Path(folder).name
    if "/" not in folder or title in ("", "..") or not split:
        return None
    return BeirTask(title + f"-{split}" * (split != DEFAULT_SPLIT), folder, split, _RANKING)


def _measures(*names: str) -> tuple[Measure, ...]:
    return tuple(parse_measure(name) for name in names)


_RANKING = _measures("nDCG@10", "R@100", "RR@10")
_PUBMED_QA = PairTask("pubmed-qa", "pubmedqa_labeled.parquet", "question", "long_answer")
_TITLES = TextRetrievalTask("title-abstract-retrieval", "title_abstract.parquet", "title", "text", _RANKING)
_AMONG_10K = AmongArticlesTask("title-abstract-10k", _TITLES, "articles", n_documents=10_000)

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        _PUBMED_QA,
        PairTask("title-abstract", "title_abstract.parquet", "title", "text", stands_in_for="PubMed Subset"),
        PairTask(
            "article-abstract",
            "article_abstract.parquet",
            "article",
            "abstract",
            stands_in_for="PubMed Summary",
        ),
        RetrievalTask(
            "cysticfibrosis",
            _RANKING,
            document_fields=("title", "text"),
            grade="score_sum",
            n_judges=4,
            has_exponential_gain=True,
        ),
        PairTask("pubmed-subset", "pubmed_subset.parquet", "title", "text"),
        PairTask("pubmed-summary", "pubmed_summary.parquet", "article", "abstract"),
        PairRetrievalTask(_PUBMED_QA, "pubmed-qa-retrieval", _measures("RR@10", "RR", "R@100")),
        TextRetrievalTask("pubmed-qa-contexts", "pubmedqa_labeled.parquet", "question", "context", _RANKING),
        TextRetrievalTask("medquad", "medquad_qa.parquet", "question", "answer", _RANKING),
        LiveQaTask("liveqa", "nlm_summary", _RANKING),
        _TITLES,
        _AMONG_10K,
    )
} | {task.name: task for task in map(ProbeTask, PROBES)}
"""All tasks that have a name, by it."""
