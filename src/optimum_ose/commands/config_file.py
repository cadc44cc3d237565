"""Reads the file of `--config`: YAML or JSON, as text, numbers, true, false, null, lists and mappings.

YAML is read by the core schema of version 1.2: `1e-4` is a number, `no` is text, `010` is ten, a date is text.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.wording import one_line, reading_fault, shown

_MAX_BYTES = 1 << 20
_MAX_VALUES = 20_000
"""Aliases included: a file of a few lines can stand for billions of values."""
_MAX_DEPTH = 32


def read_config(path: Path) -> dict[str, Any]:
    """The settings that a file holds; an empty file holds none.

    Raises:
        InvalidConfigError: if it is no file, or not a mapping in YAML or JSON, or beyond 1 MiB, 20,000 values or 32
            levels.
    """
    try:
        text = _text(path)
        content = _from_json(text) if path.suffix == ".json" and text.strip() else _from_yaml(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InvalidConfigError(
            "--config must name a yaml or json file", f"reading {path} failed: {_reason(error)}", "Fix the path or file"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise InvalidConfigError(
            "--config must hold a mapping of settings",
            f"{path} holds {shown(content)}",
            "Write `search:`, `distillation:` and so on; `ose run --print-config` prints every setting",
        )
    return dict(content)


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ValueError("it is a folder or a device")
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it holds more than {_MAX_BYTES:,} bytes")
    return path.read_text(encoding="utf-8-sig")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, RecursionError):
        return f"it is nested more than {_MAX_DEPTH} levels deep"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return one_line(f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}", limit=200)
    return reading_fault(error)


def _from_json(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"{shown(next(name for name in names if names.count(name) > 1))} is set twice")
        return found

    return json.loads(text, object_pairs_hook=unique)


def _from_yaml(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _require_small(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """YAML's core schema; each name of a mapping must be text and stand once."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See `yaml.constructor.SafeConstructor`."""
        names = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(problem="the name of a setting must be text", problem_mark=key.start_mark)
            if key.value in names:
                problem = f"{shown(key.value)} is set twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            names.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+(?:_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def _require_small(root: yaml.Node) -> None:
    """Refuse a document that is too large or too deep once its aliases stand for what they name.

    Raises:
        ValueError: if it is; a document that holds itself is too deep.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        if depth > _MAX_DEPTH:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")
        if id(node) not in sizes:
            inner = node.value if isinstance(node, yaml.CollectionNode) else []
            parts = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
            sizes[id(node)] = 1 + sum(size(part, depth + 1) for part in parts)
        if sizes[id(node)] > _MAX_VALUES:
            raise ValueError(f"it stands for more than {_MAX_VALUES:,} values")
        return sizes[id(node)]

    size(root, 0)
