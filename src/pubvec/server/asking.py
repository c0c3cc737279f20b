"""An answer of a chat model from the best hits, in pieces: text, and citations numbered as footnotes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import NamedTuple

from pubvec.errors import PubvecError
from pubvec.retrieval import Answer, AskConfig, ChatConfig, Searcher, iter_answer
from pubvec.server.finding import find
from pubvec.server.parameters import Parameters

N_EVIDENCE = AskConfig().n_evidence
FAILED = "The language model gave no answer, or broke off. The hits stand for themselves."
_log = logging.getLogger(__name__)
_CITATION = re.compile(r"\[PMID (\d+)\]")


class Piece(NamedTuple):
    """Some text of an answer, or a citation."""

    text: str
    pmid: int | None = None
    number: int | None = None
    """Of the footnote: articles are numbered as they are first cited."""


class Failure(NamedTuple):
    """Why there is no more of an answer."""

    message: str


def iter_pieces(
    searcher: Searcher, parameters: Parameters, chat: ChatConfig | None
) -> Iterator[Piece | Answer | Failure]:
    """Search at once, then yield the answer as it comes, and last the whole `Answer` or a `Failure`.

    Its evidence is among the best hits, which the page of the same query shows.

    Raises:
        InputError: the query is empty or malformed; before anything is yielded.
    """
    best = parameters.model_copy(update={"like": None, "offset": 0, "n": N_EVIDENCE, "sort": "relevance"})
    answer = iter_answer(parameters.q, find(searcher, best).hits, searcher.count_tokens, chat)
    return _iter_numbered(answer)


def _iter_numbered(answer: Iterator[str | Answer]) -> Iterator[Piece | Answer | Failure]:
    numbers: dict[int, int] = {}
    try:
        for part in answer:
            if isinstance(part, Answer):
                yield part
            else:
                yield from _split(part, numbers)
    except PubvecError as error:
        _log.warning("no answer: %s", error)  # names the endpoint, which is not the reader's business
        yield Failure(FAILED)


def _split(text: str, numbers: dict[int, int]) -> Iterator[Piece]:
    for place, part in enumerate(_CITATION.split(text)):
        if place % 2:
            yield Piece(f"[PMID {part}]", int(part), numbers.setdefault(int(part), len(numbers) + 1))
        elif part:
            yield Piece(part)


def describe(answer: Answer) -> str:
    """What a reader must know of an answer."""
    notes = ["Not medical advice."]
    if answer.is_enough:
        notes = [
            f"Written by a language model from the {len(answer.evidence)} best hits: check what it cites.",
            *notes,
        ]
    if answer.n_retracted:
        notes.append(f"Retracted and left out: {answer.n_retracted}.")
    if answer.struck_out:
        notes.append(f"Citations removed because the model was not given them: {len(answer.struck_out)}.")
    return " ".join(notes)
