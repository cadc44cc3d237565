"""Rules on fields of `transformers.TrainingArguments` that a Trainer takes unchecked and that would spoil a run."""

from collections.abc import Mapping
from typing import Any

from optimum_ose.configuration.kinds import Bounds
from optimum_ose.configuration.rules import Rule

_NOT_NEGATIVE = Bounds(least=0)
_BOUNDS = {
    "adam_beta1": Bounds(least=0, below=1),
    "adam_beta2": Bounds(least=0, below=1),
    "adam_epsilon": Bounds(above=0),
    "dataloader_num_workers": Bounds(least=0, cap=64),
    "label_smoothing_factor": Bounds(least=0, below=1),
    "learning_rate": Bounds(above=0, most=1),
    "max_grad_norm": _NOT_NEGATIVE,
    "neftune_noise_alpha": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
}
_LEFT_OUT = {"resume_from_checkpoint": "a run resumes from its own checkpoints when the same command is given again"}
"""Field -> why a run must not be given it."""


def training_rules(name: str, settings: Mapping[str, Any]) -> list[Rule]:
    """What the fields must fulfil.

    Args:
        name: of the setting that holds them.
        settings: the fields by name.
    """
    numbers = [(f"{name}.{field}", bounds, settings.get(field)) for field, bounds in _BOUNDS.items()]
    broken: list[Rule] = [
        (False, f"{place} {rule}", value)
        for place, bounds, value in numbers
        if (number := _number(value)) is not None and (rule := bounds.broken_by(number)) is not None
    ]
    return broken + [
        (False, f"{name}.{field} must be left out: {reason}", settings[field])
        for field, reason in _LEFT_OUT.items()
        if settings.get(field) is not None
    ]


def _number(value: object) -> float | None:
    """A number, also one that is given as text; None for anything else, which TrainingArguments refuses."""
    try:
        return float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None
