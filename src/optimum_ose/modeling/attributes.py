"""Reads and writes the integers of a config by their path: nested configs, elements of lists, whole even lists."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PretrainedConfig

_MAX_ELEMENTS = 6
"""Longer uneven lists of integers describe layers one by one; they are left as they are."""
_SIZE_WORDS = re.compile(r"depth|head|hidden|dim|size|intermediate|channel|ffn|width|layers$|blocks$|ratio|stride")
"""Lists with such names hold sizes of stages rather than kinds of layers."""

_STAGE_WORDS = re.compile(r"depths?$|hidden_sizes|dims$|num_heads|channels$|attention_heads$|stage_")
"""Such lists have one entry per stage of a network that works at several resolutions."""
_OUTPUTS = ("out_features", "out_indices")
"""Lists that name the layers whose states a backbone returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One integer that a config holds."""

    path: str
    """Config path: "hidden_size", "vision_config.depth"; "depths.0" for an element of a list."""
    scope: str
    """Path of the nested config that holds it, with a dot behind; "" for the config itself."""
    name: str
    """Standard name, if the config class maps one to it, else its own name without index."""
    value: int | None
    """None where the config leaves it to the model."""

    @property
    def index(self) -> str:
        """Index in its list with a dot before, or ""."""
        return list_index(self.path)


def list_index(path: str) -> str:
    """Index of an element of a list with a dot before, or ""."""
    match = re.search(r"\.\d+$", path)
    return match.group() if match else ""


def config_attributes(config: PretrainedConfig) -> tuple[Attribute, ...]:
    """Every positive integer of a config, nested configs and short lists included, and every attribute that is None."""
    return tuple(_attributes(config, config.to_dict(), ""))


def _attributes(config: object, content: Mapping[str, Any], scope: str) -> Iterator[Attribute]:
    standard = {own: name for name, own in getattr(type(config), "attribute_map", {}).items()}
    for name, value in content.items():
        if isinstance(value, Mapping):
            if "model_type" in value or name.endswith("config"):
                yield from _attributes(getattr(config, name, None), value, f"{scope}{name}.")
            continue
        for index, integer in _integers(value):
            yield Attribute(path=f"{scope}{name}{index}", scope=scope, name=standard.get(name, name), value=integer)


def _integers(value: object) -> Iterator[tuple[str, int | None]]:
    """Index in a list (or "") and value of each integer that a config value holds."""
    if value is None:
        yield "", None
    elif isinstance(value, list | tuple) and value and all(_is_integer(item) for item in value):
        if len(set(value)) == 1 and len(value) > 1:
            yield "", int(value[0])
        elif len(value) <= _MAX_ELEMENTS:
            yield from ((f".{index}", int(item)) for index, item in enumerate(value))
    elif _is_integer(value):
        yield "", int(value)  # type: ignore[call-overload]


def _is_integer(value: object) -> bool:
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())  # infinity is not
    return is_whole and not isinstance(value, bool) and value >= 1  # type: ignore[operator]


def read_path(content: object, path: str) -> Any:
    """What a nested config holds at a path."""
    for part in path.split("."):
        if isinstance(content, Sequence):
            content = content[int(part)]
        else:
            content = content[part] if isinstance(content, Mapping) else getattr(content, part)
    return content


def write_path(content: dict[str, Any], path: str, value: int) -> None:
    """Put an integer at a path of a nested dict: in every place of a list, and as a float where a float was."""
    *parents, last = path.split(".")
    holder: Any = content
    for part in parents:
        key: Any = int(part) if isinstance(holder, list) else part
        if isinstance(holder[key], tuple):
            holder[key] = list(holder[key])
        holder = holder[key]
    key = int(last) if isinstance(holder, list) else last
    old = holder[key]
    if isinstance(old, list | tuple):
        holder[key] = [type(old[0])(value)] * len(old)
    else:
        holder[key] = float(value) if isinstance(old, float) else int(value)


def layer_lists(content: Mapping[str, Any], scope: str, depth: int) -> tuple[tuple[str, ...], ...]:
    """Paths of the lists, and of the tables by layer index, of a scope that may hold one entry per layer, in the ways
    worth trying: those that hold kinds of layers; all of that length; none.
    """
    holder = read_path(content, scope.rstrip(".")) if scope else content
    outputs = [name for name in _OUTPUTS if holder.get(name)] if len(holder.get("stage_names") or ()) > depth else []
    names = [
        name for name, value in holder.items() if _is_per_layer(value, depth) and name not in (*_OUTPUTS, "id2label")
    ]
    names += outputs
    kinds = tuple(f"{scope}{name}" for name in names if not _SIZE_WORDS.search(name))
    return tuple(dict.fromkeys((kinds, tuple(f"{scope}{name}" for name in names), ())))


def counts_stages(content: Mapping[str, Any], scope: str, depth: int) -> bool:
    """Whether a number of layers is the length of lists of sizes, one entry per stage: the lists are the axes then."""
    holder = read_path(content, scope.rstrip(".")) if scope else content
    lists = {name: value for name, value in holder.items() if isinstance(value, list | tuple) and len(value) == depth}
    return depth > 1 and any(
        _STAGE_WORDS.search(name) and len(set(value)) > 1 and all(_is_integer(item) for item in value)
        for name, value in lists.items()
        if all(isinstance(item, int | float) for item in value)
    )


def _moved_outputs(entries: Sequence[Any], length: int) -> list[Any]:
    """Outputs of a backbone, by number ("stage4" or 4); those beyond the last layer become the last layer's."""
    moved = []
    for entry in entries:
        number = int(re.sub(r"\D", "", str(entry)) or 0)
        moved.append(entry if number <= length else type(entry)(str(entry).replace(str(number), str(length))))
    return list(dict.fromkeys(moved))


def _is_per_layer(value: object, depth: int) -> bool:
    if isinstance(value, Mapping):
        return bool(value) and all(str(key).isdigit() and int(key) < depth for key in value)
    return isinstance(value, list | tuple) and len(value) == depth


def resize_list(content: dict[str, Any], path: str, length: int, *, depth: int) -> None:
    """Cut what a path holds per layer from `depth` to `length` layers, or go on with it from the front.

    The last layer stays last: it is often special.
    """
    *parents, last = path.split(".")
    holder = read_path(content, ".".join(parents)) if parents else content
    sources = [*(index % depth for index in range(length - 1)), depth - 1]
    if isinstance(holder[last], Mapping):
        table = {int(key): value for key, value in holder[last].items()}
        holder[last] = {index: table[source] for index, source in enumerate(sources) if source in table}
    elif last in _OUTPUTS:
        holder[last] = _moved_outputs(holder[last], length)
    else:
        holder[last] = [holder[last][source] for source in sources]
