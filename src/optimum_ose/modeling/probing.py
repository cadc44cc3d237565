"""Sees what each config integer does to a network, by rebuilding it on the `meta` device with another value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

from transformers import PretrainedConfig, PreTrainedModel

from optimum_ose.exceptions import UnsupportedModelError
from optimum_ose.modeling.attributes import Attribute
from optimum_ose.modeling.building import Shapes, build_on_meta, edit_config, embedding_names, parameter_shapes
from optimum_ose.modeling.model_inputs import run_example

_NUM_TOKENS = 8
"""Length of the text with which a forward pass is tried."""


@dataclass(frozen=True, slots=True)
class Build:
    """What is remembered of a model that was built."""

    shapes: Shapes
    """Shape of every parameter tensor."""
    embeddings: frozenset[str]
    """Names of the tensors that embedding tables hold."""
    settings: frozenset[tuple[str, int]]
    """Integers that modules keep, such as their number of heads, by module and attribute name."""

    @property
    def parameter_counts(self) -> tuple[int, int]:
        """Number of parameters in embedding tables, and elsewhere."""
        sizes = {name: _product(shape) for name, shape in self.shapes.items()}
        inside = sum(size for name, size in sizes.items() if name in self.embeddings)
        return inside, sum(sizes.values()) - inside


@dataclass(frozen=True, slots=True)
class Effect:
    """What another value of one config integer does to the network."""

    attribute: Attribute
    """The integer."""
    probe: int
    """The value that was tried."""
    renamed: tuple[str, ...]
    """Names of tensors that exist with one of the two values only."""
    changed: Mapping[str, tuple[int, ...]]
    """Name of each tensor whose shape changed, and which of its dimensions did."""
    has_settings: bool
    """Whether modules keep another integer."""
    value: int
    """The value that gives the config's own network."""
    coupled: Mapping[str, int] = field(default_factory=dict)
    """Integers that had to change in proportion, by config path, with their values in the config."""

    @property
    def layered(self) -> tuple[str, ...]:
        """Names of the changed tensors that lie in lists of modules."""
        return tuple(name for name in self.changed if is_indexed(name))

    @property
    def is_square(self) -> bool:
        """Whether a repeated tensor follows the integer in two dimensions, as a map from a stream to itself does."""
        return any(len(self.changed[name]) > 1 for name in self.layered)


@final
class Prober:
    """Builds a config with other integers, each combination once.

    Args:
        config: whose integers are changed.
        task: builds the head of this task too.
    """

    def __init__(self, config: PretrainedConfig, task: str | None) -> None:
        self.config = config
        self.task = task
        self._known: dict[tuple[object, ...], Build | None] = {}
        self._ran: dict[tuple[object, ...], bool] = {}
        self._choice: int | None = None
        self._reason: UnsupportedModelError | None = None

    @property
    def reason(self) -> UnsupportedModelError | None:
        """Why the last combination that failed did not build."""
        return self._reason

    def build(self, values: Mapping[str, int], lengths: Mapping[str, tuple[int, int]] | None = None) -> Build | None:
        """The build with some integers replaced by config path, or None where there is none; see `edit_config`."""
        key = _key(values, lengths)
        if key not in self._known:
            try:
                edited = edit_config(self.config, values, lengths=lengths) if values else self.config
                self._known[key] = remember(build_on_meta(edited, self.task))
            except UnsupportedModelError as error:
                self._reason = error
                self._known[key] = None
        return self._known[key]

    def find_example(self, values: Mapping[str, int], lengths: Mapping[str, tuple[int, int]]) -> bool:
        """Whether a forward pass of some integers runs on `meta`, so that `runs` can tell which others do."""
        try:
            edited = edit_config(self.config, values, lengths=lengths)
            self._choice = run_example(build_on_meta(edited, self.task), num_tokens=_NUM_TOKENS).choice
        except UnsupportedModelError:
            self._choice = None
        return self._choice is not None

    def runs(self, values: Mapping[str, int], lengths: Mapping[str, tuple[int, int]]) -> bool:
        """Whether the forward pass runs with some integers; True where that cannot be told."""
        key = _key(values, lengths)
        if self._choice is not None and key not in self._ran:
            try:
                model = build_on_meta(edit_config(self.config, values, lengths=lengths), self.task)
                self._known.setdefault(key, remember(model))
                run_example(model, num_tokens=_NUM_TOKENS, choice=self._choice)
                self._ran[key] = True
            except UnsupportedModelError as error:
                self._reason, self._ran[key] = error, False
        return self._ran.get(key, True)


def _key(values: Mapping[str, int], lengths: Mapping[str, tuple[int, int]] | None) -> tuple[object, ...]:
    return (*sorted(values.items()), "|", *sorted((lengths or {}).items()))


def remember(model: PreTrainedModel) -> Build:
    """Keep what matters of a model."""
    settings = frozenset(
        (f"{name}.{key}", value)
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if type(value) is int
    )
    return Build(parameter_shapes(model), embedding_names(model), settings)


def effect(attribute: Attribute, probe: int, before: Build, after: Build, *, value: int) -> Effect:
    """Compare two builds that differ in one integer."""
    changed = {
        name: dimensions_that_differ(shape, after.shapes[name])
        for name, shape in before.shapes.items()
        if name in after.shapes and after.shapes[name] != shape
    }
    return Effect(
        attribute=attribute,
        probe=probe,
        renamed=tuple(sorted(before.shapes.keys() ^ after.shapes.keys())),
        changed=MappingProxyType(changed),
        has_settings=before.settings != after.settings,
        value=value,
    )


def dimensions_that_differ(shape: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Indices of the dimensions in which two shapes differ; all of them, where they have different numbers."""
    if len(shape) != len(other):
        return tuple(range(max(len(shape), len(other))))
    return tuple(index for index, (size, changed) in enumerate(zip(shape, other, strict=True)) if size != changed)


def is_indexed(name: str) -> bool:
    """Whether a tensor lies in a list of modules."""
    return any(part.isdigit() for part in name.split("."))


def _product(sizes: Iterable[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total
