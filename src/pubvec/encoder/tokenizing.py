"""Texts are turned into tokens, special ones included, and cut at the number of tokens that the model reads."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tokenizers import Encoding, Tokenizer

from pubvec.errors import InputError

logger = logging.getLogger(__name__)

Side = Literal["left", "right"]
_N_SHOWN = 10
"""Number of truncated texts that a warning names."""


class Token(NamedTuple):
    """A token of a text."""

    id: int
    text: str
    """The piece of the vocabulary."""
    is_special: bool
    start: int
    """The characters of the text from which it was made; none for a special token."""
    stop: int


class TextTokenizer:
    """A tokenizer with the settings of a model.

    Args:
        tokenizer: its own truncation and padding are replaced.
        max_seq_length: tokens of a text that count, special ones included; None: all.
        is_lowercased: lowercase texts first.
        has_special_tokens: put the tokenizer's own around each text.
        is_parallel: give many texts to threads of the tokenizer, one a core of the machine.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_seq_length: int | None,
        is_lowercased: bool = False,
        has_special_tokens: bool = True,
        is_parallel: bool = True,
    ) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.max_seq_length = max_seq_length
        self._tokenizer = tokenizer
        self._is_lowercased = is_lowercased
        self._has_special_tokens = has_special_tokens
        self._is_parallel = is_parallel
        self._first, self._last = _special_ids(tokenizer) if has_special_tokens else ([], [])

    def encode(self, texts: Sequence[str], prompt: str = "") -> list[list[int]]:
        """Token ids of `texts` with `prompt` before each, whole. A lone surrogate counts as "?"."""
        return [encoding.ids for encoding in self._run([prompt + text for text in texts])]

    def cut(self, tokens: list[int], side: Side = "right") -> list[int]:
        """Cut a text to the number of tokens that the model reads. The special tokens at both ends are kept.

        Args:
            tokens: of a whole text.
            side: the end of the text that is cut off.
        """
        limit = self.max_seq_length
        if limit is None or len(tokens) <= limit:
            return tokens
        if side == "right":
            return tokens[: limit - len(self._last)] + tokens[len(tokens) - len(self._last) :]
        return tokens[: len(self._first)] + tokens[len(tokens) - limit + len(self._first) :]

    def complete(self, tokens: Sequence[int]) -> list[int]:
        """Put special tokens around the ids that a client made of a text, unless it has put them there.

        Raises:
            InputError: an id is not of the vocabulary.
        """
        self._check(tokens)
        first, last, ids = self._first, self._last, list(tokens)
        n_special = len(first) + len(last)
        is_whole = (
            len(ids) >= n_special and ids[: len(first)] == first and ids[len(ids) - len(last) :] == last
        )
        return ids if is_whole else [*first, *ids, *last]

    def describe(self, text: str, *, has_special_tokens: bool = True) -> list[Token]:
        """Return the tokens of a whole text."""
        (encoding,) = self._run([text], has_special_tokens=has_special_tokens)
        columns = (encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets)
        return [
            Token(number, token, bool(special), start, stop)
            for number, token, special, (start, stop) in zip(*columns, strict=True)
        ]

    def decode(self, tokens: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return a text that has these tokens.

        Raises:
            InputError: an id is not of the vocabulary.
        """
        self._check(tokens)
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=skip_special_tokens)
        return text

    def _check(self, tokens: Sequence[int]) -> None:
        n_tokens = self._tokenizer.get_vocab_size()
        wrong = [token for token in tokens if not 0 <= token < n_tokens]
        if wrong:
            raise InputError(
                f"token {wrong[0]} is not of this model, whose tokens are 0 to {n_tokens - 1}: "
                "send texts, or tokens that its own tokenizer made"
            )

    def _run(self, texts: Sequence[str], *, has_special_tokens: bool | None = None) -> list[Encoding]:
        # `encode_batch_fast` is faster, because it does not compute the places of the tokens in the text.
        is_whole = has_special_tokens is None
        run = self._tokenizer.encode_batch_fast if is_whole else self._tokenizer.encode_batch
        wanted = self._has_special_tokens if has_special_tokens is None else has_special_tokens

        def encode(texts: list[str]) -> list[Encoding]:
            parts = [texts] if self._is_parallel else [[text] for text in texts]
            return [encoding for part in parts for encoding in run(part, add_special_tokens=wanted)]

        prepared = [text.lower() if self._is_lowercased else text for text in texts]
        try:
            return encode(prepared)
        except (UnicodeEncodeError, TypeError):
            # A lone surrogate, which no UTF-8 has: the tokenizer sees "?" in its place.
            return encode([text.encode("utf-8", "replace").decode("utf-8") for text in prepared])


class Truncated:
    """Counts the texts that were cut, and logs one warning about them."""

    def __init__(self, max_seq_length: int | None, *, is_shown: bool) -> None:
        self._max_seq_length = max_seq_length
        self._is_shown = is_shown
        self.n_before = 0
        """Number of texts in earlier chunks."""
        self._n_truncated = 0
        self._shown: list[str] = []

    def count(self, number: int, n_tokens: int) -> None:
        """Note that text `number` of the chunk had `n_tokens` tokens, special ones included."""
        self._n_truncated += 1
        if self._is_shown and len(self._shown) < _N_SHOWN:
            self._shown.append(f"text {self.n_before + number} ({n_tokens:,} tokens)")

    def warn(self) -> None:
        if self._n_truncated:
            more = [f"{self._n_truncated - _N_SHOWN} more"] if self._n_truncated > _N_SHOWN else []
            which = f": {', '.join([*self._shown, *more])}" if self._shown else ""
            logger.warning(
                "%d of %d texts were cut at %d tokens%s",
                *(self._n_truncated, self.n_before, self._max_seq_length, which),
            )


def _special_ids(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the special tokens that the tokenizer puts before a text and after it."""
    encoding = tokenizer.encode("a")
    is_special, ids = encoding.special_tokens_mask, encoding.ids
    if 0 not in is_special:
        return [], []
    n_first, n_last = is_special.index(0), is_special[::-1].index(0)
    return ids[:n_first], ids[len(ids) - n_last :]
