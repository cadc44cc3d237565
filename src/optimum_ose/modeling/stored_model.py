"""Loads a model in the class that its config names, in the precision of its files, with whatever head they hold."""

import re
from dataclasses import dataclass
from typing import Any

import transformers
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.modeling.building import BUILD_ERRORS
from optimum_ose.modeling.source import not_loaded
from optimum_ose.modeling.weights import read_headers, require_finite, weight_files
from optimum_ose.wording import listed, one_line

_BUFFER = re.compile(r"(^|\.)(position_ids|token_type_ids|inv_freq|masked_bias|num_batches_tracked|attn\.bias)$")
"""Constants that older versions of Transformers saved."""
_POOLER = re.compile(r"(^|\.)pooler\.")
"""A part that some files lack although their class has it."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model as its files hold it."""

    model: PreTrainedModel
    """In evaluation mode."""
    not_stored: frozenset[str]
    """Tensors of its class that the files lack; their values are random."""


def load_stored(source: str, config: PretrainedConfig) -> StoredModel:
    """The model of a folder or Hub id, from safetensors.

    Args:
        source: folder or Hub id.
        config: its config; `architectures` names the class.

    Raises:
        InvalidConfigError: if the files cannot be read, or hold another model than the config describes.
        UnsupportedModelError: if the weights are quantized.
    """
    read_headers(source, weight_files(source, config))
    named = (config.architectures or [""])[0]
    kind: Any = getattr(transformers, named, AutoModel)
    try:
        model, found = kind.from_pretrained(
            source, config=config, dtype="auto", use_safetensors=True, output_loading_info=True
        )
    except BUILD_ERRORS as error:
        raise not_loaded(source, error) from error
    missing = frozenset(found["missing_keys"])
    strange = [name for name in missing if not _POOLER.search(name)]
    strange += [name for name in found["unexpected_keys"] if not _BUFFER.search(name)]
    strange += [name if isinstance(name, str) else name[0] for name in found["mismatched_keys"]]
    if strange:
        raise InvalidConfigError(
            f"The weight files of {one_line(source, limit=120)} must hold the {type(model).__name__} that its "
            "config.json describes",
            f"missing, unexpected or of another shape: {listed(sorted(strange), limit=3)}",
            "Save the whole model again with save_pretrained, or correct architectures in config.json",
        )
    require_finite(model, source)
    return StoredModel(model.eval(), missing)
