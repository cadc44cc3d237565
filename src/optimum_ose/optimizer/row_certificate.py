"""What the certificate of a search says about rows and weights."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from optimum_ose.configuration import SearchConfig
from optimum_ose.configuration.search import WITHOUT_SHORT_TRAININGS
from optimum_ose.core.measured import with_sampled_rows
from optimum_ose.core.results import SearchResult
from optimum_ose.core.row_errors import MIN_ROWS
from optimum_ose.elastic.measuring import EXCESS_FLOOR, row_measures


def with_rows(
    found: SearchResult,
    entries: Iterable[Mapping[str, Any]],
    settings: SearchConfig,
    *,
    num_rows: int,
    are_independent: bool = True,
) -> SearchResult:
    """The result of a search with a certificate that names the weights and rows it is about; where every candidate was
    measured row by row, it also bounds the error in the population that the rows were drawn from.

    Args:
        found: by `core.fptas.extract`.
        entries: of the journal.
        settings: of the search.
        num_rows: development rows that errors were measured on.
        are_independent: whether each row was drawn on its own: windows of one context, or documents of one query, are
            not, and tell nothing of all rows like these.
    """
    weights = f"short trainings of {settings.max_training_steps} steps"
    if settings.method == "inherited":
        weights = "weights as each inherits them from the teacher, ranked and repaired, without training,"
    if settings.method == "elastic":
        weights = f"parts of one set of weights, trained together for {settings.elastic.num_steps} steps,"
    is_whole = found.certificate.assumption == "exhaustive" and settings.measured_error == "divergence"
    is_whole &= not found.certificate.among  # who belongs to them was seen on the same rows
    if settings.method not in WITHOUT_SHORT_TRAININGS or not is_whole or not are_independent or num_rows < MIN_ROWS:
        return replace(found, certificate=replace(found.certificate, weights=weights, num_rows=num_rows))
    measures = row_measures([entry for entry in entries if "excess" in entry], num_rows=num_rows)
    places = {architecture: place for place, architecture in enumerate(measures.architectures)}
    order = [places[entry.architecture] for entry in found.evaluations]
    return with_sampled_rows(
        found,
        measures.excess[order].astype("float64") + EXCESS_FLOOR,
        error_range=(EXCESS_FLOOR, math.inf),
        weights=weights,
        seed=settings.seed,
    )
