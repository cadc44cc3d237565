"""The state of an elastic training on the disk: one safetensors file with weights, AdamW's moments and the step."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from optimum_ose.elastic.fronts import tensors_of
from optimum_ose.exceptions import OutputFolderError
from optimum_ose.output_folder import writing
from optimum_ose.serialization import canonical_line
from optimum_ose.wording import first_line

STATE_FILE = "elastic.safetensors"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeptState:
    """What a file of a state says about itself."""

    question: Mapping[str, Any]
    """What the training answers."""
    step: int
    """Optimizer steps done."""
    is_finished: bool
    """Whether the training has ended."""


_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save_state(
    path: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer | None,
    *,
    step: int,
    question: Mapping[str, Any],
) -> None:
    """Write the state under a temporary name, flush it, and rename it: the file is whole or the one before it.

    Args:
        path: the file.
        model: whose tensors are kept.
        optimizer: AdamW; None: training has ended, and only weights are kept.
        step: optimizer steps done.
        question: what the training answers.

    Raises:
        OutputFolderError: if it cannot be written.
    """
    tensors = {f"weights/{name}": tensor.detach() for name, tensor in _untied(model).items()}
    if optimizer is not None:
        for name, tensor in model.named_parameters():
            moments: Mapping[str, torch.Tensor] = optimizer.state.get(tensor, {})
            tensors |= {f"{kind}/{name}": moments[kind] for kind in _MOMENTS if kind in moments}
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={"step": str(step), "question": canonical_line(question)})
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)


def load_state(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None) -> int:
    """Write a state into a model, and into its optimizer if there is one; the number of steps done.

    Raises:
        OutputFolderError: if the file is damaged, or is of another model.
    """
    try:
        with safe_open(path, framework="pt") as content:
            step = int(content.metadata()["step"])
            names = set(content.keys())
            with torch.no_grad():
                for name, tensor in _untied(model).items():
                    tensor.copy_(content.get_tensor(f"weights/{name}"))
            for name, parameter in model.named_parameters() if optimizer is not None else ():
                kept = {kind: f"{kind}/{name}" for kind in _MOMENTS if f"{kind}/{name}" in names}
                if kept and optimizer is not None:
                    found = {kind: content.get_tensor(key).to(parameter.device) for kind, key in kept.items()}
                    optimizer.state[parameter] = found
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise OutputFolderError(
            f"{path} must hold the state of this elastic training",
            f"it does not: {first_line(error)}",
            f"Remove {path.parent} and run the command again: the training begins anew",
        ) from error
    return step


def kept_state(path: Path) -> KeptState | None:
    """What a file of a state says about itself; None if it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as content:
            found = content.metadata() or {}
            is_finished = not any(name.startswith(_MOMENTS[0]) for name in content.keys())  # noqa: SIM118  # no mapping
            return KeptState(question=json.loads(found["question"]), step=int(found["step"]), is_finished=is_finished)
    except (SafetensorError, OSError, KeyError, ValueError):
        return None


def _untied(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Tensors by name, tied ones under the first of their names."""
    found = {id(tensor): name for name, tensor in reversed(tensors_of(model).items())}
    return {name: tensor for name, tensor in tensors_of(model).items() if found[id(tensor)] == name}
