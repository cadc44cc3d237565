"""Answers of a folder that were decided, with what is right: judged as a whole, or in part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from optimum_ose.data.groups import GROUP
from optimum_ose.tasks.parts.problem import Metric


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAnswers:
    """Decided answers to n rows.

    Attributes:
        metric: that judges.
        predictions: n classes, sets, numbers, texts, or the tags of n rows, as `Metric.judged` takes them.
        references: what is right, likewise.
        rows: the n rows, where the metric needs their other columns.
    """

    metric: Metric
    predictions: Any
    references: Any
    rows: Dataset | None = None

    def scores(self) -> dict[str, float]:
        """All scores."""
        more = () if self.rows is None else (self.rows,)
        return self.metric.judged(self.predictions, self.references, *more)

    @property
    def rights(self) -> NDArray[np.float64] | None:
        """1 for each right answer, 0 for each wrong one, shape (n,), where the metric that decides is their mean; None:
        it is not.
        """
        if self.metric.name != "accuracy" or self.rows is not None:
            return None
        found = _are_equal(self.predictions, self.references)
        return found.astype(np.float64) if abs(found.mean() - self.scores()["accuracy"]) < 1e-9 else None

    @property
    def groups(self) -> list[NDArray[np.int64]]:
        """Rows that are judged together, each group by its rows' numbers; most often each row is one."""
        if self.rows is None or GROUP not in self.rows.column_names:
            return [np.array([row]) for row in range(len(self.references))]
        names = np.asarray(self.rows[GROUP])
        return [np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())]

    def differs_from(self, other: "ServedAnswers") -> NDArray[np.bool_]:
        """Which rows another model answers in another way, shape (n,)."""
        return ~_are_equal(self.predictions, other.predictions)

    def of(self, chosen: NDArray[np.int64]) -> "ServedAnswers":
        """The same of some rows."""
        return ServedAnswers(
            metric=self.metric,
            predictions=_of(self.predictions, chosen),
            references=_of(self.references, chosen),
            rows=None if self.rows is None else self.rows.select(chosen),
        )


def _are_equal(first: Sequence[Any], second: Sequence[Any]) -> NDArray[np.bool_]:
    return np.array([bool(np.all(one == other)) for one, other in zip(first, second, strict=True)])


def _of(values: Sequence[Any], chosen: NDArray[np.int64]) -> Any:
    return values[chosen] if isinstance(values, np.ndarray) else [values[row] for row in chosen]
