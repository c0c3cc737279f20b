"""Evaluation of late interaction and cross-encoders, against the library's scores and ir_measures' figures."""

from __future__ import annotations

import json
from dataclasses import replace

import ir_measures
import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from evaluation_world import WordEncoder
from sentence_transformers import CrossEncoder, MultiVectorEncoder

from pubvec.cli import run
from pubvec.encoder import load_scorer
from pubvec.encoder.scorer import BiEncoderScorer
from pubvec.errors import ConfigError, InputError, OutputError
from pubvec.evaluation.comparing import compare
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from pubvec.evaluation.ranking import evaluate_retrieval, rank_blocks, rank_collection, rank_documents
from pubvec.evaluation.results import read_result
from pubvec.evaluation.tasks import find_task
from pubvec.evaluation.tasks.pairs import draw_negatives, evaluate_pairs
from pubvec.evaluation.tasks.sets import PairSet
from tiny_models import TEXTS, make_tiny_static

PAIRS = PairSet([text[:40] for text in TEXTS], [*(text[15:] for text in TEXTS[:-1]), TEXTS[0][15:]])
"""Two of them share a positive."""
SEEDS = (0, 1)
LABELS = np.repeat([1.0, 0.0], len(TEXTS))
FAST = EvaluateConfig(seeds=SEEDS, n_resamples=20, pair_rerank_depth=4, rerank_depth=5)


def pearson_over_seeds(score) -> float:
    """Mean over seeds of scipy's correlation of `score(anchors, positives)` with the labels."""
    values = []
    for seed in SEEDS:
        negatives = [PAIRS.positives[row] for row in draw_negatives(len(TEXTS), seed)]
        scores = score(PAIRS.anchors * 2, [*PAIRS.positives, *negatives])
        values.append(scipy.stats.pearsonr(scores, LABELS).statistic)
    return float(np.mean(values))


def reciprocal_ranks(scores: dict[str, dict[str, float]], qrels) -> dict[str, float]:
    judged = {query: dict.fromkeys(documents, 1) for query, documents in qrels.items()}
    return {v.query_id: v.value for v in ir_measures.iter_calc([ir_measures.RR], judged, scores)}


@pytest.mark.parametrize("has_expansion", [True, False])
def test_late_interaction_on_pairs(late, has_expansion, monkeypatch):
    monkeypatch.setattr("pubvec.encoder.late_interaction.DOCUMENTS_PER_BLOCK", 4)
    scorer, reference = load_scorer(late), MultiVectorEncoder(str(late), device="cpu")
    if not has_expansion:
        scorer.model[0].query_expansion = reference[0].query_expansion = None
    outcome = evaluate_pairs(scorer, PAIRS, seeds=SEEDS, n_resamples=20)
    for figure, function in (("Pearson", "meanmaxsim"), ("Pearson (sum)", "maxsim")):
        reference.similarity_fn_name = function

        def score(anchors, positives):
            queries, documents = reference.encode_query(anchors), reference.encode_document(positives)
            return reference.similarity_pairwise(queries, documents).numpy()

        assert outcome.figures[figure].value == pytest.approx(pearson_over_seeds(score), abs=1e-5)
    is_same = outcome.figures["Pearson"].value == pytest.approx(
        outcome.figures["Pearson (sum)"].value, abs=1e-6
    )
    assert is_same == has_expansion  # every query has as many vectors
    assert (outcome.n, outcome.n_documents) == (10, 9)
    assert outcome.score_definition.startswith("mean over query tokens")


def test_late_interaction_ranks_all_positives(late, monkeypatch):
    monkeypatch.setattr("pubvec.encoder.late_interaction.DOCUMENTS_PER_BLOCK", 4)
    outcome = evaluate_pairs(load_scorer(late), PAIRS, seeds=SEEDS, n_resamples=20)
    reference = MultiVectorEncoder(str(late), device="cpu")
    documents = list(dict.fromkeys(PAIRS.positives))
    matrix = reference.similarity(
        reference.encode_query(PAIRS.anchors), reference.encode_document(documents)
    ).numpy()
    scores = {str(q): {str(d): float(s) for d, s in enumerate(row)} for q, row in enumerate(matrix)}
    qrels = {str(q): [str(documents.index(text))] for q, text in enumerate(PAIRS.positives)}
    expected = reciprocal_ranks(scores, qrels)
    assert len(set(expected.values())) > 2
    assert outcome.figures["RR@10"].per_query == pytest.approx(expected)


