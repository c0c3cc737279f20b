"""What a scorer is, and `load_scorer`, which makes one of a bi-encoder, late interaction or cross-encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from pubvec.encoder.base import Encoder, count_positions, load
from pubvec.encoder.batching import IntArray
from pubvec.encoder.config import Backend, Precision
from pubvec.encoder.forms import FloatArray
from pubvec.encoder.kinds import Kind, kind_of
from pubvec.encoder.models import name_of, resolve
from pubvec.encoder.prompts import Prompts
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.errors import ConfigError, InputError, require

if TYPE_CHECKING:
    from pubvec.encoder.muvera import MuveraConfig

Similarity = Literal["mean", "sum"]
TextPairs: TypeAlias = Sequence[tuple[str, str]]
"""(query, document) each."""

DOCUMENTS_PER_BLOCK = 256
"""Documents of late interaction whose tokens' vectors are in memory at a time."""
_PAIRS_PER_BLOCK = 1024


@runtime_checkable
class Scorer(Protocol):
    """Pairs in, scores out: what the three kinds of model share."""

    kind: Kind

    @property
    def name(self) -> str:
        """Name of the system, under which its results are kept."""

    @property
    def dim(self) -> int | None:
        """Width of an embedding, of a text or of each token; None without embeddings."""

    @property
    def definition(self) -> str:
        """What a score is, in words."""

    @property
    def lengths(self) -> Mapping[str, int | None]:
        """Tokens that count, special ones included, by what is cut: `max_seq_length` of a text or a pair,
        `query_length`, `document_length`. None: all, as in a static model.
        """

    def score(self, pairs: TextPairs) -> FloatArray:
        """Relevance of each document to its query; higher is better.

        *Shape:* (n,), float32

        Raises:
            InputError: an element is not a pair of strings; the message has its position.
        """


@runtime_checkable
class LateInteraction(Scorer, Protocol):
    """A scorer that compares vectors of tokens, so that a document is encoded once for all queries."""

    def encode_queries(self, queries: Sequence[str]) -> Sequence[Any]:
        """Vectors of the tokens of each query. *Shape:* (n_tokens, dim) each"""

    def iter_scores(self, query_vectors: Sequence[Any], documents: Sequence[str]) -> Iterator[FloatArray]:
        """Scores of all queries and all documents, a block of documents at a time, in their order.

        *Shape:* (n_queries, n_block) each, float32
        """


class BiEncoderScorer:
    """Cosine of two embeddings.

    Args:
        encoder: encodes queries and documents, with the prompts that its checkpoint has for them.
    """

    kind: Kind = "bi-encoder"
    definition = "cosine"

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @property
    def name(self) -> str:
        """See `Scorer.name`."""
        return self.encoder.name

    @property
    def dim(self) -> int:
        """See `Scorer.dim`."""
        return self.encoder.dim

    @property
    def lengths(self) -> Mapping[str, int | None]:
        """See `Scorer.lengths`."""
        return {"max_seq_length": self.encoder.max_seq_length}

    def score(self, pairs: TextPairs) -> FloatArray:
        """See `Scorer.score`. A text that occurs often is encoded once, or once with each prompt."""
        check_pairs(pairs)
        if not pairs:
            return np.empty(0, np.float32)
        columns: list[Sequence[str]] = list(zip(*pairs, strict=True))
        if self.prompts.query == self.prompts.document:
            texts, rows = distinct([*columns[0], *columns[1]])
            queries, documents = np.split(self.encode_queries(texts)[rows], 2)
        else:
            (texts, rows), (others, other_rows) = map(distinct, columns)
            queries, documents = self.encode_queries(texts)[rows], self.encode_documents(others)[other_rows]
        return np.asarray(np.einsum("ij,ij->i", queries, documents), np.float32)

    @property
    def prompts(self) -> Prompts:
        """Of the encoder; an encoder of one's own has none."""
        return self.encoder.prompts if isinstance(self.encoder, TextEncoder) else Prompts()

    def encode_queries(self, queries: Sequence[str]) -> FloatArray:
        """Unit vectors of queries, with their prompt. *Shape:* (n, dim)"""
        return self._encode(queries, self.prompts.query)

    def encode_documents(self, documents: Sequence[str]) -> FloatArray:
        """Unit vectors of documents, with their prompt. *Shape:* (n, dim)"""
        return self._encode(documents, self.prompts.document)

    def _encode(self, texts: Sequence[str], prompt: str) -> FloatArray:
        if isinstance(self.encoder, TextEncoder):
            return self.encoder.encode(texts, normalize=True, prompt=prompt)
        return self.encoder.encode(texts, normalize=True)


def distinct(texts: Sequence[str]) -> tuple[list[str], IntArray]:
    """The different ones, and which of them each is. *Shape:* (n_texts,)"""
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    return list(row_of), np.array([row_of[text] for text in texts], np.intp)


