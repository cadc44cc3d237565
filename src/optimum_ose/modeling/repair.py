"""Repairs a sliced student: its linear maps and norms are fitted to what the teacher's compute on calibration tokens.

A slice breaks what follows it: a norm divides by another variance, a linear map misses the inputs left out. So one
forward pass of the student meets its modules in their order, and fits each, when its turn comes, to the teacher's
output of the same tokens: linear maps by ridge regression towards the slice, norms channel by channel. Before a norm,
the last linear map into the residual stream also takes over what the layers left out would have added. The method is
ours (least squares after pruning is common; doing it in one pass through the dimension map is not taken from a paper).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from optimum_ose.modeling.inheritance import Origin, take
from optimum_ose.modeling.prediction import evaluating, token_mask

RIDGE = 0.03
"""Weight of the pull towards the slice, as a share of the mean square of the inputs. Uncentered, so that inputs that
hardly vary, such as the first token of a shallow student, get no large weights: those undo the training after it."""
MAX_TOKENS = 4096
"""Tokens fitted to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a teacher computes on one batch, by module name."""

    batch: Mapping[str, torch.Tensor]
    """Model inputs, of text padded, shape (rows, tokens) each."""
    mask: torch.Tensor
    """1 where a token is real, shape (rows, tokens)."""
    tokens: torch.Tensor
    """Flat indices of the tokens looked at, shape (n,)."""
    outputs: Mapping[str, torch.Tensor]
    """Of linear maps and norms, shape (n, size); (rows, size) where a module sees one vector a row."""
    norm_inputs: Mapping[str, torch.Tensor]
    """Of norms, of the same shapes."""


def record(teacher: PreTrainedModel, batch: Mapping[str, torch.Tensor], *, seed: int = 0) -> Calibration:
    """Run the teacher once and keep what `repair` needs.

    Args:
        teacher: in any mode; it is left as it was.
        batch: model inputs without labels; of text padded, with `attention_mask`.
        seed: of the draw of at most `MAX_TOKENS` tokens.
    """
    mask = token_mask(teacher, batch)
    valid = mask.reshape(-1).nonzero()[:, 0]
    order = torch.randperm(len(valid), generator=torch.Generator().manual_seed(seed))
    tokens = valid[order[:MAX_TOKENS].sort().values]
    outputs: dict[str, torch.Tensor] = {}
    norm_inputs: dict[str, torch.Tensor] = {}

    def keep(name: str, module: nn.Module) -> RemovableHandle:
        def hook(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen = _vectors(output, mask, tokens)
            if seen is not None:
                outputs[name] = seen.clone()
            before = _vectors(inputs[0], mask, tokens) if _is_norm(module) else None
            if before is not None:
                norm_inputs[name] = before.clone()

        return module.register_forward_hook(hook)

    with _hooks(teacher, keep), evaluating(teacher):
        teacher(**batch)
    return Calibration(batch=batch, mask=mask, tokens=tokens, outputs=outputs, norm_inputs=norm_inputs)


def repair(student: PreTrainedModel, calibration: Calibration, origins: Mapping[str, Origin]) -> None:
    """Fit the student's linear maps and norms, in place, in one forward pass.

    Args:
        student: freshly sliced.
        calibration: of its teacher.
        origins: what each of the student's tensors was sliced from, by its full name.
    """
    writer = _ResidualWriter()

    def fit(name: str, module: nn.Module) -> RemovableHandle | None:
        origin = origins.get(f"{name}.weight")
        source = origin.name.removesuffix(".weight") if origin is not None else ""
        if origin is None or source not in calibration.outputs:
            return None

        def hook(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            vectors = _vectors(inputs[0], calibration.mask, calibration.tokens)
            if vectors is None:
                return
            if isinstance(module, nn.Linear | Conv1D):
                target = take(calibration.outputs[source], origin.kept[1 if isinstance(module, Conv1D) else 0])
                weight = _matrix(module)
                change, bias = _ridge(vectors, target - vectors @ weight, centered=module.bias is not None)
                _set(module, weight + change, bias)
                writer.see(module, origin, vectors, inputs[0])
            else:
                (kept,) = origin.kept
                writer.complete(take(calibration.norm_inputs[source], kept) - vectors, stream=inputs[0])
                seen = _vectors(inputs[0], calibration.mask, calibration.tokens)
                _fit_norm(module, cast(torch.Tensor, seen), take(calibration.outputs[source], kept))

        return module.register_forward_pre_hook(hook)

    with evaluating(student), _hooks(student, fit):
        student(**calibration.batch)


class _ResidualWriter:
    """The last linear map that wrote into the residual stream, with its inputs."""

    def __init__(self) -> None:
        self._last: tuple[nn.Linear | Conv1D, torch.Tensor, torch.Tensor] | None = None

    def see(self, module: nn.Linear | Conv1D, origin: Origin, vectors: torch.Tensor, inputs: torch.Tensor) -> None:
        """Remember a linear map if it writes into the residual stream, token by token."""
        if origin.streams[1 if isinstance(module, Conv1D) else 0] == "residual" and inputs.ndim > 2:
            self._last = module, vectors, inputs

    def complete(self, missing: torch.Tensor, *, stream: torch.Tensor) -> None:
        """Let it add what is missing in the stream, shape (n, size), and add that to the stream itself."""
        if self._last is None or stream.ndim == 2:  # a norm of one vector a row, behind a mean of tokens
            return
        module, vectors, inputs = self._last
        self._last = None
        change, bias = _ridge(vectors, missing, centered=module.bias is not None)
        _set(module, _matrix(module) + change, None if module.bias is None else module.bias + bias)
        stream.add_(inputs @ change + bias)


def _ridge(inputs: torch.Tensor, target: torch.Tensor, *, centered: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights, shape (in, out), and bias of a ridge regression; the bias is zero where it may not be fitted."""
    mean, target_mean = (value.mean(0) if centered else value.new_zeros(value.shape[1]) for value in (inputs, target))
    x, y = inputs - mean, target - target_mean
    gram = (x.T @ x).double()
    gram.diagonal().add_(RIDGE * len(x) * float(inputs.square().mean()) + 1e-12)
    weights = torch.linalg.solve(gram, (x.T @ y).double()).to(inputs.dtype)
    return weights, target_mean - mean @ weights


