"""The text of an element of PubMed's XML, markup and formulas included."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, TypeAlias

Element: TypeAlias = Any
"""An element of lxml, which only `medline` imports."""

_MATHML = "{http://www.w3.org/1998/Math/MathML}"
_MATH = _MATHML + "math"
_MATH_SEPARATORS = {
    _MATHML + "mfrac": "/",
    _MATHML + "mtr": " ",
    _MATHML + "mtable": " ",
    _MATHML + "semantics": " ",
}
_NUMBER = re.compile(r"([-\u2010-\u2015\u2212])?[0-9]{1,4}")
_SUPERSCRIPTS = str.maketrans(dict(zip("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")) | dict.fromkeys("-‐‑‒–—―−", "⁻"))  # noqa: B905


class _Piece(Enum):
    TEXT = "text"
    RAISED = "superscript"
    MATH = "formula"


def text_of(element: Element | None) -> str:
    """Return all text inside of `element`, without markup and with white space normalized.

    Inline markup joins what it touches, as it does in print: `CO<sub>2</sub>` is `CO2`. An exponent keeps its place, for
    without it the number would be another one: `10<sup>-3</sup>` is `10⁻³`, and `s<sup>-1</sup>` is `s⁻¹`. A formula in
    MathML is the text of its tokens without the layout between them, with a space between it and a word that it touches.
    """
    if element is None:
        return ""
    if not len(element):
        text = element.text
        if text is None:
            return ""
    elif next(element.iter(_MATH, "sup"), None) is None:
        text = "".join(element.itertext())
    else:
        text = _join(_iter_pieces(element))
    # Most text is normal already, and asking is ten times faster than splitting. Of white space, only the
    # plain space is printable.
    is_normal = "  " not in text and (
        "\n" not in text and "\t" not in text and "\r" not in text if text.isascii() else text.isprintable()
    )
    return text.strip() if is_normal else " ".join(text.split())


def text_or_none(element: Element | None) -> str | None:
    """Return what `text_of` does, and None for a missing or empty element."""
    return None if element is None else text_of(element) or None


def _join(pieces: Iterable[tuple[str, _Piece]]) -> str:
    """Join pieces of text, with a space where a formula and a word would become one word."""
    joined = ""
    last = _Piece.TEXT
    for text, piece in pieces:
        if piece is _Piece.RAISED:
            joined += _raise(text) if _is_exponent(joined, text) else text
        else:
            touches_word = joined[-1:].isalnum() and text[:1].isalnum()
            is_border = (piece is _Piece.MATH) != (last is _Piece.MATH)
            joined += " " + text if touches_word and is_border else text
        last = piece if text else last
    return joined


def _is_exponent(before: str, text: str) -> bool:
    """Whether a raised `text` is a power: a number behind a digit, or a negative number behind anything."""
    found = _NUMBER.fullmatch(text.strip())
    return bool(found) and (before[-1:].isdecimal() or bool(found and found[1]))


def _raise(text: str) -> str:
    return text.strip().translate(_SUPERSCRIPTS)


def _iter_pieces(element: Element) -> Iterator[tuple[str, _Piece]]:
    yield element.text or "", _Piece.TEXT
    for child in element:
        if child.tag == _MATH:
            yield _read_math(child), _Piece.MATH
        elif child.tag == "sup" and not len(child):
            yield child.text or "", _Piece.RAISED
        else:
            yield from _iter_pieces(child)
        yield child.tail or "", _Piece.TEXT


def _read_math(element: Element) -> str:
    """Text of the tokens: white space between them is layout (MathML 3, §2.1.7)."""
    if not len(element):
        return element.text or ""
    return _MATH_SEPARATORS.get(element.tag, "").join(map(_read_math, element))
