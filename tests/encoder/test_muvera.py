"""MUVERA: by the paper's definition on small examples, and against exact MaxSim."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from pubvec.encoder import load_scorer
from pubvec.encoder.muvera import FixedDimensionalEncoder, MuveraConfig
from pubvec.errors import ConfigError
from tiny_models import TEXTS

PAIRS = list(itertools.product(TEXTS, TEXTS))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def make_texts(n_texts: int, seed: int, dim: int = 32) -> list[np.ndarray]:
    """Token vectors around a topic each, as those of real texts are."""
    rng = np.random.default_rng(seed)
    topics = rng.standard_normal((n_texts, 1, dim))
    return [unit(topic + rng.standard_normal((rng.integers(4, 20), dim))) for topic in topics]


def maxsim(query: np.ndarray, document: np.ndarray) -> float:
    return float((query @ document.T).max(axis=1).sum())


def by_definition(vectors: np.ndarray, encoder: FixedDimensionalEncoder, *, is_query: bool) -> np.ndarray:
    """Bucket by bucket, as the paper writes it, with the encoder's own random numbers."""
    config, blocks = encoder.config, []
    for repetition in range(config.n_repetitions):
        planes = encoder._planes[repetition]
        signs = np.eye(vectors.shape[1]) if encoder._signs is None else encoder._signs[repetition]
        sides = [tuple(plane @ vector > 0 for plane in planes) for vector in vectors]
        for bucket in itertools.product((False, True), repeat=config.n_bits):
            bucket = bucket[::-1]  # the first plane is the lowest bit
            inside = [vector for vector, side in zip(vectors, sides, strict=True) if side == bucket]
            if not inside and not is_query:
                distances = [sum(a != b for a, b in zip(side, bucket, strict=True)) for side in sides]
                inside = [vectors[int(np.argmin(distances))]]
            total = np.sum(inside, axis=0) if inside else np.zeros(vectors.shape[1])
            blocks.append(signs @ (total if is_query else total / max(1, len(inside))))
    return np.concatenate(blocks) / np.sqrt(config.n_repetitions)


@pytest.mark.parametrize("config", [MuveraConfig(3, 2, 4), MuveraConfig(2, 3, 99), MuveraConfig(4, 0, 5)])
def test_encodings_are_those_of_the_paper(config: MuveraConfig) -> None:
    encoder = FixedDimensionalEncoder(6, config)
    for vectors in make_texts(5, seed=1, dim=6):
        query, document = encoder.encode_query(vectors), encoder.encode_document(vectors)
        np.testing.assert_allclose(query, by_definition(vectors, encoder, is_query=True), atol=1e-6)
        np.testing.assert_allclose(document, by_definition(vectors, encoder, is_query=False), atol=1e-6)
        assert query.shape == document.shape == (encoder.dim,)


def test_a_small_example_by_hand() -> None:
    """One hyperplane in the plane: right of it and left of it."""
    encoder = FixedDimensionalEncoder(2, MuveraConfig(1, 1, 2))
    encoder._planes = np.array([[[1.0, 0.0]]], np.float32)
    right, up_right, left = np.array([[1, 0], [0.6, 0.8], [-1, 0]], np.float32)
    np.testing.assert_allclose(encoder.encode_query(np.stack([right, up_right])), [0, 0, 1.6, 0.8])
    np.testing.assert_allclose(encoder.encode_document(np.stack([right, up_right, left])), [-1, 0, 0.8, 0.4])
    only_right = encoder.encode_document(np.stack([right, up_right]))
    np.testing.assert_allclose(
        only_right, [1, 0, 0.8, 0.4], err_msg="the empty bucket takes the nearest vector"
    )
    assert encoder.encode_query(np.stack([right])) @ only_right == pytest.approx(0.8)


def test_the_default_is_as_wide_as_txtai_s() -> None:
    assert FixedDimensionalEncoder(128).dim == 20 * 2**5 * 16 == 10_240
    assert FixedDimensionalEncoder(128, MuveraConfig(final_dim=1000)).dim == 1000


def errors_and_correlation(config: MuveraConfig) -> tuple[float, float]:
    """Mean distance to exact MaxSim, both a query's vector, and the rank correlation over documents."""
    queries, documents = make_texts(12, seed=2), make_texts(60, seed=3)
    documents = [unit(document + 2 * queries[n % 12].mean(axis=0)) for n, document in enumerate(documents)]
    exact = np.array([[maxsim(query, document) / len(query) for document in documents] for query in queries])
    encoder = FixedDimensionalEncoder(32, config)
    left = np.stack([encoder.encode_query(query) / len(query) for query in queries])
    estimate = left @ np.stack([encoder.encode_document(document) for document in documents]).T
    ranks = [scipy.stats.spearmanr(*rows).statistic for rows in zip(exact, estimate, strict=True)]
    return float(np.abs(exact - estimate).mean()), float(np.mean(ranks))


