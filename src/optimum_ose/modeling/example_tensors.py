"""Makes tensors for the inputs of a model, and finds in its config the numbers that their shapes depend on."""

from collections.abc import Iterator, Mapping

import torch
from transformers import PretrainedConfig, PreTrainedModel

_MAX_TOKEN = 40
"""Token ids stay below this: special tokens of composite models lie high up."""


class Draw:
    """Draws tensors on the device of a model, the same ones each time; on `meta` they have a shape only."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._config, self._device = model.config, model.device
        self._generator = torch.Generator().manual_seed(0)

    def floats(self, *shape: int) -> torch.Tensor:
        """Normally distributed numbers."""
        if self._device.type == "meta":
            return torch.zeros(shape, device=self._device)
        return torch.randn(shape, generator=self._generator).to(self._device)

    def tokens(self, *shape: int) -> torch.Tensor:
        """Token ids that are no special ones."""
        if self._device.type == "meta":
            return torch.zeros(shape, dtype=torch.long, device=self._device)
        top = min(_MAX_TOKEN, find(self._config, ("vocab_size", "text_vocab_size"), _MAX_TOKEN))
        return torch.randint(min(5, top - 1), top, shape, generator=self._generator).to(self._device)

    def same(self, value: int, *shape: int) -> torch.Tensor:
        """One integer everywhere."""
        return torch.full(shape, value, dtype=torch.long, device=self._device)

    def rows(self, values: list[list[int]]) -> torch.Tensor:
        """A table of integers."""
        return torch.tensor(values, device=self._device)


def image_size(config: PretrainedConfig) -> tuple[int, int]:
    """Height and width of the images that a config or its nested configs name."""
    for holder in _holders(config):
        size = getattr(holder, "image_size", None) or getattr(holder, "input_size", None)
        if isinstance(size, Mapping):
            size = tuple(size.values())
        if isinstance(size, int):
            return (size, size)
        if isinstance(size, list | tuple) and len(size) >= 2:
            return (int(size[-2]), int(size[-1]))
        if isinstance(size, list | tuple) and size:
            return (int(size[0]), int(size[0]))
    return (224, 224)


def find(config: PretrainedConfig, names: tuple[str, ...], default: int) -> int:
    """The first integer of one of these names in a config or its nested configs."""
    for holder in _holders(config):
        for name in names:
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return default


def _holders(config: PretrainedConfig) -> Iterator[PretrainedConfig]:
    yield config
    for value in vars(config).values():
        if isinstance(value, PretrainedConfig):
            yield from _holders(value)
