import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.fptas import extract
from optimum_ose.core.question import Admitted, pose_question
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import InfeasibleError, InvalidArchitectureError, InvalidConfigError, InvalidDataError

GRID = [
    Architecture(depth=d, width=w, inner=i)
    for d, w, i in itertools.product((1, 2, 4, 6), (8, 16, 24, 32), (16, 32, 64))
]
SPACE = SearchSpace.of(GRID)


def size(architectures):
    return [a.depth * a.width * (a.width + a.inner) + 100 * a.width for a in architectures]


def cost(architectures):
    return [a.depth * a.width * (2 * a.width + a.inner) for a in architectures]


def power_law(architecture, theta=None):
    return 0.1 + (architecture.depth * architecture.width**2) ** -0.3 * architecture.inner**-0.1


def rough(seed, space=SPACE):
    """A random error that falls in steps along every axis."""
    generator = np.random.default_rng(seed)
    falls = {
        axis: dict(zip(values, np.cumsum(generator.exponential(size=len(values))), strict=True))
        for axis, values in space.axes.items()
    }
    return lambda architecture, theta=None: math.exp(
        -0.3 * sum(falls[axis][value] for axis, value in architecture.items())
    )


def noisy(error, noise, seed=0):
    generator = np.random.default_rng(seed)
    return lambda architecture, theta: error(architecture) * math.exp(noise * generator.standard_normal())


def search(error=power_law, space=SPACE, **arguments):
    return extract(space, **{"parameter_size": size, "inference_cost": cost, "error": error} | arguments)


def true_ratio(result, error, space=SPACE):
    largest = size([space.maximum_point])[0], cost([space.maximum_point])[0]

    def w(a):
        return (1 - size([a])[0] / largest[0]) * (1 - cost([a])[0] / largest[1]) / error(a)

    return w(result.architecture) / max(map(w, space))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.02, 0.1, 0.3]))
def test_the_certified_winner_is_within_epsilon_of_the_exhaustive_one(seed, epsilon):
    error = rough(seed)
    exhaustive = search(error, method="exhaustive")
    certified = search(error, epsilon=epsilon, noise=0.0, seed=seed)
    assert certified.certificate.satisfied
    assert certified.w >= (1 - epsilon) * exhaustive.w
    assert certified.certificate.ratio <= certified.w / exhaustive.w + 1e-9
    assert certified.certificate.upper_bound >= exhaustive.w * (1 - 1e-9)
    assert certified.certificate.num_evaluations <= len(SPACE)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.02, 0.1, 0.3]), st.integers(0, len(GRID) - 1))
def test_the_least_error_under_a_bound_is_found_within_epsilon(seed, epsilon, bound):
    error, limit = rough(seed), size([GRID[bound]])[0]
    asked = {"objective": "error", "constraints": [lambda _, p, __: p <= limit], "noise": 0.0}
    least = min(error(architecture) for architecture in GRID if size([architecture])[0] <= limit)
    exhaustive = search(error, method="exhaustive", **asked)
    certified = search(error, epsilon=epsilon, seed=seed, **asked)
    assert exhaustive.objectives.error == least
    assert least >= (1 - epsilon) * certified.objectives.error
    assert certified.certificate.satisfied
    assert certified.certificate.ratio <= least / certified.objectives.error + 1e-9
    assert certified.w == pytest.approx(1 / certified.objectives.error)


def test_the_certificate_says_that_the_error_was_the_objective():
    found = search(objective="error", method="exhaustive", constraints=[lambda _, p, __: p <= 3000])
    assert "the least error of" in found.certificate.statement
    assert "W of the winner" not in str(found)
    with pytest.raises(InvalidConfigError, match="objective is w-coefficient or error"):
        search(objective="size")


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_exhaustive_finds_the_best_and_proves_a_ratio_of_one(seed):
    table = {a: float(np.random.default_rng([seed, k]).uniform(0.1, 1)) for k, a in enumerate(SPACE)}
    result = search(lambda a, theta: table[a], method="exhaustive")
    assert true_ratio(result, table.__getitem__) == 1
    assert result.certificate.ratio == 1
    assert result.certificate.assumption == "exhaustive"
    assert result.certificate.num_trained == len(SPACE)


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_an_interval_of_one_is_the_exhaustive_method(seed):
    stride, exhaustive = search(rough(seed), method="stride"), search(rough(seed), method="exhaustive")
    assert stride == exhaustive


