"""Made-up articles about made-up plants, with enough common words to have neighbors."""

from __future__ import annotations

import random

from makers_records import make_article
from pubvec.records import Article, Section

PLANTS = [
    f"{a}{b}"
    for a in ("bru", "kel", "mor", "sta", "vil", "zan")
    for b in ("dock", "fern", "leaf", "root", "wort")
]
ORGANS = ["liver", "kidney", "spleen", "retina", "marrow", "cartilage"]
EFFECTS = ["growth", "repair", "swelling", "ageing", "blood flow", "scarring"]
ANIMALS = ["mice", "rats", "hamsters", "voles", "shrews"]


def make_sentences(rng: random.Random, plant: str, organ: str, effect: str, n: int) -> list[str]:
    """`n` sentences of which no two articles share twelve words in a row."""
    return [
        f"In trial {rng.randrange(10**6)} the {plant} extract number {rng.randrange(10**6)} was given for "
        f"{rng.randrange(10**6)} hours and the {organ} of group {rng.randrange(10**6)} showed {effect}."
        for _ in range(n)
    ]


def make_world(n: int, *, seed: int = 0, first_pmid: int = 1000) -> list[Article]:
    """`n` articles with different titles, every fourth with sections."""
    rng = random.Random(seed)
    articles = []
    for number in range(n):
        plant, organ, effect = rng.choice(PLANTS), rng.choice(ORGANS), rng.choice(EFFECTS)
        title = (
            f"Effect of {plant} on {effect} of the {organ} in {rng.choice(ANIMALS)}: study {seed}x{number}."
        )
        sentences = make_sentences(rng, plant, organ, effect, rng.randint(6, 10))
        sections = []
        if number % 4 == 0:
            sections = [
                Section("AIMS", "OBJECTIVE", " ".join(sentences[:2])),
                Section("RESULTS", "RESULTS", " ".join(sentences[2:4])),
                Section("CONCLUSIONS", "CONCLUSIONS", " ".join(sentences[4:])),
            ]
        text = "\n".join(f"{s.label}: {s.text}" for s in sections) or " ".join(sentences)
        articles.append(make_article(first_pmid + number, title, text, sections=sections))
    return articles
