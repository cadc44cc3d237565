"""Counts the multiply-adds of a model type as an exact polynomial in its axes and the sequence length.

Counted are the matrix products of one forward pass of one sequence, heads and poolers included; look-ups, norms,
biases and activations are
not. For the repeated layers of a BERT this is D(4LH^2 + 2L^2H + 2LHI), the count that the Bort paper uses.
"""

import re
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from transformers import PretrainedConfig, PreTrainedModel

from optimum_ose.core.costs import SEQUENCE_LENGTH
from optimum_ose.core.polynomial import Polynomial
from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.axes import HEADS, HIDDEN, LAYERS
from optimum_ose.modeling.axis import Axis, apply_values
from optimum_ose.modeling.building import build_on_meta
from optimum_ose.modeling.dimension_map import DimensionMap, derive_dimension_map
from optimum_ose.modeling.length import usable_length
from optimum_ose.modeling.model_inputs import run_example

ATTENTION = "attention"
"""Key of the products of queries with keys and of weights with values."""
_PRODUCT = re.compile(r"mm$|mm_|bmm|conv|attention|\.mv$|addmv|\.dot$|einsum|lstm|gru|rnn|fft|_scan")
"""Names of operations that multiply tensors with each other."""
_LENGTHS = (8, 20)
"""Two sequence lengths tell a product done once per token from one done once per sequence."""
_LONG = 512
"""A sequence so long that attention in windows or with buckets would show."""


@final
class OperationCount:
    """Multiply-adds of architectures as a quantity of `core.costs.CostModel`.

    By the polynomial of a model type that has one, else by running each architecture on `meta`. Nothing is derived
    before the first question.

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
        known = self.polynomial()
        if known is not None:
            return known.evaluate(columns)
        rows = np.stack([*(columns[axis] for axis in self._axes), columns[SEQUENCE_LENGTH]], axis=1).tolist()
        return np.array([self._count(tuple(row)) for row in rows], dtype=np.int64)

    def polynomial(self) -> Polynomial | None:
        """See `core.costs.Quantity`; derived at the first question."""
        if not self._has_tried:
            self._polynomial, self._has_tried = self._derive(), True
        return self._polynomial

    def _derive(self) -> Polynomial | None:
        try:
            dimension_map = derive_dimension_map(self._config, self._task)
            return multiply_add_polynomial(self._config, dimension_map, task=self._task, axes=self._axes)
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
    lengths = _two_lengths(config)
    short, long = (_positions(model, length) for length in lengths)
    length = Polynomial.variable(SEQUENCE_LENGTH)
    terms = {ATTENTION: Polynomial.constant(2) * Polynomial.variable(LAYERS) * Polynomial.variable(HIDDEN) * length**2}
    for tensor in dimension_map.tensors:
        name = tensor.name.replace("{layer}", "0").removesuffix(".weight")
        if name in short and tensor.name.endswith(".weight"):
            terms[tensor.name] = tensor.polynomial() * _per_sequence((short[name], long[name]), lengths, length)
    return terms


def multiply_add_polynomial(
    config: PretrainedConfig,
    dimension_map: DimensionMap,
    *,
    task: str | None,
    axes: Mapping[str, Axis],
) -> Polynomial:
    """Multiply-adds of one sequence, in the axes and `sequence_length`, verified on builds that were not used for it.

    Raises:
        UnsupportedModelError: if the polynomial fails on a held-back build.
    """
    values = {name: axis.value for name, axis in axes.items()}
    if not {LAYERS, HIDDEN} <= set(values):
        raise _unlike_attention(config, "it has no single depth and width")
    total = sum(multiply_add_terms(config, dimension_map, task=task).values(), Polynomial.constant(0))
    short, long = _two_lengths(config)
    longest = min(_LONG, usable_length(config) or _LONG)
    for multiple, num_layers, num_tokens in ((1, values[LAYERS], short), (3, 2, long), (1, 1, longest)):
        held_back = {axis: value * (1 if axis == HEADS else multiple) for axis, value in values.items()}
        held_back |= {LAYERS: num_layers}
        edited = apply_values(config, axes, held_back)
        counted = count_multiply_adds(build_on_meta(edited, task), num_tokens=num_tokens)
        point = held_back | {SEQUENCE_LENGTH: num_tokens}
        predicted = int(total.evaluate({name: np.array([value], dtype=np.int64) for name, value in point.items()})[0])
        if predicted != counted:
            raise _unlike_attention(config, f"{counted} multiply-adds were counted where {predicted} were expected")
    return total


def _unlike_attention(config: PretrainedConfig, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"model type {config.model_type!r} must do the matrix products of full self-attention and linear maps",
        reason,
        "Choose a model with full self-attention",
    )


def count_multiply_adds(model: PreTrainedModel, *, num_tokens: int) -> int:
    """Multiply-adds of one row, counted operation by operation on a model on `meta`.

    Args:
        model: on `meta`.
        num_tokens: length of a text; an image or a sound has the size that the config names, whatever this is.

    Raises:
        UnsupportedModelError: if the model does not run on `meta`, or does products that have no count.
    """
    seen = _Products()
    with FlopCounterMode(display=False) as counter, seen:
        run_example(model, num_tokens=num_tokens)
    unknown = sorted(seen.names - {str(operation) for operation in flop_registry})
    if unknown:
        raise UnsupportedModelError(
            "every matrix product of a model must be one whose multiply-adds are known",
            f"{type(model).__name__} uses {', '.join(unknown)}",
            "Measure the inference cost instead, and give it to extract() as inference_cost",
        )
    return int(counter.get_total_flops()) // 2


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the names of all products of tensors that were done."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = str(func.overloadpacket)
        if _PRODUCT.search(name):
            self.names.add(name)
        return func(*args, **(kwargs or {}))


def _positions(model: PreTrainedModel, num_tokens: int) -> dict[str, int]:
    """How many vectors each linear map sees in one sequence."""
    seen: dict[str, int] = {}

    def remember(name: str, module: torch.nn.Linear) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            seen[name] = inputs[0].numel() // module.in_features

        return module.register_forward_pre_hook(hook)

    handles = [remember(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    run_example(model, num_tokens=num_tokens)
    for handle in handles:
        handle.remove()
    return seen


def _per_sequence(counts: tuple[int, int], lengths: tuple[int, int], length: Polynomial) -> Polynomial:
    slope = (counts[1] - counts[0]) // (lengths[1] - lengths[0])
    return length * slope + Polynomial.constant(counts[0] - slope * lengths[0])


def _two_lengths(config: PretrainedConfig) -> tuple[int, int]:
    """Two lengths of texts that the model takes.

    Raises:
        UnsupportedModelError: if it takes a single token.
    """
    longest = min(_LENGTHS[1], usable_length(config) or _LENGTHS[1])
    if longest < 2:
        raise _unlike_attention(config, "it takes a single token")
    return min(_LENGTHS[0], longest // 2), longest
