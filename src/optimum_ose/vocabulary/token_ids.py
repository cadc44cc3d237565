"""The ids of tokens that a config, or a generation config, holds."""

from collections.abc import Iterator, Mapping
from typing import Any

_ENDINGS = ("_token_id", "_token_ids", "_token_index")
"""Of the names of settings that hold an id, or a list of ids."""
_TABLES = frozenset({"lang_to_id", "task_to_id"})
"""Settings that map names to ids."""
_LISTS = frozenset({"suppress_tokens", "begin_suppress_tokens"})
"""Settings that list ids of tokens that are not to be written."""
_SEQUENCES = frozenset({"bad_words_ids", "force_words_ids"})
"""Settings that list sequences of ids."""
_FORCED = "forced_decoder_ids"
"""Pairs of a place and an id."""


def named_ids(content: Mapping[str, Any]) -> frozenset[int]:
    """The ids of tokens that a config cannot do without, nested configs included; not those that it only forbids."""
    return frozenset(_named(content))


def renumbered(content: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """A config, as a dict, with new ids.

    Args:
        content: of a config or generation config; nested configs are renumbered too.
        new: old -> new id. An id without a new one is left out of lists, and becomes None elsewhere; a negative one
            stays, for it stands for none.
    """
    return {name: _renumbered(name, value, new) for name, value in content.items()}


def _named(content: Mapping[str, Any]) -> Iterator[int]:
    for name, value in content.items():
        if name.endswith(_ENDINGS):
            yield from _integers(value)
        elif name in _TABLES and isinstance(value, Mapping):
            yield from _integers(list(value.values()))
        elif name == _FORCED and isinstance(value, list):
            yield from _integers([pair[1] for pair in value if isinstance(pair, list | tuple) and len(pair) == 2])
        elif isinstance(value, Mapping) and _is_config(name, value):
            yield from _named(value)


def _integers(value: object) -> Iterator[int]:
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, int) and not isinstance(item, bool) and item >= 0:
            yield item


def _renumbered(name: str, value: Any, new: Mapping[int, int]) -> Any:
    if name.endswith(_ENDINGS) or name in _LISTS:
        return _ids(value, new)
    if name in _TABLES and isinstance(value, Mapping):
        return {key: _ids(item, new) for key, item in value.items()}
    if name == _FORCED and isinstance(value, list):
        return [[place, _ids(index, new)] for place, index in value]
    if name in _SEQUENCES and isinstance(value, list):
        return [_ids(words, new) for words in value if all(index in new for index in _integers(words))] or None
    if isinstance(value, Mapping) and _is_config(name, value):
        return renumbered(value, new)
    return value


def _ids(value: Any, new: Mapping[int, int]) -> Any:
    if isinstance(value, list | tuple):
        return [new.get(item, item) for item in value if item in new or item is None or item < 0]
    if value is None or isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return value
    return new.get(value)


def _is_config(name: str, value: Mapping[str, Any]) -> bool:
    return "model_type" in value or name.endswith("config")