def test_cross_encoder_on_pairs(cross):
    outcome = evaluate_pairs(load_scorer(cross), PAIRS, seeds=SEEDS, n_resamples=20)
    reference = CrossEncoder(str(cross), device="cpu")
    for figure, activation in (("Pearson", torch.nn.Sigmoid()), ("Pearson (logit)", torch.nn.Identity())):

        def score(anchors, positives, activation=activation):
            return reference.predict(list(zip(anchors, positives, strict=True)), activation_fn=activation)

        assert outcome.figures[figure].value == pytest.approx(pearson_over_seeds(score), abs=1e-5)
    assert set(outcome.figures) == {"Pearson", "AUC", "Pearson (logit)"}
    logits = reference.predict(
        list(zip(PAIRS.anchors, PAIRS.positives, strict=True)), activation_fn=torch.nn.Identity()
    )
    assert outcome.scores["positive"] == pytest.approx(logits.tolist(), abs=1e-5)
    assert outcome.score_definition == "sigmoid of the logit"


def test_a_saturated_sigmoid_costs_no_auc(cross):
    """A sigmoid of a great logit rounds to 1; the ranking measure must not see that."""
    scorer = load_scorer(cross)
    plain = evaluate_pairs(scorer, PAIRS, seeds=SEEDS, n_resamples=20)
    with torch.no_grad():
        head = scorer.model[0].model.classifier
        center = np.mean(plain.scores["positive"])
        head.weight *= 1000
        head.bias.copy_((head.bias - center) * 1000)
    saturated = evaluate_pairs(scorer, PAIRS, seeds=SEEDS, n_resamples=20)
    logits = np.array(saturated.scores["positive"])
    assert (scipy.special.expit(logits) == 1).sum() > 1
    assert saturated.figures["AUC"].value == pytest.approx(plain.figures["AUC"].value, abs=1e-9)


@pytest.mark.parametrize("depth", [3, 15])
def test_cross_encoder_reranks_a_first_stage(cross, data, depth):
    """Only what the first stage found has a rank, and its rank is the cross-encoder's."""
    collection = find_task("pubmed-qa-retrieval").load(data)
    first = BiEncoderScorer(WordEncoder("words", 8))
    outcome = evaluate_retrieval(
        load_scorer(cross), collection, depth=1000, n_resamples=10, first_stage=first, rerank_depth=depth
    )
    reference = CrossEncoder(str(cross), device="cpu")
    found = rank_collection(first, collection, depth)
    scores = {}
    for query_id, columns in zip(found.query_ids, found.ranking, strict=True):
        doc_ids = [found.doc_ids[column] for column in columns]
        inputs = [(collection.queries[query_id], collection.documents[doc_id]) for doc_id in doc_ids]
        logits = reference.predict(inputs, activation_fn=torch.nn.Identity())
        scores[query_id] = dict(zip(doc_ids, map(float, logits), strict=True))
    expected = reciprocal_ranks(scores, collection.qrels)
    assert len(set(expected.values())) > 2
    assert outcome.figures["RR"].per_query == pytest.approx(expected)
    n_found = sum(any(doc_id in scores[q] for doc_id in collection.qrels[q]) for q in scores)
    assert outcome.figures["R@100"].value == pytest.approx(n_found / len(scores))


def test_pairs_are_reranked_too(cross):
    first = BiEncoderScorer(WordEncoder())
    settings = {"seeds": SEEDS, "n_resamples": 20, "first_stage": first}
    deep = evaluate_pairs(load_scorer(cross), PAIRS, rerank_depth=9, **settings)
    assert set(deep.figures) == {"Pearson", "AUC", "Pearson (logit)", "RR@10"}
    shallow = evaluate_pairs(load_scorer(cross), PAIRS, rerank_depth=1, **settings)
    first_hits = evaluate_pairs(first, PAIRS, seeds=SEEDS, n_resamples=20).figures["RR@10"].per_query
    assert shallow.figures["RR@10"].per_query == {q: float(rr == 1) for q, rr in first_hits.items()}
    assert deep.figures["RR@10"].value != shallow.figures["RR@10"].value


