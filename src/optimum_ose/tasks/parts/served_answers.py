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
    def groups(self) -> list[NDArray[np.int64]]:
        """Rows that are judged together, each group by its rows' numbers; most often each row is one."""
        if self.rows is None or GROUP not in self.rows.column_names:
            return [np.array([row]) for row in range(len(self.references))]
        names = np.asarray(self.rows[GROUP])
        return [np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())]

    def of(self, chosen: NDArray[np.int64]) -> "ServedAnswers":
        """The same of some rows."""
        return ServedAnswers(
            metric=self.metric,
            predictions=_of(self.predictions, chosen),
            references=_of(self.references, chosen),
            rows=None if self.rows is None else self.rows.select(chosen),
        )


def _of(values: Sequence[Any], chosen: NDArray[np.int64]) -> Any:
    return values[chosen] if isinstance(values, np.ndarray) else [values[row] for row in chosen]
