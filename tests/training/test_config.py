import pytest

from pubvec.errors import ConfigError
from pubvec.training.config import AlignConfig, ContrastConfig, RerankerConfig, ScoresConfig


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (AlignConfig, {"batch_size": 0}, "batch_size must be above 0, not 0"),
        (AlignConfig, {"method": "svd"}, "method must be one of projection, pca, not 'svd'"),
        (AlignConfig, {"distance": "dot"}, "distance must be one of"),
        (RerankerConfig, {"n_negatives": -1}, "n_negatives must be 0 or above"),
        (ScoresConfig, {"n_negatives": 0}, "n_negatives must be 1 or above"),
        (ContrastConfig, {"warmup_fraction": 1.5}, "warmup_fraction must lie between 0 and 1"),
        (ContrastConfig, {"student_temperature": 0.0}, "student_temperature must be above 0"),
        (ContrastConfig, {"in_batch_weight": -1.0}, "in_batch_weight must be above 0"),
        (ContrastConfig, {"correlation_weight": 0.0}, "correlation_weight must be above 0"),
        (ContrastConfig, {"dropout": 1.5}, "dropout must lie between 0 and 1"),
        (AlignConfig, {"precision": "fp16"}, "precision must be one of bf16, fp32, not 'fp16'"),
    ],
)
def test_settings_out_of_range_are_refused(config, settings, message):
    with pytest.raises(ConfigError, match=message):
        config(**settings)


def test_off_is_none():
    assert ContrastConfig(in_batch_weight=None).in_batch_weight is None