def test_late_interaction_searches_exactly(late, data):
    collection = replace(
        find_task("cysticfibrosis").load(data), measures=find_task("pubmed-qa-retrieval").measures
    )
    outcome = evaluate_retrieval(load_scorer(late), collection, depth=1000, n_resamples=10)
    reference = MultiVectorEncoder(str(late), device="cpu")
    matrix = reference.similarity(
        reference.encode_query(list(collection.queries.values())),
        reference.encode_document(list(collection.documents.values())),
    )
    scores = {
        q: dict(zip(collection.documents, row.tolist(), strict=True))
        for q, row in zip(collection.queries, matrix, strict=True)
    }
    assert outcome.figures["RR"].per_query == pytest.approx(reciprocal_ranks(scores, collection.qrels))


def test_ranking_by_blocks_is_the_ranking_of_a_scan_with_ties():
    rng = np.random.default_rng(1)
    queries, documents = rng.integers(0, 2, (7, 3)).astype(float), rng.integers(0, 2, (50, 3)).astype(float)
    ids = {"query_ids": [str(n) for n in range(7)], "doc_ids": [str(n) for n in range(50)]}
    whole = rank_documents(queries, documents, **ids, depth=9)
    order = sorted(range(50), key=str, reverse=True)
    blocks = (queries @ documents[order[start : start + 8]].T for start in range(0, 50, 8))
    found = rank_blocks(blocks, **ids, depth=9)
    assert (found.ranking == whole.ranking).all()
    assert (found.scores == whole.scores).all()


def test_results_say_what_kind_and_score_they_are_of(tiny_model, cross, late, data, tmp_path):
    models = {"bi": tiny_model, "cross": cross, "late": late}
    results = evaluate(models, ["pubmed-qa"], data, tmp_path / "r", FAST, first_stage=tiny_model)
    found = {result.system: result for result in results}
    assert {name: result.kind for name, result in found.items()} == {
        "bi": "bi-encoder",
        "cross": "cross-encoder",
        "late": "late interaction",
    }
    assert [found[name].dim for name in models] == [32, None, 8]
    assert [found[name].encoder for name in models] == [
        "TorchEncoder",
        "CrossEncoderScorer",
        "LateInteractionScorer",
    ]
    assert found["late"].lengths == {"query_length": 16, "document_length": 24}
    assert [found[name].max_seq_length for name in models] == [64, 64, 24]
    assert [found[name].first_stage for name in models] == [None, "tiny", None]
    assert [found[name].score_definition.split()[0] for name in models] == ["cosine", "sigmoid", "mean"]
    for result in results:
        assert read_result(tmp_path / "r" / result.system / "pubmed-qa.json") == result
    table = compare(tmp_path / "r")
    assert [str(column) for column in table.columns] == [
        f"pubmed-qa {measure}" for measure in ("Pearson", "AUC", "RR@10", "Pearson (logit)", "Pearson (sum)")
    ]


def test_only_settings_of_its_kind_decide_a_result(tiny_model, cross, late, data, tmp_path):
    models = {"bi": tiny_model, "cross": cross, "late": late}
    arguments = (["pubmed-qa"], data, tmp_path, FAST)
    first = evaluate(models, *arguments, first_stage=tiny_model)
    config = first[0].identity.config
    assert set(config) == {"task", "seeds", "n_resamples", "depth", "max_seq_length", "backend", "precision"}
    other = replace(FAST, pair_rerank_depth=7)
    again = evaluate({"bi": tiny_model, "late": late}, ["pubmed-qa"], data, tmp_path, other)
    assert again == [first[0], first[2]]
    for settings, first_stage in ((other, tiny_model), (FAST, WordEncoder()), (FAST, None)):
        with pytest.raises(OutputError, match="another model, data or settings"):
            evaluate({"cross": cross}, ["pubmed-qa"], data, tmp_path, settings, first_stage=first_stage)


def test_a_result_from_before_there_were_kinds_is_read(tiny_model, data, tmp_path):
    (result,) = evaluate({"bi": tiny_model}, ["pubmed-qa"], data, tmp_path, FAST)
    path = tmp_path / "bi" / "pubmed-qa.json"
    fields = json.loads(path.read_text())
    for name in ("kind", "score_definition", "lengths", "first_stage"):
        del fields[name]
    path.write_text(json.dumps(fields))
    assert read_result(path) == replace(result, lengths={})


def test_query_expansion_is_part_of_a_result_where_it_is_set(tiny_model, late, data, tmp_path):
    models = {"bi": tiny_model, "late": late}
    found = {}
    for is_on in (None, True, False):
        config = replace(FAST, query_expansion=is_on)
        bi, found[is_on] = evaluate(models, ["pubmed-qa"], data, tmp_path / str(is_on), config)
        assert found[is_on].identity.config.get("query_expansion") == is_on
        assert "query_expansion" not in bi.identity.config
    assert found[None].score_definition == found[True].score_definition
    assert found[True].score_definition.endswith("queries expanded to 16 tokens")
    assert found[False].score_definition.endswith("queries not expanded")
    assert found[None].figures == found[True].figures != found[False].figures


