"""What the distillation loop needs of an Accelerator, for one process that trains on its own among others."""

from typing import Any, final

import torch
from accelerate import PartialState
from torch.utils.data import DataLoader

from optimum_ose.exceptions import ProcessError
from optimum_ose.processes import launched_processes


def process_state() -> PartialState:
    """Which process of the launch this is, and its device; without an accelerator the processes are joined by gloo.

    Raises:
        ProcessError: if what the launcher left in the environment makes no sense.
    """
    launched_processes()
    return PartialState(cpu=not torch.accelerator.is_available())


def num_processes() -> int:
    """Processes of this launch, which are connected by now; 1 without a launcher.

    Raises:
        ProcessError: if the launcher started several that Accelerate did not connect.
    """
    connected, started = int(process_state().num_processes), launched_processes()
    if connected != started:
        raise ProcessError(
            "Accelerate must connect all processes of a launch",
            f"{started} were started, and this one knows of {connected}",
            "Make no TrainingArguments or Accelerator before, or make them with use_cpu=True or cpu=True where there "
            "is no accelerator; or start a single process",
        )
    return connected


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
