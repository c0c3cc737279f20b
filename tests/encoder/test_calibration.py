import json
import shutil

import numpy as np
import pytest
from scipy.optimize import minimize

from pubvec.encoder import load
from pubvec.encoder.calibration import Calibration
from pubvec.errors import InputError
from tiny_models import TEXTS


def draw_scores(n_positives: int, n_negatives: int):
    rng = np.random.default_rng(0)
    return rng.normal(0.7, 0.15, n_positives), rng.normal(0.1, 0.1, n_negatives)


def test_fit_is_the_most_likely_curve():
    positive, negative = draw_scores(200, 600)
    fitted = Calibration.fit(positive, negative)

    def loss(curve):
        def mean_loss(scores, target):
            logits = curve[0] * scores + curve[1]
            return (np.logaddexp(0, logits) - target * logits).mean()

        return mean_loss(positive, 201 / 202) + mean_loss(negative, 1 / 602)

    expected = minimize(
        loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-14, "maxiter": 9999}
    )
    assert (fitted.slope, fitted.intercept) == pytest.approx(tuple(expected.x), rel=1e-3)
    assert fitted.apply(np.array([fitted.threshold])) == pytest.approx(0.5, abs=1e-6)


def test_fitted_probabilities_are_those_that_made_the_labels():
    rng = np.random.default_rng(1)
    scores = rng.uniform(-1, 1, 200_000)
    is_positive = rng.random(len(scores)) < 1 / (1 + np.exp(-(6 * scores - 0)))
    fitted = Calibration.fit(scores[is_positive], scores[~is_positive])
    assert fitted.slope == pytest.approx(6, rel=0.02)
    assert fitted.intercept == pytest.approx(0, abs=0.03)


def test_separable_scores_have_a_finite_curve():
    fitted = Calibration.fit(np.full(50, 0.9), np.full(50, 0.1))
    assert 0 < fitted.slope < 1000
    assert fitted.apply(np.array([0.9, 0.1])) == pytest.approx([51 / 52, 1 / 52], abs=1e-3)


def test_probabilities_never_overflow():
    found = Calibration(1e6, 0.0).apply(np.array([-1.0, 0.0, 1.0]))
    assert found.tolist() == [0.0, 0.5, 1.0]
    assert found.dtype == np.float32


@pytest.mark.parametrize(("positive", "negative"), [([], [0.1]), ([0.9], []), ([0.1], [0.9])])
def test_scores_that_show_nothing_are_refused(positive, negative):
    with pytest.raises(InputError, match="show no difference"):
        Calibration.fit(np.array(positive), np.array(negative))


def test_a_folder_keeps_it(tmp_path):
    made = Calibration(12.0, -4.0, {"n_pairs": 3})
    made.write(tmp_path)
    assert Calibration.read(tmp_path) == made
    (tmp_path / "calibration.json").write_text(json.dumps({"slope": 1.0}))
    with pytest.raises(InputError, match="is damaged"):
        Calibration.read(tmp_path)


def test_similarity_is_cosine_or_its_probability(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "tiny")
    model = load(folder)
    with pytest.raises(InputError, match="`pubvec calibrate"):
        model.similarity(TEXTS[:2], TEXTS[2:5], calibrated=True)
    Calibration(12.0, -4.0).write(folder)
    cosines = model.similarity(TEXTS[:2], TEXTS[2:5])
    vectors = model.encode(TEXTS[:5])
    np.testing.assert_allclose(cosines, vectors[:2] @ vectors[2:].T, atol=1e-6)
    found = model.similarity(TEXTS[:2], TEXTS[2:5], calibrated=True)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-(12 * cosines - 4))), atol=1e-6)


def test_the_prior_shifts_the_probability_as_bayes_says():
    curve = Calibration(slope=3.0, intercept=-1.0)
    cosines = np.linspace(-1, 1, 21)
    even = curve.apply(cosines).astype(np.float64)
    rare = curve.apply(cosines, prior=0.01)
    np.testing.assert_allclose(rare, even * 0.01 / (even * 0.01 + (1 - even) * 0.99), rtol=1e-5)
