"""Formats references to articles in the styles of AMA, Vancouver and APA by citeproc (https://citationstyles.org)."""

from __future__ import annotations

import html
import json
import re
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from citeproc import Citation, CitationItem, CitationStylesBibliography, CitationStylesStyle, formatter
from citeproc.source.json import CiteProcJSON

from pubvec.records import Hit
from pubvec.retrieval import iter_written

STYLES = {"ama": "AMA", "vancouver": "Vancouver", "apa": "APA"}
"""Name of the file of each style, and the name that readers know it by."""
_FOLDER = Path(__file__).parent / "web" / "styles"
_ITALIC = re.compile(r"<i>(.*?)</i>", re.DOTALL)
_DOUBLE_PERIOD = re.compile(r"([.?!])\.(?=\s|$)")
_CORRECTIONS: dict[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    "ama": ((re.compile(r":(\w+)–(\w+)\."), r":\1-\2."),),
    "vancouver": (
        (re.compile(r":(\w+)–(\w+)\."), r":\1-\2."),
        (re.compile(r"(\. \d{4} )(Jun|Jul|Sep)[a-z]+(?=[ ;.])"), r"\1\2"),
    ),
    "apa": ((re.compile(r"^([^()]*[^().]) (?=\((?:\d{4}|n\.d\.)\)\.)"), r"\1. "),),
}
"""Corrections of what citeproc-py writes: hyphens between pages, NLM's months, and the period after the name of a group."""
_USED = frozenset(
    [
        "id",
        "type",
        "title",
        "author",
        "editor",
        "container-title",
        "container-title-short",
        "issued",
        "volume",
        "issue",
        "page",
        "publisher",
        "publisher-place",
        "DOI",
    ]
)
"""Fields of CSL-JSON that the styles use. The others, such as the abstract, would only be parsed for nothing."""


class Reference(NamedTuple):
    """A reference to an article in one style."""

    style: str
    name: str
    """Name of the style for readers."""
    pieces: list[tuple[str, bool]]
    """Pieces of the text, and whether each piece is in italics."""

    @property
    def text(self) -> str:
        """The reference without italics."""
        return "".join(text for text, _ in self.pieces)


def refer(hit: Hit) -> list[Reference]:
    """Return the reference to the article of `hit` in each of `STYLES`."""
    (fields,) = json.loads("".join(iter_written([hit], "csl-json")))
    item = {name: value for name, value in fields.items() if name in _USED}
    item["title"] = str(item.get("title", "")).rstrip(".") or "[Title not available]"
    return [Reference(style, name, list(_render(style, item))) for style, name in STYLES.items()]


def _render(style: str, item: dict[str, object]) -> Iterator[tuple[str, bool]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # citeproc warns of every field that it does not know
        bibliography = CitationStylesBibliography(_style(style), CiteProcJSON([item]), formatter.html)
        bibliography.register(Citation([CitationItem(str(item["id"]).lower())]))
        (entry,) = bibliography.bibliography()
    marked = _DOUBLE_PERIOD.sub(r"\1", str(entry).replace(".</i>.", ".</i>"))
    for pattern, correct in _CORRECTIONS[style]:
        marked = pattern.sub(correct, marked, count=1)
    for place, part in enumerate(_ITALIC.split(marked)):
        if part:
            yield html.unescape(part), place % 2 == 1


@cache
def _style(name: str) -> CitationStylesStyle:
    return CitationStylesStyle(str(_FOLDER / f"{name}.csl"), validate=False)
