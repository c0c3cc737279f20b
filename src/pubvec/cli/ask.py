"""`ask`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.index import IndexFolder, TrustIndex
from pubvec.cli.options import with_config
from pubvec.cli.search import MeshTreeFile, Model, Reranker, describe_hit, open_searcher
from pubvec.retrieval import Answer, AskConfig, ChatConfig
from pubvec.terminal import printable_json


@dataclass(frozen=True)
class _Settings(ChatConfig, AskConfig):
    """The options of `ask`: what the model is given, and which model."""

    def __post_init__(self) -> None:
        AskConfig.__post_init__(self)
        ChatConfig.__post_init__(self)


def add_to(app: typer.Typer) -> None:
    """Register the verb of this module."""
    app.command()(ask)


@with_config(_Settings)
def ask(
    index: IndexFolder,
    question: Annotated[str, typer.Argument(help="A question, with conditions as for search.")],
    rerank: Reranker = None,
    mesh_tree: MeshTreeFile = None,
    model: Model = None,
    trust_index: TrustIndex = False,
    as_json: Annotated[bool, typer.Option("--json", help="The answer and its evidence as JSON.")] = False,
    *,
    config: _Settings,
) -> None:
    """Answer a question from retrieved articles by a chat model, every citation one of them.

    Without an endpoint the evidence alone is printed. Not medical advice.

    Example: pubvec ask index/ "does metformin help in diabetes"
    """
    from pubvec.retrieval import iter_answer

    searcher = open_searcher(index, model, mesh_tree=mesh_tree, reranker=rerank, trust_index=trust_index)
    hits = searcher.search(question, 5 * config.n_evidence, with_passages=True)
    for piece in iter_answer(question, hits, searcher.count_tokens, config, config):
        if isinstance(piece, str) and not as_json:
            sys.stdout.write(piece)
            sys.stdout.flush()
    assert isinstance(piece, Answer)
    if as_json:
        fields = {**piece._asdict(), "evidence": [hit.pmid for hit in piece.evidence]}
        print(printable_json(json.dumps(fields, indent=2, ensure_ascii=False)))
        return
    _print_evidence(piece)


def _print_evidence(answer: Answer) -> None:
    print("\n" if answer.text else "", end="")
    print("Evidence:" if answer.is_enough else "The closest articles:")
    cited = [hit for hit in answer.evidence if hit.pmid in answer.citations]
    for rank, hit in enumerate([*cited, *(hit for hit in answer.evidence if hit not in cited)], start=1):
        print(describe_hit(rank, hit))
    if answer.removed_citations:
        struck = ", ".join(map(str, answer.removed_citations))
        console().say(f"Warning: the model cited what it was not given: {struck}")
    if answer.n_retracted:
        console().say(f"Warning: {answer.n_retracted} retracted articles were left out")
