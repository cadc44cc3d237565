"""Writes an architecture into a config."""

from collections.abc import Mapping

from transformers import PretrainedConfig

from optimum_ose.core.architecture import Architecture
from optimum_ose.exceptions import InvalidArchitectureError
from optimum_ose.guards import require_kind
from optimum_ose.modeling.axes import derive_axes, require_known
from optimum_ose.modeling.axis import apply_values
from optimum_ose.modeling.grids import head_sizes


def reconfigure(config: PretrainedConfig, architecture: Architecture) -> PretrainedConfig:
    """A plain config of the same model type with the architecture's sizes; `AutoModel.from_config` builds it.

    Args:
        config: where every other setting comes from; it is not changed.
        architecture: sizes by axis name; axes that it does not name keep the config's value.

    Raises:
        InvalidArchitectureError: for an axis that the config does not have, or heads that do not divide the width.
        UnsupportedModelError: if no axis can be derived, or the config's own rules forbid the sizes.
    """
    require_kind(config, PretrainedConfig, "config", "Load one: transformers.AutoConfig.from_pretrained(folder)")
    require_kind(architecture, Mapping, "architecture", "Pass an Architecture, such as Architecture(hidden_size=64)")
    axes = derive_axes(config)
    require_known(config, axes, architecture)
    for hidden, heads in head_sizes(axes):
        width = architecture.get(hidden, axes[hidden].value)
        count = architecture.get(heads, axes[heads].value)
        if width % count:
            below = width // count * count
            raise InvalidArchitectureError(
                f"Architecture: {heads} must divide {hidden}",
                f"{hidden}={width} is not a multiple of {heads}={count}",
                f"The nearest widths that are: {', '.join(str(size) for size in (below, below + count) if size)}",
            )
    return apply_values(config, axes, architecture)
