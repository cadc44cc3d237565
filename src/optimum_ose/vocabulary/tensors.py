"""The tensors of a model that have one row, or one column, for each token; and the model without some of them."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.attributes import config_attributes, write_path
from optimum_ose.modeling.building import BUILD_ERRORS, edit_config
from optimum_ose.vocabulary.token_ids import renumbered
from optimum_ose.wording import first_line, listed

_MORE = 128
"""Tokens more, of the model that shows which tensors follow the vocabulary: a multiple of what sizes are padded to."""


def table_rows(model: PreTrainedModel) -> int:
    """Rows of a model's table of tokens.

    Raises:
        UnsupportedModelError: if it has none.
    """
    try:
        weight = getattr(model.get_input_embeddings(), "weight", None)
    except NotImplementedError:
        weight = None
    if not isinstance(weight, torch.Tensor):
        raise UnsupportedModelError(
            "A model must have a table of token embeddings",
            f"{type(model).__name__} has none",
            "Choose a model of text",
        )
    return int(weight.shape[0])


def size_paths(config: PretrainedConfig, rows: int) -> tuple[str, ...]:
    """Config paths of the size of the vocabulary, nested configs included.

    Raises:
        UnsupportedModelError: if the config does not hold it.
    """
    paths = tuple(
        item.path
        for item in config_attributes(config)
        if item.path.endswith("vocab_size") and not item.path.endswith("type_vocab_size") and item.value == rows
    )
    if not paths:
        raise UnsupportedModelError(
            "The config of a model must hold the size of its vocabulary, vocab_size",
            f"no such setting of model type {config.model_type!r} is {rows:,}, the rows of its table",
            "Choose another model",
        )
    return paths


def token_dimensions(model: PreTrainedModel) -> dict[str, tuple[int, ...]]:
    """Tensor -> the dimensions with one index for each token, found by building the model with a larger vocabulary.

    Biases of heads and buffers are among them; tables of positions and of segments are not.

    Raises:
        UnsupportedModelError: if a tensor follows the size of the vocabulary in another way.
    """
    rows = table_rows(model)
    paths = size_paths(model.config, rows)
    larger = _shapes(model, edit_config(model.config, dict.fromkeys(paths, rows + _MORE)))
    found: dict[str, tuple[int, ...]] = {}
    for name, tensor in model.state_dict().items():
        grown = larger.get(name, ())
        changed = tuple(place for place, size in enumerate(tensor.shape) if grown[place : place + 1] != (size,))
        if any(
            len(grown) != tensor.ndim or (grown[place], tensor.shape[place]) != (rows + _MORE, rows)
            for place in changed
        ):
            raise UnsupportedModelError(
                "A tensor that depends on the vocabulary must have one row for each token",
                f"{name} has the shape {tuple(tensor.shape)}, and {grown} with {_MORE} tokens more than {rows:,}",
                "Choose another model",
            )
        if changed:
            found[name] = changed
    return found


def smaller_model(
    model: PreTrainedModel, kept: Sequence[int], *, dimensions: Mapping[str, Sequence[int]] | None = None
) -> PreTrainedModel:
    """A model with some of the tokens of another.

    Args:
        model: with all tokens; not changed, though the other tensors may be shared with it.
        kept: rows of its table, in their new order.
        dimensions: as `token_dimensions`, where they are known.

    Returns:
        The same class with fewer rows in every tensor with rows for tokens, the size of the vocabulary and the ids of
        special tokens in its config and generation config; in the same precision, in evaluation mode.

    Raises:
        UnsupportedModelError: if its class cannot be built with so few tokens.
    """
    found = dimensions if dimensions is not None else token_dimensions(model)
    config = smaller_config(model, kept)
    rows = torch.tensor(kept)
    weights = {
        name: _sliced(tensor, found.get(name, ()), rows) for name, tensor in _own_tensors(model.state_dict()).items()
    }
    expected = _shapes(model, config)
    wrong = [name for name, tensor in weights.items() if expected.get(name) != tuple(tensor.shape)]
    if wrong:
        raise UnsupportedModelError(
            f"{type(model).__name__} must be able to have a vocabulary of {len(kept):,} tokens",
            f"built from its config {listed(wrong, limit=3)} get another shape, as where sizes are rounded up",
            "Ask for a size that is a multiple of 64, or choose another model",
        )
    kind: Any = type(model)
    smaller: PreTrainedModel = kind.from_pretrained(None, config=config, state_dict=weights, dtype=model.dtype)
    if getattr(model, "generation_config", None) is not None:
        new = {old: index for index, old in enumerate(kept)}
        smaller.generation_config = GenerationConfig.from_dict(renumbered(model.generation_config.to_dict(), new))
    smaller.eval()
    return smaller


def smaller_config(model: PreTrainedModel, kept: Sequence[int]) -> PretrainedConfig:
    """A model's config with the size of a smaller vocabulary and the new ids of its special tokens."""
    new = {old: index for index, old in enumerate(kept)}
    content = renumbered(model.config.to_dict(), new)
    for path in size_paths(model.config, table_rows(model)):
        write_path(content, path, len(kept))
    found = type(model.config).from_dict(content)
    found.name_or_path = model.config.name_or_path
    return found


def _own_tensors(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach() for name, tensor in weights.items()}


def _sliced(tensor: torch.Tensor, places: Sequence[int], rows: torch.Tensor) -> torch.Tensor:
    for place in places:
        tensor = tensor.index_select(place, rows)
    return tensor


def _shapes(model: PreTrainedModel, config: PretrainedConfig) -> dict[str, tuple[int, ...]]:
    try:
        with torch.device("meta"):
            built: Any = type(model)(copy.deepcopy(config))
    except BUILD_ERRORS as error:
        raise UnsupportedModelError(
            f"transformers must be able to build {type(model).__name__} with another vocabulary",
            f"building it failed: {first_line(error)}",
            "Choose another model",
        ) from error
    return {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}
