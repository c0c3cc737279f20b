"""The text of an element of PubMed's XML, markup and formulas included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


def text_of(element: Element | None) -> str:
    """All text inside of `element`, markup dropped and white space normalized.

    Inline markup joins what it touches, as it does in print: `CO<sub>2</sub>` is `CO2`. A formula in MathML
    is the text of its tokens without the layout between them, parted by a space from a word that it touches.
    """
    if element is None:
        return ""
    if not len(element):
        text = element.text
        if text is None:
            return ""
    elif next(element.iter(_MATH), None) is None:
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
    """As `text_of`, with None for a missing or empty element."""
    return None if element is None else text_of(element) or None


def _join(pieces: Iterable[tuple[str, bool]]) -> str:
    """Join (text, is a formula), with a space where a formula and a word would become one word."""
    joined = ""
    was_math = False
    for text, is_math in pieces:
        touches_word = joined[-1:].isalnum() and text[:1].isalnum()
        joined += " " + text if touches_word and is_math != was_math else text
        was_math = is_math if text else was_math
    return joined


def _iter_pieces(element: Element) -> Iterator[tuple[str, bool]]:
    yield element.text or "", False
    for child in element:
        if child.tag == _MATH:
            yield _read_math(child), True
        else:
            yield from _iter_pieces(child)
        yield child.tail or "", False


def _read_math(element: Element) -> str:
    """Text of the tokens: white space between them is layout (MathML 3, §2.1.7)."""
    if not len(element):
        return element.text or ""
    return _MATH_SEPARATORS.get(element.tag, "").join(map(_read_math, element))
