"""What the distillation loop needs of an Accelerator, for one process that trains on its own among others."""

from typing import Any, final

import torch
from accelerate import PartialState
from torch.utils.data import DataLoader


def process_state() -> PartialState:
    """Which process of the launch this is, and its device; without an accelerator the processes are joined by gloo."""
    return PartialState(cpu=not torch.accelerator.is_available())


@final
class LocalProcess:
    """Trains a whole model on all batches in this process, whatever the other processes of the launch do.

    An `Accelerator` would split the batches among them and average their gradients.
    """

    def __init__(self) -> None:
        self.device: torch.device = process_state().device

    def prepare(self, pupil: torch.nn.Module, optimizer: Any, loader: DataLoader[Any]) -> tuple[Any, Any, Any]:
        """The model on this process's device, and batches that follow it."""
        return pupil.to(self.device), optimizer, _Batches(loader, self.device)

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of the loss."""
        loss.backward()  # type: ignore[no-untyped-call]

    def clip_grad_norm_(self, parameters: Any, max_norm: float) -> None:
        """Scale the gradients down to a norm."""
        torch.nn.utils.clip_grad_norm_(parameters, max_norm)


@final
class _Batches:
    def __init__(self, loader: DataLoader[Any], device: torch.device) -> None:
        self._loader = loader
        self._device = device

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Any:
        for batch in self._loader:
            yield {name: tensor.to(self._device) for name, tensor in batch.items()}

    def set_epoch(self, epoch: int) -> None:
        self._loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
