"""Builds models from edited configs on the `meta` device, where parameters have shapes but no storage."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import PretrainedConfig, PreTrainedModel

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.tasks import auto_class

Shapes = dict[str, tuple[int, ...]]
"""Shape of every parameter tensor, tied tensors once, by its dotted name."""

BUILD_ERRORS = (
    ValueError,
    TypeError,
    RuntimeError,
    KeyError,
    IndexError,
    AssertionError,
    AttributeError,
    ZeroDivisionError,
    StrictDataclassError,
)
"""What a Transformers model raises when its config does not describe a network."""


def build_on_meta(config: PretrainedConfig, task: str | None) -> PreTrainedModel:
    """The model of a config and task, without storage.

    Raises:
        UnsupportedModelError: if Transformers cannot build it.
    """
    try:
        with torch.device("meta"):
            # A copy: Transformers writes the choice of attention into the config, which a living model may share.
            model = auto_class(task).from_config(copy.deepcopy(config), attn_implementation="eager")
    except BUILD_ERRORS as error:
        raise UnsupportedModelError(
            f"transformers must be able to build model type {config.model_type!r} from its config",
            f"building it failed: {error}",
            "Check the config, or choose another model",
        ) from error
    return model.eval()  # type: ignore[no-any-return]


def parameter_shapes(model: torch.nn.Module) -> Shapes:
    """Shape of every parameter tensor, tied tensors once."""
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def read_integer(config: PretrainedConfig, path: str) -> int:
    """The integer that a config holds at a config path."""
    value: object = config
    for name in path.split("."):
        value = getattr(value, name)
    return int(value)  # type: ignore[call-overload, no-any-return]


def edit_config(config: PretrainedConfig, values: Mapping[str, int]) -> PretrainedConfig:
    """A copy of a config with integers replaced by config path ("hidden_size", "vision_config.hidden_size").

    Raises:
        UnsupportedModelError: if the config's own rules forbid the values.
    """
    content = config.to_dict()
    for path, value in values.items():
        *parents, name = path.split(".")
        holder: dict[str, Any] = content
        for parent in parents:
            holder = holder[parent]
        holder[name] = int(value)
    try:
        return type(config).from_dict(content)
    except BUILD_ERRORS as error:
        raise UnsupportedModelError(
            f"a config of model type {config.model_type!r} must stay valid when {', '.join(values)} change",
            f"it does not: {error}",
            "Choose another model",
        ) from error


def run_on_meta(model: torch.nn.Module, *, num_tokens: int) -> None:
    """One forward pass of one sequence of tokens, without arithmetic.

    Raises:
        UnsupportedModelError: if the model takes more, or something else, than `input_ids`.
    """
    try:
        with torch.no_grad():
            model(input_ids=torch.zeros(1, num_tokens, dtype=torch.long, device="meta"))
    except BUILD_ERRORS as error:
        raise UnsupportedModelError(
            "a model must answer `input_ids` alone, without data-dependent steps",
            f"{type(model).__name__} failed: {error}",
            "Choose an encoder such as BERT, RoBERTa, DistilBERT or ELECTRA",
        ) from error


def integer_attributes(config: PretrainedConfig) -> Iterator[tuple[str, int]]:
    """Config path and value of every integer above one that the config holds, nested configs included."""
    yield from _integers(config.to_dict(), "")


def _integers(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, int]]:
    for name, value in content.items():
        if isinstance(value, Mapping) and name.endswith("config"):
            yield from _integers(value, f"{prefix}{name}.")
        elif isinstance(value, int) and not isinstance(value, bool) and value >= 1 and not name.endswith("_id"):
            yield f"{prefix}{name}", value
