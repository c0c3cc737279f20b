"""One folding of text for the index and for queries, so that a word is found however it is written.

`fold_text` is for running text, `fold` for the values of lists, `fold_name` for the names of people, and `fold_journal` for
the names of journals. All of them drop marks and invisible characters and spell out letters that no keyboard has.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "ι": "iota",
    "κ": "kappa",
    "λ": "lambda",
    "μ": "mu",
    "ν": "nu",
    "ξ": "xi",
    "ο": "omicron",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "ς": "sigma",
    "τ": "tau",
    "υ": "upsilon",
    "φ": "phi",
    "χ": "chi",
    "ψ": "psi",
    "ω": "omega",
}
GREEK_NAMES = frozenset(_GREEK.values())
_LETTERS = str.maketrans(
    {
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "þ": "th",
        "Þ": "Th",
        "æ": "ae",
        "Æ": "Ae",
        "œ": "oe",
        "Œ": "Oe",
        "ß": "ss",
        "ẞ": "SS",
        "ı": "i",
        "ħ": "h",
        "Ħ": "H",
        "ŋ": "n",
        "Ŋ": "N",
        "’": "'",
        "‘": "'",
        "ʼ": "'",
        "′": "'",
        "`": "'",
        "´": "'",
        "ʻ": "'",
    }
)
_SYMBOLS = str.maketrans(dict.fromkeys("™®©℠", " "))
"""Compatibility decomposition would glue these signs to the word before them as letters."""
_GREEK_LETTER = re.compile("[" + "".join(_GREEK) + "".join(_GREEK).upper() + "]")
_MICRO = re.compile(r"μ(?=[A-Za-z])")
"""A mu before a Latin letter is the prefix of a unit, which keyboards without it write as `u`: `5 um`, `20 uM`."""
_LINKED = re.compile(
    r"\b([a-z][a-z0-9]+)[-\s]?\b(alpha|beta|gamma|delta|epsilon|kappa|lambda|sigma|omega|theta)\b"
)
_GLUED = re.compile(r"\b([a-z][a-z0-9]+)(alpha|beta|gamma|delta|epsilon|kappa|lambda|sigma|omega|theta)\b")
_IDEOGRAPH = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
"""Chinese and Japanese are written without spaces; each character is a word of its own here, as phrases find it then."""
_PUNCTUATION = re.compile(r"[^\w\s]")
_DASHES = re.compile(r"[-‐‑‒–—/]")


def fold_text(text: str) -> str:
    """Fold running text before it is cut into words; letter case is left to the analyzer of the index.

    NFKC is applied, format characters (soft hyphens, zero-width spaces) and marks are dropped, letters such as `ø` and `ß`
    become what they are written as without them, Greek letters become their names, and each Chinese or Japanese character
    becomes a word.
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text.translate(_SYMBOLS).translate(_LETTERS))
    decomposed = unicodedata.normalize("NFD", text)
    kept = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf"))
    kept = _MICRO.sub("u", unicodedata.normalize("NFC", kept).translate(_LETTERS))
    return _IDEOGRAPH.sub(r" \1 ", _GREEK_LETTER.sub(_spell_greek, kept))


def greek_variants(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return other ways in which folded `words` are written where one is a Greek letter: `tnf alpha` and `tnfalpha`."""
    text = " ".join(words)
    joined = _LINKED.sub(r"\1\2", text)
    split = _GLUED.sub(r"\1 \2", text)
    return [tuple(variant.split()) for variant in dict.fromkeys((joined, split)) if variant != text]


@lru_cache(maxsize=100_000)
def fold(text: str) -> str:
    """Fold a value of a list for comparison: no case, marks, periods, apostrophes or doubled spaces."""
    folded = fold_text(text).casefold().replace("'", "").replace(".", " ")
    return " ".join(folded.split())


def fold_words(text: str) -> str:
    """Fold a name in which word order and commas say nothing: `Embolism, Air` and `air embolism` are the same."""
    return " ".join(sorted(_PUNCTUATION.sub(" ", fold(text)).split()))


@lru_cache(maxsize=100_000)
def fold_name(text: str) -> str:
    """Fold the name of a person: hyphens separate, apostrophes and periods are dropped."""
    return " ".join(_PUNCTUATION.sub(" ", _DASHES.sub(" ", fold(text))).split())


@lru_cache(maxsize=100_000)
def fold_journal(text: str) -> str:
    """Fold the name of a journal: no punctuation, `&` is `and`, and a leading article is dropped."""
    folded = " ".join(_PUNCTUATION.sub(" ", fold(text.replace("&", " and "))).split())
    return folded.removeprefix("the ")


def fold_title(title: str) -> str:
    """Fold a whole title for comparison: its words alone."""
    return " ".join(_PUNCTUATION.sub(" ", fold(title)).split())


def _spell_greek(found: re.Match[str]) -> str:
    letter = found[0]
    name = _GREEK[letter.lower()]
    return name if letter.islower() else name.capitalize()