def test_static_models_and_prompts_are_evaluated(data, tmp_path):
    folder = make_tiny_static(tmp_path / "static")
    (result,) = evaluate([folder], ["pubmed-qa"], data, tmp_path / "r", FAST)
    assert (result.max_seq_length, result.lengths, result.dim) == (None, {"max_seq_length": None}, 16)
    assert read_result(tmp_path / "r" / "static" / "pubmed-qa.json") == result
    short = replace(FAST, max_seq_length=5)
    (result,) = evaluate({"short": folder}, ["pubmed-qa"], data, tmp_path / "r", short)
    assert result.lengths == {"max_seq_length": 5}


def test_lengths_can_be_set(late, data, tmp_path):
    config = replace(FAST, query_length=20, max_seq_length=10)
    (result,) = evaluate({"late": late}, ["pubmed-qa"], data, tmp_path, config)
    assert result.lengths == {"query_length": 20, "document_length": 10}


def test_loaded_scorers_can_be_evaluated(cross, late, data, tmp_path):
    scorers = [load_scorer(cross), load_scorer(late)]
    results = evaluate(scorers, ["pubmed-qa"], data, tmp_path, FAST)
    assert [result.system for result in results] == ["cross", "late"]
    assert evaluate(scorers, ["pubmed-qa"], data, tmp_path, FAST) == results
    for scorer, message in (
        (load_scorer(cross, activation="sigmoid"), "cross gives sigmoid: .* from logits"),
        (load_scorer(late, similarity="sum"), "late gives sum .* from the mean"),
    ):
        with pytest.raises(ConfigError, match=message):
            evaluate([scorer], ["pubmed-qa"], data, tmp_path / "other", FAST)


def test_a_cross_encoder_needs_a_first_stage_to_search(cross, data, tmp_path):
    with pytest.raises(ConfigError, match="cross is a cross-encoder, and cysticfibrosis needs a ranking"):
        evaluate([cross], ["pubmed-qa", "cysticfibrosis"], data, tmp_path, FAST)
    with pytest.raises(ConfigError, match="cross is a cross-encoder: the first stage must rank"):
        evaluate([cross], ["pubmed-qa"], data, tmp_path, FAST, first_stage=cross)
    with pytest.raises(ConfigError, match="cross is a cross-encoder, which ranks what"):
        evaluate_retrieval(load_scorer(cross), find_task("cysticfibrosis").load(data), depth=9, n_resamples=9)
    assert not list(tmp_path.glob("cross"))


def test_a_score_that_is_not_finite_is_named(cross, late):
    for folder in (cross, late):
        scorer = load_scorer(folder)
        with torch.no_grad():
            next(scorer.model.parameters()).fill_(float("nan"))
        with pytest.raises(InputError, match=f"{folder.name} returned a score that is not finite"):
            evaluate_pairs(scorer, PAIRS, seeds=SEEDS, n_resamples=5)


def test_the_verb_has_settings_of_late_interaction(late, data, tmp_path):
    arguments = ["-q", "evaluate", str(late), "-t", "pubmed-qa", "-d", str(data), "--n-resamples", "5"]
    for option, is_on in (("--no-query-expansion", False), ("--query-expansion", True)):
        assert run([*arguments, "-o", str(tmp_path / option), option]) == 0
        result = read_result(tmp_path / option / "late" / "pubmed-qa.json")
        assert result.identity.config.get("query_expansion") is is_on


def test_the_verb_takes_every_kind(tiny_model, cross, late, data, tmp_path, capsys):
    models = [str(cross), str(late)]
    arguments = ["-t", "cysticfibrosis", "-d", str(data), "-o", str(tmp_path), "--n-resamples", "5"]
    assert run(["-q", "evaluate", *models, *arguments]) == 1
    assert "--first-stage MODEL" in capsys.readouterr().err
    assert run(["-q", "evaluate", *models, *arguments, "--first-stage", str(tiny_model)]) == 0
    assert capsys.readouterr().out.count("\n") == 4
    assert read_result(tmp_path / "cross" / "cysticfibrosis.json").first_stage == "tiny"
