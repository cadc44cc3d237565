"""Writes an architecture into a config."""

from transformers import PretrainedConfig

from optimum_ose.core.architecture import Architecture
from optimum_ose.exceptions import InvalidArchitectureError
from optimum_ose.modeling.axes import HEADS, HIDDEN, axis_attributes
from optimum_ose.modeling.building import edit_config


def reconfigure(config: PretrainedConfig, architecture: Architecture) -> PretrainedConfig:
    """A plain config of the same model type with the architecture's sizes; `AutoModel.from_config` builds it.

    Args:
        config: where every other setting comes from; it is not changed.
        architecture: sizes by axis name; axes that it does not name keep the config's value.

    Raises:
        InvalidArchitectureError: for an axis that the config does not have, or heads that do not divide the width.
        UnsupportedModelError: if no axis can be derived.
    """
    attributes = axis_attributes(config)
    unknown = sorted(set(architecture) - set(attributes))
    if unknown:
        raise InvalidArchitectureError(
            f"model type {config.model_type!r} has the axes {', '.join(attributes)}",
            f"got {', '.join(unknown)}",
            "Use an architecture from this config's search space",
        )
    edited = edit_config(config, {attributes[axis]: value for axis, value in architecture.items()})
    if HEADS in attributes and HIDDEN in attributes:
        width, heads = getattr(edited, attributes[HIDDEN]), getattr(edited, attributes[HEADS])
        if width % heads:
            below = width // heads * heads
            raise InvalidArchitectureError(
                f"Architecture: {HEADS} must divide {HIDDEN}",
                f"{HIDDEN}={width} is not a multiple of {HEADS}={heads}",
                f"The nearest widths that are: {', '.join(str(size) for size in (below, below + heads) if size)}",
            )
    return edited
