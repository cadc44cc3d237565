"""The search with its real error: `extract` over short distillations, told to a listener."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict, cast, final

from optimum_ose.configuration import SearchConfig
from optimum_ose.configuration.search import WITHOUT_SHORT_TRAININGS
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.fptas import Method, extract
from optimum_ose.core.keep_choice import KeepChoice, choose
from optimum_ose.core.question import Admitted, Cost, Predicate
from optimum_ose.core.results import Evaluation, SearchResult, Theta
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.data.groups import GROUP_COLUMNS
from optimum_ose.distillation.candidates import CandidateError, CandidateSetting, CandidateTrainer, Measure, Measurer
from optimum_ose.elastic.measuring import measured_scores
from optimum_ose.export.example_inputs import described_input
from optimum_ose.export.latency_meter import LatencyMeter
from optimum_ose.journal import Journal
from optimum_ose.optimizer.keeping import Wanted
from optimum_ose.optimizer.latency import LatencyFinding, admitted, fit_latency, latency_meter
from optimum_ose.optimizer.row_certificate import with_rows
from optimum_ose.optimizer.size_bounds import small_candidates, small_enough
from optimum_ose.optimizer.team import Team
from optimum_ose.progress import Listener, working
from optimum_ose.tasks import task_named


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search has found."""

    result: SearchResult
    """The winner and its certificate."""
    latency: LatencyFinding | None
    """None: it was neither bounded nor the cost."""
    choice: KeepChoice | None
    """Which candidates were chosen from; None: no share of the teacher's score was to be kept."""
    scores: Mapping[Architecture, float] = field(default_factory=dict)
    """Of the measured parts of shared weights, by the task's metric; empty of other methods."""


def shared_search(
    derive_space: Callable[[], SearchSpace],
    setting: CandidateSetting,
    *,
    question: Callable[[], Mapping[str, Any]],
    journal: Path | None,
    listener: Listener,
    measurer: Measurer | None = None,
    wanted: Wanted | None = None,
) -> Found:
    """`search_architecture` by all processes of the launch: the first searches, the others train what it hands out.

    Args:
        derive_space: gives the teacher's search space; the first process calls it.
        setting: what all candidates share.
        question: gives what the journal answers; the first process calls it.
        journal: file of finished evaluations; None: nothing is kept.
        listener: hears of each evaluation.
        measurer: of candidates; None: each is trained for a short while.
        wanted: what is asked of a candidate's score, which the measurer must journal; None: nothing.
    """
    team = Team(measurer or CandidateTrainer(setting, clock=time.perf_counter))

    def search() -> Found:
        with TemporaryDirectory() as folder:
            kept = Journal(journal or Path(folder) / "journal.jsonl", question=question())
            with working(listener, "search space", None):
                space = derive_space()
            found = search_architecture(
                space,
                setting,
                measure=team.measure,
                journal=kept,
                listener=listener,
                meter=latency_meter(setting, kept, listener=listener),
                wanted=wanted,
            )
            return replace(found, scores=measured_scores(kept))

    return team.share(search)


def search_architecture(
    space: SearchSpace,
    setting: CandidateSetting,
    *,
    measure: Measure,
    journal: Journal,
    listener: Listener,
    meter: LatencyMeter | None = None,
    wanted: Wanted | None = None,
) -> Found:
    """Extract an architecture; every candidate's error is measured by a short distillation.

    Under a latency bound the winner is measured before it is returned. One that misses the bound, be it in one timing
    block, would be at even odds to miss it when measured again: it is refused, and the best of the others is taken. The
    search is asked again without it, and the journal answers what is known.

    Args:
        space: the teacher's search space.
        setting: what all candidates share, the search's own settings included.
        measure: trains candidates.
        journal: of finished evaluations and timing blocks.
        listener: hears of each evaluation.
        meter: measures latency; needed if latency is bounded or is the cost.
        wanted: what is asked of a candidate's score; None: nothing.

    Raises:
        InvalidConfigError: if the space is too small for a latency model.
        InfeasibleError: if the constraints leave no candidate.
    """
    settings = setting.search
    finding = None
    if meter is not None:
        told = {**meter.conditions, **described_input(setting.teacher, num_frames=settings.sequence_length)}
        finding = replace(fit_latency(space, meter, settings), conditions=told)
    limit = settings.max_latency_ms
    ask = partial(_extract, space, setting, measure=measure, journal=journal, listener=listener, wanted=wanted)
    if meter is None or finding is None or limit is None:
        result, choice = ask(finding, allowed=None)
        return Found(result=result, latency=finding, choice=choice)
    while True:
        allowed = admitted(space, finding, max_latency_ms=limit, settings=settings)
        finding = finding if finding.refused else replace(finding, num_admitted=len(allowed))
        result, choice = ask(finding, allowed=allowed)
        (measured,) = meter.measure([result.architecture])
        if measured.slowest_ms <= limit:
            return Found(result=result, latency=replace(finding, winner=measured), choice=choice)
        listener.say(
            f"the best candidate takes up to {measured.slowest_ms:.3g} ms when measured, more than max_latency_ms="
            f"{limit:g}: it is refused, and the next best is looked for"
        )
        finding = replace(finding, refused={**finding.refused, result.architecture: measured})


