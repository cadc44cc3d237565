import itertools

import numpy as np
import pytest

from optimum_ose.core.features import axis_features
from optimum_ose.core.surrogates import fit_surrogate

COLUMNS = {
    axis: column.ravel()
    for axis, column in zip("abc", np.meshgrid([1, 2, 4, 8], [3, 6, 12, 24], [5, 7], indexing="ij"), strict=True)
}
FEATURES = axis_features(COLUMNS)
POWER_LAW = 1.0 - 0.3 * np.log(COLUMNS["a"]) - 0.2 * np.log(COLUMNS["b"])


def draw(number, seed=0):
    return np.random.default_rng(seed).permutation(len(FEATURES))[:number]


def fit(observed, log_errors, noise=None, floor=0.0):
    """Replicates are repeated entries of `observed`."""
    candidates = np.unique(observed)
    groups = [log_errors[observed == candidate] for candidate in candidates]
    return fit_surrogate(
        FEATURES,
        candidates,
        np.array([group.mean() for group in groups]),
        counts=np.array([float(len(group)) for group in groups]),
        scatter=sum(float(np.sum((group - group.mean()) ** 2)) for group in groups),
        degrees=float(len(observed) - len(candidates)),
        noise=noise,
        noise_floor=floor,
    )


def test_features_are_logs_of_range_one_and_leave_out_what_does_not_vary():
    features = axis_features({**COLUMNS, "fixed": np.full(len(COLUMNS["a"]), 7)})
    assert features.shape == (32, 3)
    assert features.min() == 0
    assert features.max() == 1
    assert np.allclose(np.unique(features[:, 0]), [0, 1 / 3, 2 / 3, 1])


def test_axes_that_vary_together_count_once():
    family = np.array([2, 4, 8, 16])
    features = axis_features({"depth": family, "width": 64 * family, "fixed": np.full(4, 7)})
    assert features.shape == (4, 1)
    assert np.allclose(features[:, 0], [0, 1 / 3, 2 / 3, 1])
    assert axis_features({"a": np.array([3])}).shape == (1, 0)


def test_a_power_law_is_predicted_almost_exactly_from_ten_points():
    observed = draw(10)
    posterior = fit(observed, POWER_LAW[observed], noise=0.0)
    assert np.allclose(posterior.mean(np.arange(32)), POWER_LAW, atol=1e-3)


@pytest.mark.parametrize("observed", [draw(6), np.repeat(draw(2), 10)])
def test_too_few_points_give_no_surrogate(observed):
    assert fit(observed, POWER_LAW[observed]) is None


def test_probabilities_rise_with_the_threshold_from_zero_to_one():
    observed = draw(12)
    posterior = fit(observed, POWER_LAW[observed] + 0.05 * np.random.default_rng(1).standard_normal(12))
    candidates = np.arange(32)
    levels = [posterior.probability_below(candidates, POWER_LAW + shift) for shift in (-9, -0.1, 0, 0.1, 9)]
    assert all((low <= high).all() for low, high in itertools.pairwise(levels))
    assert levels[0].max() < 0.01
    assert levels[-1].min() > 0.99


def test_a_candidate_is_certainly_not_below_itself():
    observed = draw(12)
    posterior = fit(observed, POWER_LAW[observed])
    assert posterior.probability_below(np.array([5]), np.array([-1e-6]), reference=5)[0] < 0.01


def test_replicates_reveal_the_noise():
    observed = np.repeat(draw(12), 3)
    noise = 0.05 * np.random.default_rng(3).standard_normal(len(observed))
    posterior = fit(observed, POWER_LAW[observed] + noise)
    assert 0.03 < posterior.noise_quantile(0.5) < 0.08
    assert posterior.noise_quantile(0.5) <= posterior.noise_quantile(0.95)


def test_noise_is_never_below_its_floor():
    observed = draw(12)
    assert fit(observed, POWER_LAW[observed], floor=0.07).noise_quantile(0.01) >= 0.07


def test_intervals_hold_on_random_smooth_errors():
    below = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        slopes = generator.uniform(0, 1, 3)
        truth = np.log(generator.uniform(0, 0.5) + np.exp(-FEATURES @ slopes)) + 0.0
        observed = draw(12, seed)
        posterior = fit(observed, truth[observed] + 0.02 * generator.standard_normal(12), noise=0.02)
        rest = np.setdiff1d(np.arange(32), observed)
        below.append(posterior.probability_below(rest, truth[rest]))
    shares = np.concatenate(below)
    assert np.mean(shares < 0.01) < 0.015
    assert np.mean(shares < 0.1) < 0.12


def test_many_replicates_of_one_candidate_pull_its_mean_neither_up_nor_down():
    observed = np.concatenate([draw(12), np.full(200, draw(12)[0])])
    generator = np.random.default_rng(5)
    posterior = fit(observed, POWER_LAW[observed] + 0.05 * generator.standard_normal(len(observed)))
    assert posterior.mean(draw(1))[0] == pytest.approx(POWER_LAW[draw(1)][0], abs=0.02)
    assert 0.04 < posterior.noise_quantile(0.5) < 0.06