def test_more_repetitions_come_nearer_to_maxsim() -> None:
    """The estimate loses its noise; what is left is that a bucket's mean is below its maximum."""
    figures = [errors_and_correlation(MuveraConfig(n, 6, 16)) for n in (1, 8, 64)]
    errors, correlations = zip(*figures, strict=True)
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]
    assert correlations[0] < correlations[1] < correlations[2]
    assert correlations[2] > 0.9


def test_finer_partitions_come_nearer_to_maxsim() -> None:
    errors = [errors_and_correlation(MuveraConfig(40, n_bits, 32))[0] for n_bits in (0, 3, 6, 9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.85 * errors[0]


def test_one_vector_a_document_is_exact() -> None:
    """Whatever the partition, each bucket holds that vector."""
    (query,), rng = make_texts(1, seed=4), np.random.default_rng(5)
    documents = unit(rng.standard_normal((20, 1, 32)))
    encoder = FixedDimensionalEncoder(32, MuveraConfig(2, 4, 32))
    for document in documents:
        estimate = encoder.encode_query(query) @ encoder.encode_document(document)
        assert estimate == pytest.approx(maxsim(query, document), abs=1e-5)


def test_a_final_projection_keeps_inner_products() -> None:
    (query, document), wide = make_texts(2, seed=6), MuveraConfig(5, 3, 16)
    whole = FixedDimensionalEncoder(32, wide)
    expected = whole.encode_query(query) @ whole.encode_document(document)
    estimates = []
    for seed in range(30):
        narrow = FixedDimensionalEncoder(32, MuveraConfig(5, 3, 16, final_dim=400, seed=seed))
        narrow._planes, narrow._signs = whole._planes, whole._signs
        estimates.append(narrow.encode_query(query) @ narrow.encode_document(document))
    assert np.mean(estimates) == pytest.approx(expected, abs=3 * np.std(estimates) / np.sqrt(30))


def test_the_seed_decides() -> None:
    (text,) = make_texts(1, seed=7)
    first, again, other = (
        FixedDimensionalEncoder(32, MuveraConfig(seed=seed)).encode_document(text) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_a_text_without_vectors() -> None:
    encoder = FixedDimensionalEncoder(32, MuveraConfig(2, 2, 4))
    nothing = np.empty((0, 32), np.float32)
    assert not encoder.encode_document(nothing).any()
    assert not encoder.encode_query(nothing).any()


@pytest.mark.parametrize("similarity", ["mean", "sum"])
def test_the_scorer_estimates_the_model_s_maxsim(late, similarity: str, monkeypatch) -> None:
    exact = load_scorer(late, similarity=similarity)
    scorer = load_scorer(late, similarity=similarity, muvera=MuveraConfig(200, 8, 8))
    scores, expected = scorer.score(PAIRS), exact.score(PAIRS)
    assert np.corrcoef(scores, expected)[0, 1] > 0.95
    encoder = scorer.encoder
    queries, documents = (
        [text.numpy() for text in texts]
        for texts in (exact.encode_queries(TEXTS), exact.encode_documents(TEXTS))
    )
    matrix = np.array(
        [[encoder.encode_query(q) @ encoder.encode_document(d) for d in documents] for q in queries]
    )
    matrix /= 16 if similarity == "mean" else 1
    np.testing.assert_allclose(scores, matrix.ravel(), rtol=1e-4, atol=1e-5)
    monkeypatch.setattr("pubvec.encoder.muvera.DOCUMENTS_PER_BLOCK", 4)
    monkeypatch.setattr("pubvec.encoder.scorer._PAIRS_PER_BLOCK", 7)
    blocks = list(scorer.iter_scores(scorer.encode_queries(TEXTS), TEXTS))
    assert [block.shape for block in blocks] == [(10, 4), (10, 4), (10, 2)]
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), matrix, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scorer.score(PAIRS), scores, rtol=1e-4, atol=1e-5)
    assert scorer.score([]).shape == (0,)
    assert (scorer.name, scorer.kind, scorer.dim) == ("late-muvera", "late interaction", 200 * 2**8 * 8)
    assert scorer.definition == f"{exact.definition}, estimated by encodings of 409,600 numbers (MUVERA)"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_repetitions": 0}, "n_repetitions must be at least 1, found 0"),
        ({"projected_dim": 0}, "projected_dim must be at least 1"),
        ({"final_dim": 0}, "final_dim must be at least 1"),
        ({"n_bits": 13}, r"n_bits must be 0 to 12 \(4,096 buckets\), found 13"),
        ({"seed": -1}, "the seed must be at least 0"),
    ],
)
def test_bad_settings(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=f"muvera: {message}"):
        MuveraConfig(**settings)
