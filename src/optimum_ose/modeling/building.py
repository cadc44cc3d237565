"""Builds models from edited configs on the `meta` device, where parameters have shapes but no storage."""

import copy
import warnings
from collections.abc import Mapping

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import PretrainedConfig, PreTrainedModel

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.attributes import resize_list, write_path
from optimum_ose.tasks import HEADLESS_TASK, task_named
from optimum_ose.wording import one_line

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
    OSError,
    ImportError,
    StrictDataclassError,
)
"""What a Transformers model raises when its config does not describe a network."""


def build_on_meta(config: PretrainedConfig, task: str | None) -> PreTrainedModel:
    """The model of a config and task, without storage.

    Raises:
        UnsupportedModelError: if Transformers cannot build it.
    """
    auto_class = task_named(task or HEADLESS_TASK).auto_class  # an unknown task is no fault of the config
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A copy: Transformers writes the choice of attention into the config, which a living model may share.
            model = _from_config(auto_class, config)
    except BUILD_ERRORS as error:
        raise UnsupportedModelError(
            f"transformers must be able to build model type {config.model_type!r} from its config",
            f"building it failed: {one_line(error, limit=300) or type(error).__name__}",
            "Check the config and the optional packages that it names, or choose another model",
        ) from error
    torch.nn.Module.to(model, "meta")  # XLNet makes some parameters on the CPU
    return model.eval().requires_grad_(False)  # type: ignore[no-any-return]


def _from_config(auto: type, config: PretrainedConfig) -> PreTrainedModel:
    """Eager attention, so that every product can be counted; the model's own choice where it has no eager one."""
    try:
        return auto.from_config(copy.deepcopy(config), attn_implementation="eager")  # type: ignore[attr-defined, no-any-return]
    except ValueError as error:
        if "eager" not in str(error):
            raise
        return auto.from_config(copy.deepcopy(config))  # type: ignore[attr-defined, no-any-return]


def parameter_shapes(model: torch.nn.Module) -> Shapes:
    """Shape of every parameter tensor, tied tensors once."""
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def embedding_names(model: torch.nn.Module) -> frozenset[str]:
    """Names of the tensors that embedding tables hold."""
    return frozenset(
        f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.Embedding)
    )


def edit_config(
    config: PretrainedConfig, values: Mapping[str, int], *, lengths: Mapping[str, tuple[int, int]] | None = None
) -> PretrainedConfig:
    """A copy of a config with integers replaced by config path ("hidden_size", "vision_config.hidden_size").

    Args:
        config: it is not changed.
        values: config path -> new integer.
        lengths: config path of what has one entry per layer -> present and new number of layers.

    Raises:
        UnsupportedModelError: if the config's own rules forbid the values.
    """
    content = config.to_dict()
    for path, value in values.items():
        write_path(content, path, value)
    for path, (depth, length) in (lengths or {}).items():
        resize_list(content, path, length, depth=depth)
    try:
        return type(config).from_dict(content)
    except BUILD_ERRORS as error:
        raise UnsupportedModelError(
            f"a config of model type {config.model_type!r} must stay valid when {', '.join(values)} change",
            f"it does not: {one_line(error, limit=300) or type(error).__name__}",
            "Choose other values, or another model",
        ) from error
