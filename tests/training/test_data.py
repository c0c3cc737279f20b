import pytest

from pubvec.errors import ConfigError, InputError
from pubvec.training.config import ContrastConfig, StageConfig
from pubvec.training.data import distinct_texts, read_pairs, read_queries


def test_sample_depends_on_the_seed_alone(pairs):
    first = read_pairs(pairs, StageConfig(n_pairs=10, seed=3))
    assert first.equals(read_pairs(pairs, StageConfig(n_pairs=10, seed=3)))
    assert not first.equals(read_pairs(pairs, StageConfig(n_pairs=10, seed=4)))


def test_negatives_are_cut_to_the_number_asked_for(pairs):
    assert {len(row) for row in read_pairs(pairs, StageConfig(), n_negatives=2)["negatives"].to_pylist()} == {
        2
    }
    assert {len(row) for row in read_pairs(pairs, StageConfig())["negatives"].to_pylist()} == {0}


def test_too_few_negatives_say_what_to_do(pairs):
    with pytest.raises(InputError, match="no pair with 9 negatives or more: lower n_negatives"):
        read_pairs(pairs, StageConfig(), n_negatives=9)


def test_unfinished_folder_names_the_verb(tmp_path):
    with pytest.raises(InputError, match="`pubvec pairs` makes it"):
        read_pairs(tmp_path, StageConfig())


def test_distinct_texts_keep_their_order(pairs):
    texts = distinct_texts(read_pairs(pairs, StageConfig(n_pairs=5)))
    assert len(texts) == 10
    assert texts[0].startswith("effect of")


def test_queries_of_scores_come_with_their_logits(scored_pairs):
    table, logits = read_queries(scored_pairs, ContrastConfig(n_pairs=7))
    assert logits is not None
    assert logits.shape == (7, 3)
    assert {len(row) for row in table["candidates"].to_pylist()} == {3}
    _, fewer = read_queries(scored_pairs, ContrastConfig(n_pairs=7, n_negatives=1))
    assert fewer is not None
    assert fewer.tolist() == logits[:, :2].tolist()


@pytest.mark.parametrize("n_negatives", [0, 3])
def test_scores_have_only_so_many_negatives(scored_pairs, n_negatives):
    with pytest.raises(InputError, match=f"has 2 negatives a query: n_negatives cannot be {n_negatives}"):
        read_queries(scored_pairs, ContrastConfig(n_negatives=n_negatives))


@pytest.mark.parametrize(("n_negatives", "n_candidates"), [(None, 1), (2, 3)])
def test_queries_of_pairs_have_no_logits(pairs, n_negatives, n_candidates):
    table, logits = read_queries(pairs, ContrastConfig(n_pairs=5, n_negatives=n_negatives))
    expected = read_pairs(pairs, StageConfig(n_pairs=5), n_negatives=n_negatives or 0)
    assert logits is None
    assert table["query"].to_pylist() == expected["anchor"].to_pylist()
    for row, positive, negatives in zip(
        table["candidates"].to_pylist(),
        expected["positive"].to_pylist(),
        expected["negatives"].to_pylist(),
        strict=True,
    ):
        assert row == [positive, *negatives]
        assert len(row) == n_candidates


def test_each_source_may_have_a_sample_of_its_own_size(pairs):
    table, _ = read_queries([pairs, pairs], ContrastConfig(n_pairs=9, source_pairs=(3, 5)))
    sizes = [read_pairs(pairs, StageConfig(n_pairs=n))["anchor"].to_pylist() for n in (3, 5)]
    assert table["query"].to_pylist() == [*sizes[0], *sizes[1]]
    with pytest.raises(ConfigError, match="source_pairs has 1 numbers for 2 sources: give one for each"):
        read_queries([pairs, pairs], ContrastConfig(source_pairs=(3,)))
    with pytest.raises(ConfigError, match="source_pairs must hold numbers above 0, not 0"):
        ContrastConfig(source_pairs=(3, 0))
