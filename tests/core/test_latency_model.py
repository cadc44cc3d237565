"""A latency model is non-negative, exact where its form is right, and honest about its error where it is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimum_ose.configuration.latency import LatencySetting
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.costs import SEQUENCE_LENGTH, CostModel
from optimum_ose.core.design import spread
from optimum_ose.core.features import axis_features
from optimum_ose.core.latency_model import LatencyModel, fit_latency_model, latency_terms, work
from optimum_ose.core.polynomial import Polynomial
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError

DEPTH, WIDTH, INNER, LENGTH = (Polynomial.variable(name) for name in ("depth", "hidden", "inner", SEQUENCE_LENGTH))
COSTS = CostModel(
    embedding_parameters=100 * WIDTH,
    other_parameters=DEPTH * (4 * WIDTH**2 + 2 * WIDTH * INNER + 9 * WIDTH + INNER) + 2 * WIDTH,
    multiply_adds=DEPTH * LENGTH * (4 * WIDTH**2 + 2 * WIDTH * INNER + 2 * LENGTH * WIDTH) + WIDTH**2,
)
AXES = {"depth": range(1, 13), "hidden": range(64, 832, 64), "inner": range(128, 3200, 256), "heads": (1, 2, 4)}
SPACE = SearchSpace(AXES, maximum_point=Architecture(depth=12, hidden=768, inner=3072, heads=4), cost_model=COSTS)
TERMS = latency_terms(COSTS, AXES)
COLUMNS = SPACE.candidates.columns
FEATURES = axis_features(COLUMNS)

seeds = st.integers(0, 2**32 - 1)


def truth(generator: np.random.Generator) -> np.ndarray:
    """Latencies, ms, of all candidates: a random sum of half of the kinds of work."""
    shares = generator.exponential(size=len(TERMS)) * (generator.random(len(TERMS)) < 0.5)
    shares[TERMS.index(())] += 0.01
    values = work(TERMS, COLUMNS)
    return values @ (shares / values.max(axis=0)) * generator.uniform(1, 500)


def chosen_by(generator: np.random.Generator, count: int = 20) -> np.ndarray:
    return spread(FEATURES, count, generator)


def fitted(chosen: np.ndarray, latency: np.ndarray) -> LatencyModel:
    return fit_latency_model(TERMS, SPACE.candidates.take(chosen).columns, latency[chosen], kept=(0, 1))


def test_the_kinds_of_work_are_the_counts_and_what_grows_more_slowly() -> None:
    assert () in TERMS
    for monomial in (
        (("depth", 1),),
        (("depth", 1), ("hidden", 2)),
        (("depth", 1), ("hidden", 1), ("inner", 1)),
        (("depth", 1), ("inner", 1)),
        (("hidden", 2),),
    ):
        assert monomial in TERMS
    assert not [monomial for monomial in TERMS if SEQUENCE_LENGTH in dict(monomial)]


def test_an_axis_that_changes_no_count_may_cost_by_itself_and_per_layer() -> None:
    assert (("heads", 1),) in TERMS
    assert (("depth", 1), ("heads", 1)) in TERMS


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_latency_of_the_assumed_form_is_recovered(seed: int) -> None:
    generator = np.random.default_rng(seed)
    latency = truth(generator)
    model = fitted(chosen_by(generator, 40), latency)
    np.testing.assert_allclose(model.predict(COLUMNS), latency, rtol=0.02)
    assert model.worst_error < 0.05


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(0, 1))
def test_a_last_layer_that_costs_less_than_the_others_is_recovered(seed: int, share: float) -> None:
    depth, hidden, inner = (COLUMNS[name].astype(float) for name in ("depth", "hidden", "inner"))
    latency = 1.0 + (depth - 1 + share) * (4 * hidden**2 + 2 * hidden * inner) * 1e-6
    model = fitted(chosen_by(np.random.default_rng(seed), 24), latency)
    np.testing.assert_allclose(model.predict(COLUMNS), latency, rtol=0.02)


def test_an_axis_that_is_one_throughout_is_no_work() -> None:
    columns = {name: values[:12] for name, values in COLUMNS.items()} | {"depth": np.ones(12, dtype=np.int64)}
    model = fit_latency_model(TERMS, columns, 1.0 + columns["inner"] * 1e-3)
    assert np.isfinite(model.coefficients).all()
    np.testing.assert_allclose(model.predict(columns), 1.0 + columns["inner"] * 1e-3, rtol=0.02)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(sorted(AXES)))
def test_nothing_costs_less_than_nothing_so_growing_an_axis_never_predicts_a_gain(seed: int, axis: str) -> None:
    generator = np.random.default_rng(seed)
    latency = truth(generator) * np.exp(0.3 * generator.standard_normal(len(SPACE)))
    model = fitted(chosen_by(generator), latency)
    assert min(model.coefficients) >= 0
    grown = {**COLUMNS, axis: COLUMNS[axis] + 1}
    assert (model.predict(COLUMNS) > 0).all()
    assert (model.predict(grown) >= model.predict(COLUMNS)).all()


@settings(max_examples=40, deadline=None)
@given(seeds, st.floats(0, 0.5))
def test_the_margin_covers_every_held_back_candidate(seed: int, noise: float) -> None:
    generator = np.random.default_rng(seed)
    latency = truth(generator) * np.exp(noise * generator.standard_normal(len(SPACE)))
    model = fitted(chosen_by(generator), latency)
    measured_over_predicted = 1 / (1 + np.array(model.errors))
    assert (measured_over_predicted <= (1 + model.margin) * (1 + 1e-12)).all()
    assert model.margin >= 0
    assert model.worst_error >= model.median_error >= 0
    np.testing.assert_allclose(model.upper_bound(COLUMNS), model.predict(COLUMNS) * (1 + model.margin))


def test_unseen_candidates_exceed_the_margin_as_seldom_as_promised() -> None:
    exceeded = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        latency = truth(generator) * np.exp(0.05 * generator.standard_normal(len(SPACE)))
        exceeded.append(np.mean(latency > fitted(chosen_by(generator), latency).upper_bound(COLUMNS)))
    assert np.mean(exceeded) < 1.5 / (18 + 1)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(1e-3, 1e3))
def test_the_unit_of_time_changes_no_error(seed: int, unit: float) -> None:
    generator = np.random.default_rng(seed)
    latency, chosen = truth(generator) * np.exp(0.1 * generator.standard_normal(len(SPACE))), chosen_by(generator)
    one, other = fitted(chosen, latency), fitted(chosen, latency * unit)
    np.testing.assert_allclose(other.predict(COLUMNS), one.predict(COLUMNS) * unit, rtol=1e-6)
    np.testing.assert_allclose(other.errors, one.errors, rtol=1e-5, atol=1e-9)


def test_the_ends_are_never_held_back_and_the_others_once_each() -> None:
    generator = np.random.default_rng(0)
    model = fitted(chosen_by(generator), truth(generator))
    assert (model.num_measured, len(model.errors)) == (20, 18)


def test_a_broken_clock_or_too_few_candidates_are_refused() -> None:
    columns = SPACE.candidates[:9].columns
    with pytest.raises(
        InvalidDataError, match="at least 8 latencies, each a number greater than zero; 3 came. Measure"
    ):
        fit_latency_model(TERMS, SPACE.candidates[:3].columns, [1.0, 2.0, 3.0])
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidDataError, match=f"9 came, one of them {wrong:g}"):
            fit_latency_model(TERMS, columns, [1.0] * 8 + [wrong])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"num_threads": 0}, "num_threads must be at least 1; got 0"),
        ({"precision": "int4"}, "precision must be fp32 or int8; got 'int4'"),
        ({"num_candidates": 7}, "num_candidates must be at least 8; got 7"),
        (
            {"num_rounds": 2, "block_seconds": 0.0},
            "num_rounds must be at least 3; block_seconds must be positive; got 2",
        ),
    ],
)
def test_a_setting_out_of_range_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        LatencySetting(**changes)


def test_costs_that_are_no_polynomials_have_no_terms() -> None:
    class Built:
        def evaluate(self, columns: dict[str, np.ndarray]) -> np.ndarray:
            return columns["depth"]

        def polynomial(self) -> None:
            return None

    costs = CostModel(embedding_parameters=Built(), other_parameters=Built(), multiply_adds=Built())
    with pytest.raises(InvalidConfigError, match="counted by building"):
        latency_terms(costs, ("depth",))