@given(st.integers(1, len(GRID)))
@settings(max_examples=20, deadline=None)
def test_the_stride_trains_every_nth_candidate_by_size_and_both_ends(interval_size):
    result = search(method="stride", interval_size=interval_size)
    trained = [evaluation.architecture for evaluation in result.evaluations]
    ordered = sorted(SPACE, key=lambda a: (size([a]), cost([a]), a))
    assert math.ceil(len(SPACE) / interval_size) <= len(trained) <= math.ceil(len(SPACE) / interval_size) + 1
    assert trained[0] == ordered[0]
    assert trained[-1] == ordered[-1]
    assert trained[:-1] == ordered[::interval_size][: len(trained) - 1]


@given(st.integers(0, 10**6), st.integers(2, 24))
@settings(max_examples=25, deadline=None)
def test_the_ratio_of_the_stride_is_never_more_than_the_truth(seed, interval_size):
    error = rough(seed)
    result = search(error, method="stride", interval_size=interval_size)
    assert result.certificate.assumption == "monotone"
    assert result.certificate.ratio <= true_ratio(result, error) + 1e-9


@given(st.permutations(GRID), st.permutations([{"lr": 1}, {"lr": 2}, {"lr": 3}]))
@settings(max_examples=10, deadline=None)
def test_permuting_candidates_or_hyperparameters_changes_no_winner(architectures, hyperparameters):
    def error(architecture, theta):
        return power_law(architecture) * (1 + abs(theta["lr"] - 2))

    result = search(error, SearchSpace.of(architectures), hyperparameters=hyperparameters, noise=0.0)
    reference = search(error, hyperparameters=[{"lr": 1}, {"lr": 2}, {"lr": 3}], noise=0.0)
    assert (result.architecture, result.theta) == (reference.architecture, {"lr": 2})


def test_every_call_of_the_error_is_an_evaluation_and_is_told():
    calls, told = [], []

    def error(architecture, theta):
        calls.append((architecture, theta["lr"]))
        return power_law(architecture) * theta["lr"]

    result = search(error, hyperparameters=[{"lr": 1}, {"lr": 2}], on_evaluation=told.append, noise=0.05)
    assert [(entry.architecture, entry.theta["lr"]) for entry in result.evaluations] == calls
    assert tuple(told) == result.evaluations
    assert result.certificate.num_evaluations == len(calls)


@pytest.mark.parametrize("noise", [0.0, None])
def test_two_runs_are_equal(noise):
    runs = [search(noisy(power_law, noise or 0.03), noise=noise, seed=3) for _ in range(2)]
    assert runs[0] == runs[1]
    assert str(runs[0]) == str(runs[1])


