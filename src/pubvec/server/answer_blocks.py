"""Turns the Markdown of an answer into a tree of a few harmless elements, with footnotes in the place of citations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from pubvec.records import Hit
from pubvec.retrieval import Answer

Node = str | dict[str, Any]
"""A text, an element with its `tag` and its `children`, or a footnote with its `number`, `pmid` and `label`."""
_TAGS = {
    "paragraph": "p",
    "strong": "strong",
    "em": "em",
    "s": "s",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "blockquote": "blockquote",
    "heading": "h3",
    "table": "table",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "th": "th",
    "td": "td",
}
"""Kinds of nodes of the parser that become elements. Of a link or an image only the text is kept."""
_UNTITLED = "[Title not available]"
_CITATION = re.compile(r"\[PMID (\d+)\]")
_MARK = re.compile("\ue000(\\d+)\ue001")
"""A citation inside the Markdown, in characters of the private use area that no text of a model has a use for."""
_PARSER = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])


def blocks_of(answer: Answer) -> list[Node]:
    """Return the blocks of an answer."""
    hits = {hit.pmid: hit for hit in answer.evidence}
    numbers: dict[int, int] = {}
    for match in _CITATION.finditer(answer.text):
        numbers.setdefault(int(match[1]), len(numbers) + 1)
    text = _CITATION.sub("\ue000\\1\ue001", answer.text.replace("\ue000", "").replace("\ue001", ""))
    return list(_convert(SyntaxTreeNode(_PARSER.parse(text)).children, numbers, hits))


def sources_of(answer: Answer) -> list[dict[str, Any]]:
    """Return the cited articles in the order of their footnotes, each with its title and its most relevant sentence."""
    hits = {hit.pmid: hit for hit in answer.evidence}
    pmids = dict.fromkeys(int(match[1]) for match in _CITATION.finditer(answer.text))
    return [
        {
            "number": number,
            "pmid": pmid,
            "title": hits[pmid].title or _UNTITLED,
            "sentence": sentence_of(hits[pmid]),
        }
        for number, pmid in enumerate(pmids, start=1)
        if pmid in hits
    ]


def sentence_of(hit: Hit) -> str:
    """Return the passage of a hit, or an empty text if it has none."""
    return (hit.article.abstract or "")[hit.passage.start : hit.passage.end] if hit.passage else ""


def _convert(
    nodes: Sequence[SyntaxTreeNode], numbers: dict[int, int], hits: dict[int, Hit]
) -> Iterator[Node]:
    for node in nodes:
        if node.type in _TAGS:
            yield {"tag": _TAGS[node.type], "children": list(_convert(node.children, numbers, hits))}
        elif node.type in ("fence", "code_block", "code_inline"):
            tag = "code" if node.type == "code_inline" else "pre"
            yield {"tag": tag, "children": list(_split(node.content, numbers, hits))}
        elif node.type == "hardbreak":
            yield {"tag": "br", "children": []}
        elif node.type == "softbreak":
            yield "\n"
        elif node.type == "hr":
            yield {"tag": "hr", "children": []}
        elif node.children:  # a link or an image, of which the text is kept
            yield from _convert(node.children, numbers, hits)
        else:
            yield from _split(node.content, numbers, hits)


def _split(text: str, numbers: dict[int, int], hits: dict[int, Hit]) -> Iterator[Node]:
    for place, part in enumerate(_MARK.split(text)):
        if place % 2:
            pmid = int(part)
            hit = hits.get(pmid)
            label = (
                f"PMID {pmid}"
                if hit is None
                else ": ".join(filter(None, (hit.title or _UNTITLED, sentence_of(hit))))
            )
            yield {"number": numbers[pmid], "pmid": pmid, "label": label}
        elif part:
            yield part
