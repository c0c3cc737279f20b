"""A WordPiece vocabulary learned on biomedical text, and how many tokens a text costs in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer
from transformers import AutoTokenizer, BertTokenizer

from pubvec.encoder import resolve
from pubvec.errors import InputError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MIN_FREQUENCY = 2


def learn_vocabulary(texts: Sequence[str], size: int) -> list[str]:
    """Learn the pieces that spell `texts` with few tokens, lowercased as BERT's are (Wu et al. 2016, arXiv 1609.08144).

    The same texts in the same order give the same pieces in the same order, in every process and with any number of
    threads.

    Raises:
        InputError: the texts have too few pieces.
    """
    # The library numbers the characters inside words (`##a`) in the order of a hash table with a random seed, and breaks
    # ties between equally frequent pairs by those numbers. The first training stops at the characters; the second one
    # is given them in a fixed order, as special tokens, which are numbered before all others.
    characters = _train(texts, 0, SPECIAL)
    inner = sorted(piece for piece in characters if piece.startswith("##"))
    pieces = _train(texts, size, (*SPECIAL, *inner))
    if len(pieces) <= len(SPECIAL):
        raise InputError("the texts have no word that occurs twice: no vocabulary can be learned on them")
    return sorted(pieces, key=lambda piece: pieces[piece])


def _train(texts: Sequence[str], size: int, special_tokens: Sequence[str]) -> dict[str, int]:
    """Train a vocabulary of `size` pieces, or of all characters where those are more, and return the pieces' numbers."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    trainer = WordPieceTrainer(
        vocab_size=size,
        min_frequency=_MIN_FREQUENCY,
        special_tokens=list(special_tokens),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    pieces: dict[str, int] = tokenizer.get_vocab()
    return pieces


def make_tokenizer(pieces: Sequence[str], max_length: int) -> Any:
    """A BERT tokenizer of `pieces`, the special tokens first."""
    return BertTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, model_max_length=max_length
    )


def open_tokenizer(model: str | Path) -> Any:
    """The tokenizer of another model.

    Raises:
        InputError: it has no mask token.
    """
    tokenizer = AutoTokenizer.from_pretrained(resolve(model))
    if tokenizer.mask_token is None:
        raise InputError(f"the tokenizer of {model} has no mask token: choose another, or learn one")
    return tokenizer


def count_tokens(tokenizer: Any, texts: Sequence[str]) -> float:
    """Mean tokens of a text, without special tokens and without a limit."""
    ids = tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    return sum(map(len, ids)) / max(1, len(ids))
