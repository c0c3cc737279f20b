import pytest

from pubvec.errors import InputError
from pubvec.training.config import StageConfig
from pubvec.training.data import distinct_texts, read_pairs


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
