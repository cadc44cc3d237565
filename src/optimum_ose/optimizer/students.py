"""Makes students that inherit from one teacher: what inheritance needs is derived and measured once."""

import logging
import math
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel

from optimum_ose.configuration import LayerSelection
from optimum_ose.core.architecture import Architecture
from optimum_ose.data.batching import evaluation_batches
from optimum_ose.distillation.layer_scores import Batches, block_influence, losses_when_dropped
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.axes import HEADS, HIDDEN, KV_HEADS, LAYERS
from optimum_ose.modeling.dimension_map import DimensionMap, derive_dimension_map
from optimum_ose.modeling.importance import measure_importance, require_inheritable
from optimum_ose.modeling.inheritance import Inheritance, Origin, choose, find_origins
from optimum_ose.modeling.initialization import inherit
from optimum_ose.modeling.prediction import evaluating, token_mask
from optimum_ose.modeling.repair import record, repair
from optimum_ose.modeling.search_space import derive_search_space
from optimum_ose.modeling.slicing import inherit_fronts
from optimum_ose.preprocessing import IMAGE, SOUND, WRITTEN, WRITTEN_MASK, Preprocessor, holds_choices, row_lengths
from optimum_ose.tasks import task_named

NUM_CALIBRATION_ROWS = 1024
"""Rows on which students are repaired. Maps that see one vector a row, such as poolers and heads, are fitted to so
many."""
_NUM_RANKING_ROWS = 256
"""Those of them on which directions, heads and neurons are ranked."""
_MAX_TOKENS = 2**15
"""Tokens, padding included, in the one batch on which students are repaired."""
_UNCUT_SHARE = 0.9
"""Of the rows that students are repaired on: longer rows are cut, or padding would be most of the batch."""
_NUM_COMPARED = 16
"""Rows on which a reordered teacher is compared with the teacher."""
_ROUNDING = 1e-3
"""Relative difference between them that is rounding."""
_INPUTS = ("input_ids", "attention_mask", "token_type_ids", WRITTEN, WRITTEN_MASK, IMAGE, SOUND)
_LOGGER = logging.getLogger(__name__)


@final
class StudentMaker:
    """Makes a student of any architecture of the teacher's search space.

    Args:
        teacher: the model inherited from.
        tokenizer: pads the calibration rows; of images and sounds their processor.
        task: which head the students get.
        rows: token rows, images or sounds; importance is measured on a seeded draw of them.
        layer_selection: which of the teacher's layers the students inherit.

    Raises:
        UnsupportedModelError: if layers are to be selected by what they are worth, and importance cannot be measured.

    Attributes:
        refusal: why importance cannot be measured; then students inherit the front of each tensor. None: it can.
    """

    def __init__(
        self,
        teacher: PreTrainedModel,
        tokenizer: Preprocessor,
        *,
        task: str,
        rows: Dataset,
        layer_selection: LayerSelection = "even",
    ) -> None:
        self._teacher = teacher
        self._task = task
        self.refusal: UnsupportedModelError | None = None
        try:
            self.dimension_map = derive_dimension_map(teacher.config, task)
            require_inheritable(self.dimension_map)
        except UnsupportedModelError as error:
            if layer_selection != "even":
                raise
            _LOGGER.warning("students inherit the front of each tensor, unranked and unrepaired: %s", error)
            self.refusal = error
            return
        count = min(NUM_CALIBRATION_ROWS, len(rows))
        chosen = sorted(np.random.default_rng(0).choice(len(rows), count, replace=False).tolist())
        inputs = rows.select_columns([name for name in _INPUTS if name in rows.column_names])
        calibration = _choices_apart(inputs.select(chosen)).select(range(count))
        self._own_sizes = derive_search_space(teacher.config, task=task).maximum_point
        self._maximum_point = _followed(self.dimension_map, self._own_sizes)
        ranked = list(evaluation_batches(_evenly_spaced(calibration, _NUM_RANKING_ROWS), tokenizer, batch_size=32))
        self.importance = measure_importance(
            teacher, ranked, dimension_map=self.dimension_map, architecture=self._maximum_point
        )
        self._layer_scores: torch.Tensor | None = None
        if layer_selection == "block-influence":
            self._layer_scores = block_influence(teacher, ranked)[:-1]
        elif layer_selection == "loss-when-dropped":
            self._layer_scores = self._losses_when_dropped(ranked)
        few = _cut(calibration) if "input_ids" in calibration.column_names else _uncut(teacher, calibration, tokenizer)
        self._calibration = record(teacher, next(iter(evaluation_batches(few, tokenizer, batch_size=len(few)))))

    def __call__(self, architecture: Architecture) -> PreTrainedModel:
        """A fresh student: inherited, then repaired; at the teacher's own size it is the teacher.

        One whose size differs in an axis that the dimension map does not follow, such as the width of a head, inherits
        fronts.
        """
        if self.refusal is not None or not can_rank(self.dimension_map, self._own_sizes, architecture):
            return inherit_fronts(self._teacher, architecture, task=self._task)
        architecture = _followed(self.dimension_map, architecture)
        chosen = choose(architecture, self.importance, layer_scores=self._layer_scores)
        student, origins = self._inherit(architecture, chosen)
        if architecture != self._maximum_point:
            repair(student, self._calibration, origins)
        return student

    def ordered(self, architecture: Architecture, *, is_teacher: bool) -> PreTrainedModel:
        """A student whose most important directions, heads and neurons come first, so that the front of every tensor is
        its most important part.

        Args:
            architecture: its sizes.
            is_teacher: at the teacher's own size it must compute what the teacher does. Its channels are then put in
                order and not rotated, and narrow parts of it are far worse.
        """
        plain = inherit_fronts(self._teacher, architecture, task=self._task)
        if self.refusal is not None or not can_rank(self.dimension_map, self._own_sizes, architecture):
            return plain
        followed = _followed(self.dimension_map, architecture)
        chosen = choose(
            followed, self.importance, layer_scores=self._layer_scores, in_order=True, keeps_channels=is_teacher
        )
        student, origins = self._inherit(followed, chosen)
        if followed != self._maximum_point or not is_teacher:
            repair(student, self._calibration, origins)
            return student
        return student if _answer_alike(student, self._teacher, self._calibration.batch) else plain

    def _inherit(self, architecture: Architecture, chosen: Inheritance) -> tuple[PreTrainedModel, Mapping[str, Origin]]:
        origins = find_origins(self._teacher, architecture, self.dimension_map, chosen)
        return inherit(self._teacher, architecture, task=self._task, origins=origins), origins

    def _losses_when_dropped(self, batches: Batches) -> torch.Tensor:
        num_inner_layers = self._maximum_point[LAYERS] - 1

        def without(layer: int) -> PreTrainedModel:
            shorter = Architecture({**self._maximum_point, LAYERS: num_inner_layers})
            others = torch.arange(num_inner_layers) != layer
            return self._inherit(shorter, choose(shorter, self.importance, layer_scores=others))[0]

        return losses_when_dropped(
            self._teacher,
            batches,
            problem=task_named(self._task).problem(self._teacher.config),
            shortened=(without(layer) for layer in range(num_inner_layers)),
        )


