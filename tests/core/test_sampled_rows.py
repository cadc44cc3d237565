import math

import numpy as np
import pytest
import row_populations
import sampled_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.core.mean_tests import log_evidence, smallest_number
from optimum_ose.core.multiplier_bootstrap import MultiplierBootstrap, bonferroni_quantile
from optimum_ose.core.row_errors import RowErrors
from optimum_ose.core.sampled_rows import error_gap_bound, ratio_bound
from optimum_ose.exceptions import InvalidDataError

PROMISED = [setting for setting in row_populations.SETTINGS if setting.is_promised]
QUICK = [setting for setting in PROMISED if setting.num_candidates <= 3]


def sample(errors, savings=None, **arguments):
    errors = np.asarray(errors, dtype=np.float64)
    return RowErrors(errors=errors, savings=np.ones(len(errors)) if savings is None else savings, **arguments)


@pytest.mark.parametrize("setting", QUICK, ids=lambda setting: setting.name)
def test_few_claims_from_sampled_rows_are_false(setting):
    found = list(row_populations.claims(setting, num_draws=40, alpha=0.05))
    assert sampled_rows.is_kept(sum(claim.is_false for claim in found), 40)
    assert sampled_rows.is_kept(sum(claim.is_gap_false for claim in found), 40)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("setting", PROMISED, ids=lambda setting: setting.name)
def test_false_claims_from_sampled_rows_stay_within_alpha_in_a_thousand_samples(setting, alpha):
    found = list(row_populations.claims(setting, num_draws=1000, alpha=alpha))
    assert sampled_rows.is_kept(sum(claim.is_false for claim in found), 1000, alpha)
    assert sampled_rows.is_kept(sum(claim.is_gap_false for claim in found), 1000, alpha)


def test_the_simulation_catches_a_bound_that_ignores_rows_which_were_not_seen():
    (setting,) = [setting for setting in row_populations.SETTINGS if not setting.is_promised]
    found = list(row_populations.claims(setting, num_draws=150, alpha=0.05))
    assert not sampled_rows.is_kept(sum(claim.is_gap_false for claim in found), 150)


def test_rows_without_luck_prove_nearly_everything():
    errors = np.tile([[0.2], [0.3], [0.4]], 400) + 1e-3 * np.random.default_rng(0).standard_normal((3, 400))
    assert ratio_bound(sample(errors), 0, alpha=0.01).value == 1.0
    assert error_gap_bound(sample(errors), 0, alpha=0.01).value == 0.0
    assert error_gap_bound(sample(errors), 2, alpha=0.01).value == pytest.approx(0.2, abs=0.01)


def test_more_rows_prove_more():
    generator = np.random.default_rng(3)
    errors = generator.gamma(2, 1, size=8000) + generator.gamma(1, 0.3, size=(5, 8000))
    few, many = (ratio_bound(sample(errors[:, :n]), 0, alpha=0.01).value for n in (200, 8000))
    assert few < many < 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_units_of_errors_and_savings_and_the_order_of_rows_and_candidates_change_nothing(seed, scale):
    generator = np.random.default_rng(seed)
    errors, savings = generator.gamma(1, 1, size=(4, 60)) + 0.5, generator.uniform(0.5, 1, size=4)
    one = ratio_bound(sample(errors, savings), 1, alpha=0.05).value
    other = ratio_bound(sample(scale * errors, savings / 3), 1, alpha=0.05).value
    assert other == pytest.approx(one, abs=1e-3)
    mixed = errors[::-1][:, generator.permutation(60)]
    assert ratio_bound(sample(mixed, savings[::-1]), 2, alpha=0.05).value == pytest.approx(one, abs=0.03)


def test_a_wrong_answer_that_was_never_seen_is_allowed_for_where_the_range_is_known():
    errors = np.zeros((2, 100))
    errors[1, :5] = 1
    unseen = ratio_bound(sample(errors, highest=1.0), 0, alpha=0.01)
    assert unseen.method == "betting"
    assert unseen.value < 0.6
    assert error_gap_bound(sample(errors, highest=1.0), 0, alpha=0.01).value > 0


def test_candidates_that_failed_or_save_nothing_are_no_rivals():
    errors = np.random.default_rng(1).uniform(0.4, 0.6, size=(4, 200))
    errors[2, 7] = math.nan
    errors[3] /= 100
    found = ratio_bound(sample(errors, np.array([1.0, 0.2, 1.0, 0.0])), 0, alpha=0.01)
    assert found.value == 1.0
    assert ratio_bound(sample(errors, np.array([1.0, 0.2, 1.0, 0.0])), 3, alpha=0.01).value == 0.0


def test_the_number_of_rows_that_is_told_is_about_enough():
    generator = np.random.default_rng(5)
    errors = generator.gamma(2, 1, size=20000) + generator.gamma(1, 0.3, size=(3, 20000)) * [[1.0], [1.1], [1.2]]
    told = ratio_bound(sample(errors[:, :300]), 0, alpha=0.01, target=0.98)
    assert told.value < 0.98
    assert told.rows_needed is not None
    assert 300 < told.rows_needed < 20000
    assert ratio_bound(sample(errors[:, : 2 * told.rows_needed]), 0, alpha=0.01).value >= 0.98


def test_no_number_of_rows_proves_what_the_rows_contradict():
    assert smallest_number(np.full(50, -0.1) + np.linspace(0, 0.05, 50), 2.0) == math.inf


def test_evidence_is_an_e_value():
    generator = np.random.default_rng(0)
    draws = np.where(generator.random((4000, 40)) < 0.5, -1.0, 1.0)
    assert np.exp(log_evidence(draws, np.full(4000, -1.0))).mean() < 1.3
    assert np.mean(log_evidence(draws, np.full(4000, -1.0)) > math.log(20)) < 0.05


def test_critical_values_lie_between_one_comparison_and_bonferroni():
    generator = np.random.default_rng(0)
    shared = generator.standard_normal(500) + 0.01 * generator.standard_normal((40, 500))
    apart = generator.standard_normal((40, 500))
    single, all_of_them = bonferroni_quantile(0.05, 1), bonferroni_quantile(0.05, 40)
    every = np.arange(40)
    correlated = MultiplierBootstrap(shared, seed=0).quantile_of_largest(every, 0.05)
    independent = MultiplierBootstrap(apart, seed=0).quantile_of_largest(every, 0.05)
    assert single <= correlated < single + 0.1
    assert all_of_them - 0.15 < independent <= all_of_them


def test_identical_candidates_are_no_evidence():
    errors = np.ones((3, 1)) * np.random.default_rng(0).uniform(size=100)
    assert ratio_bound(sample(errors), 0, alpha=0.05).value < 1
    assert MultiplierBootstrap(errors, seed=0).quantile_against(0, 0.05) == bonferroni_quantile(0.05, 2)


@pytest.mark.parametrize(
    ("errors", "arguments", "message"),
    [
        (np.ones((2, 3)), {}, "at least 8 rows; 3 came"),
        (np.ones(9), {"savings": np.ones(9)}, "shapes"),
        (np.full((2, 9), 2.0), {"highest": 1.0}, "between 0 and 1; errors from 2 to 2 came"),
        (np.full((2, 9), -1.0), {}, "between 0 and inf"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(errors, arguments, message):
    with pytest.raises(InvalidDataError, match=message):
        sample(errors, **arguments)
