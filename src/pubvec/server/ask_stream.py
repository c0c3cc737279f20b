"""Streams the answer of a chat model: pieces of text, and citations that are numbered like footnotes."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pubvec.errors import PubvecError
from pubvec.retrieval import Answer, AskConfig, ChatConfig, Searcher, iter_answer
from pubvec.server.parameters import Parameters, find_page

N_EVIDENCE = AskConfig().n_evidence
FAILED = "The language model gave no answer, or broke off. The hits stand for themselves."
_REASONS = (
    (re.compile(r"cannot be reached"), "Its endpoint cannot be reached."),
    (re.compile(r"answered 40[13]"), "Its endpoint refuses the key of this server."),
    (re.compile(r"answered 404"), "Its endpoint does not know the model or the path."),
    (re.compile(r"answered 429"), "Its endpoint has too much to do."),
    (re.compile(r"answered \d+"), "Its endpoint reports an error."),
    (re.compile(r"does not stop"), "It did not come to an end."),
)
"""Messages of errors, and what a reader is told of them."""
_WAY_OUT = "Try again later, or ask who runs this server to look at its log."
_log = logging.getLogger(__name__)
_CITATION = re.compile(r"\[PMID (\d+)\]")


class Piece(NamedTuple):
    """A piece of text of an answer, or a citation."""

    text: str
    pmid: int | None = None
    number: int | None = None
    """Number of the footnote. Articles are numbered in the order in which they are first cited."""


class Failure(NamedTuple):
    """The reason why an answer ends early."""

    message: str


def stream_answer(
    searcher: Searcher,
    parameters: Parameters,
    chat: ChatConfig | None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Piece | Answer | Failure]:
    """Search, then yield the pieces of the answer as they arrive, and finally the whole `Answer` or a `Failure`.

    The search runs before the first piece is requested. Its hits are those that the page of the same query shows. `check`
    is called between its steps.

    Raises:
        InputError: The query is empty or malformed.
    """
    best = parameters.model_copy(update={"like": None, "offset": 0, "n": N_EVIDENCE, "sort": "relevance"})
    answer = iter_answer(parameters.q, find_page(searcher, best, check).hits, searcher.count_tokens, chat)
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
        _log.warning("no answer: %s", error)  # the message names the endpoint: it belongs to the log
        yield Failure(_explain(str(error)))


def _split(text: str, numbers: dict[int, int]) -> Iterator[Piece]:
    for place, part in enumerate(_CITATION.split(text)):
        if place % 2:
            yield Piece(f"[PMID {part}]", int(part), numbers.setdefault(int(part), len(numbers) + 1))
        elif part:
            yield Piece(part)


def _explain(message: str) -> str:
    """Return why there is no answer, without the address of the endpoint."""
    reason = next((reason for pattern, reason in _REASONS if pattern.search(message)), "")
    return " ".join(filter(None, (FAILED, reason, _WAY_OUT)))


def describe(answer: Answer) -> str:
    """Return the caveats of an answer."""
    notes = ["Not medical advice."]
    if answer.is_enough:
        notes = [
            f"Written by a language model from the {len(answer.evidence)} best hits: check what it cites.",
            *notes,
        ]
    if answer.n_retracted:
        notes.append(f"Retracted and left out: {answer.n_retracted}.")
    if answer.removed_citations:
        notes.append(
            f"Citations removed because the model was not given them: {len(answer.removed_citations)}."
        )
    return " ".join(notes)
