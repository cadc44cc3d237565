"""A config as YAML in which each setting stands below its meaning and default."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin, get_type_hints

from optimum_ose.configuration.plain_values import as_json
from optimum_ose.configuration.reading import SCHEMA_VERSION

_WIDTH = 100
_HEAD = """\
# Settings of optimum-ose. Read by `optimum-cli ose run --config FILE`; flags win over them. What is left out keeps its
# default.
"""


def commented_yaml(config: Any) -> str:
    """A config record as YAML, which `config_from_dict` reads again.

    Args:
        config: an instance of any config record. Settings that are records themselves are written in full.
    """
    return _HEAD + f"schema_version: {SCHEMA_VERSION}\n" + "\n".join(_lines(config, 0)) + "\n"


@cache
def meanings(kind: Any) -> Mapping[str, str]:
    """The docstring of each field of a config record, on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    found = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for field, text in pairwise(statements):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(text.value.value).replace("None:", "null:").split())
    return found


def _lines(config: Any, depth: int) -> Iterator[str]:
    indent = "  " * depth
    kind: Any = type(config)
    hints = get_type_hints(kind)
    for item in fields(kind):
        value = getattr(config, item.name)
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        text = meanings(kind)[item.name]
        if choices := _choices(hints[item.name]):
            text += f" One of {', '.join(choices)}."
        if not is_dataclass(default):
            text += f" Default: {_scalar(default)}."
        if depth == 0:
            yield ""
        yield from textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        if is_dataclass(value):
            yield f"{indent}{item.name}:"
            yield from _lines(value, depth + 1)
        else:
            yield f"{indent}{item.name}: {_scalar(value)}"


def _choices(hint: Any) -> tuple[str, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def _scalar(value: object) -> str:
    """A value in YAML's flow style, on one line."""
    import yaml

    text: str = yaml.safe_dump(json.loads(as_json(value)), default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()
