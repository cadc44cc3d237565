"""Initializes a student of any model type with the front part of each of its teacher's tensors.

The plainest inheritance (ours), for model types whose dimension map or importance is not known: it needs nothing but
two models of one type. Lists of modules are matched by runs of like length, the last of each run taken; a dimension
that is k blocks of an axis keeps the front of each block, so fused queries, keys and values stay apart. At the
teacher's own size every tensor is copied whole.
"""

from collections.abc import Mapping

import torch
from transformers import PreTrainedModel

from optimum_ose.core.architecture import Architecture
from optimum_ose.modeling.axes import HIDDEN, derive_axes
from optimum_ose.modeling.inheritance import run_ends
from optimum_ose.modeling.initialization import from_scratch

Pairs = tuple[tuple[int, int], ...]
"""(teacher's size, student's size) of each axis."""


def inherit_fronts(
    teacher: PreTrainedModel, architecture: Architecture, *, task: str | None, seed: int = 0
) -> PreTrainedModel:
    """A student that takes the front part of each of the teacher's tensors.

    Args:
        teacher: of any model type.
        architecture: the student's sizes.
        task: which head it gets.
        seed: of the weights that the teacher has no counterpart of.
    """
    student = from_scratch(teacher, architecture, task=task, seed=seed)
    axes = derive_axes(teacher.config, task)
    order = sorted(architecture, key=lambda axis: axis != HIDDEN)
    sizes = tuple((axes[axis].value, architecture[axis]) for axis in order)
    copy_fronts(student, teacher, sizes=sizes)
    student.eval()
    return student


def copy_fronts(student: torch.nn.Module, teacher: torch.nn.Module, *, sizes: Pairs = ()) -> None:
    """Write the front part of each of the teacher's parameters and buffers into the student's, in place.

    Args:
        student: its tensors without a counterpart of the same number of dimensions stay as they are.
        teacher: not changed.
        sizes: of the axes, the one whose blocks are looked for first at the front.
    """
    lengths = list_lengths(student), list_lengths(teacher)
    source = {**dict(teacher.named_parameters()), **dict(teacher.named_buffers())}
    target = {**dict(student.named_parameters()), **dict(student.named_buffers())}
    with torch.no_grad():
        for name, tensor in target.items():
            found = source.get(_source_name(name, *lengths))
            if found is None or found.ndim != tensor.ndim or found.dtype != tensor.dtype:
                continue
            for index, (whole, kept) in enumerate(zip(found.shape, tensor.shape, strict=True)):
                if kept < whole:
                    found = found.index_select(index, block_fronts(whole, kept, sizes).to(found.device))
            if found.shape == tensor.shape:
                tensor.copy_(found)


def block_fronts(whole: int, kept: int, sizes: Pairs) -> torch.Tensor:
    """Indices of the front of each block of a dimension; of the whole dimension if it is made of no axis's blocks."""
    for size, part in sizes:
        blocks = whole // size
        if part < size and whole == blocks * size and kept == blocks * part:
            return torch.cat([torch.arange(part) + block * size for block in range(blocks)])
    return torch.arange(kept)


def list_lengths(model: torch.nn.Module) -> Mapping[str, int]:
    """Number of modules in each list, by its dotted name."""
    return {
        name: len(module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList | torch.nn.Sequential)
    }


def _source_name(name: str, student: Mapping[str, int], teacher: Mapping[str, int]) -> str:
    """The teacher's name of a student's tensor: indices into shorter lists point to the ends of runs."""
    own, other = "", ""
    for part in name.split("."):
        found = part
        if own in student and other in teacher and student[own] < teacher[other] and part.isdigit():
            found = str(run_ends(teacher[other], student[own])[int(part)])
        own = f"{own}.{part}" if own else part
        other = f"{other}.{found}" if other else found
    return other
