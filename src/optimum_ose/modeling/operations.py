"""Counts the multiply-adds of a model type as an exact polynomial in its axes and the sequence length.

Counted are the matrix products of one forward pass of one sequence, heads and poolers included; look-ups, norms,
biases and activations are
not. For the repeated layers of a BERT this is D(4LH^2 + 2L^2H + 2LHI), the count that the Bort paper uses.
"""

from collections.abc import Mapping
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode
from transformers import PretrainedConfig

from optimum_ose.core.costs import SEQUENCE_LENGTH
from optimum_ose.core.polynomial import Polynomial
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.axes import HEADS, HIDDEN, LAYERS, Axis, apply_values
from optimum_ose.modeling.building import build_on_meta, edit_config, run_on_meta
from optimum_ose.modeling.dimension_map import DimensionMap, derive_dimension_map

ATTENTION = "attention"
"""Key of the products of queries with keys and of weights with values."""
_LENGTHS = (8, 20)
"""Two sequence lengths tell a product done once per token from one done once per sequence."""


@final
class OperationCount:
    """Multiply-adds of architectures as a quantity of `core.costs.CostModel`: by the polynomial of a model type that has
    one, else by running each architecture on `meta`. Nothing is derived before the first question.

    Args:
        config: the maximum point.
        task: counts the head of this task too.
        axes: of the space.
    """

    def __init__(self, config: PretrainedConfig, task: str | None, axes: Mapping[str, Axis]) -> None:
        self._config = config
        self._task = task
        self._axes = axes
        self._polynomial: Polynomial | None = None
        self._has_tried = False
        self._counted: dict[tuple[int, ...], int] = {}

    def evaluate(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """See `core.costs.Quantity`; `SEQUENCE_LENGTH` is one of the variables.

        Raises:
            UnsupportedModelError: if the model does not run on `meta`, so that nothing can be counted.
        """
        if not self._has_tried:
            self._polynomial, self._has_tried = self._derive(), True
        if self._polynomial is not None:
            return self._polynomial.evaluate(columns)
        rows = np.stack([*(columns[axis] for axis in self._axes), columns[SEQUENCE_LENGTH]], axis=1).tolist()
        return np.array([self._count(tuple(row)) for row in rows], dtype=np.int64)

    def _derive(self) -> Polynomial | None:
        attributes = {name: axis.path for name, axis in self._axes.items()}
        values = {name: axis.value for name, axis in self._axes.items()}
        try:
            dimension_map = derive_dimension_map(self._config, self._task)
            return multiply_add_polynomial(
                self._config, dimension_map, task=self._task, attributes=attributes, values=values
            )
        except UnsupportedModelError:
            return None

    def _count(self, row: tuple[int, ...]) -> int:
        if row not in self._counted:
            edited = apply_values(self._config, self._axes, dict(zip(self._axes, row[:-1], strict=True)))
            self._counted[row] = count_multiply_adds(build_on_meta(edited, self._task), num_tokens=row[-1])
        return self._counted[row]


def multiply_add_terms(
    config: PretrainedConfig, dimension_map: DimensionMap, *, task: str | None
) -> Mapping[str, Polynomial]:
    """Multiply-adds of one sequence by tensor of the dimension map, all layers together; `ATTENTION` for the products
    of activations with each other.
    """
    model = build_on_meta(config, task)
    short, long = (_positions(model, length) for length in _LENGTHS)
    length = Polynomial.variable(SEQUENCE_LENGTH)
    terms = {ATTENTION: Polynomial.constant(2) * Polynomial.variable(LAYERS) * Polynomial.variable(HIDDEN) * length**2}
    for tensor in dimension_map.tensors:
        name = tensor.name.replace("{layer}", "0").removesuffix(".weight")
        if name in short and tensor.name.endswith(".weight"):
            terms[tensor.name] = tensor.polynomial() * _per_sequence(short[name], long[name], length)
    return terms


def multiply_add_polynomial(
    config: PretrainedConfig,
    dimension_map: DimensionMap,
    *,
    task: str | None,
    attributes: Mapping[str, str],
    values: Mapping[str, int],
) -> Polynomial:
    """Multiply-adds of one sequence, in the axes and `sequence_length`, verified on builds that were not used for it.

    Raises:
        UnsupportedModelError: if the polynomial fails on a held-back build.
    """
    total = sum(multiply_add_terms(config, dimension_map, task=task).values(), Polynomial.constant(0))
    for multiple, num_layers, num_tokens in ((1, values.get(LAYERS, 1), 8), (3, 2, 20)):
        held_back = {axis: value * (1 if axis == HEADS else multiple) for axis, value in values.items()}
        held_back |= {LAYERS: num_layers}
        edited = edit_config(config, {attributes[axis]: held_back[axis] for axis in attributes})
        counted = count_multiply_adds(build_on_meta(edited, task), num_tokens=num_tokens)
        point = held_back | {SEQUENCE_LENGTH: num_tokens}
        predicted = int(total.evaluate({name: np.array([value], dtype=np.int64) for name, value in point.items()})[0])
        if predicted != counted:
            raise UnsupportedModelError(
                f"model type {config.model_type!r} must do the matrix products of full self-attention and linear maps",
                f"{counted} multiply-adds were counted where {predicted} were expected",
                "Choose a model with full self-attention",
            )
    return total


def count_multiply_adds(model: torch.nn.Module, *, num_tokens: int) -> int:
    """Multiply-adds of one sequence, counted operation by operation on a model on `meta`."""
    with FlopCounterMode(display=False) as counter:
        run_on_meta(model, num_tokens=num_tokens)
    return int(counter.get_total_flops()) // 2


def _positions(model: torch.nn.Module, num_tokens: int) -> dict[str, int]:
    """How many vectors each linear map sees in one sequence."""
    seen: dict[str, int] = {}

    def remember(name: str, module: torch.nn.Linear) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            seen[name] = inputs[0].numel() // module.in_features

        return module.register_forward_pre_hook(hook)

    handles = [remember(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    run_on_meta(model, num_tokens=num_tokens)
    for handle in handles:
        handle.remove()
    return seen


def _per_sequence(short: int, long: int, length: Polynomial) -> Polynomial:
    slope = (long - short) // (_LENGTHS[1] - _LENGTHS[0])
    return length * slope + Polynomial.constant(short - slope * _LENGTHS[0])
