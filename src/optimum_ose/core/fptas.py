"""Owns `extract`: optimal subarchitecture extraction by the certified, the stride or the exhaustive method."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from optimum_ose.core.assessment import Assessment, assess, prove
from optimum_ose.core.bounds import observe, violations
from optimum_ose.core.certificate import Certificate, Objective
from optimum_ose.core.certified import search
from optimum_ose.core.design import starting_design, stride
from optimum_ose.core.features import axis_features
from optimum_ose.core.pareto import non_dominated
from optimum_ose.core.question import Admitted, Cost, Predicate, pose_question
from optimum_ose.core.results import Evaluation, SearchResult, Theta
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.core.trainings import ErrorFunction, Plan, Trainings
from optimum_ose.exceptions import InfeasibleError, InvalidConfigError
from optimum_ose.guards import require_callable, require_kind

Method = Literal["certified", "stride", "exhaustive"]


def extract(
    space: SearchSpace,
    *,
    parameter_size: Cost,
    inference_cost: Cost,
    error: ErrorFunction,
    hyperparameters: Sequence[Theta] = ({},),
    maximum_point: tuple[float, float] | None = None,
    epsilon: float = 0.05,
    method: Method = "certified",
    objective: Objective = "w-coefficient",
    interval_size: int = 1,
    noise: float | None = None,
    constraints: Sequence[Predicate | Admitted] = (),
    max_error: float | None = None,
    max_evaluations: int | None = None,
    seed: int = 0,
    alpha: float = 0.01,
    on_evaluation: Callable[[Evaluation], None] | None = None,
    on_plan: Callable[[Plan], None] | None = None,
) -> SearchResult:
    """The architecture of highest W-coefficient in a search space, and a certificate of how close to the best it is.

    Pure: the same arguments and the same returned errors give the same result, so a search is resumed by replaying the
    errors it had already seen.

    Args:
        space: Xi.
        parameter_size: p-hat, called with chunks of candidates; any unit.
        inference_cost: i-hat, likewise.
        error: e-hat >= 0, the expensive one. NaN or infinity: that training failed, and the candidate cannot win.
            Called again with the same arguments, it should draw another seed.
        hyperparameters: Theta; a candidate is trained with each, and its error is the smallest.
        maximum_point: (p_T, i_T); by default evaluated at `space.maximum_point`.
        epsilon: relative shortfall from the best W that is accepted, in (0, 1).
        method: "certified" trains what could still win until the certificate holds; "stride" is the published
            algorithm, and trains every `interval_size`-th candidate in the order of p; "exhaustive" trains all.
        objective: "w-coefficient", or "error": the least error that the constraints allow; epsilon is then the relative
            shortfall of 1 / e.
        interval_size: stride, 1 <= interval_size <= |Xi|; only with method="stride".
        noise: relative standard deviation of the error. None: "certified" estimates it, the other methods take errors
            as exact. An error that repeats exactly may still be one frozen draw: "certified" then allows for as much
            noise as it cannot tell from roughness. Pass 0.0 if your errors are exact.
        constraints: predicates that every candidate must pass, or masks over the space's candidates.
        max_error: error that the winner may not exceed.
        max_evaluations: budget of calls of `error`; by default |Xi| |Theta|, the price of the exhaustive method.
        seed: shifts the candidates that "certified" trains first.
        alpha: accepted probability that a bound which rests on noise or surrogate fails, in (0, 0.5).
        on_evaluation: told of each call of `error`.
        on_plan: told which calls of `error` will probably come next, in order, so that several processes may begin
            with them. The result does not depend on it.

    Raises:
        InvalidConfigError: if a setting is outside its range.
        InvalidArchitectureError: if a candidate is larger or slower than the maximum point.
        InfeasibleError: if no candidate passes the constraints, stays below max_error, or trains to a finite error.
        InvalidDataError: if an error is negative.

    Source: de Wynter, arXiv:2010.08512; the certificate is our reading of its epsilon.
    """
    require_kind(space, SearchSpace, "space", "Pass derive_search_space(config), or SearchSpace.of(architectures)")
    for name, function in (("parameter_size", parameter_size), ("inference_cost", inference_cost), ("error", error)):
        require_callable(function, name)
    _check_settings(
        len(space),
        epsilon=epsilon,
        method=method,
        objective=objective,
        interval_size=interval_size,
        noise=noise,
        hyperparameters=hyperparameters,
        max_error=max_error,
        max_evaluations=max_evaluations,
        alpha=alpha,
    )
    question = pose_question(
        space,
        parameter_size,
        inference_cost,
        maximum_point=maximum_point,
        constraints=constraints,
        max_error=max_error,
        objective=objective,
    )
    price = len(question.candidates) * len(hyperparameters)
    budget = price if max_evaluations is None else max_evaluations
    trainings = Trainings(
        question,
        error,
        hyperparameters=hyperparameters,
        max_evaluations=budget,
        on_evaluation=on_evaluation,
        on_plan=on_plan,
    )
    if method == "certified":
        features = axis_features(question.candidates.columns)
        start = starting_design(question, features, np.random.default_rng(np.random.SeedSequence(seed)))
        assessment = search(trainings, epsilon=epsilon, noise=noise, alpha=alpha, start=start, features=features)
    else:
        order = stride(question, interval_size if method == "stride" else 1)
        for position, index in enumerate(order):
            trainings.plan(order[position:])
            trainings.train(int(index))
        assessment = assess(trainings, epsilon=epsilon, noise=noise, alpha=alpha, features=None)
    return _result(trainings, assessment, epsilon=epsilon, alpha=alpha, objective=objective)


def _check_settings(
    num_candidates: int,
    *,
    epsilon: float,
    method: str,
    objective: str,
    interval_size: int,
    noise: float | None,
    hyperparameters: Sequence[Theta],
    max_error: float | None,
    max_evaluations: int | None,
    alpha: float,
) -> None:
    rules = (
        (
            0 < epsilon < 1,
            "epsilon lies in the open interval (0, 1)",
            f"epsilon={epsilon}",
            "0.05 accepts a shortfall of 5%.",
        ),
        (
            method in ("certified", "stride", "exhaustive"),
            "method is certified, stride or exhaustive",
            f"method={method!r}",
            "Choose one.",
        ),
        (
            objective in ("w-coefficient", "error"),
            "objective is w-coefficient or error",
            f"objective={objective!r}",
            "Choose one.",
        ),
        (
            1 <= interval_size <= num_candidates,
            f"interval_size lies between 1 and the {num_candidates} candidates",
            f"interval_size={interval_size}",
            "1 trains every candidate.",
        ),
        (
            noise is None or 0 <= noise < math.inf,
            "noise is a relative standard deviation, zero or greater",
            f"noise={noise}",
            "None has it estimated.",
        ),
        (
            len(hyperparameters) > 0,
            "hyperparameters holds at least one theta",
            "it is empty",
            "({},) trains with the defaults.",
        ),
        (
            max_error is None or max_error > 0,
            "max_error is greater than zero",
            f"max_error={max_error}",
            "None allows any error.",
        ),
        (
            max_evaluations is None or max_evaluations >= max(len(hyperparameters), 1),
            "max_evaluations pays for at least one candidate with every theta",
            f"max_evaluations={max_evaluations} for {len(hyperparameters)}",
            "Raise it, or leave it None.",
        ),
        (0 < alpha < 0.5, "alpha is a probability in (0, 0.5)", f"alpha={alpha}", "0.01 is the default."),
    )
    broken = [(expected, actual, remedy) for holds, expected, actual, remedy in rules if not holds]
    if broken:
        raise InvalidConfigError(*("; ".join(parts).rstrip(".") for parts in zip(*broken, strict=True)))


def _result(
    trainings: Trainings, assessment: Assessment, *, epsilon: float, alpha: float, objective: Objective
) -> SearchResult:
    if assessment.winner is None:
        errors = [entry.objectives.error for entry in trainings.evaluations if not entry.failed]
        raise InfeasibleError(
            "At least one candidate trains to a finite error, not above max_error",
            f"the smallest error of {len(trainings.evaluations)} trainings is {min(errors)}"
            if errors
            else "all trainings failed",
            "Raise max_error or max_evaluations, or look at the messages of the trainings.",
        )
    winner = trainings.summary(assessment.winner)
    summaries = [trainings.summary(index) for index in trainings.trained]
    points = np.array(
        [(s.objectives.parameter_size, s.objectives.inference_cost, s.objectives.error) for s in summaries]
    )
    ratio, assumption = prove(trainings, assessment, epsilon=epsilon, alpha=alpha)
    certificate = Certificate(
        assumption=assumption,
        ratio=ratio,
        epsilon=epsilon,
        upper_bound=winner.w / ratio if ratio > 0 else math.inf,
        noise=assessment.noise,
        alpha=alpha,
        num_evaluations=len(trainings.evaluations),
        num_trained=len(trainings.trained),
        num_candidates=len(trainings.question.candidates),
        violations=violations(observe(trainings), trainings.question.candidates),
        objective=objective,
    )
    return SearchResult(
        architecture=winner.architecture,
        theta=winner.theta,
        w=winner.w,
        objectives=winner.objectives,
        evaluations=tuple(trainings.evaluations),
        pareto_front=tuple(summaries[k] for k in non_dominated(points)),
        certificate=certificate,
        maximum_point=trainings.question.maximum_point,
    )
