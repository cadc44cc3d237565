"""Latency inside the search: the model fitted to measured candidates, those within its bound, and the final check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.configuration import SearchConfig
from optimum_ose.core.architecture import Architecture
from optimum_ose.core.candidates import Candidates
from optimum_ose.core.costs import MIN_CANDIDATES
from optimum_ose.core.design import spread
from optimum_ose.core.features import axis_features
from optimum_ose.core.latency_model import LatencyModel, fit_latency_model, latency_terms
from optimum_ose.core.search_space import SearchSpace
from optimum_ose.distillation.candidates import CandidateSetting
from optimum_ose.exceptions import InfeasibleError, InvalidConfigError
from optimum_ose.export.latency_meter import LatencyMeter, Measured, measure_file
from optimum_ose.journal import Journal
from optimum_ose.optimizer.size_bounds import small_enough
from optimum_ose.preprocessing import text_tokenizer
from optimum_ose.progress import Listener
from optimum_ose.serialization import plain

_ENDS = range(2)
"""Positions of the largest and the smallest candidate in `spread`: never held back."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyFinding:
    """What a search knows about latency."""

    model: LatencyModel
    """Predicts any candidate."""
    conditions: Mapping[str, Any]
    """Batch size, threads, precision and sequence length."""
    measured: Mapping[Architecture, Measured]
    """What the model was fitted to."""
    max_latency_ms: float | None = None
    """The user's bound."""
    num_admitted: int | None = None
    """Candidates whose prediction, margin included, keeps the bound."""
    refused: Mapping[Architecture, Measured] = field(default_factory=dict)
    """Winners that were admitted, but missed the bound when measured, be it in one timing block."""
    winner: Measured | None = None
    """The winner measured with random weights; None without a bound."""

    def to_dict(self, space: SearchSpace, winner: Architecture) -> dict[str, Any]:
        """What `search.json` tells. All of it follows from the journal; no clock is read."""
        predicted, model = space.columns([winner]), self.model
        return {
            "conditions": plain(self.conditions),
            "max_latency_ms": self.max_latency_ms,
            "num_admitted": self.num_admitted,
            "model": {
                "terms": [
                    {"term": dict(term), "ms": ms} for term, ms in zip(model.terms, model.coefficients, strict=True)
                ],
                "num_measured": model.num_measured,
                "held_back_errors": list(model.errors),
                "median_error": model.median_error,
                "worst_error": model.worst_error,
                "margin": model.margin,
            },
            "measured": _listed(self.measured),
            "refused": _listed(self.refused),
            "winner": {
                "predicted_ms": float(model.predict(predicted)[0]),
                "upper_bound_ms": float(model.upper_bound(predicted)[0]),
                **(plain(self.winner) if self.winner is not None else {}),
            },
        }


def latency_meter(setting: CandidateSetting, journal: Journal, *, listener: Listener) -> LatencyMeter | None:
    """What measures candidates, where latency is bounded or is the cost; its files lie beside the journal meanwhile."""
    settings = setting.search
    if settings.max_latency_ms is None and settings.inference_cost != "latency":
        return None
    return LatencyMeter(
        setting.teacher.config,
        text_tokenizer(setting.tokenizer),
        task=setting.task,
        setting=settings.latency,
        sequence_length=settings.sequence_length,
        journal=journal,
        scratch=journal.path.with_name(f".{journal.path.name}.latency"),
        listener=listener,
    )


def chosen_to_fit(space: SearchSpace, settings: SearchConfig) -> Candidates:
    """The candidates that are measured: the largest, the smallest, and an even spread between them.

    Raises:
        InvalidConfigError: if the space is too small to hold candidates back.
    """
    count = min(settings.latency.num_candidates, len(space))
    if count < MIN_CANDIDATES:
        raise InvalidConfigError(
            f"A latency model needs a search space of at least {MIN_CANDIDATES} candidates",
            f"this one has {len(space)}",
            "Give an axis more values, or leave out max_latency_ms and inference_cost='latency'",
        )
    generator = np.random.default_rng(np.random.SeedSequence(settings.seed))
    return space.candidates.take(spread(axis_features(space.candidates.columns), count, generator))


def fit_latency(space: SearchSpace, meter: LatencyMeter, settings: SearchConfig) -> LatencyFinding:
    """Measure the candidates that `chosen_to_fit` names, where the journal does not know them, and fit the model.

    Args:
        space: with exact costs, as `derive_search_space` makes it.
        meter: measures.
        settings: of the search.

    Raises:
        InvalidConfigError: if the space is too small to hold candidates back, or has no exact costs.
    """
    if space.cost_model is None:
        raise InvalidConfigError(
            "A latency model is a function of exact operation counts",
            "this search space has none",
            "Derive the space from a config",
        )
    candidates = chosen_to_fit(space, settings)
    measured = meter.measure(candidates)
    model = fit_latency_model(
        latency_terms(space.cost_model, space.axes),
        candidates.columns,
        [item.latency_ms for item in measured],
        kept=_ENDS,
    )
    return LatencyFinding(
        model=model,
        conditions=meter.conditions,
        measured=dict(zip(candidates, measured, strict=True)),
        max_latency_ms=settings.max_latency_ms,
    )


def admitted(
    space: SearchSpace, finding: LatencyFinding, *, max_latency_ms: float, settings: SearchConfig
) -> frozenset[Architecture]:
    """The candidates that keep the bound by prediction and margin, and have not been measured to miss it.

    Raises:
        InfeasibleError: if there is none, naming the smallest latency that is possible.
    """
    bounds = finding.model.upper_bound(space.candidates.columns)
    fits = small_enough(space, settings)
    smallest = float(bounds[fits].min()) if fits.any() else float(bounds.min())
    kept = frozenset(space.candidates.take(np.flatnonzero(bounds <= max_latency_ms))) - finding.refused.keys()
    if not kept or smallest > max_latency_ms:
        raise InfeasibleError(
            f"At least one candidate keeps max_latency_ms={max_latency_ms:g}",
            f"the smallest possible latency is {smallest:.3g} ms, predicted for {int(fits.sum())} candidates"
            + f" with a margin of {finding.model.margin:.0%}"
            + "".join(f"; one was measured at up to {item.slowest_ms:.3g} ms" for item in finding.refused.values()),
            "Raise max_latency_ms, shorten the sequence, or add smaller values to the axes",
        )
    return kept


def check_bound(
    file: Path,
    student: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    max_latency_ms: float,
    settings: SearchConfig,
    predicted: Mapping[str, Any],
) -> dict[str, Any]:
    """Measure a finished ONNX file against `max_latency_ms`.

    Args:
        file: the student's default file.
        student: that it was exported from.
        tokenizer: of the student; None for images.
        max_latency_ms: the bound.
        settings: of the search, with the setting of the measurement.
        predicted: the `latency` part of `search.json`.

    Returns:
        A JSON-able dict: the bound, whether it was kept, what was measured and predicted, and under which conditions.
    """
    measured = measure_file(
        file, student, tokenizer, setting=settings.latency, sequence_length=settings.sequence_length
    )
    return {
        "max_latency_ms": max_latency_ms,
        "measured_ms": measured.latency_ms,
        "kept": measured.latency_ms <= max_latency_ms,
        "num_contended_blocks": measured.num_contended_blocks,
        "predicted_ms": predicted["winner"]["predicted_ms"],
        "margin": predicted["model"]["margin"],
        "conditions": predicted["conditions"],
    }


def _listed(measured: Mapping[Architecture, Measured]) -> Sequence[dict[str, Any]]:
    return [{"architecture": dict(architecture), **plain(item)} for architecture, item in measured.items()]
