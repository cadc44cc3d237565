"""TrainingArguments of the two fine-tunings of a run, and the callback that tells a listener of their progress."""

import math
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, final, get_type_hints

import torch
import transformers
from packaging.version import Version
from pydantic import ConfigDict, TypeAdapter, ValidationError
from transformers import PretrainedConfig, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.finetuning.arguments import refused_arguments
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.progress import Listener
from optimum_ose.serialization import plain
from optimum_ose.wording import listed, shown

_RATE_TIMES_WIDTH = 0.06
_BASE_WIDTH = 768
_BATCH_SIZE = 32
_EPOCHS = 5
_MAX_EPOCHS = 50
_MIN_STEPS = 100
"""Of a teacher's training: after 15 steps, five epochs of 80 rows, a small BERT of random weights answers by chance."""
_MIN_STEPS_OF_SETS = 400
_WARMUP_STEPS = 20
_WARMUP_SHARE = 0.1


def teacher_arguments(
    folder: Path, config: PretrainedConfig, overrides: Mapping[str, Any], *, num_rows: int, are_sets: bool = False
) -> TrainingArguments:
    """Arguments for a teacher that gets its head: five epochs, more of few rows, at a rate that falls with its width.

    The rate is 1.6e-4 for a MiniLM of width 384 and 8e-5 for a BERT-base; two epochs at 1e-4 left MiniLM at 75% of
    banking77's development rows. The rate rises over 20 steps, or a tenth of the training where that is less.

    Args:
        folder: of the checkpoints.
        config: of the teacher.
        overrides: fields of TrainingArguments that the user sets.
        num_rows: of the training split.
        are_sets: whether their labels are sets of classes, which take more steps.
    """
    rate = _RATE_TIMES_WIDTH / getattr(config, "hidden_size", _BASE_WIDTH)
    needed = math.ceil((_MIN_STEPS_OF_SETS if are_sets else _MIN_STEPS) * _BATCH_SIZE / max(num_rows, 1))
    epochs = min(max(_EPOCHS, needed), _MAX_EPOCHS)
    defaults = {"num_train_epochs": epochs, "learning_rate": rate, "weight_decay": 0.01}
    made = _arguments("teacher_arguments", folder, defaults, overrides)
    if not {"warmup_steps", "warmup_ratio"} & overrides.keys():
        rows_of_step = max(made.train_batch_size * made.gradient_accumulation_steps, 1)
        by_epochs = math.ceil(made.num_train_epochs * math.ceil(num_rows / rows_of_step))
        num_steps = made.max_steps if made.max_steps > 0 else by_epochs
        made.warmup_steps = min(_WARMUP_STEPS, int(_WARMUP_SHARE * num_steps))
    return made


def student_arguments(folder: Path, overrides: Mapping[str, Any]) -> TrainingArguments:
    """Arguments for a distilled student that studies its mistakes: three gentle epochs, so three rounds of Agora."""
    return _arguments(
        "student_arguments", folder, {"num_train_epochs": 3, "learning_rate": 1e-4, "weight_decay": 0.01}, overrides
    )


def _arguments(
    owner: str, folder: Path, defaults: Mapping[str, Any], overrides: Mapping[str, Any]
) -> TrainingArguments:
    by_length: dict[str, Any] = (
        {"train_sampling_strategy": "group_by_length"}
        if Version(transformers.__version__).major >= 5
        else {"group_by_length": True}
    )
    common = {
        "output_dir": str(folder),
        "per_device_train_batch_size": _BATCH_SIZE,
        "per_device_eval_batch_size": 64,
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "use_cpu": not torch.accelerator.is_available(),  # so that processes of a launch are joined there too
        "warmup_steps": _WARMUP_STEPS,
        **by_length,
    }
    _require_fields(owner, overrides)
    given = _of_their_types(owner, overrides)
    try:
        made = TrainingArguments(**{**common, **defaults, **given})
    except BUILD_ERRORS as error:
        raise refused_arguments(owner, error) from error
    if made.num_train_epochs < 0:
        raise refused_arguments(owner, ValueError(f"num_train_epochs={made.num_train_epochs:g} is negative"))
    return made


def _require_fields(owner: str, overrides: Mapping[str, Any]) -> None:
    known = {item.name for item in fields(TrainingArguments)} - {"output_dir"}
    unknown = sorted(set(overrides) - known)
    if not unknown:
        return
    nearest = [near[0] for name in unknown if (near := get_close_matches(name, known, n=1))]
    raise InvalidConfigError(
        f"{owner} must name fields of TrainingArguments other than output_dir",
        f"got {listed(unknown)}",
        f"Remove or rename them{'; the nearest: ' if nearest else ''}{listed(nearest)}",
    )


def _of_their_types(owner: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the types that their fields are annotated with: YAML's `5e-5` is text.

    Raises:
        InvalidConfigError: if a value cannot be one.
    """
    hints, found = get_type_hints(TrainingArguments), dict[str, Any]()
    for name, value in overrides.items():
        try:
            kind: TypeAdapter[Any] = TypeAdapter(hints[name], config=ConfigDict(arbitrary_types_allowed=True))
            found[name] = kind.validate_python(plain(value))
        except ValidationError as error:
            raise InvalidConfigError(
                f"{name} in {owner} must be what TrainingArguments takes",
                f"got {shown(value)}: {error.errors(include_url=False)[0]['msg']}",
                "Correct the value",
            ) from error
    return found


@final
class ProgressCallback(TrainerCallback):
    """Tells a listener how far a Trainer is.

    Args:
        listener: hears of it.
        name: of the stage.
    """

    def __init__(self, listener: Listener, name: str) -> None:
        self._listener = listener
        self._name = name
        self._is_open = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """See `TrainerCallback`."""
        self.close()
        self._listener.stage(self._name, state.max_steps)
        self._is_open = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        self._listener.advance(state.global_step, f"epoch {state.epoch or 0:.1f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """See `TrainerCallback`."""
        self.close()

    def close(self) -> None:
        """End the stage, if one has begun; a training that fails does not come to its end."""
        if self._is_open:
            self._listener.finish()
        self._is_open = False
