"""The search with its real error: `extract` over short distillations, told to a listener."""

import time

from optimum_ose.configuration import SearchConfig
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.fptas import extract
from optimum_ose.core.results import Evaluation, SearchResult
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.distillation.candidates import CandidateError, CandidateSetting
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.journal import Journal
from optimum_ose.progress import Listener


def search_architecture(
    space: SearchSpace, setting: CandidateSetting, *, journal: Journal, listener: Listener
) -> SearchResult:
    """Extract an architecture; every candidate's error is measured by a short distillation.

    Args:
        space: the teacher's search space.
        setting: what all candidates share, the search's own settings included.
        journal: of finished evaluations.
        listener: hears of each evaluation.

    Raises:
        UnsupportedModelError: if latency is to be bounded.
        InfeasibleError: if the constraints leave no candidate.
    """
    settings = setting.search
    _require_no_latency(settings)
    num_done = 0

    def advance(evaluation: Evaluation) -> None:
        nonlocal num_done
        num_done += 1
        listener.advance(num_done, f"W {evaluation.w:.3f}")

    def is_small_enough(_architecture: Architecture, size: float, _cost: float) -> bool:
        return settings.max_parameters is None or size <= settings.max_parameters

    listener.stage("extract", settings.max_evaluations)
    result = extract(
        space,
        parameter_size=space.parameter_size,
        inference_cost=lambda found: space.multiply_adds(found, sequence_length=settings.sequence_length),
        error=CandidateError(setting, journal=journal, clock=time.perf_counter),
        hyperparameters=settings.hyperparameters,
        epsilon=settings.epsilon,
        method=settings.method,
        interval_size=settings.interval_size,
        noise=settings.noise,
        constraints=(is_small_enough,),
        max_error=settings.max_error,
        max_evaluations=settings.max_evaluations,
        seed=settings.seed,
        on_evaluation=advance,
    )
    listener.finish()
    return result


def _require_no_latency(settings: SearchConfig) -> None:
    if settings.max_latency_ms is not None:
        raise UnsupportedModelError(
            "The search bounds parameters and multiply-adds",
            f"got max_latency_ms={settings.max_latency_ms}: latency is measured after the search only",
            "Use max_parameters, and read the latency in ose/benchmark.json",
        )
