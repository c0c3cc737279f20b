"""mteb itself runs a tiny encoder on a tiny task; its nDCG is ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_world import WordEncoder

from pubvec.encoder.scorer import BiEncoderScorer
from pubvec.evaluation.ranking import evaluate_retrieval
from pubvec.evaluation.tasks import find_task

mteb = pytest.importorskip("mteb", reason="mteb is not installed: pip install 'pubvec[mteb]'")


@pytest.fixture
def task(data: Path):
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    collection = find_task("pubmed-qa-contexts").load(data)

    class Tiny(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="PubvecTiny",
            dataset={"path": "none", "revision": "1"},
            description="A test.",
            type="Retrieval",
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, *_: object, **__: object) -> None:
            rows = {
                "queries": [{"id": key, "text": text} for key, text in collection.queries.items()],
                "corpus": [
                    {"id": key, "title": "", "text": text} for key, text in collection.documents.items()
                ],
            }
            parts = {name: Dataset.from_list(part) for name, part in rows.items()}
            relevant = {key: dict.fromkeys(judged, 1) for key, judged in collection.qrels.items()}
            self.dataset = {"default": {"test": {**parts, "relevant_docs": relevant, "top_ranked": None}}}
            self.data_loaded = True

    return Tiny(), collection


def test_mteb_measures_what_we_measure(task) -> None:
    from pubvec.evaluation.mteb_model import MtebModel

    encoder = WordEncoder(dim=512)
    tiny, collection = task
    results = mteb.evaluate(MtebModel(encoder), tiny, cache=None, co2_tracker=False, show_progress_bar=False)
    theirs = results.task_results[0].scores["test"][0]
    ours = evaluate_retrieval(BiEncoderScorer(encoder), collection, depth=1000, n_resamples=2).figures
    assert theirs["ndcg_at_10"] == pytest.approx(ours["nDCG@10"].value, abs=1e-5)  # mteb rounds to 5 places
    assert theirs["recall_at_100"] == pytest.approx(ours["R@100"].value, abs=1e-5)


def test_the_adapter_meets_the_protocol() -> None:
    from mteb.models import EncoderProtocol

    from pubvec.evaluation.mteb_model import MtebModel

    model = MtebModel(WordEncoder("words"), revision="3")
    assert isinstance(model, EncoderProtocol)
    assert (model.mteb_model_meta.name, model.mteb_model_meta.revision) == ("pubvec/words", "3")
    vectors = model.encode([{"text": ["a b", "b"]}, {"text": ["c"]}], prompt_type=None)
    assert vectors.shape == (3, 64)
    cosines = np.asarray(model.similarity(vectors, vectors))
    assert np.diagonal(cosines) == pytest.approx(np.asarray(model.similarity_pairwise(vectors, vectors)))
