"""Whether weights are finite numbers, and whether this machine can train in a precision."""

from collections.abc import Callable

import torch
from transformers import PreTrainedModel, TrainingArguments

from optimum_ose.exceptions import DivergedError, InvalidConfigError
from optimum_ose.wording import listed


def not_finite(model: torch.nn.Module) -> list[str]:
    """Names of the weights that hold NaN or infinity."""
    return [name for name, tensor in model.named_parameters() if not bool(torch.isfinite(tensor).all())]


def require_finite_weights(model: PreTrainedModel, when: str, setting: str) -> None:
    """Pass if every weight of a model is a finite number.

    Args:
        model: after a training.
        when: for the message, such as "after fine-tuning".
        setting: what to lower.

    Raises:
        DivergedError: if a weight is infinite or no number.
    """
    if broken := not_finite(model):
        raise DivergedError(
            f"The weights of {type(model).__name__} must be finite {when}",
            f"those of {listed(broken, limit=3)} are not: the training diverged",
            f"Lower {setting}, begin with a new model, and run the command again",
        )


def require_weights(model: torch.nn.Module, role: str) -> None:
    """Pass if the weights of a model have values: on the `meta` device they have shapes only.

    Args:
        model: the one that is asked.
        role: what messages call it, such as "student".

    Raises:
        InvalidConfigError: if a weight has none.
    """
    empty = [name for name, tensor in model.named_parameters() if tensor.is_meta]
    if empty:
        raise InvalidConfigError(
            f"The weights of the {role} must have values",
            f"{listed(empty, limit=3)} of {type(model).__name__} lie on the device meta, where they have shapes only",
            "Load or make the model without torch.device('meta') and without init_empty_weights",
        )


def require_learnable(model: torch.nn.Module, role: str = "student") -> None:
    """Pass if a model can be trained: its weights have values, are float32, and some of them are not frozen.

    Raises:
        InvalidConfigError: if it cannot.
    """
    require_weights(model, role)
    weights = [tensor for tensor in model.parameters() if tensor.is_floating_point()]
    others = {str(tensor.dtype) for tensor in weights} - {"torch.float32"}
    if others:
        raise InvalidConfigError(
            f"The weights of the {role} must be float32 in training",
            f"this {type(model).__name__} has {listed(sorted(others))}",
            f"Call {role}.float() first; lower precision is a setting of the training (mixed_precision, fp16, bf16)",
        )
    if not any(tensor.requires_grad for tensor in weights):
        raise InvalidConfigError(
            f"The {role} must have weights that can change",
            f"all {len(weights)} tensors of this {type(model).__name__} are frozen (requires_grad=False)",
            f"Call {role}.requires_grad_(True), or unfreeze the parts to be trained",
        )


def require_precision(name: str, *, remedy: str = "Use mixed_precision='no', or 'bf16' where it is supported") -> None:
    """Pass if this machine can train in a precision.

    Args:
        name: "no" (float32), "bf16" or "fp16", as Accelerate names them, or "tf32".
        remedy: what to do if it cannot.

    Raises:
        InvalidConfigError: if it cannot.
    """
    cuda = torch.cuda.is_available()
    can: dict[str, Callable[[], bool]] = {
        "no": lambda: True,
        "fp16": lambda: torch.accelerator.is_available(),
        "bf16": lambda: not cuda or torch.cuda.is_bf16_supported(),
        "tf32": lambda: cuda and torch.cuda.get_device_capability()[0] >= 8,  # Ampere
    }
    if name not in can or not can[name]():
        device = torch.cuda.get_device_name() if cuda else "it has no GPU"
        raise InvalidConfigError(
            f"This machine must be able to train in the precision {name}",
            f"it cannot: {device}" if name in can else "there is no such precision",
            remedy,
        )


def require_trainer_precision(args: TrainingArguments, owner: str = "the training arguments") -> None:
    """Pass if this machine can train in the precision that a Trainer is told to use.

    Args:
        args: of the Trainer.
        owner: the setting that they come from, for the message.

    Raises:
        InvalidConfigError: if it cannot.
    """
    for name in ("fp16", "bf16", "tf32"):
        if getattr(args, name, None):
            remedy = f"Remove {name} from {owner}, or use bf16 where it is supported"
            require_precision("no" if name == "bf16" and args.use_cpu else name, remedy=remedy)
