"""Make text of others safe to print: titles, answers of models and messages of servers may hold control characters.

An escape sequence can move the cursor, rename the window or hide text, and a bidirectional control shows words in another
order than they have (https://trojansource.codes/).
"""

from __future__ import annotations

import re
import unicodedata

_SEQUENCE = re.compile(r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]")
"""A control sequence of ECMA-48, such as a color."""
_LINE_ENDS = "\u2028\u2029"
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def printable(text: str) -> str:
    """Return `text` without what a terminal would obey instead of showing; line feeds and tabs stay."""
    return drop_controls(_SEQUENCE.sub("", text))


def drop_controls(text: str) -> str:
    """Return `text` without control, bidirectional and tag characters and surrogates, letter by letter.

    The result of a text that comes in pieces is the same wherever it is cut.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(letter) for letter in text)


def printable_json(text: str) -> str:
    """Return a JSON text with such characters escaped, so that it means the same and a terminal shows it."""
    kept = (letter if _shown(letter) == letter else _escaped(letter) for letter in text)
    return "".join(kept)


def _shown(letter: str) -> str:
    if letter in "\n\t":
        return letter
    if letter in _LINE_ENDS:
        return "\n"
    is_tag = "\U000e0000" <= letter <= "\U000e007f"
    return "" if letter in _BIDI or is_tag or unicodedata.category(letter) in ("Cc", "Cs") else letter


def _escaped(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