def load_scorer(
    path_or_name: str | Path,
    kind: Kind | None = None,
    *,
    backend: Backend | None = None,
    precision: Precision | None = None,
    max_seq_length: int | None = None,
    query_length: int | None = None,
    query_expansion: bool | None = None,
    similarity: Similarity = "mean",
    muvera: MuveraConfig | None = None,
    activation: Literal["sigmoid"] | None = None,
    n_threads: int | None = None,
    trust_remote_code: bool = False,
) -> Scorer:
    """Load a model of any of the three kinds.

    Args:
        path_or_name: a model folder, a short name or a hub name.
        kind: what is expected; None takes any.
        backend: of a bi-encoder, as for `load`; the other kinds run on torch.
        precision: of a bi-encoder's ONNX graph.
        max_seq_length: tokens that count: of a text, of a late interaction's document, or of a
            cross-encoder's pair. None: what the model says.
        query_length: tokens of a late interaction's query that count. None: what the model says.
        query_expansion: whether a late interaction's short queries are filled up with [MASK], whose vectors are
            scored too. None: what the model says.
        similarity: of late interaction: MaxSim is the sum over the tokens of the query, or its mean, which
            lies between -1 and 1 and does not grow with the query.
        muvera: how late interaction is estimated by one vector a text. None: not at all, it is exact.
        activation: of a cross-encoder: None gives logits.
        n_threads: None: every core that the process may use.
        trust_remote_code: run code that the model brings along, on torch, with all rights that you have.

    Raises:
        InputError: there is no such model, its folder misses files, it is of another kind, or needs code of its own.
        ConfigError: a setting is one that this kind does not have, or exceeds the model's.
        MissingExtraError: torch is not installed, and this model needs it.
    """
    folder, name = resolve(path_or_name, with_code=trust_remote_code), name_of(path_or_name)
    found = kind_of(folder)
    if kind not in (None, found):
        raise InputError(f"{folder} holds a model of kind {found}, and a {kind} was expected")
    of_late = {"query_length": query_length, "query_expansion": query_expansion, "muvera": muvera}
    given = [name for name, setting in of_late.items() if setting is not None]
    if given and found != "late interaction":
        raise ConfigError(f"{given[0]} is a setting of late interaction, and {folder} is a {found}")
    if found == "bi-encoder":
        return BiEncoderScorer(
            load(
                path_or_name,
                backend=backend,
                precision=precision,
                max_seq_length=max_seq_length,
                n_threads=n_threads,
                trust_remote_code=trust_remote_code,
            )
        )
    if backend == "onnx" or precision == "int8":
        raise ConfigError(f"{folder} is a {found}: only a bi-encoder has the onnx backend, use torch")
    for length in (max_seq_length, query_length):
        _check_length(length, folder)
    for library in ("torch", "sentence_transformers"):
        require(library, extra="train")
    shared: dict[str, Any] = {"name": name, "n_threads": n_threads, "trust_remote_code": trust_remote_code}
    if found == "cross-encoder":
        from pubvec.encoder.cross import CrossEncoderScorer

        return CrossEncoderScorer.load(folder, max_seq_length=max_seq_length, activation=activation, **shared)
    from pubvec.encoder.late import LateInteractionScorer
    from pubvec.encoder.muvera import MuveraScorer

    exact = LateInteractionScorer.load(
        folder,
        query_length=query_length,
        query_expansion=query_expansion,
        document_length=max_seq_length,
        similarity=similarity,
        **shared,
    )
    return exact if muvera is None else MuveraScorer(exact, muvera)


def check_pairs(pairs: TextPairs) -> None:
    """Check that every element is a pair of strings.

    Raises:
        InputError: one is not.
    """
    for position, pair in enumerate(pairs):
        is_pair = not isinstance(pair, str) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        if not is_pair:
            raise InputError(
                f"pair {position} (counted from 0): expected two strings, found {pair!r:.60}: "
                "write score([(query, document)])"
            )


def score_in_blocks(pairs: TextPairs, score_block: Callable[[TextPairs], FloatArray]) -> FloatArray:
    """Scores of `pairs`, 1,024 at a time. *Shape:* (n,), float32

    Raises:
        InputError: an element is not a pair of strings.
    """
    check_pairs(pairs)
    blocks = range(0, len(pairs), _PAIRS_PER_BLOCK)
    scores = [score_block(pairs[start : start + _PAIRS_PER_BLOCK]) for start in blocks]
    return np.concatenate([np.empty(0, np.float32), *scores])


def _check_length(wanted: int | None, folder: Path) -> None:
    n_positions = count_positions(folder)
    if wanted is not None and not 3 <= wanted <= n_positions:
        raise ConfigError(
            f"a length is {wanted}: expected 3 to {n_positions}, the positions that {folder} has"
        )