def can_rank(dimension_map: DimensionMap | None, own_sizes: Mapping[str, int], architecture: Mapping[str, int]) -> bool:
    """Whether what a student of an architecture inherits is ranked and repaired: the dimension map follows every axis
    in which it differs from the teacher.

    Args:
        dimension_map: of the teacher; None: students inherit fronts.
        own_sizes: of the teacher.
        architecture: of the student.
    """
    if dimension_map is None:
        return False
    unfollowed = set(architecture) - set(_followed(dimension_map, architecture))
    return all(own_sizes.get(axis) == architecture[axis] for axis in unfollowed)


def _followed(dimension_map: DimensionMap, architecture: Mapping[str, int]) -> Architecture:
    """The sizes that the dimension map knows of."""
    known = {item.axis for tensor in dimension_map.tensors for item in tensor.dimensions}
    known |= {LAYERS, HEADS, KV_HEADS, HIDDEN}
    return Architecture({axis: value for axis, value in architecture.items() if axis in known})


def _choices_apart(rows: Dataset) -> Dataset:
    """Token rows; of questions with choices a row for each choice, as a question with that choice alone."""
    if "input_ids" not in rows.column_names or not holds_choices(rows[0]["input_ids"]):
        return rows
    columns = rows.to_dict()
    return Dataset.from_dict({name: [[part] for row in columns[name] for part in row] for name in columns})


def _answer_alike(student: PreTrainedModel, teacher: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> bool:
    """Whether two models answer the same but for rounding: channels of some types cannot be put in another order."""
    with evaluating(student), evaluating(teacher):
        first = {name: values[:_NUM_COMPARED] for name, values in batch.items()}
        found, expected = student(**first)[0], teacher(**first)[0]
    return bool(torch.allclose(found, expected, rtol=_ROUNDING, atol=_ROUNDING * float(expected.abs().max())))


def _cut(rows: Dataset) -> Dataset:
    """Token rows for one batch, the longest of them cut."""
    length = math.ceil(np.quantile(row_lengths(rows), _UNCUT_SHARE))
    few = _evenly_spaced(rows, max(_MAX_TOKENS // length, 1)).to_dict()
    return Dataset.from_dict({name: [_first(values, length) for values in column] for name, column in few.items()})


def _first(values: list[Any], length: int) -> list[Any]:
    """So many values; of choices, of each."""
    return [part[:length] for part in values] if holds_choices(values) else values[:length]


def _uncut(teacher: PreTrainedModel, rows: Dataset, tokenizer: Preprocessor) -> Dataset:
    """Images or sounds for one batch, of which the teacher makes about as many tokens each."""
    first = next(iter(evaluation_batches(rows.select([0]), tokenizer, batch_size=1)))
    return _evenly_spaced(rows, max(_MAX_TOKENS // token_mask(teacher, first).shape[1], 1))


def _evenly_spaced(rows: Dataset, count: int) -> Dataset:
    """At most so many of the rows."""
    return rows.select(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))