def _extract(
    space: SearchSpace,
    setting: CandidateSetting,
    finding: LatencyFinding | None,
    *,
    measure: Measure,
    journal: Journal,
    listener: Listener,
    allowed: Collection[Architecture] | None,
    wanted: Wanted | None,
) -> tuple[SearchResult, KeepChoice | None]:
    settings = setting.search
    num_done = 0

    def advance(evaluation: Evaluation) -> None:
        nonlocal num_done
        num_done += 1
        listener.advance(num_done, f"error {evaluation.objectives.error:.3f}")

    error = CandidateError(measure, journal=journal)
    constraints = _constraints(space, settings, allowed)
    small = small_enough(space, settings)
    num_candidates = int(small.sum())
    if allowed is not None:
        num_candidates = len(frozenset(allowed) & frozenset(small_candidates(space, settings)))
    with working(listener, "extract", settings.budget):
        found = extract(
            space,
            parameter_size=space.parameter_size,
            inference_cost=_inference_cost(space, setting, finding),
            error=error,
            **_choice(settings, num_candidates=num_candidates),
            epsilon=settings.epsilon,
            objective=settings.objective,
            interval_size=settings.interval_size,
            constraints=constraints,
            max_error=settings.max_error,
            seed=settings.seed,
            on_evaluation=advance,
            on_plan=error.plan,
        )
    every, choice = found, None
    if wanted is not None:
        found, choice = choose(
            found,
            measured_scores(journal),
            teacher_score=wanted.teacher_score,
            keep=wanted.keep,
            least_share=wanted.least_share,
            prefer=settings.prefer or "w",
            max_error=settings.max_error,
        )
    problem = task_named(setting.task).problem(setting.teacher.config)
    are_grouped = problem.adds_up or not set(GROUP_COLUMNS).isdisjoint(setting.eval_rows.column_names)
    found = with_rows(found, journal, settings, num_rows=len(setting.eval_rows), are_independent=not are_grouped)
    return replace(found, evaluations=every.evaluations, pareto_front=every.pareto_front), choice


class _Choice(TypedDict):
    """How candidates are chosen, as `extract` takes it."""

    method: Method
    hyperparameters: list[Theta]
    noise: float | None
    max_evaluations: int | None


def _choice(settings: SearchConfig, *, num_candidates: int) -> _Choice:
    """What is measured by forward passes has no noise: all candidates, unless there are too many."""
    if settings.method not in WITHOUT_SHORT_TRAININGS:
        thetas: list[Theta] = [dict(theta) for theta in settings.hyperparameters]
        return _Choice(
            method=cast(Method, settings.method or "certified"),
            hyperparameters=thetas,
            noise=settings.noise,
            max_evaluations=settings.budget,
        )
    limit = settings.max_evaluations or settings.elastic.max_measured
    method: Method = "exhaustive" if num_candidates <= limit else "certified"
    return _Choice(method=method, hyperparameters=[{}], noise=0.0, max_evaluations=limit)


def _inference_cost(space: SearchSpace, setting: CandidateSetting, finding: LatencyFinding | None) -> Cost:
    if setting.search.inference_cost == "latency" and finding is not None:
        model = finding.model
        return lambda found: model.predict(space.columns(found))
    return lambda found: space.multiply_adds(found, sequence_length=setting.search.sequence_length)


def _constraints(
    space: SearchSpace, settings: SearchConfig, allowed: Collection[Architecture] | None
) -> tuple[Predicate | Admitted, ...]:
    small = small_enough(space, settings)
    bounds: list[Predicate | Admitted] = [] if small.all() else [Admitted(small, name="small enough")]
    return (*bounds, *([] if allowed is None else [partial(_is_among, allowed)]))


def _is_among(among: Collection[Architecture], architecture: Architecture, _size: float, _cost: float) -> bool:
    return architecture in among
