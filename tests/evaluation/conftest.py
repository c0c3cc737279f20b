"""A small world to evaluate in: an encoder of word counts, and made-up evaluation files."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_world import DRUGS, ORGANS, WordEncoder, write_liveqa, write_parquet


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with every file that the tasks name."""
    folder = tmp_path / "data"
    folder.mkdir()
    facts = [(organ, drug) for organ in ORGANS for drug in DRUGS]
    questions = [f"Does {drug} harm the {organ}?" for organ, drug in facts]
    answers = [
        f"We gave {drug} and the {organ} was not harmed, case {n}." for n, (organ, drug) in enumerate(facts)
    ]
    contexts = [answer.split(" and ") for answer in answers]
    write_parquet(
        folder / "pubmedqa_labeled.parquet", question=questions, long_answer=answers, context=contexts
    )
    for name in ("title_abstract", "pubmed_subset"):
        write_parquet(folder / f"{name}.parquet", title=questions, text=answers)
    for name in ("article_abstract", "pubmed_summary"):
        write_parquet(folder / f"{name}.parquet", article=answers, abstract=questions)
    write_parquet(folder / "medquad_qa.parquet", question=questions, answer=answers)
    write_liveqa(folder)
    write_parquet(
        folder / "dev.parquet",
        anchor=questions,
        positive=answers,
        rule=["title-abstract", "similar-title"] * (len(facts) // 2),
    )
    write_parquet(
        folder / "cysticfibrosis_docs.parquet",
        doc_id=list(range(len(facts))),
        title=questions,
        text=[None, *answers[1:]],
    )
    write_parquet(
        folder / "cysticfibrosis_queries.parquet", query_id=[1, 2], query=["liver aspirin", "heart"]
    )
    write_parquet(
        folder / "cysticfibrosis_qrels.parquet",
        query_id=[1, 1, 2],
        doc_id=[0, 1, 16],
        score_sum=[8, 2, 4],
    )
    return folder
