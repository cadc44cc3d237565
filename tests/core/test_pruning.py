"""Claims about the pruning of Theta."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimum_ose.core.pruning import canonical_order, prune_hyperparameters
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError

hyperparameter_sets = st.fixed_dictionaries(
    {"seed": st.integers(0, 4), "learning_rate": st.sampled_from([1e-4, 1e-5, 9e-6]), "decay": st.integers(0, 3)}
)
rated_theta = st.lists(
    st.tuples(hyperparameter_sets, st.floats(0, 1)),
    min_size=1,
    max_size=12,
    unique_by=lambda entry: tuple(sorted(entry[0].items())),
)


def prune(rated):
    return prune_hyperparameters([theta for theta, _ in rated], [accuracy for _, accuracy in rated])


@given(rated_theta)
def test_at_least_one_set_always_goes(rated):
    assert len(prune(rated)) < len(rated)


@given(rated_theta)
def test_every_survivor_was_there_before(rated):
    assert all(any(kept is theta for theta, _ in rated) for kept in prune(rated))


@given(rated_theta.filter(lambda rated: len({accuracy for _, accuracy in rated}) == len(rated)))
def test_the_best_set_stays_and_comes_first_unless_it_is_alone(rated):
    best = max(rated, key=lambda entry: entry[1])[0]
    assert prune(rated)[:1] == ((best,) if len(rated) > 1 else ())


@given(rated_theta.filter(lambda rated: len(rated) > 1))
def test_the_worst_set_goes(rated):
    lowest = min(accuracy for _, accuracy in rated)
    worst = [theta for theta, accuracy in rated if accuracy == lowest]
    assert any(theta not in prune(rated) for theta in worst)


@given(rated_theta, st.randoms(use_true_random=False))
def test_the_order_of_theta_changes_no_result(rated, random):
    shuffled = list(rated)
    random.shuffle(shuffled)
    assert prune(shuffled) == prune(rated)


@given(rated_theta)
def test_repeated_pruning_ends_with_an_empty_theta(rated):
    rounds = 0
    while rated:
        kept = prune(rated)
        rated = [entry for entry in rated if entry[0] in kept]
        rounds += 1
    assert rounds <= 12


def test_the_sets_that_share_most_with_the_worst_go_with_it():
    theta = [
        {"lr": 1, "decay": 1, "seed": 1},
        {"lr": 2, "decay": 2, "seed": 0},
        {"lr": 1, "decay": 0, "seed": 0},
        {"lr": 0, "decay": 0, "seed": 0},
    ]
    assert prune_hyperparameters(theta, [0.9, 0.8, 0.7, 0.1]) == (theta[0], theta[1])


def test_a_worst_set_that_shares_nothing_goes_alone():
    theta = [{"lr": 1}, {"lr": 2}, {"lr": 3}]
    assert prune_hyperparameters(theta, [0.5, 0.9, 0.1]) == (theta[1], theta[0])


def test_the_canonical_order_ignores_the_order_of_names_and_sets():
    one, other = {"a": 1, "b": 2}, {"b": 1, "a": 2}
    assert canonical_order([other, one]) == canonical_order([one, dict(reversed(other.items()))])


@given(rated_theta)
def test_the_variant_worst_removes_one_set_and_half_keeps_the_better_half(rated):
    theta, accuracies = [item for item, _ in rated], [accuracy for _, accuracy in rated]
    best_first = sorted(accuracies, reverse=True)
    for variant, num_kept in (("worst", len(rated) - 1), ("half", len(rated) // 2)):
        kept = prune_hyperparameters(theta, accuracies, variant=variant)
        assert [accuracies[theta.index(item)] for item in kept] == best_first[:num_kept]


def test_an_unknown_variant_is_refused():
    with pytest.raises(InvalidConfigError, match=r"one of common-subsequence, worst, half; got 'best'\. Choose"):
        prune_hyperparameters([{}], [0.5], variant="best")


@pytest.mark.parametrize(("theta", "accuracies"), [([], []), ([{}], [0.1, 0.2]), ([{}], [float("nan")])])
def test_missing_or_failed_accuracies_are_refused(theta, accuracies):
    with pytest.raises(InvalidDataError, match=r"one finite accuracy; got .* Hand in one accuracy per set"):
        prune_hyperparameters(theta, accuracies)
