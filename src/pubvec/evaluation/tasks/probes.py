"""Probes of what embeddings are bad at: is a paraphrase nearer than the text with one thing changed?

Made-up minimal triples, written for this package. `right` says what `anchor` says in other words; `wrong` repeats its words
with one change that turns the meaning (in `languages`: it is another English text of like form). A model that counts shared
words prefers `wrong`, so chance, 50 %, is no floor.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from pubvec.encoder import Scorer
from pubvec.evaluation.measures import draw_resamples, interval_of
from pubvec.evaluation.ranking import score_pairs
from pubvec.evaluation.results import Figure, Outcome
from pubvec.evaluation.tasks.sets import TripleSet

PROBES = ("negation", "numbers", "genes", "languages")


@dataclass(frozen=True)
class ProbeTask:
    """The task reads the triples of one of `PROBES`, which the package carries."""

    probe: str

    @property
    def name(self) -> str:
        """Return the name by which the task is asked for."""
        return f"probe-{self.probe}"

    def files(self, data: Path) -> list[Path]:
        """Return the file that decides the result; it is in the package, whatever `data` is."""
        with as_file(files("pubvec.evaluation.tasks") / "probe_texts" / f"{self.probe}.tsv") as path:
            return [path]

    def load(self, data: Path) -> TripleSet:
        """Read the triples."""
        (path,) = self.files(data)
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        return TripleSet(*([row[name] for row in rows] for name in ("anchor", "right", "wrong")))


def evaluate_triples(scorer: Scorer, triples: TripleSet, *, n_resamples: int) -> Outcome:
    """Compute the accuracy of any kind of scorer: the share of triples in which `right` scores above `wrong`.

    Ties count half. The interval is a 95 % bootstrap interval over triples.
    """
    n = len(triples.anchors)
    texts = [
        *zip(triples.anchors, triples.rights, strict=True),
        *zip(triples.anchors, triples.wrongs, strict=True),
    ]
    right, wrong = np.split(score_pairs(scorer, texts), 2)
    values = np.where(right == wrong, 0.5, (right > wrong).astype(float))
    figure = Figure(
        float(values.mean()),
        interval_of(draw_resamples(n, n_resamples) @ values / n),
        per_query={str(row): value for row, value in enumerate(values.tolist())},
    )
    scores = {
        name: [round(score, 7) for score in column.tolist()]
        for name, column in (("right", right), ("wrong", wrong))
    }
    return Outcome(n, 2 * n, {"Accuracy": figure}, scores, scorer.definition)
