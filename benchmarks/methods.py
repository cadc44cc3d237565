"""Owns the methods that `search.py` compares: ours, and the baselines, each on the same noisy draws."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from instances import Draws, Table, search_space
from numpy.typing import NDArray

from optimum_ose.core.fptas import extract

EPSILON = 0.05
"""Accepted shortfall where the certificate ends the search."""
FINE = 0.01
"""Accepted shortfall where the budget is to end the search, not the certificate."""
POPULATION = 6
"""Population of NSGA-II, and random trials before TPE and the Gaussian process: half of the smaller budget."""
MAX_LEVELS = 16
"""An axis of more values is continuous to optuna: its Gaussian process takes half a minute a run otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a method returns when its budget is spent.

    Attributes:
        row: the candidate found.
        evaluations: trainings that it took.
        trained: different candidates trained.
        ratio: the ratio that a certificate claims; zero without one.
        assumption: what the certificate rests on; empty without one.
    """

    row: int
    evaluations: int
    trained: int
    ratio: float = 0.0
    assumption: str = ""


def find(method: str, table: Table, budgets: Sequence[int], *, noise: float, seed: int) -> dict[int, Found]:
    """What a method finds with each of some budgets, ascending; methods without an end are run once."""
    if method in ENDLESS:
        return dict(_snapshots(ENDLESS[method], Draws(table, noise, seed), budgets))
    return {budget: METHODS[method](Draws(table, noise, seed), budget) for budget in budgets}


def _snapshots(
    train: Callable[[Draws], Iterable[None]], draws: Draws, budgets: Sequence[int]
) -> Iterator[tuple[int, Found]]:
    """The best candidate by the time that each budget is spent; all are spent once every candidate is trained."""
    endless, num_candidates = iter(train(draws)), len(draws.table.error)
    for budget in budgets:
        while draws.count < min(budget, num_candidates):
            next(endless)
        yield budget, _best(draws)


def extracted(
    draws: Draws, budget: int, *, method: Literal["certified", "stride", "exhaustive"], epsilon: float = EPSILON
) -> Found:
    """A method of `extract`; the budget of the stride sets its interval, the exhaustive method ignores it.

    The certified search is not told the noise; the others are, for they would take the errors as exact.
    """
    table = draws.table
    space, row_of = search_space(table)
    interval = next(k for k in range(1, len(space) + 1) if _num_strided(len(space), k) <= max(budget, 2))
    result = extract(
        space,
        parameter_size=lambda some: [table.parameter_size[row_of[entry]] for entry in some],
        inference_cost=lambda some: [table.inference_cost[row_of[entry]] for entry in some],
        error=lambda architecture, _: draws.train(row_of[architecture]),
        maximum_point=table.maximum_point,
        epsilon=epsilon,
        method=method,
        interval_size=interval if method == "stride" else 1,
        noise=None if method == "certified" else draws.noise,
        max_evaluations=min(budget, len(space)) if method == "certified" else None,
        seed=draws.seed,
    )
    certificate = result.certificate
    return Found(
        row=row_of[result.architecture],
        evaluations=certificate.num_evaluations,
        trained=certificate.num_trained,
        ratio=certificate.ratio,
        assumption=certificate.assumption,
    )


def _num_strided(number: int, interval: int) -> int:
    return -(-number // interval) + ((number - 1) % interval > 0)


def size_rule(draws: Draws, budget: int) -> Found:
    """The size rule as a search: of every budget of inference cost, the candidate with most non-embedding parameters.

    W has no budget, so the rule gets as many as it may train: evenly spaced over the candidates that are the largest
    under some budget, both ends included. The best W measured wins.
    """
    table = draws.table
    order = np.lexsort((-table.size, table.inference_cost))
    largest = np.maximum.accumulate(table.size[order])
    path = order[np.concatenate([[True], largest[1:] > largest[:-1]])]
    for position in np.unique(np.linspace(0, len(path) - 1, min(budget, len(path))).round().astype(int)):
        draws.train(int(path[position]))
    return _best(draws)


def random_search(draws: Draws) -> Iterator[None]:
    """Candidates drawn at random without repetition."""
    generator = np.random.default_rng([draws.seed, 2])
    for row in generator.permutation(len(draws.table.error)):
        draws.train(int(row))
        yield


def sampled(draws: Draws, *, sampler: Callable[[int], Any], is_single: bool) -> Iterator[None]:
    """A sampler of optuna over the positions of the values on each axis.

    What it proposes is moved to the nearest candidate that is not trained yet, so no evaluation is spent twice. A
    single objective is log W to maximize, and the sampler is told the candidate that was trained; else (p, i, e) are
    minimized.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = draws.table
    positions = np.stack([np.unique(column, return_inverse=True)[1] for column in table.values.T], axis=1)
    distributions: dict[str, Any] = {
        axis: optuna.distributions.IntDistribution(0, int(column.max()))
        if column.max() < MAX_LEVELS
        else optuna.distributions.FloatDistribution(0, float(column.max()))
        for axis, column in zip(table.axes, positions.T, strict=True)
    }
    directions = ["maximize"] if is_single else ["minimize"] * 3
    study = optuna.create_study(sampler=sampler(draws.seed), directions=directions)
    while True:
        trial = study.ask(distributions)
        row = _nearest(positions, [trial.params[axis] for axis in table.axes], draws)
        error = draws.train(row)
        if is_single:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            params = dict(zip(table.axes, positions[row].tolist(), strict=True))
            value = float(np.log(max(table.savings[row], 1e-12) / error))
            study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
        else:
            study.tell(trial, [table.parameter_size[row], table.inference_cost[row], error])
        yield


def _nearest(positions: NDArray[np.int64], point: list[int], draws: Draws) -> int:
    distance = np.sum(((positions - np.array(point)) / np.maximum(positions.max(axis=0), 1)) ** 2, axis=1)
    distance[list(draws.errors)] = np.inf
    return int(distance.argmin())


def _nsga2(seed: int) -> Any:
    import optuna

    return optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)


def _tpe(seed: int) -> Any:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(n_startup_trials=POPULATION, multivariate=True, seed=seed)


def _gaussian_process(seed: int) -> Any:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.GPSampler(n_startup_trials=POPULATION, seed=seed)


def _best(draws: Draws) -> Found:
    return Found(row=draws.best(), evaluations=draws.count, trained=len(draws.errors))


METHODS: Mapping[str, Callable[[Draws, int], Found]] = {
    "certified": partial(extracted, method="certified", epsilon=FINE),
    "certified to its end": partial(extracted, method="certified"),
    "size rule": size_rule,
    "stride": partial(extracted, method="stride"),
    "exhaustive": partial(extracted, method="exhaustive"),
}
"""Methods that use a budget as a whole."""
UNBOUNDED = ("certified to its end", "exhaustive")
"""Those that get as many evaluations as there are candidates."""
ENDLESS: Mapping[str, Callable[[Draws], Iterable[None]]] = {
    "random": random_search,
    "nsga2": partial(sampled, sampler=_nsga2, is_single=False),
    "tpe": partial(sampled, sampler=_tpe, is_single=True),
    "gp": partial(sampled, sampler=_gaussian_process, is_single=True),
}
"""Methods that train one candidate after the other; they stop when the budget is spent."""
OF_OPTUNA = ("nsga2", "tpe", "gp")
SLOW = ("gp", "certified to its end", "exhaustive")