def _fit_norm(module: nn.Module, inputs: torch.Tensor, target: torch.Tensor) -> None:
    """Scale and shift of a norm by regression of each channel; what the norm does to its weight is found by trying."""
    weight, bias = cast(nn.Parameter, module.weight), cast(nn.Parameter | None, getattr(module, "bias", None))
    old = weight.clone()
    if bias is not None:
        bias.zero_()
    weight.zero_()
    offset = module.forward(inputs)
    weight.fill_(1.0)
    normed, wanted = module.forward(inputs) - offset, target - offset
    mean, wanted_mean = (value.mean(0) if bias is not None else 0 * value[0] for value in (normed, wanted))
    variance = (normed - mean).square().mean(0)
    pull = RIDGE * normed.square().mean(0) + 1e-12
    weight.copy_((((normed - mean) * (wanted - wanted_mean)).mean(0) + pull * old) / (variance + pull))
    if bias is not None:
        bias.copy_(wanted_mean - mean * weight)


def _vectors(value: Any, mask: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor | None:
    """The vectors looked at: of the chosen tokens, or of every row; None if it holds neither."""
    if not isinstance(value, torch.Tensor):
        return None
    if value.shape[:-1] == mask.shape:
        return value.reshape(-1, value.shape[-1])[tokens]
    return value if value.shape[:-1] == mask.shape[:1] else None


def _is_norm(module: nn.Module) -> bool:
    """A module without parts whose parameters are a vector `weight` and maybe a vector `bias`."""
    parameters = dict(module.named_parameters(recurse=False))
    vectors = all(parameter.ndim == 1 for parameter in parameters.values())
    return (
        "weight" in parameters and parameters.keys() <= {"weight", "bias"} and vectors and not list(module.children())
    )


@contextmanager
def _hooks(model: nn.Module, add: Callable[[str, nn.Module], RemovableHandle | None]) -> Iterator[None]:
    handles = [
        add(name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) or _is_norm(module)
    ]
    try:
        yield
    finally:
        for handle in handles:
            if handle is not None:
                handle.remove()


def _matrix(module: nn.Linear | Conv1D) -> torch.Tensor:
    """Its weight as (in, out)."""
    return module.weight if isinstance(module, Conv1D) else module.weight.T


def _set(module: nn.Linear | Conv1D, matrix: torch.Tensor, bias: torch.Tensor | None) -> None:
    module.weight.copy_(matrix if isinstance(module, Conv1D) else matrix.T)
    if module.bias is not None:
        module.bias.copy_(cast(torch.Tensor, bias))