def test_a_search_resumes_by_replaying_the_errors_it_had_seen():
    whole = search(noisy(power_law, 0.03, seed=1))
    seen = [entry.objectives.error for entry in whole.evaluations]
    for killed_after in (1, len(seen) // 2, len(seen) - 1):
        fresh = iter(seen[killed_after:])
        journal = iter(seen[:killed_after])
        assert search(lambda a, theta, journal=journal, fresh=fresh: next(journal, None) or next(fresh)) == whole


def test_unknown_noise_is_measured_by_replicates():
    result = search(noisy(power_law, 0.05, seed=2), epsilon=0.2)
    assert len(result.evaluations) > result.certificate.num_trained
    assert 0.02 < result.certificate.noise < 0.15
    assert result.certificate.satisfied


def test_a_small_budget_goes_to_different_candidates_and_a_larger_one_to_the_best_again():
    small, large = (search(noisy(power_law, 0.1, seed=4), max_evaluations=number) for number in (12, 17))
    assert small.certificate.num_trained == 12
    trained = [entry.architecture for entry in large.evaluations]
    first, again = trained[:14], trained[14:]
    assert len(set(first)) == 14
    best = sorted(large.evaluations[:14], key=lambda entry: -entry.w)[:3]
    assert again == [entry.architecture for entry in best]


@pytest.mark.parametrize("noise", [0.02, 0.05])
@pytest.mark.parametrize("told", [True, False])
def test_a_certificate_under_noise_is_true(noise, told):
    for seed in range(12):
        error = rough(seed)
        result = search(noisy(error, noise, seed), noise=noise if told else None, epsilon=0.1, seed=seed)
        assert not result.certificate.satisfied or true_ratio(result, error) >= 0.9


def test_exhaustive_training_proves_less_the_noisier_the_errors():
    ratios = [search(method="exhaustive", noise=noise).certificate.ratio for noise in (0.0, 0.01, 0.05)]
    assert ratios[0] == 1 > ratios[1] > ratios[2]


def test_failed_trainings_are_recorded_and_never_win():
    best = search(method="exhaustive").architecture

    def error(architecture, theta):
        return math.nan if architecture == best else power_law(architecture)

    result = search(error, method="exhaustive")
    failed = [entry for entry in result.evaluations if entry.failed]
    assert [entry.architecture for entry in failed] == [best]
    assert failed[0].w == 0
    assert result.architecture != best
    assert best not in [entry.architecture for entry in result.pareto_front]


def test_certified_search_survives_failures():
    def error(architecture, theta):
        return math.inf if architecture.depth == 6 else power_law(architecture)

    result = search(error, noise=0.0)
    assert result.architecture.depth < 6
    assert result.certificate.num_trained < len(SPACE)


def test_a_theta_that_fails_leaves_the_others():
    result = search(
        lambda a, theta: math.nan if theta["lr"] == 9 else power_law(a),
        hyperparameters=[{"lr": 9}, {"lr": 1}],
        noise=0.0,
    )
    assert result.theta == {"lr": 1}


def test_a_search_whose_trainings_all_fail_stops_early_and_says_so():
    calls = []
    with pytest.raises(InfeasibleError, match="finite error; all of the first .* ended with NaN or infinity"):
        search(lambda a, theta: calls.append(a) or math.nan)
    assert len(calls) < len(SPACE) / 2


@pytest.mark.parametrize("method", ["certified", "stride", "exhaustive"])
def test_a_limit_on_the_error_binds_the_winner(method):
    limit = 0.17
    result = search(method=method, max_error=limit, noise=0.0)
    allowed = [a for a in SPACE if power_law(a) <= limit]
    assert power_law(result.architecture) <= limit < power_law(search(method=method, noise=0.0).architecture)
    best = max(allowed, key=lambda a: search(space=SearchSpace.of([a], maximum_point=SPACE.maximum_point)).w)
    assert result.w >= 0.95 * search(space=SearchSpace.of([best], maximum_point=SPACE.maximum_point)).w
    assert result.certificate.satisfied


def test_a_limit_on_the_error_that_nothing_meets_is_refused_after_few_trainings():
    calls = []
    with pytest.raises(InfeasibleError, match="not above max_error; the smallest error of .* is 0.1"):
        search(lambda a, theta: calls.append(a) or power_law(a), max_error=0.05, noise=0.0)
    assert len(calls) < len(SPACE) / 2


def test_constraints_restrict_the_candidates():
    result = search(constraints=[lambda a, p, i: p <= 9_000, lambda a, p, i: a.depth > 1], noise=0.0)
    allowed = [a for a in SPACE if size([a])[0] <= 9_000 and a.depth > 1]
    assert result.architecture in allowed
    assert all(entry.architecture in allowed for entry in result.evaluations)
    assert result.certificate.num_candidates == len(allowed)


def test_a_mask_restricts_the_candidates_as_a_predicate_does():
    mask = np.array([a.depth <= 2 for a in SPACE])
    one = search(method="exhaustive", constraints=[Admitted(mask, name="shallow")])
    other = search(method="exhaustive", constraints=[lambda a, p, i: a.depth <= 2])
    assert one == other
    with pytest.raises(InfeasibleError, match=r"the tightest, number 1 \(shallow\), lets 0 pass"):
        search(constraints=[Admitted(np.zeros(len(SPACE), dtype=bool), name="shallow")])
    with pytest.raises(InvalidArchitectureError, match="A mask tells of each of the 48 candidates"):
        search(constraints=[Admitted(mask[:5], name="shallow")])


def test_a_million_candidates_are_restricted_without_making_one():
    space = SearchSpace(
        {"depth": range(1, 101), "width": range(8, 808, 8), "inner": range(8, 808, 8)},
        maximum_point=Architecture(depth=100, width=800, inner=800),
    )
    columns = space.candidates.columns
    question = pose_question(
        space,
        lambda some: columns_size(space.columns(some)),
        lambda some: columns_size(space.columns(some)),
        maximum_point=None,
        constraints=[Admitted(columns["width"] <= 16, name="narrow")],
        max_error=None,
    )
    assert len(space) == 10**6
    assert len(question.candidates) == 20_000


def columns_size(columns):
    return columns["depth"] * columns["width"] * columns["inner"]


def test_constraints_that_nothing_meets_name_the_tightest_and_the_smallest_values():
    def max_latency(architecture, p, i):
        return i < 100

    with pytest.raises(
        InfeasibleError, match=r"number 2 \(max_latency\), lets 0 pass. The smallest p is 992 and the smallest i 256"
    ):
        search(constraints=[lambda a, p, i: p < 5000, max_latency])


def test_a_budget_ends_the_search_and_the_ratio_reached_is_told():
    result = search(rough(0), max_evaluations=9, epsilon=0.01, noise=0.0)
    assert result.certificate.num_evaluations == 9
    assert not result.certificate.satisfied
    assert "NOT satisfied" in result.certificate.statement
    assert 0 <= result.certificate.ratio <= true_ratio(result, rough(0))


def test_a_candidate_is_trained_with_every_theta_or_not_at_all():
    result = search(hyperparameters=[{"lr": k} for k in range(4)], max_evaluations=10)
    trained = {entry.architecture for entry in result.evaluations if entry.theta["lr"] == 3}
    assert len(trained) == 2
    assert result.certificate.num_evaluations <= 10
    assert result.certificate.num_trained == 2


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_tiny_space_is_searched_exhaustively(number):
    space = SearchSpace.of(GRID[:number], maximum_point=SPACE.maximum_point)
    result = search(space=space)
    assert result.certificate.assumption == "exhaustive"
    assert result.certificate.ratio == 1


def test_a_space_of_the_maximum_point_alone_has_a_winner_of_w_zero():
    result = search(space=SearchSpace.of([SPACE.maximum_point]))
    assert result.w == 0
    assert result.certificate.ratio == 1


def test_the_maximum_point_can_be_given_in_measured_units():
    result = search(maximum_point=(1e6, 1e6), noise=0.0)
    assert result.maximum_point == (1e6, 1e6)
    with pytest.raises(InvalidArchitectureError, match="No candidate exceeds the maximum point's parameter_size, 10;"):
        search(maximum_point=(10, 1e6))


@pytest.fixture(scope="module")
def bort():
    values = itertools.product((2, 4, 6, 8, 10, 12), (4, 8, 12, 16), (512, 768, 1024), (256, 512, 768, 1024, 3072))
    valid = [Architecture(depth=d, heads=a, width=h, inner=i) for d, a, h, i in values if h % a == 0]
    return SearchSpace.of(valid, maximum_point=Architecture(depth=24, heads=16, width=1024, inner=4096))


def test_a_smooth_error_needs_few_trainings(bort):
    result = search(space=bort, noise=0.0)
    assert len(bort) == 300
    assert result.certificate.satisfied
    assert result.certificate.num_evaluations <= 30
    assert true_ratio(result, power_law, bort) >= 0.95


@pytest.mark.parametrize("epsilon", [0.05, 0.1])
def test_the_surrogate_proves_what_was_asked_for_and_no_more(bort, epsilon):
    certificate = search(space=bort, epsilon=epsilon, noise=0.02).certificate
    assert certificate.assumption == "surrogate"
    assert certificate.satisfied
    assert certificate.ratio == 1 - epsilon


def test_a_budget_that_ends_amid_the_challenges_proves_twice_the_loss(bort):
    arguments = {"error": noisy(power_law, 0.02), "space": bort, "noise": 0.02}
    needed = search(**arguments).certificate.num_evaluations
    result = search(**arguments, max_evaluations=needed - 1)
    assert result.certificate.ratio == pytest.approx(0.95**2)
    assert result.certificate.assumption == "surrogate"
    assert not result.certificate.satisfied
    assert result.certificate.ratio <= true_ratio(result, power_law, bort)


def test_a_family_whose_axes_grow_together_is_searched_like_one_axis():
    family = SearchSpace.of([Architecture(depth=k, width=8 * k, inner=16 * k) for k in range(1, 41)])
    result = search(space=family, epsilon=0.1)
    assert result.certificate.satisfied
    assert result.certificate.num_evaluations < 25
    assert true_ratio(result, power_law, family) >= 0.9


def test_noise_that_cannot_be_measured_yet_proves_nothing():
    result = search(noisy(power_law, 0.05), max_evaluations=6)
    assert not result.certificate.satisfied


def test_the_printed_result_names_winner_maximum_point_runners_up_and_certificate():
    result = search(noise=0.0)
    text = str(result)
    assert text.count("runner-up") == 5
    assert "winner" in text
    assert "maximum point" in text
    assert text.endswith(result.certificate.statement)
    assert "satisfied for epsilon = 0.05" in result.certificate.statement


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 0.0}, r"epsilon lies in the open interval \(0, 1\); epsilon=0.0"),
        ({"epsilon": 1.0}, "epsilon lies in the open interval"),
        ({"method": "greedy"}, "method is certified, stride or exhaustive; method='greedy'"),
        ({"interval_size": 0}, "interval_size lies between 1 and the 48 candidates; interval_size=0"),
        ({"interval_size": 49}, "interval_size=49"),
        ({"noise": -0.1}, "noise is a relative standard deviation, zero or greater; noise=-0.1"),
        ({"noise": math.nan}, "noise=nan"),
        ({"hyperparameters": ()}, "at least one theta; it is empty"),
        ({"max_error": 0.0}, "max_error is greater than zero; max_error=0.0"),
        (
            {"max_evaluations": 1, "hyperparameters": ({}, {})},
            "one candidate with every theta; max_evaluations=1 for 2",
        ),
        ({"alpha": 0.5}, "alpha is a probability"),
        ({"epsilon": 2.0, "alpha": 0.0}, "epsilon lies .*; alpha is .*; epsilon=2.0; alpha=0.0"),
    ],
)
def test_a_setting_outside_its_range_is_refused(arguments, message):
    with pytest.raises(InvalidConfigError, match=message):
        search(**arguments)


def test_a_cost_callable_of_the_wrong_shape_is_refused():
    with pytest.raises(InvalidArchitectureError, match=r"one number for each architecture; shape \(\) came"):
        search(parameter_size=lambda architectures: 1.0)


def test_a_negative_error_is_refused():
    with pytest.raises(InvalidDataError, match="An error is zero or greater"):
        search(lambda a, theta: -0.1)


def test_the_search_imports_no_framework():
    code = "import sys, optimum_ose.core.fptas; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
