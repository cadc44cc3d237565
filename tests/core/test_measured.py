import json
import math
from itertools import product

import numpy as np
import pytest

from optimum_ose.core.architecture import Architecture
from optimum_ose.core.fptas import extract
from optimum_ose.core.measured import extract_measured, with_sampled_rows
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.exceptions import InfeasibleError, InvalidArchitectureError, InvalidConfigError, InvalidDataError
from optimum_ose.serialization import canonical_json, result_to_dict

CANDIDATES = [Architecture(depth=d, width=w) for d, w in product((1, 2, 3, 4), (8, 16, 24))]
SIZE = np.array([a.depth * a.width**2 for a in CANDIDATES], dtype=np.float64)
TRUTH = 0.05 + 0.2 * (SIZE / SIZE.min()) ** -0.3
LARGEST = (2 * SIZE.max(), 2 * SIZE.max())


def rows(num_rows=600, seed=0):
    generator = np.random.default_rng(seed)
    own = 0.3 * generator.standard_normal((len(TRUTH), num_rows)) - 0.045
    return TRUTH[:, None] * np.exp(generator.standard_normal(num_rows) - 0.5 + own)


def measured(errors=None, **arguments):
    errors = rows() if errors is None else errors
    return extract_measured(CANDIDATES, SIZE, SIZE, errors, maximum_point=LARGEST, **arguments)


def test_the_winner_has_the_highest_w_on_the_rows_and_every_candidate_is_told():
    errors = rows()
    found = measured(errors)
    w = (1 - SIZE / LARGEST[0]) ** 2 / errors.mean(axis=1)
    assert found.architecture == CANDIDATES[int(w.argmax())]
    assert found.w == pytest.approx(w.max())
    assert [entry.w for entry in found.evaluations] == pytest.approx(w)
    assert found.certificate.num_candidates == len(CANDIDATES)


def test_the_certificate_of_sampled_rows_names_kind_rows_and_weights():
    certificate = measured(weights="views of shared weights").certificate
    assert certificate.assumption == "sampled rows"
    assert 0.5 < certificate.ratio < 1
    assert certificate.upper_bound == pytest.approx(measured().w / certificate.ratio)
    for told in (
        f"at least {certificate.ratio:.1%} of the best of 12 candidates on all rows like these with probability 99%",
        "measured on the same rows, drawn independently and used by no training",
        "errors of views of shared weights on 600 rows",
        "no candidate's true error is more than",
        "rows would prove 95% for all rows",
    ):
        assert told in certificate.statement


def test_the_same_rows_are_exact_about_themselves_and_tell_the_population_beside_it():
    population, these = measured(), measured(assumption="exhaustive")
    assert these.certificate.ratio == 1
    assert these.certificate.satisfied
    assert these.certificate.sample == population.certificate.sample
    assert f"the ratio is at least {population.certificate.ratio:.1%} on all rows like these" in str(these)


def test_enough_rows_satisfy_epsilon():
    assert not measured(rows(100), epsilon=0.05).certificate.satisfied
    certificate = measured(rows(20_000), epsilon=0.05).certificate
    assert certificate.satisfied
    assert "would prove" not in certificate.statement


def test_the_least_error_is_bounded_where_it_is_the_objective():
    found = measured(objective="error")
    assert found.architecture == CANDIDATES[-1]
    assert found.certificate.sample.error_gap < 0.05
    assert "the least error of 12 candidates is at least" in found.certificate.statement


def test_few_differing_rows_are_told_to_have_been_bounded_by_betting():
    right = (np.random.default_rng(0).random((len(TRUTH), 300)) < 0.01).astype(float)
    certificate = measured(right, error_range=(0.0, 1.0)).certificate
    assert certificate.sample.method == "betting"
    assert "betting e-values, as few rows differ" in certificate.statement


def test_candidates_that_failed_cannot_win():
    errors = rows()
    best = int(np.argmax([entry.w for entry in measured(errors).evaluations]))
    errors[best, 0] = math.nan
    found = measured(errors)
    assert found.evaluations[best].failed
    assert found.architecture != CANDIDATES[best]
    assert found.certificate.num_candidates == len(CANDIDATES) - 1


def test_an_exhaustive_search_is_told_what_its_rows_say_about_all_rows():
    errors = rows()
    means = dict(zip(CANDIDATES, errors.mean(axis=1), strict=True))
    found = extract(
        SearchSpace.of(CANDIDATES),
        parameter_size=lambda some: [a.depth * a.width**2 for a in some],
        inference_cost=lambda some: [a.depth * a.width**2 for a in some],
        error=lambda architecture, _: float(means[architecture]),
        maximum_point=LARGEST,
        method="exhaustive",
        noise=0.0,
    )
    order = [CANDIDATES.index(entry.architecture) for entry in found.evaluations]
    told = with_sampled_rows(found, errors[order], weights="views").certificate
    assert told.assumption == "exhaustive"
    assert told.ratio == 1
    assert told.sample.ratio == pytest.approx(measured(errors).certificate.ratio, abs=0.02)
    assert "errors of views on 600 rows" in told.statement


def test_the_result_is_written_as_a_record_and_is_the_same_each_time():
    one, other = (canonical_json(result_to_dict(measured())) for _ in range(2))
    assert one == other
    assert json.loads(one)["certificate"]["sample"]["method"] == "bootstrap"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"epsilon": 1.0}, InvalidConfigError, "epsilon lies in the open interval"),
        ({"alpha": 0.5}, InvalidConfigError, "alpha lies in the open interval"),
        ({"errors": -rows()}, InvalidDataError, "A row's error lies between 0 and inf"),
        ({"errors": rows()[:3]}, (InvalidDataError, InvalidArchitectureError), "one line of rows for each candidate"),
        ({"errors": np.full((12, 20), math.nan)}, InfeasibleError, "none of 12 was"),
    ],
)
def test_wrong_arguments_are_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        measured(**arguments)
