"""Make pairs of disease names and definitions from ontologies.

python recipes/ontology_pairs.py ONTOLOGIES OUTPUT.parquet

Articles do not talk as patients ask, so questions of lay people get worse when a model reads titles and abstracts alone
(LOG.md, 2026-11-27). ONTOLOGIES is the `data` folder of the package `cellxgene-ontology-guide`. Of the ontologies that are
CC BY or Apache-2.0 (Mondo, the Cell Ontology, Uberon, EFO), each term with a definition gives pairs:

- a question of a lay person about one of its names → the definition;
- one of its names → another.

For `pubvec pairs OUTPUT.parquet`, which keeps evaluation texts out. No text of theirs is shipped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ONTOLOGIES = ("MONDO", "EFO", "CL", "UBERON")
MIN_WORDS = 8
N_SYNONYMS = 2
SHARE_NAMED = 0.3
"""Of definitions, that a bare name asks for."""
QUESTIONS = {
    "MONDO": (
        "What is {}?",
        "What are the symptoms of {}?",
        "What causes {}?",
        "My doctor told me I have {}. What does it mean?",
        "How do you know whether someone has {}?",
        "What is the treatment for {}?",
        "Is {} inherited, and how common is it?",
        "Where can I learn about {}?",
    ),
    "": ("What is {}?", "What does {} mean?", "Tell me about {}", "definition of {}"),
}


def read(folder: Path, name: str) -> list[dict[str, object]]:
    """The terms in use of the newest release of an ontology."""
    newest = max(folder.glob(f"{name}-ontology-*.json.zst"))
    with pa.CompressedInputStream(pa.OSFile(str(newest)), "zstd") as file:
        terms = json.loads(file.read())
    return [term for term in terms.values() if not term.get("deprecated") and term.get("label")]


def iter_pairs(folder: Path, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Anchor and positive."""
    for ontology in ONTOLOGIES:
        questions = QUESTIONS.get(ontology, QUESTIONS[""])
        for term in read(folder, ontology):
            label, definition = str(term["label"]), str(term.get("description") or "")
            others = {str(name) for name in term.get("synonyms") or ()}
            names = [label, *sorted(name for name in others if name.lower() != label.lower())]
            if len(definition.split()) >= MIN_WORDS:
                name = names[int(rng.integers(min(len(names), 1 + N_SYNONYMS)))]
                asked = questions[int(rng.integers(len(questions)))].format(name)
                yield name if rng.random() < SHARE_NAMED else asked, definition
            for synonym in rng.permutation(names[1:])[:N_SYNONYMS].tolist():
                yield synonym, label


def main() -> None:
    source, output = sys.argv[1:]
    pairs = list(iter_pairs(Path(source), np.random.default_rng(0)))
    anchors, positives = zip(*pairs, strict=True)
    pq.write_table(pa.table({"anchor": anchors, "positive": positives}), output, compression="zstd")
    sys.stderr.write(f"{output}: {len(pairs):,} pairs\n")


if __name__ == "__main__":
    main()
