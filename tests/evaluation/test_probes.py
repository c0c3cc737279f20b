from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_world import WordEncoder

from pubvec.encoder import BiEncoderScorer, load_scorer
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from pubvec.evaluation.tasks import find_task
from pubvec.evaluation.tasks.probes import PROBES, evaluate_triples
from pubvec.evaluation.tasks.sets import TripleSet

TRIPLES = TripleSet(
    ["aspirin helps", "aspirin helps", "no gout", "a b"],
    ["aspirin helps much", "it works", "no gout", "a c"],
    ["aspirin fails", "aspirin does not help", "gout", "a c"],
)


def test_accuracy_is_the_share_of_paraphrases_that_score_higher() -> None:
    outcome = evaluate_triples(BiEncoderScorer(WordEncoder(dim=4096)), TRIPLES, n_resamples=200)
    figure = outcome.figures["Accuracy"]
    assert list(figure.per_query.values()) == [1.0, 0.0, 1.0, 0.5]  # "it works" shares no word
    assert figure.value == 0.625
    assert figure.interval[0] < 0.625 < figure.interval[1]
    assert [len(outcome.scores[name]) for name in ("right", "wrong")] == [4, 4]


@pytest.mark.parametrize("kind", ["tiny_model", "late", "cross"])
def test_every_kind_of_scorer(kind: str, request: pytest.FixtureRequest) -> None:
    scorer = load_scorer(request.getfixturevalue(kind))
    outcome = evaluate_triples(scorer, TRIPLES, n_resamples=20)
    texts = list(zip(TRIPLES.anchors, TRIPLES.rights, strict=True))
    assert outcome.scores["right"] == pytest.approx(scorer.score(texts).tolist(), abs=1e-5)


@pytest.mark.parametrize("probe", PROBES)
def test_the_package_carries_a_hundred_triples_of_each(probe: str) -> None:
    triples = find_task(f"probe-{probe}").load(Path())
    assert len(set(triples.anchors)) == len(triples.anchors) >= 100
    columns = (triples.anchors, triples.rights, triples.wrongs)
    for texts in zip(*columns, strict=True):
        assert len(set(texts)) == 3
        assert all(text == text.strip() and len(text) > 3 for text in texts)


@pytest.mark.parametrize("probe", [probe for probe in PROBES if probe != "languages"])
def test_shared_words_mislead(probe: str) -> None:
    triples = find_task(f"probe-{probe}").load(Path())

    def overlap(texts: list[str]) -> np.ndarray:
        words = [
            (set(a.lower().split()), set(b.lower().split()))
            for a, b in zip(triples.anchors, texts, strict=True)
        ]
        return np.array([len(a & b) / len(a | b) for a, b in words])

    assert (overlap(triples.wrongs) > overlap(triples.rights)).mean() > 0.75


def test_as_a_task(tmp_path: Path) -> None:
    (result,) = evaluate(
        [WordEncoder()], ["probe-negation"], tmp_path, tmp_path / "out", EvaluateConfig(n_resamples=20)
    )
    assert result.figures["Accuracy"].value < 0.5
    assert set(result.identity.data) == {"negation.tsv"}
